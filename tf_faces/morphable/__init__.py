"""Morphable face models, whatever file they come from.

Rank: beside layers, above geometry, below viz.  `io.load` finds the reader for a file,
a folder or a name such as "builtin" and returns a `model.MorphableModel`;
`formats` holds a module for each layout, `builtin` the face made by code.
`coefficients.FaceCoefficients` is what the systems hand to each other; `sampling`,
`fitting` and `expressions` work on any model.
"""
