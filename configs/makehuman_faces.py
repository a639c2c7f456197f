"""Figures docs/images/makehuman_fakes.png and makehuman_faces.png, and the table of
distances over the snapshots of a run in docs/systems/tbgan.md.

    tf-faces dataset make_uv_set maps --model makehuman --chart face --count 2500 \
        --resolution 64
    tf-faces dataset create_from_pkl_img_norm datasets/makehuman maps/texture \
        maps/shape maps/normals --labels maps/labels.pkl --paths maps/paths.pkl
    tf-faces train --config=configs/makehuman_faces.py --data_dir datasets/makehuman
    tf-faces tbgan evaluate newest --metrics swd --images 500
"""

from tf_faces.core import configuration


def get_config():
    """The demo's networks on photographed skins, for longer."""
    return configuration.recipe(
        "tbgan",
        "demo+ramp",
        {
            "train.total_kimg": 72.0,
            "train.keep_snapshots": 20,
            # Every 16,000 pictures: whole maps from the first snapshot on.
            "train.network_snapshot_ticks": 8,
            "sched.lod_initial_resolution": 16,
            "sched.lod_training_kimg": 2.0,
            "sched.lod_transition_kimg": 2.0,
        },
    )
