"""Figures docs/images/makehuman_fakes.png and makehuman_faces.png.

    tf-faces dataset make_uv_set maps --model makehuman --count 4000 --resolution 64
    tf-faces dataset create_from_pkl_img_norm datasets/makehuman maps/texture \
        maps/shape maps/normals --labels maps/labels.pkl --paths maps/paths.pkl
    tf-faces train --config=configs/makehuman_faces.py --data_dir datasets/makehuman
"""

from tf_faces.core import configuration


def get_config():
    """The demo's networks on photographed skins, for longer."""
    return configuration.recipe(
        "tbgan",
        "demo",
        {
            "train.total_kimg": 110.0,
            "sched.lod_training_kimg": 5.0,
            "sched.lod_transition_kimg": 5.0,
        },
    )
