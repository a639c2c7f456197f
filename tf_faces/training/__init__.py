"""One training loop and, a folder a system, what that system does in a step.

Rank: above convert, below pipelines.  `loop.train` runs a `loop.System` with
snapshots, resume and records of every tick; `checkpoints`, `distribution` and `logging`
serve it.
"""
