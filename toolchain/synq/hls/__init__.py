"""The HLS back end: C++ through QKeras and hls4ml."""
