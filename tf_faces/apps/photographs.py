"""Makes training photographs of faces with exact truth, and fits real ones.

make      writes a set: a folder in 300W-LP's layout, or TFRecord files
fit       turns portraits with landmarks into the same layout
inspect   draws photographs on one sheet, with their truth beside them
verify    checks a set, file by file
"""

import argparse
import dataclasses
import functools
import pathlib
import textwrap
from collections.abc import Sequence

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.core import files, folders
from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import InputError
from tf_faces.data.photographs.settings import Settings

# The options that each form of a set has of its own.
_FORMS = {
    "folder": ("maps", "processes"),
    "records": ("fields", "shards", "chart", "processes"),
    "beam": ("fields", "shards", "chart", "beam_options"),
}
_FIELDS = ("picture", "landmarks", "pose", "mask")
_CHART = 256


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how photographs are drawn")
    for field in dataclasses.fields(Settings):
        if isinstance(field.default, bool):
            options_of.add_switch(group, field.name, f"default {field.default}")
            continue
        kinds = {str: str, int: options_of.whole, float: options_of.finite}
        group.add_argument(
            f"--{field.name}",
            type=kinds[type(field.default)],
            metavar=type(field.default).__name__.upper(),
            help=f"default {field.default}",
        )
    parser.add_argument("--seed", type=options_of.whole, default=0, help="of the set")


def _settings(options: argparse.Namespace) -> Settings:
    chosen = {}
    for field in dataclasses.fields(Settings):
        value = getattr(options, field.name)
        if value is not None:
            chosen[field.name] = value
    return Settings(**chosen)


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description=textwrap.dedent(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = functools.partial(
        commands.add_parser, formatter_class=options_of.DefaultsFormatter
    )

    make = add("make", help="writes a set")
    make.add_argument("directory", type=pathlib.Path, help="of the set")
    make.add_argument(
        "--count", type=options_of.count, default=1000, help="photographs"
    )
    make.add_argument(
        "--form", choices=tuple(_FORMS), default="folder", help="of the set"
    )
    make.add_argument(
        "--fields",
        type=options_of.names,
        help="of records, separated by commas, default " + ",".join(_FIELDS),
    )
    make.add_argument("--shards", type=options_of.count, help="files of records")
    make.add_argument(
        "--chart",
        type=options_of.side,
        help=f"side of position maps in records, default {_CHART}",
    )
    options_of.add_switch(make, "maps", "depth and masks in folders, default True")
    make.add_argument("--processes", type=options_of.count, help="default one a core")
    make.add_argument("--beam_options", help="of the Beam pipeline, in one word")
    _add_settings(make)

    fit = add("fit", help="turns portraits with landmarks into the same layout")
    fit.add_argument("pictures", type=pathlib.Path, help="folder of pictures")
    fit.add_argument("labels", type=pathlib.Path, help=".npz with names and landmarks")
    fit.add_argument("directory", type=pathlib.Path, help="of the set")
    fit.add_argument("--model", default="ict", help="ict or makehuman")
    fit.add_argument("--count", type=options_of.count, help="of the first, default all")
    fit.add_argument(
        "--chart", type=options_of.side, default=_CHART, help="side of the maps"
    )
    options_of.add_switch(fit, "overlays", "pictures with the fitted mesh over them")

    inspect = add("inspect", help="draws photographs on one sheet")
    inspect.add_argument("output", type=pathlib.Path, help="picture file")
    options_of.add_overwrite_of_file(inspect, "output")
    inspect.add_argument("--count", type=options_of.count, default=16, help="pictures")
    options_of.add_switch(inspect, "truth", "labels, normals and depth beside them")
    _add_settings(inspect)

    verify = add("verify", help="checks a set, file by file")
    verify.add_argument("directory", type=pathlib.Path, help="of the set")
    return parser


def _make(options: argparse.Namespace) -> None:
    from tf_faces.data.photographs import beam, records, sets

    options_of.refuse_other_forms(options, _FORMS)
    settings = _settings(options)
    fields = _FIELDS if options.fields is None else options.fields
    if options.chart is not None and "position_map" not in fields:
        raise InputError(
            f"--chart: found with --fields {','.join(fields)}, expected position_map "
            "among them."
        )
    chart = _CHART if options.chart is None else options.chart
    common = {"seed": options.seed}
    if options.form == "folder":
        written = sets.write_folder(
            options.directory,
            settings,
            options.count,
            maps=options.maps is not False,
            processes=options.processes,
            **common,
        )
    elif options.form == "records":
        written = records.write_records(
            options.directory,
            settings,
            options.count,
            fields,
            shards=options.shards,
            resolution=chart,
            processes=options.processes,
            **common,
        )
    else:
        beam.write_records(
            options.directory,
            settings,
            options.count,
            fields,
            shards=options.shards,
            resolution=chart,
            options=(options.beam_options or "").split(),
            **common,
        )
        written = options.count
    print(
        f"{options.directory}: {written} photographs written, {options.count} in all."
    )


def _fit(options: argparse.Namespace) -> None:
    from tf_faces.data.photographs import portraits

    residuals = portraits.fit_folder(
        options.pictures,
        options.labels,
        options.directory,
        model=options.model,
        count=options.count,
        resolution=options.chart,
        overlays=bool(options.overlays),
    )
    print(
        f"{options.directory}: {len(residuals)} portraits fitted, residual "
        f"{np.median(residuals):.2f} % of the box (median), {residuals.max():.2f} % "
        "(worst)."
    )


def sheet(settings: Settings, seed: int, count: int, with_truth: bool) -> np.ndarray:
    """Photographs beside each other, each with its truth if wanted: uint8 picture."""
    from tf_faces.data.photographs import factory, truth

    tiles = []
    for index in range(count):
        one = factory.draw(settings, seed, index)
        row = [one.picture]
        if with_truth:
            found = truth.fields(one, ("labels", "normals", "depth", "mask"))
            row.append(np.repeat(found["labels"][..., None] * np.uint8(20), 3, axis=2))
            row.append(picture_files.to_bytes((found["normals"] + 1) / 2))
            depth = 0.5 + found["depth"] / settings.size
            depth = np.repeat(np.clip(depth, 0, 1)[..., None], 3, axis=2)
            row.append(picture_files.to_bytes(depth * found["mask"][..., None]))
        tiles.append(np.hstack(row))
    across = max(1, round(np.sqrt(count / (4 if with_truth else 1))))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % across)
    rows = [np.hstack(tiles[k : k + across]) for k in range(0, len(tiles), across)]
    return np.vstack(rows)


def _inspect(options: argparse.Namespace) -> None:
    folders.require_free_file(options.output, overwrite=options.overwrite)
    settings = _settings(options)
    shown = options.count * settings.size**2 * (4 if options.truth else 1)
    if shown > picture_files.MAXIMUM_PIXELS:
        raise InputError(
            f"--count: found {options.count}, which makes a sheet of {shown} pixels, "
            f"expected at most {picture_files.MAXIMUM_PIXELS}."
        )
    picture = sheet(settings, options.seed, options.count, bool(options.truth))
    picture_files.write(options.output, picture)
    print(f"{options.output}: {options.count} photographs.")


def _verify(options: argparse.Namespace) -> None:
    from tf_faces.data.photographs import records, sets

    found = files.read_json(
        files.require_file(options.directory / "set.json", "description of a set")
    )
    kind = found.get("format") if isinstance(found, dict) else None
    checks = {sets.FORMAT: sets.verify_folder, records.FORMAT: records.verify_records}
    if kind not in checks:
        raise InputError(
            f"{options.directory}: found the format {kind!r}, expected one of "
            f"{', '.join(checks)}."
        )
    count = checks[kind](options.directory)
    print(f"{options.directory}: {count} photographs, all as they should be.")


def _main(arguments: list[str], prog: str) -> None:
    options = _parser(prog).parse_args(arguments)
    run = {"make": _make, "fit": _fit, "inspect": _inspect, "verify": _verify}
    run[options.command](options)


def main(arguments: Sequence[str] | None = None, prog: str = "photographs.py") -> int:
    """Runs the program; returns its exit status."""
    return entry.run(functools.partial(_main, prog=prog), arguments)
