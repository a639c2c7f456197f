"""CoarseNet and FineNet at 64 pixels: the numbers of docs/systems/coarse_fine.md.

    tf-faces photographs make coarse_faces/train --form records --size 160 \
        --fields picture,coarse_parameters,landmarks --camera weak --yaw 45 --pitch 20 \
        --roll 15 --count 3000 --seed 1
    tf-faces photographs make coarse_faces/train-2 --form records --size 160 \
        --fields picture,coarse_parameters,landmarks --camera weak --yaw 45 --pitch 20 \
        --roll 15 --count 5000 --seed 3
    tf-faces photographs make coarse_faces/held_out --form records --size 160 \
        --fields picture,coarse_parameters,landmarks --camera weak --yaw 45 --pitch 20 \
        --roll 15 --count 300 --seed 2
    tf-faces photographs fit portraits labels.npz coarse_faces/portraits
    tf-faces train --config=configs/coarse_fine_64.py
    tf-faces coarse-fine evaluate newest --data_dir coarse_faces/held_out --count 300
"""

from tf_faces.core import configuration


def get_config():
    """Short enough for a processor; `--resume` goes on with it."""
    return configuration.recipe(
        "coarse_fine",
        "paper+records+separate",
        {
            "data_dir": "coarse_faces",
            "data.portraits": "coarse_faces/portraits/photographs",
            # All its coefficients, so that every vertex has a true place.
            "face_model": "ict",
            "face_regions": "face",
            "network.shape_count": 100,
            "network.expression_count": 53,
            "network.image_size": 64,
            "network.iterations": 3,
            "network.decay": 0.95,
            "network.stem_width": 16,
            "network.widths": [16, 32, 64, 128],
            "network.dense_layers": 1,
            "network.pooling": "flat",
            "network.head_width": 32,
            "network.fine_widths": [16, 32, 64],
            "network.depth_scale": 30.0,
            "loss.weights.vertices": 1.0,
            "loss.weights.pose": 0.1,
            "loss.weights.geometry": 0.1,
            "loss.hold_feedback": True,
            "data.drawn_share": 0.125,
            "data.validation_faces": 128,
            "train.coarse_kimg": 192.0,
            "train.fine_kimg": 36.0,
            "train.joint_kimg": 0.0,
            "train.batch": 16,
            "train.tick_kimg": 4.0,
            "train.snapshot_ticks": 1,
        },
    )
