"""Measures of results: numbers about faces, no training.

Rank: beside data, models and losses, above viz.  `diversity.measure` says how diverse
and how plausible a set of faces is.
"""
