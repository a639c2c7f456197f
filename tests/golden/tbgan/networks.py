"""Networks of the TBGAN recordings: configuration and weights drawn by name."""

import json

import numpy as np

from tests.golden import drawing
from tf_faces.models import tbgan


def fixture_name(recording) -> str:
    """Name by which a recording's values are drawn: the file's, without its kind."""
    return recording.stem.split("_", 1)[1]


def read_config(arrays) -> dict:
    """The JSON configuration that a recording holds."""
    return json.loads(str(arrays["config"]))


def make_networks(config: dict, name: str, scopes=("G", "D"), shapes=None):
    """Networks of a recording, filled with the weights drawn by name.

    Args:
      config: the recording's configuration (`common`, `G`, `D`).
      name: the recording's name in drawing keys.
      scopes: networks wanted; Gs is a generator.
      shapes: recorded {variable: shape} of G, which tells a Progressive GAN (a third
        of the width, no branches) from a TBGAN.
    """
    networks = []
    for scope in scopes:
        options = {**config["common"], **config.get(scope[0], {})}
        options["single_trunk"] = config.get("pggan", False)
        if shapes is not None:
            factor_three = tbgan.GeneratorConfig.from_dict(
                {**config["common"], "single_trunk": False}
            ).features(2)
            options["single_trunk"] = shapes["4x4/Conv/weight"][-1] != factor_three
        if scope == "D":
            network = tbgan.Discriminator(tbgan.DiscriminatorConfig.from_dict(options))
        else:
            network = tbgan.Generator(tbgan.GeneratorConfig.from_dict(options))
        fill(network, f"{name}/{scope}", options.get("use_wscale", True))
        networks.append(network)
    return networks


def fill(network, prefix: str, use_wscale: bool) -> None:
    """Sets every trainable variable to the values drawn for `prefix`/variable."""
    for variable_name, variable in network.trainables_by_name().items():
        shape = tuple(variable.shape)
        if variable_name.endswith("bias"):
            scale = 0.1
        elif use_wscale:
            scale = 1.0
        else:
            scale = np.sqrt(2.0 / np.prod(shape[:-1]))
        variable.assign(drawing.normal(f"{prefix}/{variable_name}", shape, scale))


def patchwork(name: str, count: int, channels: int, resolution: int, coarse: int = 4):
    """Images with structure at two scales, [N, C, H, W]."""
    low = drawing.normal(f"{name}_lo", (count, channels, coarse, coarse), 0.5)
    block = np.ones((resolution // coarse,) * 2, np.float32)
    high = drawing.normal(f"{name}_hi", (count, channels, resolution, resolution), 0.25)
    return np.kron(low, block).astype(np.float32) + high


def to_channels_last(images) -> np.ndarray:
    return np.transpose(images, (0, 2, 3, 1))


def to_channels_first(images) -> np.ndarray:
    return np.transpose(np.asarray(images), (0, 3, 1, 2))
