"""Generator and discriminator reproduce the recorded outputs of the original code."""

import numpy as np
import pytest

from tests.golden import drawing
from tests.golden.tbgan import networks as tbgan_networks


def close_with_quantile(actual, expected, atol, quantile_atol):
    """All within `atol`, and 99.9 % of the values within `quantile_atol`."""
    difference = np.abs(
        np.asarray(actual, np.float64) - np.asarray(expected, np.float64)
    )
    assert actual.shape == expected.shape
    assert np.isfinite(difference).all()
    assert difference.max(initial=0.0) <= atol
    if difference.size:
        assert np.quantile(difference, 0.999) <= quantile_atol


@pytest.mark.golden("tbgan", "net_*.npz", exclude=("*_activations_*", "*_full*"))
def test_network_outputs(recording):
    arrays = np.load(recording)
    config = tbgan_networks.read_config(arrays)
    name = tbgan_networks.fixture_name(recording)
    generator, discriminator = tbgan_networks.make_networks(
        config, name, shapes=config["var_shapes_G"]
    )
    for network, key in ((generator, "var_shapes_G"), (discriminator, "var_shapes_D")):
        shapes = {k: list(v.shape) for k, v in network.variables_by_name().items()}
        assert list(shapes.items()) == list(config[key].items())

    half = generator.config.dtype == "float16"
    drawn = tbgan_networks.inputs(recording, generator)
    np.testing.assert_array_equal(drawn["latents"], arrays["latents"])
    np.testing.assert_array_equal(drawn["labels"], arrays["labels"])
    stored = arrays["images"]
    np.testing.assert_allclose(drawn["images"][: len(stored)], stored, atol=1e-6)

    compared = {"config", "latents", "labels", "images", "linear_vs_recursive_maxabs"}
    calculate = tbgan_networks.outputs_as_recorded if half else tbgan_networks.outputs
    made = calculate(recording)
    for index in range(len(config["lods"])):
        actual = made[f"G_images_{index}"]
        expected = arrays[f"G_images_{index}"]
        assert actual.dtype == expected.dtype
        if half:
            close_with_quantile(actual, expected, 1e-2, 1e-2)
        else:
            close_with_quantile(actual, expected, 3e-4, 6e-5)
        atol = 5e-3 if half else 5e-6
        for key in ("D_scores", "D_labels"):
            value, recorded = made[f"{key}_{index}"], arrays[f"{key}_{index}"]
            assert value.shape == recorded.shape
            np.testing.assert_allclose(value, recorded, rtol=0, atol=atol)
        compared |= {f"{key}_{index}" for key in ("G_images", "D_scores", "D_labels")}
    assert compared == set(arrays.files)


@pytest.mark.golden("tbgan", "net_*.npz", exclude=("*_activations_*", "*_full*"))
def test_native_resolution_changes_nothing(recording):
    arrays = np.load(recording)
    config = tbgan_networks.read_config(arrays)
    name = tbgan_networks.fixture_name(recording)
    generator, discriminator = tbgan_networks.make_networks(
        config, name, shapes=config["var_shapes_G"]
    )
    for lod in config["lods"]:
        full = np.asarray(generator(arrays["latents"], arrays["labels"], lod))
        native = np.asarray(
            generator(arrays["latents"], arrays["labels"], lod, native=True)
        )
        factor = full.shape[1] // native.shape[1]
        assert factor == 2 ** int(lod)
        enlarged = native.repeat(factor, axis=1).repeat(factor, axis=2)
        np.testing.assert_array_equal(enlarged, full)
        for a, b in zip(
            discriminator(full, lod),
            discriminator(native, lod, native=True),
            strict=True,
        ):
            np.testing.assert_allclose(
                a, b, atol=1e-2 if "16" in str(a.dtype) else 1e-5
            )


@pytest.mark.slow
@pytest.mark.golden("tbgan", "net_*_full*.npz")
def test_full_size(recording):
    arrays = np.load(recording)
    options = tbgan_networks.read_config(arrays)
    short = recording.stem.split("_")[1]
    name = f"{short}_full"
    config = {"common": options}
    compared = {"config", "latents", "labels"}
    (generator,) = tbgan_networks.make_networks(config, name, ("G",))
    size = generator.config.resolution
    labels_shape = (arrays["labels"].shape[0], options["label_size"])
    labels = np.abs(drawing.normal(f"{name}/labels", labels_shape))
    latents = drawing.normal(f"{name}/latents", arrays["latents"].shape)
    np.testing.assert_array_equal(labels, arrays["labels"])
    np.testing.assert_array_equal(latents, arrays["latents"])
    index = 0
    while f"G_lod_{index}" in arrays.files:
        made = tbgan_networks.to_channels_first(
            generator(latents, labels, float(arrays[f"G_lod_{index}"]))
        )
        step = size // arrays[f"G_images_sub8_{index}"].shape[-1]
        pairs = {
            "G_images_sub8": (made[:, :, ::step, ::step], 1e-3),
            "G_patch": (made[:, :, 200:208, 300:308], 1e-3),
            "G_mean": (made.mean((2, 3), dtype=np.float64), 1e-5),
            "G_std": (made.astype(np.float64).std((2, 3)), 1e-5),
        }
        for key, (actual, atol) in pairs.items():
            recorded = arrays[f"{key}_{index}"]
            np.testing.assert_allclose(actual, recorded, rtol=0, atol=atol, err_msg=key)
            compared.add(f"{key}_{index}")
        compared.add(f"G_lod_{index}")
        index += 1
    assert index
    del generator
    (discriminator,) = tbgan_networks.make_networks(config, name, ("D",))
    index = 0
    while f"D_lod_{index}" in arrays.files:
        count = len(arrays[f"D_scores_{index}"])
        images = tbgan_networks.patchwork(
            f"{name}/images", count, options["num_channels"], size, coarse=16
        )
        scores, logits = discriminator(
            tbgan_networks.to_channels_last(images), float(arrays[f"D_lod_{index}"])
        )
        np.testing.assert_allclose(
            scores, arrays[f"D_scores_{index}"], rtol=0, atol=1e-4
        )
        np.testing.assert_allclose(
            logits, arrays[f"D_labels_{index}"], rtol=0, atol=1e-4
        )
        compared |= {f"{key}_{index}" for key in ("D_lod", "D_scores", "D_labels")}
        index += 1
    assert index
    assert compared == set(arrays.files)
