"""Accuracy against levels: many quantizations of a few trained networks, the paper's figure 2.

`points` says what is evaluated, `evaluation` how, `processes` and `cluster` where; `run` collects
the outcomes, `results` keeps them in a file from which an interrupted sweep goes on, and `summary`
makes statistics of them, beside what the `paper` prints.
"""
