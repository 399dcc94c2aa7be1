"""What runs TensorFlow, QKeras and hls4ml, in a process of its own: see `synq.hls.converter`.

QKeras 0.9 and hls4ml 1.3 take Keras 2, which TensorFlow brings no longer. So whatever here is
imported first settles, for its whole process, that `keras` is Keras 2.
"""

import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its sums differ from machine to machine

import tf_keras

sys.modules["keras"] = tf_keras  # else hls4ml takes the parser of Keras 3
