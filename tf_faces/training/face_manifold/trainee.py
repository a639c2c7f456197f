"""One denoiser in training: its rows, its optimizer, its curves."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from tf_faces.core import files, seeding
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import dataset
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.training import loop, schedules
from tf_faces.training.face_manifold import step as steps


class Trainee:
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
            self.optimizer.learning_rate = self.rate * schedules.cosine(done)
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


def save_curves(folder: pathlib.Path, trainee: Trainee) -> dict[str, pathlib.Path]:
    """Writes loss.npy, validation_error.npy and, with matplotlib, their pictures.

    Returns:
      The pictures, {tag: file}: of a finished training, none before.
    """
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
        return {}
    try:
        from matplotlib import figure
    except ImportError:
        print("matplotlib is not installed: no loss.png and val_error.png.")
        return {}
    written = {}
    for name, (values, file_name, title, label) in curves.items():
        drawing = figure.Figure()
        axes = drawing.add_subplot()
        axes.plot(np.arange(1, len(values) + 1), values)
        axes.set_title(title)
        axes.set_xlabel("Epoch")
        axes.set_ylabel(label)
        with files.atomic_path(folder / file_name) as temporary:
            drawing.savefig(temporary, format="png")
        written[f"{trainee.group}/{name}"] = folder / file_name
    return written
