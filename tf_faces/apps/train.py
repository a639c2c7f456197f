"""Trains a system by a preset or a recipe."""

import argparse
import contextlib
import dataclasses
import functools
import os
import pathlib
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence

import ml_collections

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry, original_options
from tf_faces.core import configuration, folders, machine, runs, seeding, stems
from tf_faces.core.errors import InputError, Terminated, WorkerLost

_EXAMPLES = """\
  tf-faces train --config=my_recipe.py
      a recipe: a file of yours that names a preset and its differences
  tf-faces train --resume
      goes on with the newest run; --resume=7 or --resume=results/007-... names one
  tf-faces train --preset v2-4gpus --data_dir datasets/mine --strategy=multi_worker
      one process a machine, which TF_CONFIG tells of the others
"""

# Flags that set one field of the configuration.
_CONFIG_FLAGS = {
    "data_dir": "data_dir",
    "result_dir": "result_dir",
    "seed": "random_seed",
    "devices": "devices",
    "strategy": "strategy",
    "deterministic": "deterministic",
    "xla": "xla",
    "precision": "precision",
}
_WRAPPING = {"width": 86, "initial_indent": "  ", "subsequent_indent": "  "}


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--preset", help="preset, with modifiers: NAME+MODIFIER+...")
    add(
        "--modifiers",
        type=options_of.names,
        help="more of them: MODIFIER,...",
    )
    add(
        "--model",
        choices=stems.STEMS,
        help=f"system to train: {', '.join(stems.STEMS)} (default: the first)",
    )
    add(
        "--config",
        metavar="FILE",
        help="recipe, instead of --preset; --config.a.b=VALUE gives any option of the "
        "configuration another value",
    )
    add("--data_dir", help="the data set's folder, or the one around it")
    add("--result_dir", help="where run folders are made (results)")
    add(
        "--resume",
        nargs="?",
        const="newest",
        metavar="RUN",
        help="go on with a run: alone the newest, or a number, or a folder",
    )
    add("--seed", type=options_of.index, help="of weights, data order and latents")
    add(
        "--devices",
        help="auto, gpu:N, or cpu:N (N logical devices on the processor)",
    )
    add(
        "--strategy",
        choices=machine.STRATEGIES,
        help="auto; none: one device; mirrored: several; multi_worker: processes on "
        "several machines, told of each other by TF_CONFIG",
    )
    options_of.add_switch(
        parser, "deterministic", "same numbers on every run, at some speed"
    )
    options_of.add_switch(
        parser, "xla", "compile the training step with XLA (one device)"
    )
    add(
        "--precision",
        choices=machine.PRECISIONS,
        help="arithmetic of the steps: float32; bfloat16, on processors that have it; "
        "auto: the faster of them here",
    )
    add("--dry_run", action="store_true", help="show the resolved plan and stop")
    return parser


def _epilog() -> str:
    """Presets and modifiers of all systems, then examples."""
    lines, examples = [], ""
    for stem in stems.STEMS:
        known = configuration.presets(stem)
        examples += known.examples
        for title, names in (
            ("presets", known.presets),
            ("modifiers", known.modifiers),
        ):
            if names:
                lines.append(f"{title} of {stem}:")
                lines.append(textwrap.fill(", ".join(names), **_WRAPPING))
    return "\n".join([*lines, "", "examples:", examples + _EXAMPLES])


def _main(arguments: list[str], prog: str | None = None) -> int:
    started = time.monotonic()
    arguments = original_options.as_overrides(options_of.with_flagfiles(arguments))
    overrides, rest = _split_overrides(arguments)
    options = _parser(prog).parse_args(rest)
    finished = lost = None
    with runs.OutputLog() as log, _terminable():
        try:
            finished = _train(options, overrides, log, started)
        except WorkerLost as error:
            log.write(f"{error}\n")
            lost = error
        except Exception as error:
            # The message itself is printed by entry.run, after the log is closed.
            log.write(f"Error: {' '.join(str(error).split())}\n")
            raise
    if lost is not None:
        _start_anew(lost)
    if finished is not None:
        # To the terminal only: log.txt ends as the original's.
        _present(*finished)
    return 0


def _split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits off --config.a.b=value."""
    overrides: list[str] = []
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        argument = pending.pop(0)
        stripped = argument.lstrip("-")
        if argument.startswith("-") and stripped.startswith("config."):
            assignment = stripped.removeprefix("config.")
            if "=" not in assignment and pending and pending[0][:2] != "--":
                assignment += "=" + pending.pop(0)
            overrides.append(assignment)
        else:
            rest.append(argument)
    return overrides, rest


def _train(
    options: argparse.Namespace,
    overrides: list[str],
    log: runs.OutputLog,
    started: float,
) -> tuple[runs.RunFolder, ml_collections.ConfigDict] | None:
    """Trains; returns the finished run and its configuration, None for a dry run."""
    config, run = _resolve(options, overrides)
    print("Initializing TensorFlow...", flush=True)
    trainer = stems.stage("training", config.model)
    if config.deterministic:
        seeding.make_deterministic(_on_one_processor(config))
    system = None
    if trainer.prepare_data(config, dry_run=options.dry_run):
        with config.unlocked():
            system = trainer.build(config)
    if options.dry_run or system is None:
        print(trainer.plan(config, system))
        print(f"Configuration:\n{textwrap.indent(str(config), '  ')}")
        print("Dry run: nothing was written.")
        return None
    print("Setting up result dir...", flush=True)
    resumed = run is not None
    with contextlib.ExitStack() as held:
        if not _cluster(config).is_chief:
            # The chief alone keeps records; the run is the one that it chooses.
            kept_by_nobody = held.enter_context(tempfile.TemporaryDirectory())
            run = runs.RunFolder(pathlib.Path(kept_by_nobody))
        elif run is None:
            run = runs.RunFolder.create(config.result_dir, config.desc)
        held.enter_context(run.lock())
        log.open(run.path / "log.txt")
        print(f"Saving results to {run.path}", flush=True)
        run.write_environment({"seed": config.random_seed, "replicas": config.num_gpus})
        from tf_faces.training import loop

        if config.deterministic and _on_one_processor(config):
            held.enter_context(seeding.ops_in_fixed_order())

        try:
            loop.train(
                system,
                run,
                dataclasses.replace(
                    trainer.loop_options(config), precision=config.precision
                ),
                resume=resumed,
                started=started,
            )
        except WorkerLost as error:
            error.run = run.path if _cluster(config).is_chief else None
            raise
        print("Exiting...", flush=True)
    return (run, config) if _cluster(config).is_chief else None


def _start_anew(error: WorkerLost) -> None:
    """Replaces this process by the same program, which goes on with the run.

    TensorFlow cannot take a lost process back into a cluster that runs.  The new
    program waits for the others, as at the first start.
    """
    print(f"{error} Starting again.", file=sys.stderr, flush=True)
    command = [sys.executable, *sys.orig_argv[1:]]
    if error.run and not any(word.startswith("--resume") for word in command):
        command.append(f"--resume={error.run}")
    time.sleep(1)  # The others notice one after the other.
    os.execv(sys.executable, command)


def _present(run: runs.RunFolder, config: ml_collections.ConfigDict) -> None:
    """Shows what the training left behind."""
    if config.model in stems.with_stage("apps", "results"):
        stems.stage("apps", config.model, "results").present(run, config)
    print(f"Curves:   tensorboard --logdir {run.path.parent}", flush=True)


def _resolve(
    options: argparse.Namespace, overrides: list[str]
) -> tuple[ml_collections.ConfigDict, runs.RunFolder | None]:
    """Returns the configuration, and the run that is resumed or None."""
    run = None
    if options.config is not None:
        config = _of_recipe(options)
    elif options.preset is not None:
        preset = "+".join([options.preset, *(options.modifiers or ())])
        config = configuration.load(options.model or stems.STEMS[0], preset)
    elif options.resume is not None:
        told = "with --resume and no --preset, expected a run as it began"
        options_of.refuse_given(options, ("modifiers",), told)
        # Everything is as it was when the run began.
        run = runs.RunFolder.locate(options.result_dir or "results", options.resume)
        config = _stored(options, run)
    else:
        known = configuration.presets(options.model or stems.STEMS[0]).presets
        raise InputError(
            f"--preset: not given, expected one of {', '.join(known)}; "
            "see tf-faces train --help."
        )
    for flag, field in _CONFIG_FLAGS.items():
        value = getattr(options, flag)
        if value is not None:
            if field not in config:
                raise InputError(
                    f"--{flag}: found {value}, but {config.model} has no such choice, "
                    "expected none."
                )
            config[field] = value
    configuration.override(config, overrides)
    # Mistakes are found before TensorFlow starts.
    folders.place_for_results(config.result_dir)
    configuration.check(config)
    machine.parse_devices(config.devices)
    _cluster(config)
    config.precision = machine.resolve_precision(config.precision, config.xla)
    if run is None:
        configuration.finalize(config)
        _check_data(config)
        if options.resume is not None and _cluster(config).is_chief:
            run = runs.RunFolder.locate(config.result_dir, options.resume, config.desc)
    return config, run


def _check_data(config: ml_collections.ConfigDict) -> None:
    """Looks at data and face models as far as that needs no TensorFlow.

    Raises:
      TfFacesError: if they are missing, damaged or do not fit the configuration.
    """
    from tf_faces.morphable import io

    face_models = configuration.presets(config.model).face_models
    for name in face_models(config) if face_models else ():
        io.require(name)
    if config.model in stems.with_stage("apps", "before_training"):
        stems.stage("apps", config.model, "before_training").check(config)


def _cluster(config: ml_collections.ConfigDict) -> machine.Cluster:
    """The processes that train together; this one alone unless several were asked for.

    Raises:
      InputError: if TF_CONFIG does not tell of them.
    """
    if config.get("strategy", "auto") != "multi_worker":
        return machine.Cluster()
    return machine.parse_cluster(os.environ.get("TF_CONFIG"))


def _on_one_processor(config: ml_collections.ConfigDict) -> bool:
    """Whether the processor, whole, is the only device that trains."""
    asked = machine.parse_devices(config.devices)
    if _cluster(config).workers > 1:
        return False
    return asked == ("cpu", 1) or (asked is None and not machine.sees_nvidia_gpu())


def _of_recipe(options: argparse.Namespace) -> ml_collections.ConfigDict:
    if options.preset is not None or options.modifiers:
        raise InputError(
            f"--config={options.config}: found with --preset or --modifiers, expected "
            "one of them: a recipe names its preset."
        )
    config = configuration.read_recipe(options.config)
    if options.model not in (None, config.model):
        raise InputError(
            f"--model: found {options.model}, but {options.config} trains "
            f"{config.model}."
        )
    return config


def _stored(
    options: argparse.Namespace, run: runs.RunFolder
) -> ml_collections.ConfigDict:
    stored = run.read_config()
    stem = stored.get("model", stems.STEMS[0])
    if options.model not in (None, stem):
        raise InputError(
            f"--model: found {options.model}, but {run.path} trains {stem}."
        )
    config = configuration.presets(stem).from_json(stored)
    configuration.require_complete(config, run.path / "config.json")
    return config


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Ends with status 143 also before the training loop listens to signals."""

    def leave(number, _):
        raise Terminated(
            f"Stopped by {signal.Signals(number).name} before training began; there "
            "was nothing to save."
        )

    former = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
