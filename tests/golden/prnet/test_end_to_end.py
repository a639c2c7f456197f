"""The whole `PRN.process`: box or key points, crop, network, and the way back."""

import numpy as np
import pytest
from PIL import Image

from tests.golden import drawing
from tests.golden.prnet import networks
from tests.golden.prnet.test_crop import picture
from tf_faces.core import matlab_files
from tf_faces.data.prnet import layout
from tf_faces.models.prnet import inference
from tf_faces.pipelines import prnet

pytestmark = pytest.mark.golden("prnet", "e2e*.npz")

TOLERANCE = 3e-3  # Pixels; two float32 programs differ by 2e-3.
VERTEX_STRIDE = 397


@pytest.fixture
def reconstructor(recording, data_directory):
    network = inference.fold(networks.make(recording.parent))
    folder = drawing.beside(data_directory, "prnet") / "uv-data"
    return prnet.Reconstructor(network, layout.load_layout(folder))


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_process(arrays, recording, reconstructor, data_directory):
    known = ("synth_seed", "synth_hw", "box", "pos_s4", "kpt", "vert_s", "gray_pos_s8")
    assert set(arrays) == {*known, "jpg_name", "jpg_pos_s4", "jpg_kpt"}
    height, width = arrays["synth_hw"]
    image = picture(f"synth:{arrays['synth_seed']}:{height}:{width}", data_directory)
    (face,) = reconstructor.faces(image, box=arrays["box"])
    close(face.position_map[::4, ::4], arrays["pos_s4"])
    close(face.landmarks, arrays["kpt"])
    close(face.vertices[::VERTEX_STRIDE], arrays["vert_s"])
    (grey,) = reconstructor.faces(image[..., 0], box=arrays["box"])
    close(grey.position_map[::8, ::8], arrays["gray_pos_s8"])

    name = str(arrays["jpg_name"])
    photograph = np.asarray(
        Image.open(drawing.companion(recording, f"{recording.stem}_{name}", ".png"))
    )
    labels = drawing.beside(
        data_directory / "prnet" / "TestImages" / "AFLW2000", f"{name}.mat"
    )
    points = matlab_files.load(labels, ["pt3d_68"])["pt3d_68"]
    (face,) = reconstructor.faces(photograph, landmarks=points)
    close(face.position_map[::4, ::4], arrays["jpg_pos_s4"])
    close(face.landmarks, arrays["jpg_kpt"])
