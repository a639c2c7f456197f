"""Trains a system: python train.py --preset NAME [options]

Examples:
  python train.py --preset demo
      makes the built-in faces, trains on them in minutes, shows the results
  python train.py --preset v2-4gpus --data_dir datasets/mine
      trains TBGAN on four GPUs, one replica each
  python train.py --preset v2-4gpus+fp16+VERBOSE --data_dir datasets/mine
      the same in half precision with longer ticks
  python train.py --preset v2-1gpu --data_dir datasets/mine --config.G.fmap_base=4096
      any option of the configuration can be given another value
  python train.py --resume
      goes on with the newest run; --resume=7 or --resume=results/007-... names one
  python train.py --preset v2-8gpus --data_dir datasets/mine --devices=cpu:8 --dry_run
      shows what would be done, and does nothing
"""

import contextlib
import importlib
import signal
import textwrap
import time
from collections.abc import Iterator, Sequence

import ml_collections
from absl import flags

from tf_faces.apps import entry
from tf_faces.core import configuration, runs, stems
from tf_faces.core.errors import InputError, Terminated

# Flags that set one field of the configuration.
_CONFIG_FLAGS = {
    "data_dir": "data_dir",
    "result_dir": "result_dir",
    "seed": "random_seed",
    "devices": "devices",
    "deterministic": "deterministic",
    "xla": "xla",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(_main, arguments)


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()

    def define(kind, name, default, text, **keywords):
        getattr(flags, f"DEFINE_{kind}")(
            name, default, text, flag_values=values, **keywords
        )

    define("string", "preset", None, "Preset, with modifiers: v2-4gpus+fp32+VERBOSE.")
    define("list", "modifiers", [], "More modifiers: fp32,VERBOSE.")
    define("string", "model", None, "System to train (default tbgan).")
    define("string", "data_dir", None, "The data set's folder, or the one around it.")
    define("string", "result_dir", None, "Where run folders are made (results).")
    define("string", "resume", None,
           "Go on with a run: alone the newest, or a number, or a folder.")  # fmt: skip
    define("integer", "seed", None, "Seed of weights, data order and latents.")
    define("string", "devices", None,
           "auto, gpu:N, or cpu:N (N logical devices on the processor).")  # fmt: skip
    define("bool", "deterministic", None, "Same numbers on every run, at some speed.")
    define("bool", "xla", None, "Compile the training step with XLA (one device).")
    define("bool", "dry_run", False, "Show the resolved plan and stop.")
    define("bool", "help", False, "Show this text.", short_name="h")
    return values


def _main(arguments: list[str]) -> int:
    started = time.monotonic()
    options, overrides = _parse(arguments)
    if options.help:
        print(_help_text(options))
        return 0
    with runs.OutputLog() as log, _terminable():
        try:
            finished = _train(options, overrides, log, started)
        except Exception as error:
            # The message itself is printed by entry.run, after the log is closed.
            log.write(f"Error: {' '.join(str(error).split())}\n")
            raise
    if finished is not None:
        from tf_faces.apps.tbgan import results

        # To the terminal only: log.txt ends as the original's.
        return results.present(*finished)
    return 0


def _parse(arguments: list[str]) -> tuple[flags.FlagValues, list[str]]:
    """Splits off --config.a.b=value and parses the rest."""
    overrides: list[str] = []
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        argument = pending.pop(0)
        stripped = argument.lstrip("-")
        if argument.startswith("-") and stripped.startswith("config."):
            assignment = stripped.removeprefix("config.")
            if "=" not in assignment and pending:
                assignment += "=" + pending.pop(0)
            overrides.append(assignment)
        elif argument in ("--resume", "-resume"):
            takes_value = bool(pending) and not pending[0].startswith("-")
            rest.append(f"--resume={pending.pop(0) if takes_value else 'newest'}")
        else:
            rest.append(argument)
    values = _define_flags()
    try:
        extra = values(["train.py", *rest])[1:]
    except flags.Error as error:
        raise InputError(f"{error}; see python train.py --help.") from error
    if extra:
        raise InputError(
            f"Found the argument {extra[0]!r}, expected flags only; "
            "see python train.py --help."
        )
    return values, overrides


def _help_text(options: flags.FlagValues) -> str:
    lines = [__doc__.strip(), "", "Flags:"]
    for name in sorted(options):
        if name in ("h",):
            continue
        text = options[name].help or ""
        lines.append(f"  --{name:<15}{text}")
    lines += [
        "  --config.a.b=V  Another value for any option of the configuration.",
        "",
    ]
    for stem in stems.STEMS:
        known = configuration.presets(stem)
        for title, names in (
            ("Presets", known.presets),
            ("Modifiers", known.modifiers),
        ):
            lines.append(f"{title} of {stem}:")
            lines.append(
                textwrap.fill(
                    ", ".join(names), 78, initial_indent="  ", subsequent_indent="  "
                )
            )
    return "\n".join(lines)


def _train(
    options: flags.FlagValues,
    overrides: list[str],
    log: runs.OutputLog,
    started: float,
) -> tuple[runs.RunFolder, ml_collections.ConfigDict] | None:
    """Trains; returns the finished run and its configuration, None for a dry run."""
    stem, config, run = _resolve(options, overrides)
    trainer = importlib.import_module(f"tf_faces.training.{stem}")
    print("Initializing TensorFlow...", flush=True)
    if config.get("deterministic"):
        from tf_faces.core import seeding

        seeding.make_deterministic()
    ready = True
    if hasattr(trainer, "prepare_data"):
        ready = trainer.prepare_data(config, dry_run=options.dry_run)
    system = None
    if ready:
        with config.unlocked():
            system = trainer.build(config)
    if options.dry_run or system is None:
        print(trainer.plan(config, system))
        print(f"Configuration:\n{textwrap.indent(str(config), '  ')}")
        print("Dry run: nothing was written.")
        return None
    print("Setting up result dir...", flush=True)
    resumed = run is not None
    if run is None:
        run = runs.RunFolder.create(config.result_dir, config.desc)
    with run.lock():
        log.open(run.path / "log.txt")
        print(f"Saving results to {run.path}", flush=True)
        run.write_environment({"seed": config.random_seed, "replicas": config.num_gpus})
        from tf_faces.training import loop

        loop.train(
            system,
            run,
            trainer.loop_options(config),
            resume=resumed,
            started=started,
        )
        print("Exiting...", flush=True)
    return run, config


def _resolve(
    options: flags.FlagValues, overrides: list[str]
) -> tuple[str, ml_collections.ConfigDict, runs.RunFolder | None]:
    """Returns the system, its configuration, and the run that is resumed or None."""
    stem = options.model or stems.STEMS[0]
    run = None
    if options.preset is None and options.resume is None:
        known = ", ".join(configuration.presets(stem).presets)
        raise InputError(
            f"--preset: not given, expected one of {known}; see python train.py --help."
        )
    if options.preset is None:
        # Everything is as it was when the run began.
        run = runs.RunFolder.locate(options.result_dir or "results", options.resume)
        stored = run.read_config()
        stem = stored.get("model", stem)
        if options.model not in (None, stem):
            raise InputError(
                f"--model: found {options.model}, but {run.path} trains {stem}."
            )
        config = configuration.presets(stem).from_json(stored)
    else:
        config = configuration.load(
            stem, "+".join([options.preset, *options.modifiers])
        )
    for flag, field in _CONFIG_FLAGS.items():
        value = getattr(options, flag)
        if value is not None:
            if field not in config:
                raise InputError(f"--{flag}: {stem} has no such option.")
            config[field] = value
    configuration.override(config, overrides)
    if options.preset is not None:
        configuration.finalize(config)
        if options.resume is not None:
            run = runs.RunFolder.locate(config.result_dir, options.resume, config.desc)
    return stem, config, run


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
