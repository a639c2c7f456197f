"""Training data of Face Manifold: random faces, samplers, corrupted pairs.

The folders of fitted faces that it learns from are every system's; their readers in
`tf_faces.data.fitted_faces` are handed on here.
"""

from tf_faces.data.fitted_faces import (
    MatFolder,
    list_mat_files,
    read_mat_file,
    read_mat_folder,
)

__all__ = ["MatFolder", "list_mat_files", "read_mat_file", "read_mat_folder"]
