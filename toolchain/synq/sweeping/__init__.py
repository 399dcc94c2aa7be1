"""Accuracy against levels: many quantizations of a few trained networks, the paper's figure 2.

`points` says what is evaluated, `evaluation` how; `run` has workers do it and keeps the outcomes in
a file from which an interrupted sweep goes on, and `summary` makes statistics of them, beside what
the `paper` prints.
"""
