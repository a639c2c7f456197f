"""ParFace's networks against the original's, layer for layer."""

import json

import numpy as np
import pytest

from tests.golden.parface import recordings
from tf_faces.convert import parface as convert
from tf_faces.models.parface import heatmaps
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.parface.networks import ParFaceNetworks

TOLERANCE = 5e-5
RELATIVE = 1e-4  # Of checksums.
CLEAR_GAP = 1e-4  # Between the two largest values of a heat map.


@pytest.mark.golden("parface", "state_dict_*.json")
def test_state_dict(recording):
    recorded = json.loads(recording.read_text())
    shapes = {name: shape for name, shape, _ in recorded}
    config = ParFaceConfig(
        input_size=recordings.size_in_name(recording),
        num_landmarks=shapes["LMH.lin.weight"][1],
    )
    ours = convert.state_dict(ParFaceNetworks(config))
    found = [
        [name, list(value.shape), str(value.dtype)] for name, value in ours.items()
    ]
    assert found == recorded
    values = {name: np.zeros(shape) for name, shape in shapes.items()}
    assert convert.configuration_of(values, "recorded") == config


@pytest.mark.golden("parface", "weights_check*.npz")
def test_drawn_weights(recording, arrays):
    names = {key.rpartition("/")[0] for key in arrays}
    made = {}
    for size in (128, 256):
        config = ParFaceConfig(input_size=size)
        networks = ParFaceNetworks(config)
        made.update(convert.state_dict(networks, counters=False))
    for name in names:
        drawn = recordings.tensor(recording, name, made[name].shape)
        first = arrays[f"{name}/first8"]
        np.testing.assert_allclose(drawn.reshape(-1)[: len(first)], first, rtol=1e-6)
        recordings.assert_checksum(drawn, arrays[f"{name}/chk"], 1e-6, name)


def _sampled(activation):
    """Every C//8-th channel and H//8-th pixel, as recorded."""
    if activation.ndim == 2:
        return activation
    step = max(activation.shape[1] // 8, 1)
    side = max(activation.shape[2] // 8, 1)
    return activation[:, ::step, ::side, ::side]


def _check_landmarks(found, recorded, gaps):
    clear = gaps > CLEAR_GAP
    assert clear.any()
    np.testing.assert_array_equal(np.asarray(found)[clear], recorded[clear])


@pytest.mark.golden("parface", "net_*.npz")
def test_forward(recording, arrays):
    images = arrays["images_u8"]
    size, count = images.shape[1], arrays["hm_max"].shape[1]
    networks = recordings.networks(recording, size, count)
    unseen = set(arrays) - {"images_u8"}

    def close(name, found, tolerance=TOLERANCE):
        unseen.discard(name)
        np.testing.assert_allclose(
            np.asarray(found), arrays[name], rtol=0, atol=tolerance, err_msg=name
        )

    def checksums(name, values):
        unseen.discard(name)
        for found, recorded in zip(values, arrays[name], strict=True):
            if recorded.ndim == 1:
                recordings.assert_checksum(found, recorded, RELATIVE, name)
            else:
                for one, other in zip(found, recorded, strict=True):
                    recordings.assert_checksum(one, other, RELATIVE, name)

    batch = recordings.normalized(images)
    seen = {"Q": networks.encoder.stages_of(batch)}
    latents = networks.encoder(batch)
    seen["P"] = networks.decoder.stages_of(latents)
    pictures = networks.decoder(latents)
    seen["LMH"] = networks.landmark_head.stages_of(
        networks.decoder, seen["P"]["layer1"]
    )
    maps = seen["LMH"]["lin"]
    close("z", latents)
    for key in [name for name in arrays if name.startswith("act/")]:
        _, module, *rest = key.split("/")
        prefix, _, name = module.partition(".")
        activation = recordings.channels_first(seen[prefix][name])
        if name == "fc":
            activation = activation.reshape(len(images), -1)
        if rest:
            checksums(key, activation)
        else:
            largest = max(1.0, np.abs(arrays[key]).max())
            close(key, _sampled(activation), TOLERANCE * largest)
    planes = recordings.channels_first(pictures)
    close("recon_s8", planes[:, :, ::8, ::8])
    checksums("recon_chk", planes)
    raw = recordings.channels_first(maps)
    close("hm_s8", raw[:, ::4, ::8, ::8])
    checksums("hm_chk", raw)
    close("hm_max", raw.max(axis=(2, 3)))
    smoothed = heatmaps.smooth(maps)
    close("hm_smoothed_max", np.asarray(smoothed).max(axis=(1, 2)))
    for name, decoded in (("raw", maps), ("smoothed", smoothed)):
        ordered = np.sort(np.asarray(decoded).reshape(len(images), -1, count), axis=1)
        gaps = ordered[:, -1] - ordered[:, -2]
        close(f"argmax_gap_{name}", gaps)
        landmarks = heatmaps.decode(decoded, size)
        _check_landmarks(landmarks, arrays[f"lm2d_{name}"], gaps)
        unseen.discard(f"lm2d_{name}")
    close("depth_pred", networks.depth_head(maps, latents))
    gaps = arrays["argmax_gap_raw"]
    found = np.asarray(networks.detect_3d(batch)["landmarks_3d"])
    _check_landmarks(found[..., :2], arrays["lm3d"][..., :2], gaps)
    np.testing.assert_allclose(found[..., 2], arrays["lm3d"][..., 2], atol=1e-2)
    unseen.discard("lm3d")
    _check_landmarks(
        networks.detect(batch)["landmarks"],
        arrays["lm2d_smoothed"],
        arrays["argmax_gap_smoothed"],
    )
    close("D_real", networks.image_discriminator(batch))
    close("D_recon", networks.image_discriminator(pictures))
    close("D_z", networks.latent_discriminator(latents))
    drawn = networks.decoder(arrays["gen_z"])
    close("gen_recon_s8", recordings.channels_first(drawn)[:, :, ::8, ::8])
    assert unseen == {"gen_z"}
