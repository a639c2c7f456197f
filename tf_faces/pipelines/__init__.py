"""Results from trained networks: a photograph, latents or coefficients in, faces out.

Rank: above training, below export.  `opening` finds what a run or an export left
behind, whichever system it belongs to; each system has a folder with its pipeline.
"""
