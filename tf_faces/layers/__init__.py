"""Keras layers and functions of feature maps that networks are built from.

Rank: beside morphable, above geometry, below models.  Written with `keras.layers` and
`keras.ops` alone: `equalized` (layers with equalised learning rate), `normalization`
(pixel norm, minibatch standard deviation), `resampling` (whole factors).
"""
