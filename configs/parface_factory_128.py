"""ParFace's stages on photographs of the factory and open portraits, at 128 pixels with
a quarter of the channels, short enough for a processor.

    tf-faces photographs make parface_faces/train --form records --size 176 \
        --fields picture,landmarks --asymmetry 0.7 --yaw 60 --face_low 0.5 \
        --count 4000 --seed 1
    tf-faces photographs make parface_faces/held_out --form records --size 176 \
        --fields picture,landmarks --asymmetry 0.7 --yaw 60 --face_low 0.5 \
        --count 200 --seed 2
    tf-faces train --config=configs/parface_factory_128.py:self_supervised
    tf-faces train --config=configs/parface_factory_128.py:self_supervised_l1
    tf-faces train --config=configs/parface_factory_128.py:inversion
    tf-faces train --config=configs/parface_factory_128.py:landmarks_2d
    tf-faces train --config=configs/parface_factory_128.py:landmarks_2d_finetune
    tf-faces train --config=configs/parface_factory_128.py:landmarks_3da2d
    tf-faces train --config=configs/parface_factory_128.py:landmarks_3d

`parface_faces/portraits` is the folder of the open portraits: `labels.npz` with the
teacher's points, and `portraits` with the pictures.  Each stage goes on from the newest
weights of the one before.  What was interrupted goes on by
`tf-faces train --resume --result_dir results/parface_128/STAGE`.
"""

from tf_faces.core import configuration
from tf_faces.core.errors import InputError

_RESULTS = "results/parface_128"
# At which epoch each ends, counted from the very beginning.
STAGES = {
    "self_supervised": 8,
    "self_supervised_l1": 20,
    "inversion": 23,
    "landmarks_2d": 24,
    "landmarks_2d_finetune": 33,
    "landmarks_3da2d": 34,
    "landmarks_3d": 48,
}
_ALL = {
    "data_dir": "parface_faces",
    "dataset_train": ["records", "portraits"],
    "dataset_weights": [0.85, 0.15],
    "learning_rate_schedule": "cosine",
    "batchsize": 16,
    "eval_freq": 4,
    # The original's rates are for millions of pictures.
    "lr": 5e-4,
    "lr_heatmaps": 2e-3,
    "lr_encoder": 5e-4,
    "daug": 2,
    "ocular_norm": "bb",
    # As published: the original's is nearly flat where maps are almost right.
    "corrected_wing_loss": True,
    # Jaw points are found between the places that a map is not sure of.
    "decoding": "centroid",
    # No file of VGG19's weights is needed.
    "with_perceptual_loss": False,
}
# Without the perceptual term the squared differences, of levels in 0..1, would count
# nothing beside the adversarial one.
_OF_L2 = {"w_rec": 1000.0, "w_adv": 0.1}


def get_config(stage: str = "self_supervised"):
    """One stage, which begins with the weights of the one before."""
    names = list(STAGES)
    if stage not in names:
        raise InputError(f"stage: found {stage!r}, expected one of {', '.join(names)}.")
    changes = {
        **_ALL,
        "epochs": STAGES[stage],
        "result_dir": f"{_RESULTS}/{stage}",
    }
    if stage in ("self_supervised", "inversion"):
        changes.update(_OF_L2)
    if stage == "self_supervised_l1":
        changes["w_adv"] = 0.1
    if stage.startswith("landmarks_2d"):
        # Real photographs count for more than their number.
        changes["dataset_weights"] = [0.7, 0.3]
    if stage == "landmarks_2d_finetune":
        # So narrow a decoder shows landmarks better when it need not draw faces.
        changes["finetune_decoder"] = True
    if stage == "landmarks_3d":
        # The depths of the portraits are a network's guesses.
        changes.update({"dataset_train": ["records"], "dataset_weights": []})
        # The head is to read the maps that it will be given.
        changes.update({"use_groundtruth": False, "use_predicted": True})
    if stage != names[0]:
        changes["resume"] = f"{_RESULTS}/{names[names.index(stage) - 1]}"
    return configuration.recipe("parface", f"{stage}+records+narrow", changes)
