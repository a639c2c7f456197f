"""The networks, a folder a system, each with its configuration beside it.

Rank: beside data, losses and metrics, above layers and viz; no system imports another.
No loss, no optimiser and no file access here: weights come in through `convert` and
`training.checkpoints`.
"""
