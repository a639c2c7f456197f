"""TensorFlow operations of our own: the rasteriser `render_depth`, rows of numbers.

Rank: above core and configs, below geometry.  `render_depth.rasterize` draws with the
compiled kernel where there is a compiler, else with its twin in TensorFlow; a NumPy
reference beside them says what both must give.  `sorted_rows.distances` and
`normalized_rows.normalized` are of the same compiled library, with twins in NumPy.
"""
