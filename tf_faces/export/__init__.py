"""Trained networks as SavedModels for serving, of standard operations only.

Rank: above pipelines, below apps.  `saved_model.export` writes named signatures,
numbered versions and a model card; a module a system names its signatures; `warmup`
adds requests for TensorFlow Serving.
"""
