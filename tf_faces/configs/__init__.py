"""Presets, one module a system; `tf_faces.core.configuration` has the machinery."""
