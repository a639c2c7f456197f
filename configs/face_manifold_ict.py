"""Rows "ICT" of the table in docs/systems/face_manifold.md, and its curves.

tf-faces train --config=configs/face_manifold_ict.py
"""

from tf_faces.core import configuration


def get_config():
    """Both denoisers on 5,000 faces of ICT-FaceKit, few corrupted copies."""
    return configuration.recipe(
        "face_manifold",
        "both+ict",
        {"shape.copies": 10, "expression.copies": 25},
    )
