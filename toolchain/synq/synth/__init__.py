"""Vendor tools: what their reports say, and how it compares with the board and our estimate."""
