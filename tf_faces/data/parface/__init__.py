"""ParFace's data: sets of faces, crops, augmentation, heat maps.

`landmark_sets` tells the points of a face apart, `sets` reads the original's data sets,
`samples` makes what the networks are trained and tested on.
"""
