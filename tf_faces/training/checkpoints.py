"""Snapshots: complete training states on disk, checked, atomic, readable without code.

    snapshots/snapshot-000012000/      number = images shown
      manifest.json    format, package version, configuration and its hash, counters,
                       data position, random state, and for every other file its size
                       and SHA-256
      G.npz, D.npz, Gs.npz, TrainG.npz, ...    one file a group, arrays by variable name

A snapshot is written under a hidden temporary name and renamed when whole; reading
verifies every checksum.  Nothing in it is executed: arrays are plain .npz.
"""

import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tf_faces import version
from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError, TfFacesError

_FORMAT = 1
_PREFIX = "snapshot-"
_MANIFEST = "manifest.json"


class Snapshot:
    """One whole snapshot on disk.

    Attributes:
      path: its folder.
      images: images shown when it was taken.
      state: {"progress", "averages", "system"}: all state but the variables.
      configuration: the resolved configuration of the run.
      groups: names of the variable groups.
    """

    def __init__(self, path: pathlib.Path, manifest: Mapping[str, Any]):
        self.path = path
        self.images: int = manifest["images"]
        self.state: dict[str, Any] = manifest["state"]
        self.configuration: dict[str, Any] = manifest["configuration"]
        self.groups: tuple[str, ...] = tuple(manifest["groups"])

    def arrays(self, group: str) -> dict[str, np.ndarray]:
        """Returns {variable name: array} of one group.

        Raises:
          InputError: if the snapshot has no such group.
        """
        if group not in self.groups:
            raise InputError(
                f"{self.path}: has no group {group!r}; found {', '.join(self.groups)}."
            )
        return files.load_npz(self.path / f"{group}.npz")

    def assign(self, variables: Mapping[str, Mapping[str, Any]]) -> None:
        """Sets the variables of every group; names and shapes must match exactly.

        Raises:
          InputError: if a group or variable is missing, unknown or of another shape.
        """
        if set(variables) != set(self.groups):
            raise InputError(
                f"{self.path}: found the groups {', '.join(sorted(self.groups))}, "
                f"expected {', '.join(sorted(variables))}."
            )
        for group, named in variables.items():
            assign_arrays(named, self.arrays(group), f"{self.path / group}.npz")


def assign_arrays(
    variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray], source: str
) -> None:
    """Sets variables from arrays of the same names.

    Weights that were stored in half precision are taken for float32 variables.

    Raises:
      InputError: if a name is missing or unknown, or a shape or type differs.
    """
    for kind, names in (
        ("lacks", set(variables) - set(arrays)),
        ("has the unknown", set(arrays) - set(variables)),
    ):
        if names:
            raise InputError(
                f"{source}: {kind} variable {min(names)!r}"
                + (f" and {len(names) - 1} more." if len(names) > 1 else ".")
            )
    arrays = dict(arrays)
    for name, variable in variables.items():
        found = arrays[name]
        expected = (tuple(variable.shape), _dtype_name(variable))
        if found.dtype == np.float16 and expected[1] == "float32":
            arrays[name] = found = found.astype(np.float32)
        if (found.shape, found.dtype.name) != expected:
            raise InputError(
                f"{source}: {name} is {found.dtype.name} {list(found.shape)}, expected "
                f"{expected[1]} {list(expected[0])}."
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def named_variables(owner: Any) -> dict[str, Any]:
    """Returns {path: variable} of a built Keras model, layer or optimizer.

    Seed generators of layers are among the variables.

    Raises:
      InputError: if two variables have the same path.
    """
    named: dict[str, Any] = {}
    for variable in owner.variables:
        if variable.path in named:
            raise InputError(
                f"{owner.name}: two variables are called {variable.path!r}; expected "
                "unique names."
            )
        named[variable.path] = variable
    return named


def _dtype_name(variable: Any) -> str:
    dtype = variable.dtype
    return dtype if isinstance(dtype, str) else dtype.name


# --- writing -----------------------------------------------------------------------


def save(
    folder: files.PathLike,
    images: int,
    *,
    variables: Mapping[str, Mapping[str, Any]],
    state: Mapping[str, Any],
    configuration: Mapping[str, Any],
    keep: int = 0,
) -> pathlib.Path:
    """Writes a snapshot and returns its path.

    Args:
      folder: the run's folder of snapshots.
      images: images shown; names the snapshot.
      variables: {group: {name: variable}}.
      state: everything else, as JSON values.
      configuration: the resolved configuration, as JSON values.
      keep: how many of the newest snapshots stay, 0 for all.

    Raises:
      TfFacesError: if it cannot be written (full disk); older snapshots are untouched.
    """
    folder = pathlib.Path(folder)
    final = folder / f"{_PREFIX}{images:09d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        with _replacing_directory(final) as temporary:
            for group, named in variables.items():
                with _synced(temporary / f"{group}.npz") as stream:
                    np.savez(
                        stream,
                        **{name: value.numpy() for name, value in named.items()},
                    )
            manifest = {
                "format": _FORMAT,
                "version": version.__version__,
                "written": datetime.datetime.now(datetime.UTC).isoformat(),
                "images": images,
                "groups": list(variables),
                "state": state,
                "configuration": configuration,
                "configuration_sha256": configuration_hash(configuration),
                "files": {
                    path.name: {
                        "bytes": path.stat().st_size,
                        "sha256": files.sha256(path),
                    }
                    for path in sorted(temporary.iterdir())
                },
            }
            with _synced(temporary / _MANIFEST) as stream:
                stream.write(_manifest_bytes(manifest))
    except OSError as error:
        survivor = newest(folder)
        raise TfFacesError(
            f"{final}: the snapshot could not be written ({error.strerror or error}); "
            f"the newest whole snapshot is {survivor.name if survivor else 'none'}."
        ) from error
    if keep > 0:
        for path in listed(folder)[keep:]:
            _remove(path)
    return final


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of a configuration's canonical JSON."""
    text = json.dumps(_as_read(configuration), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _as_read(value: Any) -> Any:
    """Returns `value` as JSON gives it back: lists for tuples, strings for keys."""
    return json.loads(json.dumps(value))


def _manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    body = json.dumps(_as_read(manifest), indent=1, sort_keys=True)
    # The first line guards the manifest itself: a flipped digit is still JSON.
    digest = hashlib.sha256(body.encode("utf-8")).hexdigest()
    return f'{{"sha256": "{digest}", "manifest":\n{body}\n}}\n'.encode()


@contextlib.contextmanager
def _synced(path: pathlib.Path) -> Iterator[Any]:
    with open(path, "wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _sync_directory(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _replacing_directory(final: pathlib.Path) -> Iterator[pathlib.Path]:
    """Like `files.atomic_directory`, but an existing (damaged) folder makes room."""
    temporary = final.with_name(f".{final.name}.incomplete")
    temporary.mkdir()
    try:
        yield temporary
        # Names as well as contents are on the disk before the folder gets its own.
        _sync_directory(temporary)
        if final.exists():
            _remove(final)
        os.replace(temporary, final)
        _sync_directory(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove(path: pathlib.Path) -> None:
    """Removes a snapshot; interrupted, it leaves nothing that looks whole."""
    doomed = path.with_name(f".{path.name}.removed")
    shutil.rmtree(doomed, ignore_errors=True)
    os.replace(path, doomed)
    shutil.rmtree(doomed)


def _remove_leftovers(folder: pathlib.Path) -> None:
    """Removes what a killed process left half-written (the caller holds the run)."""
    for path in folder.glob(f".{_PREFIX}*"):
        shutil.rmtree(path)


# --- reading -----------------------------------------------------------------------


def listed(folder: files.PathLike) -> list[pathlib.Path]:
    """Returns the snapshots by name, newest first."""
    folder = pathlib.Path(folder)
    return sorted(
        (
            path
            for path in folder.glob(f"{_PREFIX}*")
            if path.name.removeprefix(_PREFIX).isdecimal()
        ),
        key=lambda path: int(path.name.removeprefix(_PREFIX)),
        reverse=True,
    )


def newest(folder: files.PathLike) -> pathlib.Path | None:
    """Returns the newest snapshot's path without checking it, or None."""
    return next(iter(listed(folder)), None)


def load(path: files.PathLike) -> Snapshot:
    """Opens one snapshot and verifies every checksum.

    Raises:
      FormatError: if it is damaged or of an unknown format.
      InputError: if there is no such folder.
    """
    path = files.require_directory(path, "snapshot")
    manifest = _read_manifest(path / _MANIFEST)
    if manifest.get("format") != _FORMAT:
        raise FormatError(
            f"{path}: snapshot format {manifest.get('format')}, expected {_FORMAT}."
        )
    for name, expected in manifest["files"].items():
        member = path / name
        if not member.is_file():
            raise FormatError(f"{member}: missing from the snapshot.")
        if member.stat().st_size != expected["bytes"]:
            raise FormatError(
                f"{member}: {member.stat().st_size} bytes, expected "
                f"{expected['bytes']}."
            )
        if files.sha256(member) != expected["sha256"]:
            raise FormatError(f"{member}: damaged, its SHA-256 is not the manifest's.")
    return Snapshot(path, manifest)


def _read_manifest(path: pathlib.Path) -> dict[str, Any]:
    if not path.is_file():
        raise FormatError(f"{path}: missing from the snapshot.")
    content = path.read_bytes()
    outer = files.read_json(path)
    manifest = outer.get("manifest") if isinstance(outer, dict) else None
    if not isinstance(manifest, dict) or content != _manifest_bytes(manifest):
        raise FormatError(f"{path}: damaged, its SHA-256 is not the one it states.")
    return manifest


def load_newest(folder: files.PathLike) -> Snapshot | None:
    """Opens the newest whole snapshot of a run; damaged ones are named and passed over.

    Returns:
      None if the folder holds no snapshot at all.

    Raises:
      FormatError: if there are snapshots, but every one is damaged.
    """
    paths = listed(folder)
    for path in paths:
        try:
            return load(path)
        except (InputError, OSError) as error:
            print(f"Passing over a damaged snapshot: {error}", file=sys.stderr)
    if paths:
        raise FormatError(
            f"{folder}: all {len(paths)} snapshots are damaged; expected a whole one."
        )
    return None


def require_same_configuration(
    snapshot: Snapshot,
    configuration: Mapping[str, Any],
    free: tuple[str, ...] = (),
) -> None:
    """Refuses to resume under another configuration.

    Args:
      snapshot: what is resumed.
      configuration: of the resuming program.
      free: dotted names that may differ.

    Raises:
      InputError: naming every difference.
    """
    before = flatten(snapshot.configuration)
    after = flatten(_as_read(configuration))
    absent = object()
    differences = [
        f"{name}: {_shown(before, name)} -> {_shown(after, name)}"
        for name in sorted(before.keys() | after.keys())
        if name not in free and before.get(name, absent) != after.get(name, absent)
    ]
    if differences:
        raise InputError(
            f"{snapshot.path}: the configuration has changed, expected the one the run "
            f"began with: {'; '.join(differences)}."
        )


def _shown(flat: Mapping[str, Any], name: str) -> str:
    return repr(flat[name]) if name in flat else "absent"


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns {"a.b": value} of nested mappings; empty ones stay as they are."""
    flat: dict[str, Any] = {}
    for name, entry in value.items():
        if isinstance(entry, Mapping) and entry:
            flat.update(flatten(entry, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = entry
    return flat
