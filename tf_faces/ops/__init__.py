"""TensorFlow operations of our own; today one: `render_depth`, the rasteriser.

Rank: above core and configs, below geometry.  `render_depth.rasterize` draws with the
compiled kernel where there is a compiler, else with its twin in TensorFlow; a NumPy
reference beside them says what both must give.
"""
