"""Speed of PRNet: networks, a face's outputs, ground truth.

    python benchmarks/prnet.py --uv_data Data/uv-data [--only networks,outputs,...]
    python benchmarks/prnet.py --only eight

Processor seconds of one core, every ratio of two numbers of the same run:

    networks   each named network with folded norms: one crop, and of a batch of eight
    plain      the full network against the plain transcription of the original's graph:
               transposed convolutions as such, batch norms as four operations; with
               oneDNN for both, and without for the transcription, as TensorFlow 1's
               wheels ran it
    outputs    all of a face's outputs together (vertices, colours, landmarks, pose,
               visibility, depth, texture of 256 x 256, OBJ with texture) on PRNet's own
               mesh of 43,867 vertices, against one forward pass of the full network
    truth      position maps of 256 x 256 with a model of 53,215 vertices, a second

By the clock, on all cores, when asked for:

    eight      eight crops through `predict` of each network, against one
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from benchmarks.processor_time import seconds  # noqa: E402

# Before NumPy and TensorFlow start: one core.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
_PARTS = ("networks", "plain", "outputs", "truth")

# What the specification asks for.
PLAIN_RATIO = 0.35
TRUTH_A_SECOND = 40
BATCH_GAIN = 1.15


def _crops(config, count: int):
    import numpy as np

    size = config.resolution
    return np.random.default_rng(0).random((count, size, size, 3), np.float32)


def measure_networks() -> None:
    """One line a network; the gain of a batch for the full one."""
    from tf_faces.models import prnet
    from tf_faces.models.prnet import NETWORKS, inference

    print("| network | numbers | G multiply-adds | s a crop | s of a batch of 8 |")
    for name in NETWORKS:
        network = prnet.create(prnet.named(name), seed=0)
        folded = inference.fold(network)
        one, eight = (_crops(network.config, count) for count in (1, 8))
        single = seconds(lambda f=folded, x=one: f(x).numpy())
        batch = seconds(lambda f=folded, x=eight: f(x).numpy()) / 8
        print(
            f"| `{name}` | {network.count_params():,} | "
            f"{network.multiply_adds() / 1e9:.2f} | {single:.4f} | {batch:.4f} | "
            f"batch gains {single / batch:.2f} (wanted {BATCH_GAIN})",
            flush=True,
        )


def measure_eight(rounds: int = 5) -> None:
    """One line a network: median seconds of a crop alone and of one of eight."""
    import time

    import numpy as np

    from benchmarks.processor_time import times
    from tf_faces.models import prnet
    from tf_faces.models.prnet import NETWORKS, inference

    print("| network | s a crop | s of eight | gain |")
    for name in NETWORKS:
        folded = inference.fold(prnet.create(prnet.named(name), seed=0))
        one, eight = (_crops(folded.config, count) for count in (1, 8))
        single, batch = [], []
        for _ in range(rounds):
            single += times(lambda f=folded, x=one: f.predict(x), 5, time.perf_counter)
            batch += times(lambda f=folded, x=eight: f.predict(x), 3, time.perf_counter)
        first, second = np.median(single), np.median(batch) / 8
        print(
            f"| `{name}` | {first:.4f} | {second:.4f} | {first / second:.2f} "
            f"(wanted {BATCH_GAIN}) |",
            flush=True,
        )


def plain_graph(network):
    """The original's graph, operation by operation, as a compiled function."""
    import tensorflow as tf

    def norm(flow, layer):
        """Not fused: TensorFlow 1's `nn.batch_normalization`."""
        return tf.nn.batch_normalization(
            flow,
            layer.moving_mean.value,
            layer.moving_variance.value,
            layer.beta.value,
            layer.gamma.value,
            layer.epsilon,
        )

    def unit(layer, flow):
        kernel = layer.convolution.kernel.value
        if layer.transposed:
            shape = tf.shape(flow)
            size = [shape[0], shape[1] * layer.stride, shape[2] * layer.stride]
            flow = tf.nn.conv2d_transpose(
                flow, kernel, [*size, kernel.shape[2]], layer.stride, "SAME"
            )
        else:
            flow = tf.nn.conv2d(flow, kernel, layer.stride, "SAME")
        if layer.norm is not None:
            flow = norm(flow, layer.norm)
        return layer.activation(flow)

    @tf.function
    def run(crops):
        flow = unit(network.first, crops)
        for block in network.blocks:
            shortcut = flow if block.shortcut is None else unit(block.shortcut, flow)
            inner = unit(block.spatial, unit(block.reduce, flow))
            flow = tf.nn.relu(norm(unit(block.expand, inner) + shortcut, block.norm))
        for layer in network.decoder:
            flow = unit(layer, flow)
        return flow

    return run


def plain_seconds() -> float:
    """Seconds of the plain transcription in this process."""
    from tf_faces.models import prnet

    network = prnet.create(seed=0)
    plain, crop = plain_graph(network), _crops(network.config, 1)
    return seconds(lambda: plain(crop).numpy(), 5)


def measure_plain() -> None:
    """The full network against its plain transcription."""
    import numpy as np

    from tf_faces.models import prnet
    from tf_faces.models.prnet import inference

    network = prnet.create(seed=0)
    folded, plain = inference.fold(network), plain_graph(network)
    crop = _crops(network.config, 1)
    difference = np.abs(folded(crop).numpy() - plain(crop).numpy()).max()
    ours = seconds(lambda: folded(crop).numpy(), 5)
    theirs = seconds(lambda: plain(crop).numpy(), 5)
    # Whether there is oneDNN is settled when TensorFlow is imported.
    done = subprocess.run(
        [sys.executable, __file__, "--only", "plain seconds"],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
        check=True,
        capture_output=True,
        text=True,
    )
    before = float(done.stdout.split()[-1])
    print(
        f"full network: {ours:.3f} s; plain transcription as TensorFlow 1 ran it "
        f"{before:.3f} s, ratio {ours / before:.2f} (wanted {PLAIN_RATIO}); with "
        f"oneDNN {theirs:.3f} s, ratio {ours / theirs:.2f}; largest difference "
        f"{difference:.1e}",
        flush=True,
    )


def measure_outputs(uv_data: str) -> None:
    """All outputs of a face against a forward pass."""
    import numpy as np

    from tf_faces.data.prnet import layout
    from tf_faces.models import prnet
    from tf_faces.models.prnet import inference
    from tf_faces.pipelines import prnet as pipeline
    from tf_faces.pipelines.prnet import results

    uv_layout = layout.load_layout(uv_data)
    network = prnet.create(seed=0)
    folded = inference.fold(network)
    crop = _crops(network.config, 1)
    forward = seconds(lambda: folded(crop).numpy(), 5)
    # The canonical face, turned a little, fills a picture of 450 x 450.
    turn = np.radians(25)
    vertices = uv_layout.canonical - uv_layout.canonical.mean(axis=0)
    rotation = np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    placed = 1.2 * vertices @ rotation.T + [225, 225, 200]
    image = np.random.default_rng(0).integers(0, 256, (450, 450, 3), np.uint8)
    options = results.Options(
        landmarks=True, pose=True, depth=True, texture=True, masked=True,
        visibility=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:

        def outputs():
            face = pipeline.Face(uv_layout.to_map(placed), uv_layout, (450, 450))
            face.colors(image / 255.0)
            results.write_demo(folder, "face", face, image, options)

        total = seconds(outputs)
    print(
        f"all outputs of a face: {total:.3f} s, forward pass {forward:.3f} s, ratio "
        f"{total / forward:.2f} (wanted below 1)",
        flush=True,
    )


def measure_truth() -> None:
    """Training pairs a second."""
    import numpy as np

    from tf_faces.data.prnet import ground_truth
    from tf_faces.morphable import io

    model = io.load("builtin:full")
    drawer = ground_truth.MapDrawer(model, 256)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (450, 450, 3), np.uint8)
    face = ground_truth.FittedFace(
        rng.standard_normal(model.shape_count) * model.shape_deviations,
        np.zeros(model.expression_count),
        np.array([0.1, 0.4, 0.1, 225, 225, 0, 200 / np.ptp(model.mean[:, 1])]),
    )
    total = seconds(lambda: drawer.pair(image, face), 10)
    print(
        f"ground truth: {1 / total:.1f} pairs a second of one core, with "
        f"{len(model.mean)} vertices (wanted {TRUTH_A_SECOND} on two)",
        flush=True,
    )


def main() -> None:
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uv_data", default="Data/uv-data", help="PRNet's UV data")
    parser.add_argument("--only", default=",".join(_PARTS), help="parts, by commas")
    options = parser.parse_args()
    from tf_faces.core import tensorflow_start

    tensorflow_start.prepare()
    if options.only == "eight":
        measure_eight()
        return
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    print(f"load {os.getloadavg()[0]:.1f}")
    chosen = options.only.split(",")
    if "networks" in chosen:
        measure_networks()
    if "plain seconds" in chosen:
        print(plain_seconds())
    if "plain" in chosen:
        measure_plain()
    if "outputs" in chosen:
        measure_outputs(options.uv_data)
    if "truth" in chosen:
        measure_truth()


if __name__ == "__main__":
    main()
