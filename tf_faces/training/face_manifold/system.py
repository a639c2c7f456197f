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

from tf_faces.convert import face_manifold as weights
from tf_faces.core import runs, seeding
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import dataset
from tf_faces.training import checkpoints, distribution, logging, loop
from tf_faces.training.face_manifold import rows as training_data
from tf_faces.training.face_manifold.trainee import Trainee, save_curves

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


class FaceManifoldSystem(loop.System):
    """One or two denoisers, trained one after the other."""

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
            Trainee(group, config, *data[group]) for group in config.groups
        ]
        self._last = self.trainees[0]
        self._saved: tuple[str, int] | None = None

    def _current(self) -> Trainee:
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

    def write_results(
        self, run: runs.RunFolder, progress: loop.Progress
    ) -> dict[str, pathlib.Path]:
        """Writes the weights that the rule keeps, and the curves so far."""
        del progress
        trainee = self._last
        if not trainee.epoch or trainee.position:
            return {}
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
        return save_curves(folder, trainee)


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
        configuration=config.to_dict(),
        free_configuration=FREE_ON_RESUME,
    )


def prepare_data(config: ml_collections.ConfigDict, dry_run: bool = False) -> bool:
    """Nothing to prepare: `build` reads the data or draws them; returns True."""
    del config, dry_run
    return True


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
