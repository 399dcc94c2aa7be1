"""Mutated inputs for everything that reads a user's file: `benchmarks/fuzz.py` counts what happens.

A module a subject, each with `KINDS: dict[str, Kind]`.
"""
