"""PRNet's data: the layout of its maps, ground truth maps and training pairs."""
