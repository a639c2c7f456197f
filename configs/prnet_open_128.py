"""PRNet's open weights: `prnet_half_128.py` gone on with, portraits among the pairs.

    tf-faces photographs make prnet_faces/train --form records --size 160 --chart 128 \
        --fields picture,landmarks,position_map --yaw 60 --count 5000 --seed 1
    tf-faces photographs make prnet_faces/train-2 --form records --size 160 \
        --chart 128 --fields picture,landmarks,position_map --count 4000 --seed 3
    tf-faces photographs make prnet_faces/held_out --form records --size 160 \
        --chart 128 --fields picture,landmarks,position_map --count 200 --seed 2
    tf-faces photographs fit portraits labels.npz fitted --model ict --chart 128
    tf-faces prnet generate-posmaps -i fitted/photographs \
        -o prnet_faces/train-portraits --model ict --resolution 128 --form records \
        --angles=-15,15
    tf-faces train --config=configs/prnet_open_128.py \
        --config.train.initial_weights=results/000-prnet
"""

from tf_faces.core import configuration


def get_config():
    """Short enough for a processor; `--resume` goes on with it."""
    return configuration.recipe(
        "prnet",
        "paper+records+half_128+quick",
        {
            "data_dir": "prnet_faces",
            "train.total_kimg": 44.0,
            "train.small_shares": [0.0, 0.0],
            "train.learning_rate": 1e-3,
            # Boxes of photographs are not those of heads that are drawn.
            "data.augmentation.scale_low": 0.88,
            "data.augmentation.scale_high": 1.16,
            "data.augmentation.shift": 0.05,
            "data.augmentation.color_low": 0.6,
            "data.augmentation.color_high": 1.4,
        },
    )
