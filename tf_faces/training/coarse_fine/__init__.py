"""Training of CoarseNet and FineNet."""
