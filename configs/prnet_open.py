"""PRNet's weights that come with the package, begun with those of prnet_half_128.py.

    tf-faces photographs make prnet_faces/train-3 --form records --size 160 \
        --chart 128 --fields picture,landmarks,position_map --count 6000 --seed 5
    tf-faces photographs fit portraits/portraits portraits/labels.npz fitted \
        --model ict --chart 128
    tf-faces prnet generate-posmaps -i fitted/photographs \
        -o prnet_faces/train-portraits --model ict --resolution 128 --form records \
        --shards 1 --angles=-15,15
    tf-faces train --config=configs/prnet_open.py
    tf-faces export newest --form weights --output tf_faces/weights/prnet
"""

from tf_faces.core import configuration


def get_config():
    """More photographs, a fifth of them real portraits, at 128 pixels throughout."""
    return configuration.recipe(
        "prnet",
        "paper+records+half_128+quick",
        {
            "data_dir": "prnet_faces",
            "train.initial_weights": "results/000-prnet-paper-records-half_128-quick",
            "train.small_shares": [0.0, 0.0],
            "train.learning_rate": 1e-3,
            "train.total_kimg": 48.0,
            "train.warm_up": 0.02,
        },
    )
