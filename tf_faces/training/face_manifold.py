"""Training of the Face Manifold denoisers on the house's loop.

One epoch is one tick.  As in the original, each epoch begins with a validation on the
first rows of the test part (so the first value is the untrained network's), batches are
shuffled and the last, short one is kept, the epoch's loss is the plain mean over its
batches, and weights are kept after the first epoch and after every later one whose
training loss is below the previous epoch's.  What the original wrote is in the run
folder: `shape/epoch_<n>.pkl` (PyTorch's format; `.npz` beside it holds the unit as
well), `loss.npy`, `validation_error.npy`, `loss.png`, `val_error.png`.
"""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from tf_faces.convert import face_manifold as weights
from tf_faces.core import files, runs, seeding
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import dataset
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.training import checkpoints, distribution, logging, loop
from tf_faces.training import face_manifold_data as training_data
from tf_faces.training import face_manifold_step as steps

# What a resumed run may change without training anything else.
FREE_ON_RESUME = (
    "desc",
    "data_dir",
    "result_dir",
    "devices",
    "train.snapshot_epochs",
    "train.keep_snapshots",
    "train.nonfinite_policy",
    "train.restore_limit",
)


# --- one denoiser ---------------------------------------------------------------------


class _Trainee:
    """One denoiser, its data, and how far it is."""

    def __init__(self, group: str, config: ml_collections.ConfigDict, train, test):
        self.group = group
        self.options = config[group]
        self.train_rows = train
        self.test_rows = test
        self.seed = int(config.random_seed)
        self.rate = float(config.train.learning_rate)
        self.schedule = config.train.learning_rate_schedule
        if self.schedule not in ("constant", "cosine"):
            raise InputError(
                "--config.train.learning_rate_schedule: found "
                f"{self.schedule!r}, expected constant or cosine."
            )
        network = DenoiserConfig(
            group=group,
            length=int(test.noisy.shape[1]),
            unit=float(self.options.unit),
            architecture=config.architecture,
        )
        self.denoiser = denoisers.Denoiser(
            network, seed=seeding.derive(self.seed, f"{group} weights")[0] % 1_000_000
        )
        self.optimizer = steps.make_optimizer(
            config.train.adam,
            self.rate,
            self.denoiser.variables_by_name().values(),
        )
        self.step = steps.DenoiserStep(self.denoiser, self.optimizer, config.xla)
        self.validation_rows = int(config.train.validation_rows)
        self.patience = int(config.train.early_stopping)
        self.validate_all = config.train.validate_all or self.patience > 0
        self.epochs = int(self.options.epochs)
        self.batch = int(self.options.batch)
        if self.epochs < 1 or self.batch < 1:
            raise InputError(
                f"--config.{group}: found epochs={self.epochs} and batch={self.batch}, "
                "expected at least 1."
            )
        self.batches = math.ceil(len(train) / self.batch)
        self.epoch = 0  # Finished ones.
        self.position = 0  # Batches of this epoch that are done.
        self.losses: list[float] = []
        self.validation_errors: list[float] = []
        self.full_errors: list[float] = []
        self.kept: list[int] = []
        self.test_error: float | None = None
        self.stopped_early = False
        self._loss_sum = 0.0
        self._pending: list[tf.Tensor] = []
        self._order = np.zeros(0, np.int64)
        self._order_epoch = -1

    @property
    def rows(self) -> int:
        """Rows of all epochs."""
        return self.epochs * len(self.train_rows)

    @property
    def finished(self) -> bool:
        return self.stopped_early or self.epoch == self.epochs

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Raw rows -> float32 in the network's unit."""
        wide = np.asarray(values, np.float64)
        return (wide / self.denoiser.config.unit).astype(np.float32)

    def order(self, epoch: int) -> np.ndarray:
        """The order of the rows in `epoch`: a function of seed and epoch."""
        if self._order_epoch != epoch:
            generator = seeding.numpy_generator(self.seed, f"{self.group} order", epoch)
            self._order = generator.permutation(len(self.train_rows))
            self._order_epoch = epoch
        return self._order

    def next_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the batch at `position`, in the network's unit."""
        start = self.position * self.batch
        chosen = self.order(self.epoch)[start : start + self.batch]
        rows = self.train_rows
        if isinstance(rows, dataset.FreshPairs):
            noisy, labels = rows.batch(chosen, self.epoch, self.position)
        else:
            noisy, labels = rows.noisy[chosen], rows.labels[chosen]
        return self.scaled(noisy), self.scaled(labels)

    def validation_error(self, rows: int | None = None) -> float:
        """Error on the first `rows` test rows (all when None), in squared units."""
        chosen = slice(None, rows)
        return self.step.error(
            self.scaled(self.test_rows.noisy[chosen]),
            self.scaled(self.test_rows.labels[chosen]),
        )

    def advance(self) -> tuple[int, list[loop.Measurements]]:
        """Trains on one batch; returns its rows and what was measured."""
        measured = []
        if self.position == 0:
            error = self.validation_error(self.validation_rows)
            self.validation_errors.append(error)
            print(f"validation error:  {error}", flush=True)
            name = (f"Validation/{self.group}_error",)
            measured.append(loop.Measurements(name, np.array([error])))
        if self.schedule == "cosine":
            done = (self.epoch * self.batches + self.position) / (
                self.epochs * self.batches
            )
            self.optimizer.learning_rate = (
                0.5 * self.rate * (1 + math.cos(math.pi * done))
            )
        noisy, labels = self.next_batch()
        loss = self.step(noisy, labels)
        self._pending.append(loss)
        self.position += 1
        if self.position % 1000 == 1:
            print(
                f"Epoch [{self.epoch + 1}/{self.epochs}], Iter [{self.position}/"
                f"{len(self.train_rows) // self.batch}] Loss: {float(loss):.4f}",
                flush=True,
            )
        tag = (f"Loss/{self.group}",)
        measured.append(loop.Measurements(tag, tf.reshape(loss, [1])))
        if self.position == self.batches:
            measured += self._end_epoch()
        return len(noisy), measured

    def _settle(self) -> None:
        for loss in self._pending:
            self._loss_sum += float(loss)
        self._pending = []

    def _end_epoch(self) -> list[loop.Measurements]:
        self._settle()
        self.losses.append(self._loss_sum / self.batches)
        self._loss_sum = 0.0
        self.position = 0
        self.epoch += 1
        measured = []
        if self.validate_all:
            error = self.validation_error()
            self.full_errors.append(error)
            tag = (f"Validation/{self.group}_full",)
            measured.append(loop.Measurements(tag, np.array([error])))
            best = int(np.argmin(self.full_errors)) + 1
            if self.patience and self.epoch - best >= self.patience:
                self.stopped_early = True
                print(
                    f"{self.group}: no better error in {self.patience} epochs, "
                    f"stopping after epoch {self.epoch} (best: {best}).",
                    flush=True,
                )
        if self.finished:
            self.test_error = self.validation_error()
            print(f"Test Error is:  {self.test_error}", flush=True)
        return measured

    def keeps_weights(self) -> bool:
        """The original's rule, for the epoch that has just ended."""
        return self.epoch == 1 or self.losses[-1] < self.losses[-2]

    def is_best(self) -> bool:
        """True if the epoch that has just ended has the smallest full error."""
        return bool(self.full_errors) and self.full_errors[-1] == min(self.full_errors)

    def state(self) -> dict[str, Any]:
        """All state but the variables, as JSON values."""
        self._settle()
        return {
            "epoch": self.epoch,
            "position": self.position,
            "losses": self.losses,
            "validation_errors": self.validation_errors,
            "full_errors": self.full_errors,
            "kept": self.kept,
            "test_error": self.test_error,
            "stopped_early": self.stopped_early,
            "loss_sum": self._loss_sum,
            "data": [self.train_rows.digest(), self.test_rows.digest()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state` gave.

        Raises:
          InputError: if the data are not those of the snapshot.
        """
        present = [self.train_rows.digest(), self.test_rows.digest()]
        if state["data"] != present:
            raise InputError(
                f"the {self.group} data differ from those that the run began with; "
                "expected the same data_dir content."
            )
        self.epoch = state["epoch"]
        self.position = state["position"]
        self.losses = list(state["losses"])
        self.validation_errors = list(state["validation_errors"])
        self.full_errors = list(state["full_errors"])
        self.kept = list(state["kept"])
        self.test_error = state["test_error"]
        self.stopped_early = state["stopped_early"]
        self._loss_sum = state["loss_sum"]
        self._pending = []


# --- the system -----------------------------------------------------------------------


class FaceManifoldSystem:
    """One or two denoisers, trained one after the other (`loop.System`)."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        data: Mapping[str, tuple[Any, dataset.Pairs]],
    ):
        """Makes the networks.

        Args:
          config: resolved configuration.
          data: {group: (training rows, test rows)}.
        """
        self.config = config
        self.trainees = [
            _Trainee(group, config, *data[group]) for group in config.groups
        ]
        self._last = self.trainees[0]
        self._saved: tuple[str, int] | None = None

    def _current(self) -> _Trainee:
        return next(
            (trainee for trainee in self.trainees if not trainee.finished),
            self.trainees[-1],
        )

    @property
    def total_rows(self) -> int:
        """Rows of all epochs of all denoisers."""
        return sum(trainee.rows for trainee in self.trainees)

    def variables(self) -> dict[str, dict[str, Any]]:
        """Networks and optimizers by group."""
        found = {}
        for trainee in self.trainees:
            found[trainee.group] = trainee.denoiser.variables_by_name()
            found[f"{trainee.group}_adam"] = checkpoints.named_variables(
                trainee.optimizer
            )
        return found

    def host_state(self) -> dict[str, Any]:
        """Epochs, positions and curves."""
        return {trainee.group: trainee.state() for trainee in self.trainees}

    def restore_host_state(self, state: Mapping[str, Any]) -> None:
        """Takes back `host_state`."""
        for trainee in self.trainees:
            trainee.restore(state[trainee.group])
        self._last = self._current()

    def iterate(self, progress: loop.Progress) -> loop.Iteration:
        """Trains the denoiser whose turn it is on one batch."""
        del progress
        trainee = self._last = self._current()
        rows, measured = trainee.advance()
        if trainee.stopped_early:
            # Progress counts the planned rows; those of the epochs left out pass here.
            rows += (trainee.epochs - trainee.epoch) * len(trainee.train_rows)
        return loop.Iteration(rows, measured)

    def tick_images(self, progress: loop.Progress) -> int:
        """One epoch."""
        del progress
        return len(self._last.train_rows)

    def status_fields(self, progress: loop.Progress) -> list[str]:
        """Denoiser, epoch and losses."""
        del progress
        trainee = self._last
        loss = trainee.losses[-1] if trainee.losses else math.nan
        error = trainee.validation_errors[-1] if trainee.validation_errors else math.nan
        return [
            f"{trainee.group:<10}",
            f"epoch {trainee.epoch:<4d}",
            f"loss {loss:<10.6g}",
            f"val {error:<10.6g}",
        ]

    def tick_scalars(self, progress: loop.Progress) -> dict[str, float]:
        """Epoch, its mean loss, the learning rate, and the final test error."""
        del progress
        trainee = self._last
        group = trainee.group
        scalars = {
            f"Progress/{group}_epoch": float(trainee.epoch),
            f"Progress/{group}_learning_rate": float(
                np.asarray(trainee.optimizer.learning_rate)
            ),
        }
        if trainee.losses:
            scalars[f"Loss/{group}_epoch"] = trainee.losses[-1]
        if trainee.test_error is not None:
            scalars[f"Test/{group}_error"] = trainee.test_error
        return scalars

    def histograms(self) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def graph(self) -> None:
        """None."""
        return

    def overflow_expected(self) -> bool:
        """Never: everything is float32."""
        return False

    def save_pictures(self, run: runs.RunFolder, progress: loop.Progress) -> None:
        """Writes the weights that the rule keeps, and the curves so far."""
        del progress
        trainee = self._last
        if not trainee.epoch or trainee.position:
            return
        folder = run.path / trainee.group
        if trainee.keeps_weights():
            stem = folder / f"epoch_{trainee.epoch}"
            weights.save(stem.with_suffix(".pkl"), trainee.denoiser)
            weights.save(stem.with_suffix(".npz"), trainee.denoiser)
            if trainee.epoch not in trainee.kept:
                trainee.kept.append(trainee.epoch)
        if trainee.is_best():
            weights.save(folder / "best.npz", trainee.denoiser)
        if trainee.finished:
            weights.save(folder / "final.npz", trainee.denoiser)
        _save_curves(folder, trainee)


def _save_curves(folder: pathlib.Path, trainee: _Trainee) -> None:
    """Writes loss.npy, validation_error.npy and, with matplotlib, their pictures."""
    curves = {
        "loss": (trainee.losses, "loss.png", " Loss", "Loss"),
        "validation_error": (
            trainee.validation_errors,
            "val_error.png",
            " Error",
            "Error",
        ),
    }
    for name, (values, _, _, _) in curves.items():
        with files.atomic_path(folder / f"{name}.npy") as temporary:
            with open(temporary, "wb") as stream:
                np.save(stream, np.array(values, np.float64))
    if not trainee.finished:
        return
    try:
        from matplotlib import figure
    except ImportError:
        print("matplotlib is not installed: no loss.png and val_error.png.")
        return
    for values, file_name, title, label in curves.values():
        drawing = figure.Figure()
        axes = drawing.add_subplot()
        axes.plot(np.arange(1, len(values) + 1), values)
        axes.set_title(title)
        axes.set_xlabel("Epoch")
        axes.set_ylabel(label)
        with files.atomic_path(folder / file_name) as temporary:
            drawing.savefig(temporary, format="png")


# --- what the training program asks for -----------------------------------------------


def loop_options(config: ml_collections.ConfigDict) -> loop.Options:
    """Returns the loop's options of a resolved configuration (after `build`)."""
    train = config.train
    return loop.Options(
        total_images=int(config.total_rows),
        picture_ticks=1,
        snapshot_ticks=train.snapshot_epochs,
        keep_snapshots=train.keep_snapshots,
        nonfinite_policy=train.nonfinite_policy,
        restore_limit=train.restore_limit,
        configuration={"model": "face_manifold", **config.to_dict()},
        free_configuration=FREE_ON_RESUME,
    )


def build(config: ml_collections.ConfigDict) -> FaceManifoldSystem:
    """Opens the data and makes the networks.

    Raises:
      InputError: if more than one device is asked for (the networks have 16353
        parameters), or the data do not fit.
    """
    strategy = distribution.make_strategy(config.devices, 1, config.desc)
    if strategy.num_replicas_in_sync > 1:
        raise InputError(
            f"--devices={config.devices}: a denoiser is trained on one device, found "
            f"{strategy.num_replicas_in_sync}."
        )
    seeding.seed_everything(config.random_seed)
    data = training_data.open_data(config)
    for group, (train, test) in data.items():
        print(f"{group}: {len(train)} rows for training, {len(test)} for testing")
    system = FaceManifoldSystem(config, data)
    config.total_rows = system.total_rows
    for trainee in system.trainees:
        rows = [
            (name, str(int(np.prod(variable.shape))), "-", str(tuple(variable.shape)))
            for name, variable in trainee.denoiser.variables_by_name().items()
        ]
        total = trainee.denoiser.count_params()
        for line in logging.layer_table(trainee.group, rows, total):
            print(line)
    return system


def plan(config: ml_collections.ConfigDict, system: FaceManifoldSystem) -> str:
    """Returns what would be done, for --dry_run."""
    lines = []
    for trainee in system.trainees:
        lines.append(
            f"{trainee.group}: {trainee.epochs} epochs of {trainee.batches} batches of "
            f"{trainee.batch} rows ({len(trainee.train_rows)} for training, "
            f"{len(trainee.test_rows)} for testing), unit "
            f"{trainee.denoiser.config.unit:g}, Adam {config.train.adam} with "
            f"learning rate {trainee.rate:g} ({trainee.schedule})"
        )
    return "\n".join(lines)
