"""Schedules: which resolution, minibatch and learning rates at which point of a run.

`ProgressiveSchedule` is TrainingSchedule of the Progressive GAN code (train.py):
every resolution is first trained alone, then the next one fades in.
"""

import dataclasses
import math
from collections.abc import Mapping

from tf_faces.configs.tbgan import TICK_KIMG
from tf_faces.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class ScheduleValues:
    """What holds at one point of a run.

    Attributes:
      kimg: thousands of images shown so far.
      level_of_detail: 0 is the full resolution, 1 half of it; a fraction means that
        the finer level fades in.
      resolution: of the images fed, 2^(R - floor(level_of_detail)).
      minibatch: images a step, over all replicas.
      generator_learning_rate: Adam's.
      discriminator_learning_rate: Adam's.
      tick_kimg: length of a tick in thousands of images.
    """

    kimg: float
    level_of_detail: float
    resolution: int
    minibatch: int
    generator_learning_rate: float
    discriminator_learning_rate: float
    tick_kimg: float


@dataclasses.dataclass(frozen=True)
class ProgressiveSchedule:
    """The progressive schedule; tables are by resolution, with a base value.

    Attributes:
      resolution_log2: R, log2 of the data set's resolution.
      replicas: devices that share a minibatch (`num_gpus` of the original).
      lod_initial_resolution: where training begins.
      lod_training_kimg: length of a stable phase.
      lod_transition_kimg: length of a fade.
      minibatch_base, minibatch_dict: images a step over all replicas.
      max_minibatch_per_gpu: upper bound a replica where the resolution is listed.
      G_lrate_base, G_lrate_dict, D_lrate_base, D_lrate_dict: learning rates.
      tick_kimg_base, tick_kimg_dict: tick lengths.
      part_base, part_dict: images that a device computes at once at most, 0 for all of
        its share; the gradients of the parts are added up (`accumulation`).
    """

    resolution_log2: int
    replicas: int = 1
    lod_initial_resolution: int = 4
    lod_training_kimg: float = 1000.0
    lod_transition_kimg: float = 1000.0
    minibatch_base: int = 16
    minibatch_dict: Mapping[int, int] = dataclasses.field(default_factory=dict)
    max_minibatch_per_gpu: Mapping[int, int] = dataclasses.field(default_factory=dict)
    G_lrate_base: float = 0.001
    G_lrate_dict: Mapping[int, float] = dataclasses.field(default_factory=dict)
    D_lrate_base: float = 0.001
    D_lrate_dict: Mapping[int, float] = dataclasses.field(default_factory=dict)
    tick_kimg_base: float = 160.0
    tick_kimg_dict: Mapping[int, float] = dataclasses.field(
        default_factory=lambda: dict(TICK_KIMG)
    )
    part_base: int = 0
    part_dict: Mapping[int, int] = dataclasses.field(default_factory=dict)

    def most_at_once(self, level_of_detail_floor: int) -> int:
        """Returns how many images a device computes at once at most, 0 for all."""
        resolution = 2 ** (self.resolution_log2 - level_of_detail_floor)
        return self.part_dict.get(resolution, self.part_base)

    def at(self, images: int) -> ScheduleValues:
        """Returns the values that hold after `images` images.

        Raises:
          InputError: if the minibatch there is smaller than the number of replicas.
        """
        kimg = images / 1000.0
        level_of_detail = self._level_of_detail(kimg)
        resolution = 2 ** (self.resolution_log2 - math.floor(level_of_detail))
        return ScheduleValues(
            kimg=kimg,
            level_of_detail=level_of_detail,
            resolution=resolution,
            minibatch=self._minibatch(resolution),
            generator_learning_rate=self.G_lrate_dict.get(
                resolution, self.G_lrate_base
            ),
            discriminator_learning_rate=self.D_lrate_dict.get(
                resolution, self.D_lrate_base
            ),
            tick_kimg=self.tick_kimg_dict.get(resolution, self.tick_kimg_base),
        )

    def _level_of_detail(self, kimg: float) -> float:
        phase_kimg = self.lod_training_kimg + self.lod_transition_kimg
        phase = math.floor(kimg / phase_kimg) if phase_kimg > 0 else 0
        inside = kimg - phase * phase_kimg
        level = float(self.resolution_log2)
        level -= math.floor(math.log2(self.lod_initial_resolution))
        level -= phase
        if self.lod_transition_kimg > 0:
            level -= (
                max(inside - self.lod_training_kimg, 0.0) / self.lod_transition_kimg
            )
        return max(level, 0.0)

    def _minibatch(self, resolution: int) -> int:
        minibatch = self.minibatch_dict.get(resolution, self.minibatch_base)
        minibatch -= minibatch % self.replicas
        if resolution in self.max_minibatch_per_gpu:
            limit = self.max_minibatch_per_gpu[resolution] * self.replicas
            minibatch = min(minibatch, limit)
        if minibatch < 1:
            raise InputError(
                f"sched.minibatch_dict: found fewer images a step than devices "
                f"({self.replicas}) at resolution {resolution}, expected at least one "
                "image a device."
            )
        return minibatch


def describe(schedule: ProgressiveSchedule, total_kimg: float) -> list[str]:
    """Returns one line for every phase of a run, for people."""
    lines = []
    former = None
    steps = 4000  # Fine enough to see every phase of any preset.
    for step in range(steps):
        images = round(total_kimg * 1000 * step / steps)
        values = schedule.at(images)
        state = (values.resolution, values.level_of_detail % 1 != 0, values.minibatch)
        if state != former:
            former = state
            size = f"{values.resolution}x{values.resolution}"
            lines.append(
                f"  from {images / 1000:>9.1f} kimg: {size:<10} "
                f"minibatch {values.minibatch:<4d} "
                f"G rate {values.generator_learning_rate:g}, "
                f"D rate {values.discriminator_learning_rate:g}"
                + (", fading in" if state[1] else "")
            )
    lines.append(f"  until {total_kimg:>8.1f} kimg")
    return lines
