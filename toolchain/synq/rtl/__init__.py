"""Verilog of the network: rendered, simulated with Verilator, synthesized with Yosys."""
