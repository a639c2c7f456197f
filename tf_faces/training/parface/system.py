"""Training of ParFace's stages on the house's loop: one epoch is one tick."""

import pathlib
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from tf_faces.core import pictures, runs, seeding
from tf_faces.core.errors import InputError
from tf_faces.data.parface.samples import Mixture
from tf_faces.metrics import parface as metrics
from tf_faces.metrics import parface_pictures
from tf_faces.models.parface import heatmaps
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.training import loop, schedules
from tf_faces.training.parface import data_sets, loading, sheets, weights
from tf_faces.training.parface.stages import Stage

# Epochs after which `lr_adjust` multiplies the learning rates, and by what.
_ADJUST_EPOCHS, _ADJUST_FACTOR = 10, 0.9
# The end of the cosine, as a part of its beginning.
_LAST_RATE = 0.02
_INTERPOLATED = 7
_SAMPLED = 15


class ParFaceSystem(loop.System):
    """One stage: its networks, data and curves.

    Args:
      config: resolved configuration.
      networks: with the weights that the stage begins with.
      past: what was trained before.
      training, validation: the data.
      strategy: over whose devices batches are divided; None for one device.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        networks: ParFaceNetworks,
        past: weights.Past,
        training: Mixture,
        validation: Mixture | None,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self.config = config
        self.networks = networks
        self.past = past
        self.stage = Stage(config, networks, strategy)
        self.preparation = data_sets.preparation(config, train=True)
        self.loader = loading.Loader(
            training, self.preparation, config.batchsize, config.random_seed,
            config.workers,
        )  # fmt: skip
        self.validation = validation
        self.epochs = config.epochs - past.epoch
        if self.epochs < 1:
            raise InputError(
                f"epochs: found {config.epochs}, but {past.epoch} are done; expected "
                "more (they are counted from the very beginning)."
            )
        self._last: dict[str, float] = {}
        self._shown: dict[str, np.ndarray] | None = None

    @property
    def epoch_images(self) -> int:
        """Pictures of one epoch."""
        return self.loader.batches * self.loader.batch

    def _epoch(self, progress: loop.Progress) -> int:
        """Finished epochs, counted from the very beginning."""
        return self.past.epoch + progress.images // self.epoch_images

    # --- what the loop asks for -----------------------------------------------------

    def variables(self) -> dict[str, dict[str, Any]]:
        """Networks and optimisers."""
        found = {
            prefix: part.named_tensors()
            for prefix, part in self.networks.parts().items()
        }
        for prefix, optimizer in self.stage.optimizers.items():
            found[f"adam_{prefix}"] = {
                name.replace("/", ":"): variable
                for name, variable in optimizer.named_variables().items()
            }
        return found

    def iterate(self, progress: loop.Progress) -> loop.Iteration:
        """Trains on one batch."""
        number = progress.iterations
        epoch, position = divmod(number, self.loader.batches)
        if self.config.learning_rate_schedule == "cosine":
            done = number / (self.epochs * self.loader.batches)
            self.stage.scale_learning_rates(schedules.cosine(done, _LAST_RATE))
        elif position == 0 and self.config.lr_adjust:
            factor = _ADJUST_FACTOR ** (epoch // _ADJUST_EPOCHS)
            self.stage.scale_learning_rates(factor)
        batch = loading.stack(self.loader.take(number))
        names, values = self.stage.train(batch, number, position)
        measured = loop.Measurements(
            tuple(f"Loss/{name}" for name in names), values, self.loader.batch
        )
        return loop.Iteration(self.loader.batch, [measured])

    def tick_images(self, progress: loop.Progress) -> int:
        """One epoch."""
        del progress
        return self.epoch_images

    def status_fields(self, progress: loop.Progress) -> list[str]:
        """The epoch and what it will be compared by."""
        fields = [f"epoch {self._epoch(progress):<5d}"]
        if "Validation/nme" in self._last:
            fields.append(f"nme {self._last['Validation/nme']:<7.3f}")
        return fields

    def tick_scalars(self, progress: loop.Progress) -> dict[str, float]:
        """Epoch, and every `eval_freq` epochs what the validation set says."""
        epoch = self._epoch(progress)
        found = {"Progress/epoch": float(epoch)}
        last = epoch >= self.config.epochs
        if self.validation is not None and (last or epoch % self.config.eval_freq == 0):
            self._last = self._validate()
            found.update(self._last)
        return found

    def write_results(
        self, run: runs.RunFolder, progress: loop.Progress
    ) -> dict[str, pathlib.Path]:
        """Keeps the networks of the epoch and draws what they can do."""
        epoch = self._epoch(progress)
        if progress.images % self.epoch_images:
            return {}
        if progress.images and epoch % self.config.save_freq == 0:
            past = weights.Past(
                epoch,
                self.past.iterations + progress.iterations,
                self.past.seconds + progress.total_seconds,
            )
            weights.save(run.path, self.networks, past)
        written = {}
        for name, sheet in self._sheets().items():
            path = run.path / f"{name}_{epoch:05d}.png"
            pictures.write(path, sheet)
            written[f"ParFace/{name}"] = path
        return written

    # --- validation -----------------------------------------------------------------

    def _batches(self):
        preparation = data_sets.preparation(self.config, train=False)
        return loading.in_order(
            self.validation, preparation, self.config.batchsize_eval
        )

    def _validate(self) -> dict[str, float]:
        sums: dict[str, float] = {}
        count = 0
        truth, found = [], []
        for samples in self._batches():
            batch = loading.stack(samples)
            stats, points = self.stage.evaluate(batch, count)
            for name, value in stats.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(samples)
            count += len(samples)
            if points is not None:
                found.append(points)
                spatial = points.shape[-1] == 3
                truth.append(batch["landmarks_3d" if spatial else "landmarks"])
        scalars = {f"Validation/{name}": total / count for name, total in sums.items()}
        if found:
            points, true = np.concatenate(found), np.concatenate(truth)
            result = metrics.evaluate(
                true,
                points,
                self.config.ocular_norm,
                self.config.input_size,
                spatial=points.shape[-1] == 3 and points.shape[1] == 68,
            )
            for line in result.lines():
                print(line, flush=True)
            scalars["Validation/nme"] = result.nme
            if result.gte is not None:
                scalars["Validation/gte"] = result.gte
                scalars["Validation/nme_3d"] = result.nme_3d
        return scalars

    # --- pictures -------------------------------------------------------------------

    def _examples(self) -> dict[str, np.ndarray]:
        """The first faces of the validation set, or of the training set."""
        if self._shown is None:
            mixture = self.validation or self.loader.mixture
            preparation = data_sets.preparation(self.config, train=False)
            first = next(loading.in_order(mixture, preparation, sheets.SHOWN))
            self._shown = loading.stack(first)
        return self._shown

    def _sheets(self) -> dict[str, np.ndarray]:
        examples = self._examples()
        images = self.stage.network_images(examples["image"])
        latents, drawn, maps = self.stage.everything(images)
        shown = self._displayed(drawn)
        found = {"reconstructions": sheets.reconstructions(examples["image"], shown)}
        if self.config.stage == "self_supervised":
            found["interpolations"] = self._interpolations(latents.numpy())
            found["samples"] = self._samples(latents.numpy())
            return found
        points = heatmaps.decode(
            heatmaps.smooth(maps), self.config.input_size, self.config.decoding
        ).numpy()
        marked = [
            sheets.pictures.with_landmarks(*one)
            for one in zip(
                examples["image"], examples["landmarks"], points, strict=True
            )
        ]
        warm = [
            sheets.heatmaps(*one)
            for one in zip(examples["image"], maps.numpy(), strict=True)
        ]
        found["landmarks"] = sheets.pictures.contact_sheet(
            [*marked, *warm], len(marked), gap=2
        )
        return found

    def _displayed(self, drawn) -> np.ndarray:
        return parface_pictures.displayed(np.asarray(drawn), self.config.normalize)

    def _interpolations(self, latents: np.ndarray) -> np.ndarray:
        """Rows from one example's code to the next one's."""
        share = np.linspace(0, 1, _INTERPOLATED, dtype=np.float32)[:, None]
        rows = [
            first + (second - first) * share
            for first, second in zip(latents[:3], latents[1:4], strict=False)
        ]
        codes = np.concatenate(rows or [np.repeat(latents[:1], _INTERPOLATED, 0)])
        tiles = self._displayed(self.stage.decode(tf.constant(codes)))
        return sheets.pictures.contact_sheet(list(tiles), _INTERPOLATED, gap=2)

    def _samples(self, latents: np.ndarray) -> np.ndarray:
        """Faces of codes drawn with the mean and deviation of the examples'."""
        rng = seeding.numpy_generator(self.config.random_seed, "shown samples")
        drawn = rng.standard_normal((_SAMPLED, latents.shape[1])).astype(np.float32)
        codes = latents.mean(axis=0) + drawn * latents.std(axis=0)
        tiles = self._displayed(self.stage.decode(tf.constant(codes)))
        return sheets.pictures.contact_sheet(list(tiles), sheets.COLUMNS, gap=2)
