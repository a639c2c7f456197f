"""Optimisation steps of the landmark stages, in the plane and in space."""

import dataclasses

import numpy as np
import pytest

from tests.golden.parface import recordings, steps
from tf_faces.convert import parface as convert
from tf_faces.data.parface import heatmaps
from tf_faces.training.parface import landmarks
from tf_faces.training.parface.adam import Adam

OPTIMIZERS = {"lm_head": "LMH", "lm_3d_head": "LMH_3D", "E": "Q"}
ENCODER_RATE = 2e-5
FIRST_STEP = 1e-5
LATER = 2e-2
# The faithful adaptive wing loss jumps at theta, by up to 300 * 5.4 of one element:
# where a difference lies there, rounding decides.
JUMP, FLIPS = 300 * 5.4, 3
WING_LOSSES = ("loss_lms", "loss_lms w/o js")


@pytest.mark.slow  # Four scenarios of two steps each at 256 pixels.
@pytest.mark.golden("parface", "steps_landmarks*.npz")
def test_steps(recording, arrays):
    (images_name,) = (key for key in arrays if key.startswith("images_u8"))
    pictures = recordings.normalized(arrays[images_name])
    found = steps.scenarios(arrays)
    assert found
    for scenario, options in found.items():
        reader = steps.Reader(arrays, scenario)
        points = reader.arrays["landmarks3d"]
        count, size = int(reader.arrays["n"]), options["input_size"]
        maps = np.stack(
            [heatmaps.create(one[:, :2], size, options["sigma"]) for one in points]
        )
        networks = recordings.networks(recording, size, points.shape[1])
        before = convert.state_dict(networks, counters=False)
        names = {field.name for field in dataclasses.fields(landmarks.LandmarkTerms)}
        terms = landmarks.LandmarkTerms(
            spatial="step0/stat/loss_lms_3d" in reader,
            **{name: value for name, value in options.items() if name in names},
        )
        step = landmarks.LandmarkStep(networks, terms, {})
        step.optimizers = {
            prefix: Adam(
                networks.parts()[prefix].named_trainables(f"{prefix}."),
                ENCODER_RATE if prefix == "Q" else options["lr_heatmaps"],
            )
            for prefix in step.stepped()
        }
        number = 0
        while f"step{number}/stat/loss_lms" in reader:
            when = f"step{number}"
            rows = slice(number * count, (number + 1) * count)
            result = step(pictures[rows], maps[rows], points[rows, :, 2])
            relative = LATER if number else steps.STATISTIC
            if not number and not terms.spatial:
                relative = FIRST_STEP
            absolute = {"z_recon_mean": 1e-3 if number else 1e-6}
            if terms.use_adaptive_wing_loss:
                absolute |= dict.fromkeys(WING_LOSSES, FLIPS * JUMP / maps[rows].size)
            reader.stats(when, result.stats, relative, absolute)
            if number:
                reader.gradients_taken(when)
            else:
                reader.gradients(when, result.gradients)
            reader.stepped(when, OPTIMIZERS, result.gradients)
            tensors = networks.named_tensors()
            reader.statistics(when, tensors, LATER if number else steps.STATISTIC)
            number += 1
            largest = max(options["lr_heatmaps"], ENCODER_RATE)
            reader.changes(when, tensors, before, largest, number)
        assert number
        if any(name.startswith("eval/") for name in reader.arrays):
            rows = slice(0, count)
            result = step(pictures[rows], maps[rows], points[rows, :, 2], False)
            reader.stats("eval", result.stats, LATER)
        assert not reader.unseen, scenario
