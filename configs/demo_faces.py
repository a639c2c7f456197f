"""Figures docs/images/demo_fakes.png and demo_faces.png, the README's picture.

tf-faces train --config=configs/demo_faces.py
"""

from tf_faces.core import configuration


def get_config():
    """The preset as it is: built-in faces of 64x64, minutes on two processor cores."""
    return configuration.recipe("tbgan", "demo")
