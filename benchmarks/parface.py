"""Speed of ParFace on one processor core: networks in use, and batches for training.

    python benchmarks/parface.py [--input_size 256] [--only detect,pipeline]

Processor seconds, every ratio of two numbers of the same run:

    detect     encode, decode and landmarks, in the plane and with their depths, of one
               crop and of a batch of eight, against the plain transcription of the
               original's order of operations: padded convolutions, batch norms by
               themselves, two passes through the decoder's layers, codes spread over
               the maps; and what the arithmetic of the convolutions takes at the rate
               of a product of large matrices, the least that either can reach
    pipeline   a training batch read, cut, turned and stacked, against the step that it
               is for; photographs of TFRecord files, made for the measurement; and what
               steps one after another wait for batches that a thread prepares beside
               them, of the clock's time
"""

import argparse
import math
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from benchmarks.processor_time import seconds  # noqa: E402

# Before NumPy and TensorFlow start: one core.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
_PARTS = ("detect", "pipeline")

# What is wanted.
PLAIN_RATIO = 0.8
PIPELINE_SHARE = 0.05


def plain_graph(networks, spatial: bool):
    """The original's graph, operation by operation, as a compiled function.

    Args:
      networks: whose weights are taken.
      spatial: with depths, of maps that are not smoothed, as the original's.
    """
    import tensorflow as tf

    from tf_faces.models.parface import layers

    size = networks.config.input_size

    def norm(flow, part):
        return tf.nn.batch_normalization(
            flow, part.moving_mean.value, part.moving_variance.value,
            part.offset.value, part.scale.value, part.EPSILON,
        )  # fmt: skip

    def convolve(flow, part):
        side = (part.padding, part.padding)
        flow = tf.pad(flow, ((0, 0), side, side, (0, 0)))
        return tf.nn.conv2d(flow, part.kernel.value, part.stride, "VALID")

    def spread(flow, part):
        kernel, shape = part.kernel.value, tf.shape(flow)
        if part.doubling:
            sides = [shape[0], shape[1] * 2, shape[2] * 2, kernel.shape[2]]
            return tf.nn.conv2d_transpose(flow, kernel, sides, 2, "SAME")
        sides = [shape[0], part.SIDE, part.SIDE, kernel.shape[2]]
        return tf.nn.conv2d_transpose(flow, kernel, sides, 1, "VALID")

    def active(flow):
        return tf.nn.leaky_relu(flow, layers.LEAKY_RELU_SLOPE)

    def residual(flow, block):
        shortcut = flow
        if block.shortcut is not None:
            shortcut = norm(convolve(flow, block.shortcut), block.shortcut_bn)
        flow = active(norm(convolve(flow, block.conv1), block.bn1))
        return active(norm(convolve(flow, block.conv2), block.bn2) + shortcut)

    def inverse(flow, layer):
        (block,) = layer.members
        shortcut = norm(spread(flow, block.shortcut), block.shortcut_bn)
        flow = active(norm(spread(flow, block.conv1), block.bn1))
        return active(norm(convolve(flow, block.conv2), block.bn2) + shortcut)

    def encode(flow, encoder):
        flow = active(norm(convolve(flow, encoder.conv1), encoder.bn1))
        sides = (1, 1)
        flow = tf.pad(
            flow, ((0, 0), sides, sides, (0, 0)), constant_values=-float("inf")
        )
        flow = tf.nn.max_pool2d(flow, 3, 2, "VALID")
        for stage in encoder.stages:
            for block in stage.members:
                flow = residual(flow, block)
        flow = tf.reduce_mean(flow, (1, 2))
        return tf.matmul(flow, encoder.fc.kernel.value) + encoder.fc.bias.value

    @tf.function
    def run(images):
        decoder, head = networks.decoder, networks.landmark_head
        latents = encode(images, networks.encoder)
        flow = tf.matmul(latents, decoder.fc.kernel.value) + decoder.fc.bias.value
        flow = spread(flow[:, None, None], decoder.conv1)
        flow = active(norm(flow, decoder.bn1))
        first = None
        for layer in decoder.layers_of_blocks:
            flow = inverse(flow, layer)
            first = flow if first is None else first
        picture = tf.tanh(spread(flow, decoder.lin))
        flow = first
        for number, transfer in enumerate(head.transfers):
            if number:
                flow = inverse(flow, decoder.layers_of_blocks[number])
            flow = convolve(flow, transfer)
        maps = spread(flow, head.lin)
        channels = maps.shape[-1]
        smooth = maps
        if not spatial:  # Means over 9 x 9 pixels.
            box = tf.ones((9, 9, channels, 1)) / 81.0
            smooth = tf.nn.depthwise_conv2d(maps, box, (1, 1, 1, 1), "SAME")
        # The first maximum of each map.
        flat = tf.reshape(tf.transpose(smooth, (0, 3, 1, 2)), (-1, channels, 128 * 128))
        index = tf.argmax(flat, axis=-1)
        places = tf.stack([index % 128, index // 128], axis=-1)
        places = tf.cast(places, tf.float32) * (size / 128)
        if spatial:
            shape = [tf.shape(latents)[0], 128, 128, latents.shape[-1]]
            codes = tf.broadcast_to(latents[:, None, None], shape)
            depths = encode(tf.concat([maps, codes], -1), networks.depth_head)
            places = tf.concat([places, 256 * depths[..., None]], -1)
        return picture, smooth, places

    return run


def product_rate(side: int = 2048) -> float:
    """Operations a second of a product of two matrices of `side` rows and columns."""
    import tensorflow as tf

    values = tf.random.stateless_normal([side, side], (0, 0))
    multiply = tf.function(lambda given: tf.matmul(given, given))
    return 2.0 * side**3 / seconds(lambda: multiply(values)[0, 0].numpy())


def convolution_operations(function, images) -> int:
    """Additions and multiplications of a function's convolutions, for one picture."""
    count = 0
    for operation in function.get_concrete_function(images[:1]).graph.get_operations():
        if operation.type == "Conv2D":
            places = operation.outputs[0].shape
        elif operation.type == "Conv2DBackpropInput":
            places = operation.inputs[2].shape
        else:
            continue
        kernel = operation.inputs[1].shape
        count += 2 * math.prod(places[1:3]) * math.prod(kernel)
    return count


def measure_detect(size: int) -> None:
    """One row a kind of landmarks and batch size."""
    import numpy as np
    import tensorflow as tf

    from tf_faces.models.parface import inference
    from tf_faces.models.parface.config import ParFaceConfig
    from tf_faces.models.parface.networks import ParFaceNetworks

    networks = ParFaceNetworks(ParFaceConfig(input_size=size))
    folded = inference.fold(networks)
    rate = product_rate()
    print(
        "| landmarks | batch | ours, s a picture | plain, s | ratio | wanted | "
        "arithmetic, s |"
    )
    print("|---|---|---|---|---|---|---|")
    compared = []
    for kind, detect, key in (
        ("in the plane", folded.detect, "landmarks"),
        ("with depths", folded.detect_3d, "landmarks_3d"),
    ):
        plain = plain_graph(networks, spatial=kind != "in the plane")
        ours = tf.function(detect, reduce_retracing=True)
        for count in (1, 8):
            images = np.random.default_rng(0).normal(0, 0.3, (count, size, size, 3))
            given = tf.constant(images, tf.float32)
            here = seconds(lambda x=given, f=ours, k=key: f(x)[k].numpy()) / count
            there = seconds(lambda x=given, f=plain: f(x)[2].numpy()) / count
            print(
                f"| {kind} | {count} | {here:.4f} | {there:.4f} | {here / there:.2f} | "
                f"{PLAIN_RATIO} | {convolution_operations(plain, given) / rate:.4f} |",
                flush=True,
            )
        picture, maps, places = plain(given)
        found = ours(given)
        values = {"reconstructions": picture, "heatmaps": maps, key: places}
        compared += [
            (f"{name}, {kind}", value, found[name]) for name, value in values.items()
        ]
    print(f"product of matrices: {rate / 1e9:.1f} GFLOP/s")
    for name, value, other in compared:
        scale = np.abs(value.numpy()).max()
        difference = np.abs(other.numpy() - value.numpy()).max()
        print(f"largest difference of {name}: {difference:.1e} of {scale:.1e}")


def measure_pipeline(size: int, width: int) -> None:
    """A batch's preparation against its step, of the first stage and of landmarks."""
    from tf_faces.configs import parface as configs
    from tf_faces.data import photographs
    from tf_faces.data.photographs import records
    from tf_faces.models.parface.networks import ParFaceNetworks
    from tf_faces.training import parface as training
    from tf_faces.training.parface import data_sets, loading, stages

    batch = 8
    print("| stage | batch, s | step, s | share | wanted | waited |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        records.write_records(
            pathlib.Path(folder) / "train",
            photographs.Settings(model="builtin:tiny", size=192, supersampling=1),
            2 * batch,
            ("picture", "landmarks"),
            processes=1,
            progress=False,
        )
        for name in ("self_supervised", "landmarks_2d"):
            config = configs.get_config(f"{name}+records")
            with config.unlocked():
                # Warped, which is the most work, also where the stage by itself is not.
                config.update(data_dir=folder, input_size=size, width=width, daug=4,
                              batchsize=batch, with_perceptual_loss=False)  # fmt: skip
            networks = ParFaceNetworks(training.network_configuration(config))
            stage = stages.Stage(config, networks)
            mixture = data_sets.open_mixture(config, train=True)
            prepared = loading.Loader(
                mixture, data_sets.preparation(config, True), batch, 0, workers=1
            )
            given = loading.stack(prepared.take(0))

            def one_batch(loader=prepared):
                samples = [loader.sample(row, 0, row) for row in range(batch)]
                return loading.stack(samples)

            reading = seconds(one_batch)
            step = seconds(lambda s=stage, g=given: s.train(g, 0, 0)[1].numpy(), 3)
            share = reading / (reading + step)
            waited = waiting(stage, prepared)
            print(
                f"| {name} | {reading:.4f} | {step:.4f} | {100 * share:.1f} % | "
                f"{100 * PIPELINE_SHARE:.0f} % | {100 * waited:.1f} % |",
                flush=True,
            )


def waiting(stage, prepared, steps: int = 5) -> float:
    """The part of the clock's time that training steps wait for their batches."""
    from tf_faces.training.parface import loading

    waits = []
    # The first batch was waited for, with nothing to do meanwhile.
    for number in range(1 + steps):
        asked = time.perf_counter()
        given = loading.stack(prepared.take(number))
        waits.append(time.perf_counter() - asked)
        if not number:
            begun = time.perf_counter()
        stage.train(given, 0, 0)[1].numpy()
    return sum(waits[1:]) / (time.perf_counter() - begun)


def main() -> None:
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input_size", type=int, default=256, help="128, 256 or 512")
    parser.add_argument("--width", type=int, default=64, help="of the trained networks")
    parser.add_argument("--only", default=",".join(_PARTS), help="parts, by commas")
    options = parser.parse_args()
    from tf_faces.core import tensorflow_start

    tensorflow_start.prepare()
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    print(f"load {os.getloadavg()[0]:.1f}")
    chosen = options.only.split(",")
    if "detect" in chosen:
        measure_detect(options.input_size)
    if "pipeline" in chosen:
        measure_pipeline(options.input_size, options.width)


if __name__ == "__main__":
    main()
