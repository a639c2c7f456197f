"""Weights of the original programs into our networks, and back.

Rank: above models and data, below training.  `torch` reads and writes PyTorch's files
without PyTorch; a module a system maps the original names of variables, strict on what
is missing, unknown or of another shape.
"""
