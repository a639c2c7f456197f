"""Training data of Face Manifold: samplers, corrupted pairs."""
