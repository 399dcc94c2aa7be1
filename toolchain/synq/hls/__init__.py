"""What TensorFlow, QKeras, hls4ml and the C++ compiler need, and nothing else does."""
