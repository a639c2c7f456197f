"""ParFace's landmarks that come with the package: from the networks that
parface_factory_128.py ends with, through four stages on the plane's landmarks and one
on depths.

    tf-faces photographs make parface_open_faces/train --form records --size 176 \
        --fields picture,landmarks --asymmetry 0.7 --yaw 60 --face_low 0.5 \
        --count 4000 --seed 11
    tf-faces photographs make parface_open_faces/held_out --form records --size 176 \
        --fields picture,landmarks --asymmetry 0.7 --yaw 60 --face_low 0.5 \
        --count 200 --seed 2
    tf-faces train --config=configs/parface_open_128.py:landmarks_2d
    tf-faces train --config=configs/parface_open_128.py:landmarks_2d_finetune
    tf-faces train --config=configs/parface_open_128.py:landmarks_3da2d
    tf-faces train --config=configs/parface_open_128.py:landmarks_3da2d_finetune
    tf-faces train --config=configs/parface_open_128.py:landmarks_3d

`parface_open_faces/portraits` is the folder of the open portraits.

The plane's head is made anew, with as many channels as the original's, and learns by
squared differences.  Under the adaptive wing loss the maps of a point whose place is
doubtful, such as the jaw's below hair, end flat; under this one they show every place
by how probable it is, and their centroid is the best guess.
"""

from tf_faces.core import configuration
from tf_faces.core.errors import InputError

_BEFORE = "results/parface_128/landmarks_3d"
_RESULTS = "results/parface_open"
# At which epoch each ends; parface_factory_128.py ends with 48.
STAGES = {
    "landmarks_2d": 49,
    "landmarks_2d_finetune": 57,
    "landmarks_3da2d": 58,
    "landmarks_3da2d_finetune": 64,
    "landmarks_3d": 68,
}
_ALL = {
    "data_dir": "parface_open_faces",
    "dataset_train": ["records", "portraits"],
    "learning_rate_schedule": "cosine",
    "landmark_width": 64,
    "use_adaptive_wing_loss": False,
    "batchsize": 16,
    "eval_freq": 2,
    "lr": 5e-4,
    "lr_heatmaps": 2e-3,
    "lr_encoder": 5e-4,
    "daug": 2,
    "ocular_norm": "bb",
    "decoding": "centroid",
}
# Shares of the factory and of the open portraits.
_SHARES = {
    "landmarks_2d": [0.7, 0.3],
    "landmarks_2d_finetune": [0.7, 0.3],
    "landmarks_3da2d": [0.85, 0.15],
    "landmarks_3da2d_finetune": [0.5, 0.5],
}


def get_config(stage: str = "landmarks_2d"):
    """One stage, which begins with the weights of the one before."""
    names = list(STAGES)
    if stage not in names:
        raise InputError(f"stage: found {stage!r}, expected one of {', '.join(names)}.")
    number = names.index(stage)
    changes = {
        **_ALL,
        "epochs": STAGES[stage],
        "result_dir": f"{_RESULTS}/{stage}",
        "resume": f"{_RESULTS}/{names[number - 1]}" if number else _BEFORE,
        "dataset_weights": _SHARES.get(stage, []),
    }
    if stage.endswith("finetune"):
        # The decoder need not draw faces any more.
        changes["finetune_decoder"] = True
    if stage == "landmarks_3da2d_finetune":
        changes.update({"lr": 2.5e-4, "lr_heatmaps": 1e-3, "lr_encoder": 2.5e-4})
    if stage == "landmarks_3d":
        # The depths of the portraits are a network's guesses.
        changes["dataset_train"] = ["records"]
        # The head is to read the maps that it will be given.
        changes.update({"use_groundtruth": False, "use_predicted": True})
    return configuration.recipe("parface", f"{stage}+records+narrow", changes)
