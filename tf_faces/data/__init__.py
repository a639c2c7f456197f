"""What networks are trained and tested on: readers, writers and tf.data pipelines.

Rank: beside models, losses and metrics, which it neither imports nor is imported by;
above viz.  Shared by the systems: `record_sets` (TFRecords of images), `images`,
`uv_sets` and `picture_sets` (faces with exact truth), `fitted_faces` and
`coefficient_tables`; what one system alone reads lies in a module of its name.
"""
