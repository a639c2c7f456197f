"""Networks of the TBGAN recordings: configuration and weights drawn by name."""

import json
import pathlib
import sys
import tempfile

import numpy as np

from tests.golden import drawing, processes
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


def inputs(recording, generator) -> dict[str, np.ndarray]:
    """Latents, labels and images [N, C, H, W] of a recording, drawn by name."""
    counts = read_config(np.load(recording))
    name, sizes = fixture_name(recording), generator.config
    return {
        "latents": drawing.normal(f"{name}/latents", (counts["n"], sizes.latent_size)),
        "labels": drawing.normal(f"{name}/labels", (counts["n"], sizes.label_size)),
        "images": patchwork(
            f"{name}/images", counts["nd"], sizes.num_channels, sizes.resolution
        ),
    }


def outputs(recording) -> dict[str, np.ndarray]:
    """G's images, D's scores and labels at every recorded level of detail.

    Returns:
      Arrays by the recording's names: `G_images_0` [N, C, H, W], `D_scores_0` [N, 1],
      `D_labels_0` [N, labels], and so on, numbered as `lods` in its configuration.
    """
    config = read_config(np.load(recording))
    generator, discriminator = make_networks(
        config, fixture_name(recording), shapes=config["var_shapes_G"]
    )
    drawn = inputs(recording, generator)
    made = {}
    for index, lod in enumerate(config["lods"]):
        images = generator(drawn["latents"], drawn["labels"], lod)
        scores, logits = discriminator(to_channels_last(drawn["images"]), lod)
        made[f"G_images_{index}"] = to_channels_first(images)
        made[f"D_scores_{index}"] = np.asarray(scores)
        made[f"D_labels_{index}"] = np.asarray(logits)
    return made


def outputs_as_recorded(recording) -> dict[str, np.ndarray]:
    """`outputs`, from a process whose float16 arithmetic is that of the recordings.

    TensorFlow sums float16 convolutions in float16, the recordings too.  Where the
    processor has float16 instructions, oneDNN takes the convolutions over and sums them
    in float32.  Whether it may is settled when TensorFlow is imported.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "outputs.npz")
        processes.run(__name__, recording, path, TF_ENABLE_ONEDNN_OPTS="0")
        with np.load(path) as arrays:
            return dict(arrays)


if __name__ == "__main__":
    np.savez(sys.argv[2], **outputs(pathlib.Path(sys.argv[1])))
