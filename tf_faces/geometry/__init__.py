"""Mathematics of meshes, cameras, rotations, light, UV maps and landmarks.

Rank: above ops, below morphable and layers; knows no face model.  Most functions take
NumPy arrays and tensors alike.  `mesh.Mesh` is what the package hands around;
`mesh_files.read_mesh` and `write_mesh` know OBJ, PLY and GLB; `cameras`, `rotations`
and `similarity` carry their convention in their names (docs/conventions.md).
"""
