"""PRNet at half width and 128 pixels: the figures and numbers of docs/systems/prnet.md.

    tf-faces photographs make prnet_faces/train --form records --size 160 --chart 128 \
        --fields picture,landmarks,position_map --count 2700 --seed 1
    tf-faces photographs make prnet_faces/train-2 --form records --size 160 \
        --chart 128 --fields picture,landmarks,position_map --count 3000 --seed 3
    tf-faces photographs make prnet_faces/held_out --form records --size 160 \
        --chart 128 --fields picture,landmarks,position_map --count 200 --seed 2
    tf-faces train --config=configs/prnet_half_128.py
"""

from tf_faces.core import configuration


def get_config():
    """Short enough for a processor; `--resume` goes on with it."""
    return configuration.recipe(
        "prnet",
        "paper+records+half_128+quick",
        {"data_dir": "prnet_faces", "train.total_kimg": 132.0},
    )
