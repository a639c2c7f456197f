"""Losses as pure functions of tensors, one value a sample.

Rank: beside data, models and metrics, above layers and viz.  `adversarial` has the
Wasserstein losses with gradient penalty and label terms.
"""
