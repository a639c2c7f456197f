"""PRNet's SavedModel: the same numbers as the pipeline, from crops and from files."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core import pictures
from tf_faces.data.prnet import layout
from tf_faces.export import prnet as export
from tf_faces.models import prnet as models
from tf_faces.models.prnet import inference
from tf_faces.morphable import io as morphable
from tf_faces.pipelines import prnet


@pytest.fixture(scope="module", params=["rgb", "bgr"])
def reconstructor(request):
    config = models.PositionMapConfig(
        resolution=64,
        map_resolution=32,
        width=2,
        color_order=request.param,
        divisor=281.6,
    )
    network = models.create(config, seed=0)
    rng = np.random.default_rng(0)
    for name, variable in network.variables_by_name().items():
        if name.endswith(("gamma", "beta")):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    uv_layout = layout.model_layout(morphable.load("builtin:tiny"), 64)
    return prnet.Reconstructor(inference.fold(network), uv_layout)


def test_signatures(reconstructor, tmp_path):
    folder = export.export(reconstructor.network, reconstructor.layout, tmp_path)
    loaded = tf.saved_model.load(str(folder))
    rng = np.random.default_rng(1)
    crops = rng.random((2, 64, 64, 3)).astype(np.float32)
    found = loaded.signatures["serving_default"](crops=tf.constant(crops))
    maps = reconstructor.network.predict(crops)
    np.testing.assert_allclose(found["position_map"], maps, atol=1e-3)
    for index in (0, 1):
        vertices = reconstructor.layout.at_vertices(maps[index])
        np.testing.assert_allclose(found["vertices"][index], vertices, atol=1e-3)
        marks = reconstructor.layout.at_landmarks(maps[index])
        np.testing.assert_allclose(found["landmarks"][index], marks, atol=1e-3)

    # Smooth pictures of different sizes; one square reaches out of its picture.
    images, boxes, contents = [], [(20, 70, 30, 75), (-10, 40, 5, 60)], []
    for height, width in ((100, 90), (70, 80)):
        row, column = np.mgrid[:height, :width]
        image = np.stack([row + column, 2 * row, 3 * column], axis=-1) % 256
        images.append(image.astype(np.uint8))
        contents.append(pictures.encode(images[-1]))
    found = loaded.signatures["images"](
        images=tf.constant(contents), boxes=tf.constant(boxes, tf.float32)
    )
    for index, (image, box) in enumerate(zip(images, boxes, strict=True)):
        (face,) = reconstructor.faces(image, box=box)
        np.testing.assert_allclose(
            found["position_map"][index], face.position_map, atol=5e-3
        )
        np.testing.assert_allclose(found["landmarks"][index], face.landmarks, atol=5e-3)
    triangles = np.load(folder / "assets.extra" / export.TRIANGLES)
    np.testing.assert_array_equal(triangles, reconstructor.layout.triangles)
    card = json.loads((folder / "assets.extra" / "model_card.json").read_text())
    assert card["system"] == "prnet" and card["network"]["map_resolution"] == 32
