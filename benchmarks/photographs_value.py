"""What photographs of the factory are worth: one small network, trained on each source.

    python benchmarks/photographs_value.py --data photographs_dev --out value
    python benchmarks/photographs_value.py --data photographs_dev --out value \
        --portraits portraits --runs "factory and portraits"

Every run trains the same network (68 landmarks from 128 pixels) from the same start for
the same number of steps, on a set of pictures that is made once, and is measured on
real photographs that no run has seen: a folder of pictures with `annotations.npz`
(points68, box, yaw, photograph; pixel centres at integers).  The box of the true
landmarks is given to the network: a square of 1.4 times its longer side about its
centre.

Error: mean distance of the points, divided by sqrt(w h) of the true box, in percent; 95
percent intervals by drawing photographs again (several faces may be of one).

Sets stay in the folder OUT, results are added to OUT/results.json; runs that are there
are not repeated.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tf_faces.core import (  # noqa: E402
    files,
    machine,
    matlab_files,
    seeding,
    tensorflow_start,
    workers,
)
from tf_faces.core import pictures as picture_files  # noqa: E402
from tf_faces.data import picture_sets, posed_faces  # noqa: E402
from tf_faces.data.photographs import (  # noqa: E402
    faces,
    factory,
    heads,
    portraits,
    settings,
    truth,
)
from tf_faces.metrics import normalized_mean_error  # noqa: E402
from tf_faces.morphable import landmark_sets  # noqa: E402
from tf_faces.morphable.coefficients import FaceCoefficients  # noqa: E402

# Stored pictures: a square of so many times the box's longer side, in so many pixels.
_STORED_SHARE, _STORED_SIZE = 1.75, 160
_SEEN_SHARE, _SEEN_SIZE = 1.4, 128
_BATCH = 32
# The factory as it is, but with faces that fill the network's square.
_BASE = settings.Settings(size=128, face_low=0.60, face_high=0.68, shift=0.02)
_PLAIN = "plain"
_PLAIN_SIZE = 160  # Faces are as large as the factory's, with the head around them.
_MIXED = "factory and portraits"
# The share of a batch that real portraits have in the mixed run.
_PORTRAITS_SHARE = 0.25
_CHANGES = {
    "factory": {},
    "without light": {"light": "even", "gloss": 0.0},
    "without hair": {"hair": 0.0},
    "without background": {"background": "black"},
    "without camera faults": {"camera_effects": False},
    "with the plain pose law": {
        "pose_law": "uniform",
        "yaw": 60.0,
        "pitch": 25.0,
        "roll": 20.0,
    },
}
RUNS = (_PLAIN, "factory", _MIXED, *list(_CHANGES)[1:])


# --- pictures -------------------------------------------------------------------------


def square(picture, points, share: float, size: int):
    """Cuts out the square about the landmarks' box.

    Args:
      picture: uint8 [h, w, 3].
      points: [68, 2], pixel centres at integers.
      share: side of the square in longer sides of the box.
      size: pixels of a side of the result; black where the picture ends.

    Returns:
      uint8 [size, size, 3]; the points in it; pixels of it for one of the picture's.
    """
    from PIL import Image

    low, high = points.min(axis=0), points.max(axis=0)
    side = share * (high - low).max()
    corner = (low + high) / 2 + 0.5 - side / 2  # Pixel edges.
    edge = int(np.ceil(max(0, -corner.min(), (corner + side).max()
                           - min(picture.shape[:2])))) + 1  # fmt: skip
    wide = np.pad(picture, ((edge, edge), (edge, edge), (0, 0)))
    left, top = corner + edge
    found = Image.fromarray(wide).resize(
        (size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
    )
    scale = size / side
    return np.asarray(found), (points + 0.5 - corner) * scale - 0.5, scale


@contextlib.contextmanager
def _drawing(chosen: settings.Settings, seed: int):
    def draw(indices):
        found = []
        for index in indices:
            one = factory.draw(chosen, seed, index)
            points = truth.fields(one, ("landmarks",))["landmarks"][:, :2]
            found.append(square(one.picture, points, _STORED_SHARE, _STORED_SIZE))
        return indices, [x[0] for x in found], [x[1] for x in found]

    yield draw


def draw_factory(count: int, changes: dict, processes: int):
    """Pictures and points of the factory."""
    pictures = np.empty((count, _STORED_SIZE, _STORED_SIZE, 3), np.uint8)
    points = np.empty((count, 68, 2), np.float32)

    def keep(found):
        indices, some, marks = found
        pictures[indices], points[indices] = some, marks

    tasks = [list(range(k, min(k + 16, count))) for k in range(0, count, 16)]
    workers.run(
        _drawing, (_BASE.replace(**changes), 0), tasks, keep, processes=processes
    )
    return pictures, points


def _read_set(folder: pathlib.Path, kind: str):
    pictures, points = [], []
    for path in sorted((folder / kind).glob("*.mat")):
        marks = matlab_files.load(path, ("pt2d",))["pt2d"].T.astype(np.float64)
        picture = picture_files.read(path.with_suffix(".jpg"))
        found, placed, _ = square(picture, marks, _STORED_SHARE, _STORED_SIZE)
        pictures.append(found)
        points.append(placed)
    return np.stack(pictures), np.stack(points).astype(np.float32)


def draw_plain(folder: pathlib.Path, count: int, processes: int):
    """The same faces as the factory's, bald, evenly lit, on black.

    The drawing of `face-manifold create-synthetic --layout 300w-lp`.
    """
    head = heads.load(_BASE.model)
    found = [
        faces.draw(head, _BASE, seeding.numpy_generator(0, "photograph face", index))
        for index in range(count)
    ]
    picture_sets.write_set(
        folder,
        _BASE.model,
        FaceCoefficients(
            np.stack([one.shape for one in found]),
            np.stack([one.expression for one in found]),
            np.zeros((count, head.model.texture_count)),
        ),
        posed_faces.PictureOptions(size=_PLAIN_SIZE, maps=False),
        workers=processes,
        progress=False,
    )
    return _read_set(folder, "synthetic")


def fit_portraits(folder: pathlib.Path, source: pathlib.Path, count: int):
    """Portraits of the training part, with the landmarks of their fits."""
    portraits.fit_folder(
        source / "portraits", source / "labels.npz", folder, count=count, resolution=16
    )
    return _read_set(folder, "photographs")


def prepare(name: str, options) -> tuple[np.ndarray, np.ndarray]:
    """A set from its file, or made and kept."""
    path = options.out / f"{name.replace(' ', '_')}.npz"
    if path.is_file():
        found = files.load_npz(path, ("pictures", "points"))
        return found["pictures"], found["points"]
    start = time.process_time() + sum(_children())
    if name == _PLAIN:
        made = draw_plain(options.out / "plain_files", options.count, options.processes)
    elif name == "portraits":
        if options.portraits is None:
            sys.exit("--portraits: expected the folder of portraits for this run.")
        made = fit_portraits(
            options.out / "portraits_files", options.portraits, options.fitted
        )
    else:
        made = draw_factory(options.count, _CHANGES[name], options.processes)
    used = time.process_time() + sum(_children()) - start
    print(f"{name}: {len(made[0])} pictures in {used / 60:.1f} minutes of processors")
    with files.atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, pictures=made[0], points=made[1])
    return made


def _children() -> tuple[float, float]:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime, used.ru_stime


# --- network --------------------------------------------------------------------------


def make_network():
    """68 points, in halves of the square from its centre, from [N, 128, 128, 3]."""
    from tensorflow import keras

    def block(x, filters, kernel, stride):
        x = keras.layers.Conv2D(
            filters, kernel, stride, padding="same", use_bias=False
        )(x)
        return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))

    inputs = keras.Input((_SEEN_SIZE, _SEEN_SIZE, 3))
    x = block(inputs, 32, 7, 4)
    x = block(x, 64, 3, 2)
    x = block(x, 128, 3, 2)
    x = keras.layers.Add()([x, block(x, 128, 3, 1)])
    x = block(x, 24, 1, 1)
    x = keras.layers.Flatten()(x)
    outputs = keras.layers.Dense(136, kernel_initializer="zeros")(x)
    return keras.Model(inputs, keras.layers.Reshape((68, 2))(outputs))


def augmented(pictures, points, rng):
    """Turns, scales, shifts, mirrors and recolours a batch as the network sees it.

    Args:
      pictures: uint8 [N, 160, 160, 3].
      points: [N, 68, 2].
      rng: the generator.

    Returns:
      float32 [N, 128, 128, 3] about 0, and points in halves of the square.
    """
    import tensorflow as tf

    count = len(pictures)
    angle = np.radians(rng.normal(0, 8, count))
    scale = _SEEN_SIZE / _STORED_SIZE * _STORED_SHARE / _SEEN_SHARE
    scale = scale * np.exp(rng.normal(0, 0.05, count))
    moved = rng.normal(0, 0.025, (count, 2)) * _SEEN_SIZE
    mirror = rng.random(count) < 0.5
    turn = np.empty((count, 2, 2))
    turn[:, 0, 0], turn[:, 0, 1] = np.cos(angle), -np.sin(angle)
    turn[:, 1, 0], turn[:, 1, 1] = np.sin(angle), np.cos(angle)
    turn *= scale[:, None, None]
    turn[mirror, :, 0] *= -1
    middles = (_STORED_SIZE - 1) / 2, (_SEEN_SIZE - 1) / 2
    placed = np.einsum("nij,npj->npi", turn, points - middles[0])
    placed += middles[1] + moved[:, None]
    placed[mirror] = placed[mirror][:, landmark_sets.MIRROR_68]
    back = np.linalg.inv(turn)
    start = middles[0] - np.einsum("nij,nj->ni", back, middles[1] + moved)
    flat = np.concatenate(
        [back[:, 0], start[:, :1], back[:, 1], start[:, 1:], np.zeros((count, 2))], 1
    )
    seen = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.constant(pictures, tf.float32),
        transforms=tf.constant(flat, tf.float32),
        output_shape=[_SEEN_SIZE, _SEEN_SIZE],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    gain = np.exp(
        rng.normal(0, 0.15, (count, 1, 1, 1)) + rng.normal(0, 0.05, (count, 1, 1, 3))
    )
    seen = normalised(seen * gain.astype(np.float32))
    return seen, (placed - middles[1]).astype(np.float32) / (_SEEN_SIZE / 2)


def normalised(pictures):
    """0..255 to about -1..1."""
    return (pictures - 110.0) / 70.0


def train(sources, steps: int, seed: int = 0):
    """Trains a network.

    Args:
      sources: [(pictures, points, share of a batch)].
      steps: of 32 pictures.
      seed: of everything.
    """
    import tensorflow as tf

    tf.keras.utils.set_random_seed(seed)
    network = make_network()
    # The mean of the first source is where learning starts.
    mean = sources[0][1].mean(axis=0) - (_STORED_SIZE - 1) / 2
    mean = mean * (_STORED_SHARE / _SEEN_SHARE) / (_STORED_SIZE / 2)
    network.layers[-2].bias.assign(mean.reshape(-1))
    rate = tf.keras.optimizers.schedules.CosineDecay(
        0.0, steps - 100, 0.0, warmup_target=2e-3, warmup_steps=100
    )
    optimizer = tf.keras.optimizers.Adam(rate)

    @tf.function
    def step(pictures, points):
        with tf.GradientTape() as tape:
            found = network(pictures, training=True)
            squares = tf.reduce_sum((found - points) ** 2, -1)
            loss = tf.reduce_mean(tf.sqrt(squares + 1e-6))
        variables = network.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, variables), variables, strict=True)
        )
        return loss

    rng = np.random.default_rng(seed)
    sizes = [round(_BATCH * share) for _, _, share in sources]
    losses = []
    for number in range(steps):
        pictures, points = [], []
        for (some, marks, _), size in zip(sources, sizes, strict=True):
            chosen = rng.integers(len(some), size=size)
            pictures.append(some[chosen])
            points.append(marks[chosen])
        loss = step(*augmented(np.concatenate(pictures), np.concatenate(points), rng))
        losses.append(float(loss))
        if number % 200 == 199:
            error = 50 * np.mean(losses[-200:])
            print(f"  step {number + 1}: {error:.2f} % of the square", flush=True)
    return network, 50 * float(np.mean(losses[-100:]))


# --- measure --------------------------------------------------------------------------


def measure(network, folder: pathlib.Path) -> dict:
    """Errors on real photographs, in percent of the box."""
    known = files.load_npz(folder / "annotations.npz")
    true = known["points68"].astype(np.float64)
    seen, back = [], []
    for row, marks in enumerate(true):
        picture = picture_files.read(folder / f"{row:03d}.jpg")
        found, placed, scale = square(picture, marks, _SEEN_SHARE, _SEEN_SIZE)
        seen.append(found)
        back.append((placed[0] - marks[0] * scale, scale))
    predicted = network.predict(normalised(np.float32(seen)), verbose=0)
    predicted = predicted * (_SEEN_SIZE / 2) + (_SEEN_SIZE - 1) / 2
    shift = np.stack([one[0] for one in back])[:, None]
    predicted = (predicted - shift) / np.array([one[1] for one in back])[:, None, None]
    error = 100 * normalized_mean_error.sparse_2d(predicted, true)
    length = normalized_mean_error.lengths(true, "box")
    inner = 100 * normalized_mean_error.normalized_mean_error(
        predicted[:, 17:], true[:, 17:], length
    )
    turned = np.abs(known["yaw"]) > 30
    rng = np.random.default_rng(0)
    groups = [error[known["photograph"] == x] for x in np.unique(known["photograph"])]
    means = [
        np.concatenate(
            [groups[k] for k in rng.integers(len(groups), size=len(groups))]
        ).mean()
        for _ in range(1000)
    ]
    return {
        "nme": round(float(error.mean()), 3),
        "interval": [round(float(x), 3) for x in np.quantile(means, (0.025, 0.975))],
        "yaw to 30": round(float(error[~turned].mean()), 3),
        "yaw above 30": round(float(error[turned].mean()), 3),
        "points 17-67": round(float(inner.mean()), 3),
        "median": round(float(np.median(error)), 3),
    }


def run(name: str, options) -> dict:
    """Trains on one source and measures."""
    if name == _MIXED:
        sources = [(*prepare("factory", options), 1 - _PORTRAITS_SHARE),
                   (*prepare("portraits", options), _PORTRAITS_SHARE)]  # fmt: skip
    else:
        sources = [(*prepare(name, options), 1.0)]
    start = time.process_time()
    network, loss = train(sources, options.steps, options.seed)
    minutes = (time.process_time() - start) / 60
    return {
        "run": name,
        "pictures": [len(source[0]) for source in sources],
        "steps": options.steps,
        "seed": options.seed,
        "minutes": round(minutes, 2),
        "parameters": network.count_params(),
        "training error": round(loss, 3),
        **measure(network, options.data),
    }


def main() -> None:
    """Makes what is missing, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--portraits", type=pathlib.Path)
    parser.add_argument("--runs", default=",".join(RUNS))
    parser.add_argument("--count", type=int, default=2500, help="pictures of a set")
    parser.add_argument("--fitted", type=int, default=300, help="portraits")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=machine.processors())
    options = parser.parse_args()
    unknown = set(options.runs.split(",")) - set(RUNS)
    if unknown:
        parser.error(f"--runs: found {sorted(unknown)}, expected some of {RUNS}")
    tensorflow_start.prepare()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.json"
    results = files.read_json(path) if path.is_file() else []
    for name in options.runs.split(","):
        key = (name, options.steps, options.seed)
        if any((x["run"], x["steps"], x["seed"]) == key for x in results):
            continue
        found = run(name, options)
        # Another process may have added its own meanwhile.
        results = files.read_json(path) if path.is_file() else []
        results.append(found)
        files.write_json(path, results)
        print(json.dumps(results[-1]), flush=True)


if __name__ == "__main__":
    main()
