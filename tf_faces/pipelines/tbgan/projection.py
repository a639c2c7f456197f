"""Latents of given maps: which face of the generator is most like them.

The original fits one latent vector by Adam in three runs of falling learning rate.
Here labels can be fitted too, each picture starts afresh, several are fitted at once.

Reference: fit_real_images of util_scripts.py, TBGAN (loss, steps, learning rates).
"""

import dataclasses

import numpy as np

from tf_faces.core import progress
from tf_faces.core.errors import InputError
from tf_faces.pipelines.tbgan.sampler import TbganPipeline

LEARNING_RATES = (0.1, 0.01, 0.001)
STEPS = 500


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """What was found.

    Attributes:
      latents: float32 [N, Z].
      labels: float32 [N, L], as fed.
      maps: float32 [N, R, R, C], what the generator makes of them.
      errors: float32 [N], mean squared differences from the targets.
      history: float32 [steps, N], half the sum of squared differences.
    """

    latents: np.ndarray
    labels: np.ndarray
    maps: np.ndarray
    errors: np.ndarray
    history: np.ndarray


def project(
    pipeline: TbganPipeline,
    targets: np.ndarray,
    *,
    steps: int = STEPS,
    learning_rates=LEARNING_RATES,
    labels: np.ndarray | None = None,
    fit_labels: bool = False,
    seed: int = 1000,
    tries: int = 64,
) -> Projection:
    """Finds latents whose maps are near the targets.

    The start is the best of some random faces: a network of Progressive GANs is far
    from linear, and a bad start ends in a bad face.

    Args:
      pipeline: with a Keras generator (a run or snapshot, not an export).
      targets: float32 [N, R, R, C] in the network's range.
      steps: of Adam, at each learning rate.
      learning_rates: one after the other.
      labels: [N, L] as fed; None starts at equal weights.
      fit_labels: the labels are fitted as well.
      seed: of the random faces.
      tries: random faces to begin with; 1 begins at random.

    Raises:
      InputError: if the targets do not fit the network.
    """
    import keras
    import tensorflow as tf

    generator = pipeline.generator
    if generator is None:
        raise InputError(
            f"{pipeline.source}: is an export, expected a run or a snapshot to project."
        )
    expected = (pipeline.resolution, pipeline.resolution, pipeline.channels)
    if targets.ndim != 4 or targets.shape[1:] != expected:
        raise InputError(
            f"targets must have shape [N, {', '.join(map(str, expected))}]. "
            f"Received: {list(targets.shape)}"
        )
    if steps < 1 or tries < 1:
        raise InputError(
            f"steps and tries must be positive. Received: {steps}, {tries}"
        )
    count = len(targets)
    if labels is None:
        share = 1 / max(pipeline.label_size, 1)
        labels = pipeline.labels_for(np.full((count, pipeline.label_size), share))
    latents = _best_start(pipeline, targets, labels, seed, tries)
    latent = tf.Variable(latents)
    label = tf.Variable(np.asarray(labels, np.float32), trainable=fit_labels)
    fitted = [latent, label] if fit_labels and pipeline.label_size else [latent]
    wanted = tf.constant(targets, tf.float32)

    def losses():
        made = generator(latent, label, pipeline.level_of_detail)
        difference = tf.cast(made, tf.float32) - wanted
        return 0.5 * tf.reduce_sum(tf.square(difference), (1, 2, 3))

    history = []
    with progress.bar(steps * len(learning_rates), "step", "projection") as shown:
        for rate in learning_rates:
            optimizer = keras.optimizers.Adam(rate)
            optimizer.build(fitted)

            @tf.function
            def step(optimizer=optimizer):
                with tf.GradientTape() as tape:
                    each = losses()
                    total = tf.reduce_sum(each)
                optimizer.apply(tape.gradient(total, fitted))
                return each

            for _ in range(steps):
                history.append(step().numpy())
                shown.update(1)
    maps = np.asarray(generator(latent, label, pipeline.level_of_detail), np.float32)
    return Projection(
        latents=latent.numpy(),
        labels=label.numpy(),
        maps=maps,
        errors=np.square(maps - targets).mean(axis=(1, 2, 3)),
        history=np.stack(history),
    )


def _best_start(pipeline, targets, labels, seed, tries) -> np.ndarray:
    """Of some random latents the one whose face is nearest, for each target."""
    random = np.random.RandomState(seed)
    drawn = random.randn(tries, pipeline.latent_size).astype(np.float32)
    found = []
    for target, label in zip(targets, labels, strict=True):
        made = pipeline.maps(drawn, np.repeat(label[None], tries, axis=0))
        errors = [float(np.square(face - target).mean()) for face in made]
        found.append(drawn[int(np.argmin(errors))])
    return np.stack(found)


def nearest_reals(
    fakes: np.ndarray, reals, count: int, size: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """The real maps most like each fake: is a face invented or remembered?

    Args:
      fakes: [N, R, R, C] in the network's range.
      reals: iterable of real maps [R, R, C] in the same range.
      count: neighbours of each.
      size: maps are compared at this size.

    Returns:
      Numbers int [N, count] of the reals, nearest first, and the root mean squared
      differences [N, count].
    """
    from tf_faces.data import images

    factor = max(fakes.shape[1] // size, 1)
    small = images.shrunk(np.asarray(fakes, np.float32), factor)
    small = small.reshape(len(fakes), -1)
    distances = []
    for real in reals:
        row = images.shrunk(np.asarray(real, np.float32)[None], factor).reshape(-1)
        distances.append(np.square(small - row).mean(axis=1))
    if len(distances) < count:
        raise InputError(
            f"--neighbours: found {count}, expected at most {len(distances)}, the "
            "number of real maps."
        )
    table = np.sqrt(np.stack(distances, axis=1))
    order = np.argsort(table, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(table, order, axis=1)
