"""Readers and writers of face model files, one module a layout."""
