"""Network snapshots of TBGAN and the Progressive GAN, in; weights by their names, out.

A snapshot is a pickle of (G, D, Gs), each with its options, the source text that built
it and its variables.  The pickle is read without executing anything of it: the text is
ignored, the options are understood, the variables go into networks of ours, whose
variables have the originals' names and shapes.

Reference: misc.load_pkl, tfutil.Network.__getstate__ and legacy.py of
tkarras/progressive_growing_of_gans, and TBGAN's versions of them.
"""

import dataclasses
import inspect
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_faces.convert import theano
from tf_faces.core import files, pickles
from tf_faces.core.errors import FormatError, InputError
from tf_faces.models import tbgan as networks

SCOPES = ("G", "D", "Gs")
# Modules that defined the class over the years; TBGAN's was in a package for a time.
_MODULES = ("tfutil", "uv_gan.tfutil", "network", "uv_gan.network")
_BUILDERS = {"G_paper": networks.Generator, "D_paper": networks.Discriminator}
_OLDEST, _NEWEST = 1, 2


@dataclasses.dataclass(frozen=True, eq=False)
class StoredNetwork:
    """One network as a snapshot holds it.

    Attributes:
      name: "G", "D" or "Gs".
      builder: name of the original's function: "G_paper" or "D_paper".
      options: keyword arguments of that function, as stored.
      variables: {local name: array}, in the order of creation.
    """

    name: str
    builder: str
    options: Mapping[str, Any]
    variables: Mapping[str, np.ndarray]

    @property
    def level_of_detail(self) -> float:
        """That the network was at; between two sizes in a transition."""
        return float(self.variables.get("lod", 0.0))

    @property
    def single_trunk(self) -> bool:
        """Whether it is a Progressive GAN's: no branches, a third of the width."""
        config = networks.GeneratorConfig
        sizes = {
            name: self.options[name]
            for name in ("fmap_base", "fmap_decay", "fmap_max")
            if name in self.options
        }
        whole = config(**sizes, num_channels=3, resolution=4).features(2)
        kernel = self.variables.get("4x4/Conv/weight")
        return kernel is not None and kernel.shape[-1] != whole

    def configuration(self):
        """The options as a `GeneratorConfig` or `DiscriminatorConfig`.

        Options that neither changes the function nor that ours has are left out, as the
        original ignored keywords it did not know.

        Raises:
          InputError: if a value is none that networks can be built of.
        """
        kind = (
            networks.GeneratorConfig
            if self.builder == "G_paper"
            else networks.DiscriminatorConfig
        )
        known = set(inspect.signature(kind).parameters)
        options = {key: value for key, value in self.options.items() if key in known}
        # In files, latent_size=None stands for the width of the first layer.
        options = {key: value for key, value in options.items() if value is not None}
        return kind.from_dict({**options, "single_trunk": self.single_trunk})

    def build(self):
        """The network, with the stored variables.

        Raises:
          FormatError: if options and variables contradict each other.
        """
        network = _BUILDERS[self.builder](self.configuration())
        wanted = network.variables_by_name()
        for kind, names in (
            ("lacks", set(wanted) - set(self.variables)),
            ("has the unknown", set(self.variables) - set(wanted)),
        ):
            if names:
                raise FormatError(
                    f"network {self.name} of a snapshot {kind} variable "
                    f"{min(names)!r}, which its options do not explain."
                )
        for name, variable in wanted.items():
            found, expected = self.variables[name].shape, tuple(variable.shape)
            if found != expected:
                raise FormatError(
                    f"network {self.name} of a snapshot: {name} has shape "
                    f"{list(found)}, expected {list(expected)}."
                )
            variable.assign(self.variables[name])
        return network


def is_snapshot(path: files.PathLike) -> bool:
    """Whether a path is named as the originals' snapshots are: a file `.pkl`."""
    path = pathlib.Path(path)
    return path.suffix.lower() == ".pkl" and path.is_file()


def read_snapshot(path: files.PathLike) -> dict[str, StoredNetwork]:
    """Reads network-snapshot-*.pkl or network-final.pkl.

    Returns:
      The networks by their scopes, "G", "D" and "Gs"; "Gs" alone of a file that holds
      one network.

    Raises:
      InputError: if the file is missing.
      ForbiddenPickleError: if it asks for anything but networks and arrays.
      FormatError: if it is damaged or something else.
    """
    stand_ins = [(module, "Network") for module in _MODULES]
    stored = pickles.load_pickle(path, stand_ins=stand_ins)
    items = stored if isinstance(stored, tuple | list) else (stored,)
    if len(items) not in (1, len(SCOPES)) or not all(
        isinstance(item, pickles.PickledObject) for item in items
    ):
        raise FormatError(
            f"{path}: found {_described(stored)}, expected the networks G, D and Gs of "
            "a snapshot."
        )
    scopes = SCOPES if len(items) > 1 else ("Gs",)
    found = {
        scope: _read_network(f"{path}, network {scope}", item)
        for scope, item in zip(scopes, items, strict=True)
    }
    for scope, network in found.items():
        wanted = "D_paper" if scope == "D" else "G_paper"
        if network.builder != wanted:
            raise FormatError(
                f"{path}, network {scope}: built by {network.builder}, expected "
                f"{wanted}."
            )
    return found


def _described(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"an object of type {type(value).__name__}"


def _read_network(where: str, item: pickles.PickledObject) -> StoredNetwork:
    state = item.attributes
    if theano.builder(state) is not None:
        builder, options, variables = theano.read(where, state)
        return StoredNetwork(
            name=str(state.get("name", "")),
            builder=builder,
            options=options,
            variables=_variables(where, variables),
        )
    version = state.get("version")
    if not isinstance(version, int) or not _OLDEST <= version <= _NEWEST:
        raise FormatError(
            f"{where}: has format version {version!r}, expected {_OLDEST} to "
            f"{_NEWEST}, or a network of {' or '.join(theano.BUILDERS)} (Theano)."
        )
    builder, options = state.get("build_func_name"), state.get("static_kwargs")
    if builder not in _BUILDERS:
        raise FormatError(
            f"{where}: is built by {builder!r}, expected {' or '.join(_BUILDERS)}."
        )
    if isinstance(options, pickles.PickledObject):
        options = options.attributes
    if not isinstance(options, dict) or not all(
        isinstance(key, str) for key in options
    ):
        raise FormatError(f"{where}: lacks the options it was built with.")
    return StoredNetwork(
        name=str(state.get("name", "")),
        builder=builder,
        options=options,
        variables=_variables(where, state.get("variables")),
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _variables(where: str, stored: Any) -> dict[str, np.ndarray]:
    if isinstance(stored, dict):
        stored = list(stored.items())
    try:
        pairs = [(str(name), np.asarray(value)) for name, value in stored or ()]
    except (TypeError, ValueError) as error:
        raise FormatError(f"{where}: lacks a list of named variables.") from error
    named: dict[str, np.ndarray] = {}
    for name, value in pairs:
        if name in named:
            raise FormatError(f"{where}: holds the variable {name!r} twice.")
        if value.dtype.kind != "f":
            raise FormatError(
                f"{where}: {name} has type {value.dtype}, expected floating numbers."
            )
        with np.errstate(over="ignore"):
            named[name] = value.astype(np.float32)
        if not np.isfinite(named[name]).all():
            raise FormatError(f"{where}: {name} is not finite.")
    return {"lod": np.float32(0), **named}


# --- out ----------------------------------------------------------------------------


def write_arrays(path: files.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the variables of one network by the originals' names as .npz.

    Raises:
      InputError: if the name does not end in .npz.
    """
    if pathlib.Path(path).suffix.lower() != ".npz":
        raise InputError(f"{path}: expected a name that ends in .npz.")
    files.write_npz(path, **arrays)
