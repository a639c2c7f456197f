"""Training of CoarseNet and FineNet on the house's loop: three stages, one after other.

The re-implementation trains everything at once: a joint stage alone.  Stages are
lengths in thousands of pictures; which one is on follows from the pictures shown.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from tf_faces.convert import coarse_fine as weights
from tf_faces.core import pictures, runs, seeding
from tf_faces.core.errors import InputError
from tf_faces.models.coarse_fine import CoarseFine, CoarseFineConfig, FaceRenderer
from tf_faces.models.coarse_fine.rendering import network_input
from tf_faces.morphable import raw_form
from tf_faces.morphable.model import MorphableModel
from tf_faces.training import checkpoints, distribution, loop, schedules
from tf_faces.training.coarse_fine import measures, objective, sources
from tf_faces.viz import pictures as shown_pictures

# What a resumed run may change without training anything else.
FREE_ON_RESUME = (
    "desc",
    "result_dir",
    "devices",
    "data_dir",
    "data.portraits",
    "train.snapshot_ticks",
    "train.picture_ticks",
    "train.keep_snapshots",
    "train.nonfinite_policy",
    "train.restore_limit",
)
SCHEDULES = ("constant", "cosine")
# Pictures on the sheet of results.
_SHOWN = 4


def network_config(config: ml_collections.ConfigDict) -> CoarseFineConfig:
    """The networks' configuration of a run's."""
    return CoarseFineConfig.from_dict(config.network.to_dict())


def of_regions(model: MorphableModel, names: str) -> MorphableModel:
    """The part of a face model that some regions make; its coefficients stay.

    Args:
      names: separated by commas; empty for all.

    Raises:
      InputError: if the model lacks one.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        return model
    known = model.region_names or ()
    for name in wanted:
        if name not in known:
            raise InputError(
                f"--config.face_regions: found {name!r}, expected one of "
                f"{', '.join(known) or 'none: the face model has no regions'}."
            )
    return model.without_regions([name for name in known if name not in wanted])


def face_model_of(config: ml_collections.ConfigDict) -> MorphableModel:
    """The face model of a run's configuration, of its regions and its modes only.

    Raises:
      InputError, FormatError: if it is absent, damaged, or lacks a region.
    """
    model = of_regions(raw_form.load(config.face_model), config.face_regions)
    counts = config.network.shape_count, config.network.expression_count
    return model.truncate(*counts)


def make_network(
    config: ml_collections.ConfigDict,
    seed: int | None = None,
    implementation: str = "auto",
) -> CoarseFine:
    """Makes the networks of a run's configuration with its face model.

    Raises:
      InputError, FormatError: if the face model is absent, damaged, or has too few
        modes.
    """
    network = network_config(config)
    model = of_regions(raw_form.load(config.face_model), config.face_regions)
    return CoarseFine(network, FaceRenderer(model, network, implementation), seed)


class CoarseFineSystem(loop.System):
    """Both networks, their optimizers and their data."""

    def __init__(self, config: ml_collections.ConfigDict):
        """Makes the networks and opens the data.

        Args:
          config: resolved configuration.
        """
        self.config = config
        train = config.train
        if train.learning_rate_schedule not in SCHEDULES:
            raise InputError(
                "--config.train.learning_rate_schedule: found "
                f"{train.learning_rate_schedule!r}, expected constant or cosine."
            )
        if train.batch < 1:
            raise InputError(
                f"--config.train.batch: found {train.batch}, expected at least 1."
            )
        self.stages = stage_images(config)
        seed = seeding.derive(int(config.random_seed), "weights")[0] % 1_000_000
        self.network = make_network(config, seed)
        for path in train.initial_weights:
            print(
                weights.load(self.network, path, faithful=train.faithful_restore),
                flush=True,
            )
        self.source = sources.make(config, self.network.config, self.network.renderer)
        options = config.loss.to_dict()
        self.objective = objective.Objective(
            self.network, objective.Options(**options), config.data.grey_mean
        )
        self._parts = {
            "coarse": self.network.coarse_variables(),
            "fine": self.network.fine.variables_by_name(),
        }
        self.optimizers = {
            part: _adam(variables) for part, variables in self._parts.items()
        }
        self._steps = {}
        self._validation: sources.Validation | None = None
        self._detailed: sources.Validation | tuple[()] | None = None
        self._latest: dict[str, float] = {}

    # --- state -----------------------------------------------------------------------

    def variables(self) -> dict[str, dict[str, Any]]:
        """Networks and optimizers by group."""
        found = {}
        for part, variables in self._parts.items():
            found[part] = variables
            found[f"{part}_adam"] = checkpoints.named_variables(self.optimizers[part])
        return found

    # --- training --------------------------------------------------------------------

    def stage(self, images: int) -> tuple[str, float]:
        """The stage after so many pictures, and how much of it has passed (0..1)."""
        begun = 0
        name, length = objective.STAGES[-1], 1
        for name, length in self.stages.items():
            if images < begun + length:
                return name, (images - begun) / length
            begun += length
        return name, 1.0

    def iterate(self, progress: loop.Progress) -> loop.Iteration:
        """One batch of the stage that is on."""
        batch = int(self.config.train.batch)
        stage, share = self.stage(progress.images)
        images, labels = self.source.batch(
            progress.iterations, progress.restores, batch, stage
        )
        rate = float(self.config.train.learning_rate)
        if self.config.train.learning_rate_schedule == "cosine":
            rate *= schedules.cosine(share)
        for optimizer in self.optimizers.values():
            optimizer.learning_rate = rate
        if stage not in self._steps:
            self._steps[stage] = self._make_step(stage)
        names, step = self._steps[stage]
        values = step(tf.constant(images), tf.constant(labels))
        return loop.Iteration(batch, [loop.Measurements(names, values, weight=batch)])

    def _make_step(self, stage: str):
        """The names of what a stage's step measures, and the compiled step."""
        parts = [part for part in self._parts if stage in (part, "joint")]
        clip = float(self.config.train.clip_norm)
        terms_of_stage = objective.terms_of(stage, self.config.loss.weights)

        @tf.function
        def step(images, labels):
            _, terms, total, gradients = objective.gradients(
                self.objective, images, labels, stage
            )
            norm = tf.linalg.global_norm(list(gradients.values()))
            factor = tf.minimum(1.0, clip / tf.maximum(norm, 1e-12)) if clip else 1.0
            for part in parts:
                chosen = [
                    (gradients[name] * factor, variable)
                    for name, variable in self._parts[part].items()
                    if name in gradients
                ]
                derived, variables = zip(*chosen, strict=True)
                self.optimizers[part].apply(list(derived), list(variables))
            values = [terms[name] for name in terms_of_stage]
            return tf.stack([*values, total, norm])

        names = tuple(f"Loss/{name}_loss" for name in (*terms_of_stage, "total"))
        return (*names, "Train/gradient_norm"), step

    # --- what the loop shows ---------------------------------------------------------

    def tick_images(self, progress: loop.Progress) -> float:
        """The configured length."""
        del progress
        return 1000.0 * self.config.train.tick_kimg

    def status_fields(self, progress: loop.Progress) -> list[str]:
        """Stage, and errors of the held-out pictures."""
        stage, _ = self.stage(max(progress.images - 1, 0))
        with_fine = stage != "coarse"
        self._latest = measures.measure(self.network, self.validation(), with_fine)
        if with_fine:
            self._latest |= self._depths()
        passes = " ".join(
            f"{self._latest[f'vertex_pass_{number}']:.3f}"
            for number in range(1, self.network.config.iterations + 1)
        )
        fields = [
            f"{stage:<6}",
            f"vertices {passes} px",
            f"mean face {self._latest['vertex_mean_face']:<7.4g}px",
        ]
        if "depth_fine" in self._latest:
            fields.append(
                f"depth {self._latest['depth_coarse']:.4g} -> "
                f"{self._latest['depth_fine']:.4g}px"
            )
        return fields

    def tick_scalars(self, progress: loop.Progress) -> Mapping[str, float]:
        """Errors of the held-out pictures, learning rate."""
        del progress
        rate = float(np.asarray(self.optimizers["coarse"].learning_rate))
        return {
            **{f"Validation/{name}": value for name, value in self._latest.items()},
            "Progress/learning_rate": rate,
        }

    def _depths(self) -> dict[str, float]:
        """Errors of depth of faces with wrinkles, where the held-out have none."""
        if self._detailed is None:
            self._detailed = self.source.detailed() or ()
        if not self._detailed:
            return {}
        found = measures.measure(self.network, self._detailed)
        return {name: found[name] for name in ("depth_coarse", "depth_fine")}

    def validation(self) -> sources.Validation:
        """The held-out pictures, read or drawn once."""
        if self._validation is None:
            self._validation = self.source.validation()
        return self._validation

    def histograms(self) -> Mapping[str, np.ndarray]:
        """Parameters of the held-out pictures."""
        images = tf.constant(self.validation().images[:_SHOWN])
        found = self.network.coarse_passes(images)[-1].parameters
        return {"parameters": np.asarray(found)}

    def write_results(
        self, run: runs.RunFolder, progress: loop.Progress
    ) -> dict[str, pathlib.Path]:
        """Writes the original's summaries of the first held-out pictures as a sheet."""
        sheet = self.sheet(self.validation().images[:_SHOWN])
        path = run.path / f"reconstructions-{progress.images // 1000:06d}.png"
        pictures.write(path, sheet)
        return {"reconstructions": path}

    def sheet(self, images: np.ndarray) -> np.ndarray:
        """Input, codes, masked picture, normals, coarse and fine depth, a row each."""
        mean = float(self.config.data.grey_mean)
        found = self.network.reconstruct(tf.constant(images))
        rendering = found.rendering
        masked = np.asarray(network_input(tf.constant(images), rendering))[..., 0]
        cells = []
        for row in range(len(images)):
            covered = np.asarray(rendering.covered)[row, ..., 0]
            fine = np.asarray(found.fine_depth)[row, ..., 0]
            cells += [
                pictures.levels_to_bytes(images[row, ..., 0] + mean),
                pictures.to_bytes(np.asarray(rendering.codes)[row]),
                pictures.levels_to_bytes(masked[row] + mean),
                shown_pictures.normal_picture(
                    np.asarray(rendering.normals)[row], covered
                ),
                shown_pictures.depth_picture(
                    np.asarray(rendering.depth)[row, ..., 0], covered
                ),
                shown_pictures.depth_picture(fine, covered & np.isfinite(fine)),
            ]
        return shown_pictures.contact_sheet(cells, 6)


def _adam(variables: Mapping[str, Any]) -> keras.optimizers.Adam:
    trained = [variable for variable in variables.values() if variable.trainable]
    # Keras counts optimizers otherwise, and a snapshot keeps the names.
    optimizer = keras.optimizers.Adam(epsilon=1e-8, name="adam")
    optimizer.build(trained)
    return optimizer


# --- what the training program asks for ---------------------------------------------


def stage_images(config: ml_collections.ConfigDict) -> dict[str, int]:
    """Pictures of each stage that there is, in order.

    Raises:
      InputError: if there is none, or a length is negative.
    """
    lengths = {
        stage: round(1000 * config.train[f"{stage}_kimg"]) for stage in objective.STAGES
    }
    for stage, length in lengths.items():
        if length < 0:
            raise InputError(
                f"--config.train.{stage}_kimg: found {length / 1000:g}, expected at "
                "least 0."
            )
    found = {stage: length for stage, length in lengths.items() if length}
    if not found:
        raise InputError(
            "--config.train: coarse_kimg, fine_kimg and joint_kimg are all 0, expected "
            "a stage to train."
        )
    return found


def loop_options(config: ml_collections.ConfigDict) -> loop.Options:
    """Returns the loop's options of a resolved configuration."""
    train = config.train
    return loop.Options(
        total_images=sum(stage_images(config).values()),
        picture_ticks=train.picture_ticks,
        snapshot_ticks=train.snapshot_ticks,
        keep_snapshots=train.keep_snapshots,
        nonfinite_policy=train.nonfinite_policy,
        restore_limit=train.restore_limit,
        configuration=config.to_dict(),
        free_configuration=FREE_ON_RESUME,
    )


def prepare_data(config: ml_collections.ConfigDict, dry_run: bool = False) -> bool:
    """Nothing to prepare: `build` reads the lists or draws faces; returns True."""
    del config, dry_run
    return True


def build(config: ml_collections.ConfigDict) -> CoarseFineSystem:
    """Makes the networks and opens the data.

    Raises:
      InputError: if more than one device or XLA is asked for, or the data do not fit.
    """
    strategy = distribution.make_strategy(config.devices, 1, config.desc)
    if strategy.num_replicas_in_sync > 1:
        raise InputError(
            f"--devices={config.devices}: both networks are trained on one device, "
            f"found {strategy.num_replicas_in_sync}."
        )
    if config.xla:
        raise InputError(
            "--xla: found true, expected false: the rasteriser is no operation of XLA."
        )
    seeding.seed_everything(config.random_seed)
    system = CoarseFineSystem(config)
    total = sum(
        int(np.prod(tuple(variable.shape)))
        for variable in system.network.variables_by_name().values()
    )
    print(f"Both networks: {total} weights. Data: {system.source.describe()}.")
    return system


def plan(config: ml_collections.ConfigDict, system: CoarseFineSystem) -> str:
    """Returns what would be done, for --dry_run."""
    stages = ", ".join(
        f"{stage} {images} pictures" for stage, images in system.stages.items()
    )
    return (
        f"{config.desc}: {stages}; batches of {config.train.batch}, Adam with learning "
        f"rate {config.train.learning_rate:g} ({config.train.learning_rate_schedule}); "
        f"{system.source.describe()}"
    )
