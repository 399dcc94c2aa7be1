"""Many pieces of work at once: `work` says what a worker does, `processes` and `cluster` where."""
