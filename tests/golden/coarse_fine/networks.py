"""The README's synthetic face and weights, as objects of the house."""

import re

import numpy as np

from tests.golden import drawing
from tf_faces.models.coarse_fine import CoarseFine, CoarseFineConfig, FaceRenderer
from tf_faces.morphable.model import MorphableModel


def tiny_model(vertices, shapes, expressions, textures, tag) -> MorphableModel:
    """`tiny(n, ds, de, dt, tag)` of the README; n follows from `vertices`."""
    side = int(np.sqrt(vertices))
    a = np.linspace(-1, 1, side)
    x, y = (grid.reshape(-1) for grid in np.meshgrid(a, a))
    z = 1.2e5 * np.exp(-1.5 * (x**2 + y**2))
    z = z + 2.5e4 * np.exp(-25 * (x**2 + (y - 0.05) ** 2)) - 3e4
    mean = np.stack([8e4 * x, -9e4 * y, z], axis=1)

    def normal(name, *shape):
        return drawing.generator(tag + name).standard_normal(shape)

    number = np.arange(side**2).reshape(side, side)
    corners = (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:])
    upper_left, upper_right, lower_left, lower_right = (c.reshape(-1) for c in corners)
    triangles = np.concatenate(
        [
            np.stack([upper_left, lower_left, upper_right], axis=1),
            np.stack([upper_right, lower_left, lower_right], axis=1),
        ]
    )

    def rows(values):
        return np.moveaxis(values, 0, 1).astype(np.float32)

    return MorphableModel(
        mean=mean.astype(np.float32),
        triangles=triangles.astype(np.int32),
        mean_expression=rows(500 * normal("/mu_exp", 3, vertices)),
        shape_basis=rows(normal("/w", 3, vertices, shapes) / np.sqrt(3 * vertices)),
        shape_deviations=np.ones(shapes, np.float32),
        expression_basis=rows(1500 * normal("/w_exp", 3, vertices, expressions)),
        expression_deviations=np.ones(expressions, np.float32),
        texture_mean=rows(
            60 + 150 * drawing.generator(tag + "/tex").uniform(0, 1, (3, vertices))
        ),
        texture_basis=rows(2 * normal("/w_tex", 3, vertices, textures)),
        texture_deviations=normal("/alpha_tex", textures, 1)[:, 0].astype(np.float32),
        coefficient_kind="raw",
        winding="cw",  # The triangles stay in the order of the recording.
    )


def model_of(
    recording, arrays, shapes, expressions, textures, folder
) -> MorphableModel:
    """The model of a recording, checked against the arrays that it holds."""
    vertices = len(arrays["mesh_mu"]) // 3
    tag = f"{drawing.recording_set(recording.parent)['tag']}/{folder}"
    model = tiny_model(vertices, shapes, expressions, textures, tag)
    mean = arrays["mesh_mu"].reshape(3, -1).T
    np.testing.assert_allclose(model.neutral, mean, rtol=0, atol=0.05)
    np.testing.assert_array_equal(model.triangles, arrays["mesh_tri"].T)
    return model


def drawn_weight(name: str, shape, prefix: str) -> np.ndarray:
    """The README's value of a variable."""
    last = name.rpartition("/")[2]
    if last in ("moving_mean", "moving_variance"):
        return np.full(shape, float(last == "moving_variance"), np.float32)
    if last == "weights":
        fan = np.prod(shape[:3]) if len(shape) == 4 else shape[0]
        scale = np.sqrt((2 if len(shape) == 4 else 1) / fan)
    else:
        scale = 0.1
    return drawing.normal(prefix + name, shape, scale)


def fill(variables, recording) -> None:
    """Sets all variables to the README's values."""
    prefix = drawing.recording_set(recording.parent)["weight_name_prefix"]
    for name, variable in variables.items():
        variable.assign(drawn_weight(name, tuple(variable.shape), prefix))


def network(recording, model, *, size, shapes, expressions, iterations) -> CoarseFine:
    """Both networks with the README's weights."""
    config = CoarseFineConfig(
        image_size=size,
        shape_count=shapes,
        expression_count=expressions,
        iterations=iterations,
    )
    made = CoarseFine(config, FaceRenderer(model, config))
    fill(made.variables_by_name(), recording)
    return made


def numbered(arrays, stem: str) -> list[np.ndarray]:
    """The arrays stem0, stem1, ... in order."""
    names = [name for name in arrays if re.fullmatch(rf"{stem}\d+", name)]
    return [arrays[name] for name in sorted(names, key=lambda n: int(n[len(stem) :]))]
