"""The OBJ text that Face Manifold writes: coloured vertices, reversed triangles."""

import numpy as np
import pytest

from tests.golden import drawing
from tf_faces.geometry.mesh_files import obj

TOLERANCE = 1e-6


@pytest.mark.golden("face_manifold", "mesh_colors_obj*.txt")
def test_obj(recording, tmp_path):
    recorded = [line.split() for line in recording.read_text().splitlines()]
    counts = [sum(words[0] == kind for words in recorded) for kind in "vf"]
    assert all(counts)  # The beginning of the recorded mesh.
    with np.load(drawing.companion(recording, "bfm_ops", ".npz")) as stored:
        vertices, colors = (stored[key][: counts[0]] for key in ("vertices", "colors"))
        triangles = stored["load/triangles"][: counts[1]]
    (path,) = obj.write_obj_arrays(
        tmp_path / "mesh.obj",
        vertices,
        triangles,
        style=obj.PRNET,
        colors=colors,
    )
    ours = [line.split() for line in path.read_text().splitlines()]
    assert [words[0] for words in ours] == [words[0] for words in recorded]
    for mine, theirs in zip(ours, recorded, strict=True):
        np.testing.assert_allclose(
            np.array(mine[1:], float), np.array(theirs[1:], float), rtol=TOLERANCE
        )
