"""What TensorFlow, QKeras, hls4ml and the C++ compiler need, and nothing else does."""

import os

# Read when TensorFlow is first imported, by whichever module here comes first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
