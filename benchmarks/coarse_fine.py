"""Speed of CoarseNet and FineNet: what of a pass and of a step is rendering.

    python benchmarks/coarse_fine.py [--preset paper] [--face_model builtin] [--batch 4]

Processor seconds of one core: the whole forward pass, the geometry and rendering in it,
a joint training step, and the same share of that (forward and backward).
"""

import argparse
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before NumPy and TensorFlow start: one core.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

FORWARD_SHARE, STEP_SHARE = 0.15, 0.25


def seconds(function, repeats: int) -> float:
    """Processor seconds of one call, the first left out."""
    function()
    start = time.process_time()
    for _ in range(repeats):
        function()
    return (time.process_time() - start) / repeats


def measure(preset: str, face_model: str, batch: int, repeats: int) -> None:
    """Prints the table."""
    import numpy as np
    import tensorflow as tf

    from tf_faces.configs import coarse_fine as presets
    from tf_faces.models.coarse_fine.rendering import network_input
    from tf_faces.training import coarse_fine as training
    from tf_faces.training.coarse_fine import objective

    config = presets.get_config(preset)
    config.face_model = face_model
    system = training.CoarseFineSystem(config)
    network, renderer = system.network, system.network.renderer
    size = network.config.image_size
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(0, 50, (batch, size, size, 1)), tf.float32)
    start = np.tile(renderer.initial_parameters(), (batch, 1))
    labels = tf.constant(start)
    renderings = network.config.iterations + 1

    @tf.function
    def forward():
        return network.reconstruct(images).fine_depth

    @tf.function
    def rendering():
        return [renderer.render(labels + 1e-6 * i).depth for i in range(renderings)]

    @tf.function
    def step():
        return objective.gradients(system.objective, images, labels, "joint")[2:]

    @tf.function
    def rendering_step():
        with tf.GradientTape() as tape:
            tape.watch(labels)
            total = 0.0
            for _ in range(renderings):
                total += tf.reduce_sum(network_input(images, renderer.render(labels)))
        return tape.gradient(total, labels)

    for name, whole, part, bound in (
        ("forward pass", forward, rendering, FORWARD_SHARE),
        ("training step", step, rendering_step, STEP_SHARE),
    ):
        all_of_it, drawn = seconds(whole, repeats), seconds(part, repeats)
        verdict = "below" if drawn < bound * all_of_it else "ABOVE"
        print(
            f"{name:<14} {all_of_it:>8.3f} s   rendering {drawn:>8.3f} s   "
            f"{drawn / all_of_it:>6.1%}   {verdict} {bound:.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--face_model", default="builtin")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    from tf_faces.core import tensorflow_start

    tensorflow_start.prepare()
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    measure(options.preset, options.face_model, options.batch, options.repeats)


if __name__ == "__main__":
    main()
