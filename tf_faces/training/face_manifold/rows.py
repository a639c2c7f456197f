"""Where the rows come from that the Face Manifold denoisers are trained on."""

from typing import Any

import ml_collections
import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.data import coefficient_tables
from tf_faces.data.face_manifold import dataset
from tf_faces.morphable import raw_form
from tf_faces.morphable.coefficients import FaceCoefficients


def open_data(
    config: ml_collections.ConfigDict,
) -> dict[str, tuple[Any, dataset.Pairs]]:
    """Opens training and test rows of every denoiser of a configuration.

    Raises:
      InputError: if they are missing, too few, or do not fit.
    """
    options = config.data
    if options.source == "pairs":
        return {
            group: (
                dataset.read_pairs(config.data_dir, group, "train"),
                dataset.read_pairs(config.data_dir, group, "test"),
            )
            for group in config.groups
        }
    if options.source == "model":
        model = raw_form.load(options.model)
        faces = raw_form.draw_faces(
            model, options.faces + options.test_faces, config.random_seed
        )
    elif options.source == "faces":
        found = coefficient_tables.read_any(config.data_dir, strict=options.strict)
        faces = found.faces
        for name, reason in found.skipped:
            print(f"Left out {name}: {reason}")
        if found.skipped:
            print(f"{config.data_dir}: {len(found.skipped)} bad files were left out.")
    else:
        raise InputError(
            f"--config.data.source: found {options.source!r}, expected pairs, faces or "
            "model."
        )
    if len(faces) <= options.test_faces or options.test_faces < 1:
        raise InputError(
            f"{config.data_dir}: found {len(faces)} faces, expected more than "
            f"--config.data.test_faces={options.test_faces}, and at least 1 of those."
        )
    return {group: _fresh(group, faces, config) for group in config.groups}


def _fresh(
    group: str, faces: FaceCoefficients, config: ml_collections.ConfigDict
) -> tuple[dataset.FreshPairs, dataset.Pairs]:
    values = faces.group(group)
    settings = config[group]
    count = len(values) - config.data.test_faces
    sigma: float | tuple[float, float] = float(settings.sigma)
    if settings.sigma_low > 0:
        sigma = (float(settings.sigma_low), float(settings.sigma))
    train = dataset.FreshPairs(
        values[:count], sigma, int(settings.copies), int(config.random_seed)
    )
    # The test part is fixed: the same corrupted faces at every validation.
    recipe = dataset.original_recipe(
        group,
        copies=int(settings.copies),
        sigma=float(settings.sigma),
        seed=int(config.random_seed) + 1,
    )
    pieces = list(dataset.corrupted_rows(values[count:], recipe))
    test = dataset.Pairs(
        *(
            np.concatenate([piece[role] for piece in pieces]).astype(np.float32)
            for role in (0, 1)
        )
    )
    return train, test
