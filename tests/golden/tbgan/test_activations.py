"""Every intermediate activation of both networks, layer by layer."""

import numpy as np
import pytest

from tests.golden import drawing
from tests.golden.tbgan import networks as tbgan_networks
from tf_faces.layers import resampling


@pytest.mark.golden("tbgan", "net_*_activations_lod*.npz")
def test_activations(recording):
    arrays = np.load(recording)
    parent, lod = recording.stem.split("_activations_lod")
    whole = np.load(drawing.beside(recording.parent, f"{parent}.npz"))
    config = tbgan_networks.read_config(whole)
    name = parent.split("_", 1)[1]
    generator, discriminator = tbgan_networks.make_networks(
        config, name, shapes=config["var_shapes_G"]
    )
    made, judged, judged_four = {}, {}, {}
    generator(whole["latents"], whole["labels"], float(lod), activations=made)
    images = tbgan_networks.to_channels_last(
        tbgan_networks.patchwork(
            f"{name}/images",
            config["nd"],
            generator.config.num_channels,
            generator.config.resolution,
        )
    )
    discriminator(images, float(lod), activations=judged)
    discriminator(images[:4], float(lod), activations=judged_four)
    # The original evaluates the image inputs of all levels; ours only those in use.
    top = generator.config.resolution_log2
    smaller = images[:4]
    for res in range(top - 1, 1, -1):
        smaller = resampling.downscale(smaller)
        discriminator.from_rgb(res, smaller, judged_four)

    for key in arrays.files:
        network, _, path = key.partition("/")
        for suffix in ("/PixelNorm/mul", "/LeakyRelu/Maximum", "/Relu"):
            path = path.removesuffix(suffix)
        recorded = arrays[key]
        if network == "G":
            actual = made[path]
        elif path == "4x4/MinibatchStddev":
            actual = judged[path]
        else:
            actual = judged_four[path]
        actual = np.asarray(actual)[: len(recorded)]
        if actual.ndim == 4:
            actual = tbgan_networks.to_channels_first(actual)
        assert actual.shape == recorded.shape, key
        atol = 3e-4 if network == "G" else 1e-5
        np.testing.assert_allclose(actual, recorded, rtol=0, atol=atol, err_msg=key)
        assert np.quantile(np.abs(actual - recorded), 0.999) <= 6e-5, key
