"""The one training loop of the house.

The loop owns what every system shares: ticks and status lines, averaged scalars,
TensorBoard, stats.jsonl, pictures on time, snapshots with complete state, resume,
time accounting across restarts, the policy for non-finite numbers, and a clean save
on SIGTERM or Ctrl-C.  Progress is counted in images (samples).

A system derives from `System` (below); nothing else is asked of it.  The whole use is

    run = runs.RunFolder.create("results", "face_manifold-smoke")
    with run.lock():
        loop.train(system, run, loop.Options(total_images=20_000))

and `loop.train(system, run, options, resume=True)` goes on from the newest whole
snapshot of `run`, bit for bit if the system draws its random numbers as functions of
the counters in `Progress` or keeps its generators' states in `host_state`
(`tf_faces.core.seeding`).

Sums before means: `Measurements.values` are means over one iteration, `weight` says
over how many components; a tick reports sum / count over everything since the last
report, and leaves non-finite values out (`tfutil.autosummary` of the Progressive GAN
code).
"""

import abc
import dataclasses
import math
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_faces.core import files, rules, runs
from tf_faces.core.errors import InputError, Terminated, TfFacesError
from tf_faces.training import checkpoints, logging, precision, termination, workers

NONFINITE_POLICIES = rules.NONFINITE_POLICIES

# Iterations whose measurements stay on the device before they are looked at: a look
# waits for the device, so looking at every one would leave it idle.
_ITERATIONS_BETWEEN_LOOKS = 32

# What any run may change when it is resumed: the samples of a step, their order and
# what is drawn for them do not depend on the devices that share them.
_FREE_EVERYWHERE = ("num_gpus", "strategy")


@dataclasses.dataclass
class Progress:
    """Where a run stands; part of every snapshot.

    Attributes:
      images: images shown so far (the global step of all records).
      iterations: calls of `System.iterate` so far.
      tick: finished ticks.
      tick_start_images: value of `images` when the current tick began.
      total_seconds: wall time since the first iteration, restarts subtracted.
      tick_seconds: the part of the current tick that lies behind (non-zero in
        snapshots taken inside a tick).
      maintenance_seconds: time between the last tick's end and this one's start.
      restores: how often the policy "restore" went back; systems fold it into their
        random seeds, so that the second attempt is another one.
    """

    images: int = 0
    iterations: int = 0
    tick: int = 0
    tick_start_images: int = 0
    total_seconds: float = 0.0
    tick_seconds: float = 0.0
    maintenance_seconds: float = 0.0
    restores: int = 0


@dataclasses.dataclass
class Measurements:
    """Named numbers that one iteration reports.

    Attributes:
      names: tags, e.g. ("Loss/real_scores", "TrainD/learning_rate").
      values: [len(names)] float tensor or array, means over the iteration.
      weight: components behind each mean (usually the minibatch size, or 1); one
        number, or one a name.
      overflows: {tag among `names`: what it counts the overflows of}; a positive value
        means that this gradient was not finite and its step left out.
      images: value of `Progress.images` that belongs to them, for messages.
    """

    names: tuple[str, ...]
    values: Any
    weight: float | Sequence[float] = 1.0
    overflows: Mapping[str, str] = dataclasses.field(default_factory=dict)
    images: int = 0


@dataclasses.dataclass
class Iteration:
    """What one call of `System.iterate` did.

    Attributes:
      images: images it consumed.
      measurements: what it measured.
    """

    images: int
    measurements: Sequence[Measurements] = ()


class System(abc.ABC):
    """A trainable system, as the loop sees it; most methods have a default."""

    @abc.abstractmethod
    def variables(self) -> Mapping[str, Mapping[str, Any]]:
        """All TensorFlow state, as {group: {name: variable}}.

        Networks, averages, optimizer slots, loss scales, random generators.  Names
        are unique within a group and stay the same between versions
        (`checkpoints.named_variables` makes them for a Keras model or optimizer, which
        must be built).  Every group becomes one file of a snapshot.
        """

    @abc.abstractmethod
    def iterate(self, progress: Progress) -> Iteration:
        """Trains for one iteration; does not change `progress`."""

    def host_state(self) -> dict[str, Any]:
        """All other state, as JSON values: data position, phase, generators."""
        return {}

    def restore_host_state(self, state: Mapping[str, Any]) -> None:
        """Takes back what `host_state` gave (called after the variables were set)."""
        if state:
            raise InputError(
                f"the snapshot holds host state ({', '.join(state)}), expected none "
                f"for {type(self).__name__}."
            )

    def tick_images(self, progress: Progress) -> float:
        """Returns the length of the current tick in images."""
        return 1000

    def status_fields(self, progress: Progress) -> Sequence[str]:
        """Returns the fields between `kimg` and `time` of the status line."""
        return ()

    def tick_scalars(self, progress: Progress) -> Mapping[str, float]:
        """Returns scalars that are read once a tick (`Progress/lod`)."""
        return {}

    def histograms(self) -> Mapping[str, np.ndarray]:
        """Returns arrays to be recorded as histograms this tick."""
        return {}

    def write_results(
        self, run: runs.RunFolder, progress: Progress
    ) -> Mapping[str, pathlib.Path]:
        """Writes what this moment has to show into the run folder.

        Called before the first iteration, then every `picture_ticks` and at the end.

        Returns:
          The pictures among it that TensorBoard shows too, {tag: file}; a tag is the
          same every time.
        """
        return {}

    def graph(self) -> Any:
        """Returns a tf.Graph to be recorded now, or None."""
        return None

    def overflow_expected(self) -> bool:
        """True if non-finite gradients are normal (dynamic loss scaling)."""
        return False

    def workers(self) -> workers.Workers:
        """Returns the processes that train it together; by default this one alone."""
        return workers.Workers()


@dataclasses.dataclass(frozen=True)
class Options:
    """What the loop itself needs to know.

    Attributes:
      total_images: the run is done when so many images were shown.
      picture_ticks: ticks between pictures.
      snapshot_ticks: ticks between snapshots.
      keep_snapshots: how many snapshots stay, 0 for all.
      nonfinite_policy: "stop" ends the run with the quantity's name; "skip" leaves the
        numbers out and goes on; "restore" returns to the newest snapshot.
      restore_limit: how often "restore" may do so.
      precision: arithmetic of the steps, "float32" or "bfloat16".
      configuration: the resolved configuration, kept in every snapshot; a run is only
        resumed under the same one.
      free_configuration: dotted names in it that a resumed run may change because
        they do not alter the training itself ("train.total_kimg").
    """

    total_images: int
    picture_ticks: int = 1
    snapshot_ticks: int = 10
    keep_snapshots: int = 0
    nonfinite_policy: str = "stop"
    restore_limit: int = 3
    precision: str = "float32"
    configuration: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    free_configuration: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.nonfinite_policy not in NONFINITE_POLICIES:
            raise InputError(
                f"nonfinite_policy: found {self.nonfinite_policy!r}, expected one of "
                f"{', '.join(NONFINITE_POLICIES)}."
            )
        for name in ("picture_ticks", "snapshot_ticks"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"{name}: found {getattr(self, name)}, expected at least 1."
                )


class NonFiniteError(TfFacesError):
    """A loss or gradient became infinite or NaN."""


def train(
    system: System,
    run: runs.RunFolder,
    options: Options,
    *,
    resume: bool = False,
    started: float | None = None,
) -> Progress:
    """Trains `system` to `options.total_images` and returns the final progress.

    Args:
      system: what is trained.
      run: the run folder, locked by the caller; of processes other than the chief, a
        folder for records that nobody keeps.
      options: see `Options`.
      resume: go on from the newest whole snapshot of `run`; without any, begin.
      started: `time.monotonic()` of the program's start, for the first tick's
        maintenance time; None means now.

    Raises:
      NonFiniteError: under the policy "stop", or when "restore" was of no avail.
      InputError: if the configuration differs from the snapshot's.
      Terminated: after SIGTERM or SIGINT, when the state is saved.
      TfFacesError: if a snapshot cannot be written.
    """
    precision.require_devices(options.precision)
    return _Loop(system, run, options, started).train(resume)


class _Loop:
    """The state of one call of `train`."""

    def __init__(
        self,
        system: System,
        run: runs.RunFolder,
        options: Options,
        started: float | None,
    ):
        self.system = system
        self.run = run
        self.options = options
        self.workers = system.workers()
        self.started = time.monotonic() if started is None else started
        self.progress = Progress()
        self.averages = logging.Averages()
        self.pending: list[Measurements] = []
        self.saved_images: int | None = None
        self.tick_began = self.started
        self.total_origin = self.started

    def train(self, resume: bool) -> Progress:
        self.workers.require_same(self._configuration_of_all())
        if self.workers.any(resume and self.workers.is_chief):
            self._restore()
            if self.progress.images >= self.options.total_images:
                print(
                    f"{self.run.path} is finished: {self.progress.images} of "
                    f"{self.options.total_images} images were shown.",
                    flush=True,
                )
        (self.run.path / "_training-done.txt").unlink(missing_ok=True)
        self.run.write_config(self.options.configuration)
        pictures: Mapping[str, pathlib.Path] = {}
        if self.progress.images == 0 and self.workers.is_chief:
            pictures = self.system.write_results(self.run, self.progress)
        self.run.rewind_stats(self.progress.images)
        print("Training...", flush=True)
        with (
            logging.EventWriter(self.run.path, self.progress.images) as events,
            termination.termination() as asked,
        ):
            events.write_pictures(self.progress.images, pictures)
            self._start_clock(first=True)
            while self.progress.images < self.options.total_images:
                try:
                    done = self._advance(events)
                except NonFiniteError as error:
                    self._return_to_snapshot(error)
                    events.restart(self.progress.images)
                    continue
                if self.workers.any(bool(asked.requested)) and not done:
                    self._save_and_leave(asked.requested or "a signal to another")
        files.write_text(self.run.path / "_training-done.txt", "")
        self.workers.any(False)  # None leaves before all are done.
        return self.progress

    def _advance(self, events: logging.EventWriter) -> bool:
        """One iteration and, where it ends one, the tick; returns True when done."""
        progress = self.progress
        with (
            precision.arithmetic(self.options.precision),
            self.workers.lost_peers_are_told(),
        ):
            iteration = self.system.iterate(progress)
        progress.images += iteration.images
        progress.iterations += 1
        for measured in iteration.measurements:
            measured.images = progress.images
            self.pending.append(measured)
        graph = self.system.graph()
        if graph is not None:
            events.write_graph(graph)
        done = progress.images >= self.options.total_images
        tick_ends = (
            progress.images
            >= progress.tick_start_images + self.system.tick_images(progress)
        )
        if done or tick_ends:
            self._look()
            self._end_tick(events, done)
        elif progress.iterations % _ITERATIONS_BETWEEN_LOOKS == 0:
            self._look()
        return done

    # --- clocks --------------------------------------------------------------------

    def _start_clock(self, first: bool) -> None:
        """Starts a tick's clock; what passed since the last tick was maintenance."""
        now = time.monotonic()
        self.progress.maintenance_seconds += now - self.tick_began
        if first:
            # Continues the total of the run that is resumed.
            self.total_origin = now - self.progress.total_seconds
        self.tick_began = now

    def _stop_clock(self) -> None:
        now = time.monotonic()
        self.progress.tick_seconds += now - self.tick_began
        self.progress.total_seconds = now - self.total_origin
        self.tick_began = now

    # --- measurements --------------------------------------------------------------

    def _look(self) -> None:
        """Fetches what was measured, and applies the policy for non-finite numbers."""
        pending, self.pending = self.pending, []
        for measured in pending:
            values = np.asarray(measured.values, np.float64)
            weights = np.broadcast_to(measured.weight, values.shape)
            for name, value, weight in zip(
                measured.names, values, weights, strict=True
            ):
                if self.options.nonfinite_policy != "skip":
                    self._check(name, float(value), measured)
                self.averages.add(name, float(value), float(weight))

    def _check(self, name: str, value: float, measured: Measurements) -> None:
        if self.system.overflow_expected():
            return
        if name in measured.overflows and value > 0:
            quantity = f"The gradient of {measured.overflows[name]} is"
        elif not math.isfinite(value):
            quantity = f"{name} is {value},"
        else:
            return
        images = measured.images
        newest = checkpoints.newest(self.run.snapshots)
        raise NonFiniteError(
            f"{quantity} not finite, seen at step {images} images "
            f"({images / 1000:.1f} kimg) of {self.run.path}; the newest snapshot is "
            f"{newest.name if newest else 'none'}, and "
            "nonfinite_policy=restore or skip would go on."
        )

    # --- ticks ---------------------------------------------------------------------

    def _end_tick(self, events: logging.EventWriter, done: bool) -> None:
        progress, options, system = self.progress, self.options, self.system
        self._stop_clock()
        progress.tick += 1
        tick_kimg = (progress.images - progress.tick_start_images) / 1000.0
        timing = logging.Timing(
            total=progress.total_seconds,
            tick=progress.tick_seconds,
            kimg=progress.tick_seconds / tick_kimg,
            maintenance=progress.maintenance_seconds,
        )
        print(
            logging.status_line(
                progress.tick,
                progress.images / 1000.0,
                system.status_fields(progress),
                timing,
            ),
            flush=True,
        )
        scalars = {
            "Progress/tick": float(progress.tick),
            "Progress/kimg": progress.images / 1000.0,
            **system.tick_scalars(progress),
            **timing.scalars(),
            **self.averages.take(),
        }
        events.write(progress.images, scalars, system.histograms())
        self.run.append_stats(
            {"images": progress.images, "iterations": progress.iterations, **scalars}
        )
        show = done or progress.tick % options.picture_ticks == 0
        if show and self.workers.is_chief:
            pictures = system.write_results(self.run, progress)
            events.write_pictures(progress.images, pictures)
        progress.tick_start_images = progress.images
        progress.tick_seconds = 0.0
        progress.maintenance_seconds = 0.0
        if done or progress.tick % options.snapshot_ticks == 0:
            self._save()
        self._start_clock(first=False)

    # --- snapshots -----------------------------------------------------------------

    def _save(self) -> None:
        if not self.workers.is_chief:
            return
        progress = self.progress
        checkpoints.save(
            self.run.snapshots,
            progress.images,
            variables=self.system.variables(),
            state={
                "progress": dataclasses.asdict(progress),
                "averages": self.averages.state(),
                "system": self.system.host_state(),
            },
            configuration=self.options.configuration,
            keep=self.options.keep_snapshots,
        )
        self.saved_images = progress.images

    def _restore(self) -> None:
        """Takes the newest whole snapshot; without any, the run begins anew.

        The chief reads it, and hands everything to the others.
        """
        snapshot = None
        if self.workers.is_chief:
            snapshot = checkpoints.load_newest(self.run.snapshots)
        if not self.workers.any(snapshot is not None):
            print(
                f"{self.run.snapshots}: no whole snapshot, starting from the beginning."
            )
            return
        variables = self.system.variables()
        if snapshot is not None:
            checkpoints.require_same_configuration(
                snapshot,
                self.options.configuration,
                (*self.options.free_configuration, *_FREE_EVERYWHERE),
            )
            snapshot.assign(variables)
        self.workers.share_variables(variables)
        state = self.workers.share(None if snapshot is None else snapshot.state)
        self.progress = Progress(**state["progress"])
        self.averages = logging.Averages(state["averages"])
        self.system.restore_host_state(state["system"])
        self.pending = []
        self.saved_images = self.progress.images
        source = "the chief's snapshot" if snapshot is None else snapshot.path
        print(
            f"Resuming from {source} ({self.progress.images / 1000:.1f} kimg, "
            f"tick {self.progress.tick}).",
            flush=True,
        )
        if snapshot is not None:
            self._tell_devices(snapshot.configuration.get("num_gpus"))

    def _tell_devices(self, former: int | None) -> None:
        now = self.options.configuration.get("num_gpus")
        if former is not None and now is not None and former != now:
            print(
                f"The run was on {former} device(s) and goes on with {now}: the data, "
                "their order and all draws stay as they were; minibatch statistics "
                "are each device's own.",
                flush=True,
            )

    def _configuration_of_all(self) -> dict[str, Any]:
        """What must be the same in all processes."""
        free = (*self.options.free_configuration, *_FREE_EVERYWHERE)
        flat = checkpoints.flatten(self.options.configuration)
        return {name: value for name, value in flat.items() if name not in free}

    def _return_to_snapshot(self, error: NonFiniteError) -> None:
        """The policy "restore"; raises `error` where it does not apply."""
        restores = self.progress.restores + 1
        if (
            self.options.nonfinite_policy != "restore"
            or restores > self.options.restore_limit
            or not self.workers.any(checkpoints.newest(self.run.snapshots) is not None)
        ):
            raise error
        print(f"{error} Going back (attempt {restores}).", file=sys.stderr, flush=True)
        self._restore()
        self.progress.restores = restores
        self.run.rewind_stats(self.progress.images)
        self._start_clock(first=True)

    def _save_and_leave(self, signal_name: str) -> None:
        self._look()
        if self.saved_images != self.progress.images:
            self._stop_clock()
            self._save()
        raise Terminated(
            f"Stopped by {signal_name} at {self.progress.images} images; the state is "
            f"saved in {self.run.snapshots}, and --resume={self.run.path} goes on."
        )
