"""TensorFlow operations of our own: `render_depth`, the rasteriser, and `sorted_rows`.

Rank: above core and configs, below geometry.  `render_depth.rasterize` draws with the
compiled kernel where there is a compiler, else with its twin in TensorFlow; a NumPy
reference beside them says what both must give.  `sorted_rows.distances` is of the same
compiled library, with a twin in NumPy.
"""
