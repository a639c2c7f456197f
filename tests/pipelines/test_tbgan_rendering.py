"""Generated faces drawn as meshes: every expression of an identity, turning."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.morphable import expressions
from tf_faces.pipelines.tbgan import maps, rendering, sampler

SIDE = 8


def pipeline(channels=9, labels=7, chart=True):
    """Maps whose height is the first latent's and whose tilt the labels' number's."""

    def network(latents, fed):
        row, column = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
        tilt = fed @ np.arange(fed.shape[1])
        made = np.zeros((len(latents), SIDE, SIDE, channels), np.float32)
        if channels >= 6:
            made[..., 3], made[..., 4] = column, -row
            made[..., 5] = latents[:, :1, None] + tilt[:, None, None] * column
        return made

    return sampler.TbganPipeline(
        network,
        latent_size=3,
        label_size=labels,
        resolution=SIDE,
        channels=channels,
        dictionary=maps.grid_dictionary(SIDE) if chart else None,
        label_softmax=False,
        source="a network",
    )


def test_expression_meshes_are_rows_of_one_identity():
    made = pipeline()
    latents = np.array([[1, 0, 0], [2, 0, 0]], np.float32)
    rows = list(
        rendering.expression_meshes(made, latents, 0.5, minibatch=4, smoothing=0)
    )
    assert [len(row) for row in rows] == [7, 7]
    for row, height in zip(rows, (1, 2), strict=True):
        for number, mesh in enumerate(row):
            x, _, z = mesh.vertices.T
            np.testing.assert_allclose(z, height + 0.5 * number * x, atol=1e-6)


def test_expression_names():
    assert rendering.expression_names(pipeline()) == expressions.BASIC_EXPRESSIONS
    two = rendering.expression_names(pipeline(labels=2))
    assert two == ("expression 0", "expression 1")
    with pytest.raises(InputError, match="without expression labels"):
        rendering.expression_names(pipeline(labels=0))


def test_expressions_of_an_identity_share_one_scale():
    latents = np.array([[0, 0, 0]], np.float32)
    (row,) = rendering.expression_meshes(pipeline(), latents, smoothing=0)
    shown = rendering.expression_row(row[:2] + row[6:], size=24, supersampling=1)
    assert [picture.shape for picture in shown] == [(24, 24, 3)] * 3
    widths = {int((picture < 250).any(axis=(0, 2)).sum()) for picture in shown}
    # Tilted in depth alone, all are equally wide from the front.
    assert len(widths) == 1 and widths.pop() < 20


def test_faces_turn_side_by_side():
    latents = np.array([[0, 0, 0]], np.float32)
    (row,) = rendering.expression_meshes(pipeline(), latents, smoothing=0)
    options = {"size": 20, "supersampling": 1}
    turn = list(rendering.turning(row[:2], 4, **options))
    assert [frame.shape for frame in turn] == [(20, 40, 3)] * 4
    swung = list(rendering.turning(row[:2], 4, 90.0, **options))
    np.testing.assert_array_equal(swung[1], turn[1])
    # To the middle, not to the back; then to the other side.
    np.testing.assert_array_equal(swung[2], swung[0])
    np.testing.assert_array_equal(swung[3], turn[3])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (pipeline(channels=3), "found maps of 3 channels"),
        (pipeline(chart=False), "no UV dictionary, expected --uv_dictionary"),
    ],
)
def test_refuses_what_makes_no_mesh(made, message):
    with pytest.raises(InputError, match=message):
        next(rendering.expression_meshes(made, np.zeros((1, 3), np.float32)))
