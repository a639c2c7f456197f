"""Training of ParFace."""
