"""Snapshots of the originals: understood without executing them, or refused."""

import pickle

import numpy as np
import pytest

from tf_faces.convert import tbgan as weights
from tf_faces.core.errors import ForbiddenPickleError, FormatError, InputError
from tf_faces.core.pickles import writing
from tf_faces.models import tbgan as networks
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import importing

SIZES = {"num_channels": 3, "resolution": 8, "label_size": 2, "fmap_base": 16,
         "fmap_max": 4}  # fmt: skip


def make(kind, config, **more):
    return kind(config.from_dict({**SIZES, **more}))


def state(scope, single_trunk=True, **changes):
    """What a network's pickle holds; the variables are those of a new network."""
    kind, config = (
        (networks.Discriminator, networks.DiscriminatorConfig)
        if scope == "D"
        else (networks.Generator, networks.GeneratorConfig)
    )
    network = make(kind, config, single_trunk=single_trunk)
    variables = [
        (name, writing.array(value.numpy()) if value.shape.rank else 0.5)
        for name, value in network.variables_by_name().items()
    ]
    return {
        "version": 2,
        "name": scope,
        "static_kwargs": {**SIZES, "latent_size": None, "structure": None, "func": "x"},
        "build_module_src": "raise SystemExit('executed')",
        "build_func_name": "D_paper" if scope == "D" else "G_paper",
        "variables": [[name, np.float32(0.5)] if name == "lod" else [name, value]
                      for name, value in variables],
    } | changes  # fmt: skip


def write(path, states, module="tfutil"):
    built = [
        writing.Build(writing.New(writing.Global(module, "Network")), _plain(one))
        for one in states
    ]
    value = tuple(built) if len(built) > 1 else built[0]
    path.write_bytes(writing.dumps(value))
    return path


def _plain(one):
    """Scalars as arrays of no axes, which the writer knows."""
    if isinstance(one.get("variables"), list):
        one = {
            **one,
            "variables": [
                [name, writing.array(np.array(value)) if name == "lod" else value]
                for name, value in one["variables"]
            ],
        }
    return one


@pytest.fixture
def three():
    return [state("G"), state("D"), state("Gs")]


@pytest.mark.parametrize("module", ["tfutil", "uv_gan.tfutil"])
def test_networks_of_all_modules(tmp_path, three, module):
    found = weights.read_snapshot(write(tmp_path / "a.pkl", three, module))
    assert [network.name for network in found.values()] == ["G", "D", "Gs"]
    generator = found["Gs"].build()
    assert generator.config.single_trunk and generator.config.latent_size == 4
    assert found["Gs"].level_of_detail == 0.5
    stored = found["Gs"].variables
    for name, variable in generator.variables_by_name().items():
        np.testing.assert_array_equal(variable, stored[name])
    discriminator = found["D"].build()
    assert isinstance(discriminator, networks.Discriminator)


def test_branches_are_told_by_their_width(tmp_path):
    states = [state(scope, single_trunk=False) for scope in ("G", "D", "Gs")]
    found = weights.read_snapshot(write(tmp_path / "a.pkl", states))
    assert not found["Gs"].single_trunk
    assert found["Gs"].build().config.latent_size == 12


def test_widths_of_small_pictures_are_told(tmp_path):
    """What leaves no map at 32 x 32 may leave some at the pictures' own size."""
    sizes = {**SIZES, "fmap_base": 8}
    network = networks.Generator(networks.GeneratorConfig.from_dict(sizes))
    variables = [
        (name, writing.array(value.numpy()))
        for name, value in network.variables_by_name().items()
        if value.shape.rank
    ]
    changes = {"static_kwargs": sizes, "variables": [list(one) for one in variables]}
    path = write(tmp_path / "a.pkl", [state("G", **changes)])
    (found,) = weights.read_snapshot(path).values()
    assert not found.single_trunk


def test_single_network(tmp_path):
    found = weights.read_snapshot(write(tmp_path / "a.pkl", [state("Gs")]))
    assert list(found) == ["Gs"]


def test_other_objects_are_forbidden(tmp_path, three):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"cposix\nsystem\n(S'touch x'\ntR.")
    with pytest.raises(ForbiddenPickleError, match="posix.system"):
        weights.read_snapshot(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 3}, "format version 3"),
        ({"build_func_name": "E_paper"}, "'E_paper'"),
        ({"build_func_name": "D_paper"}, "built by D_paper, expected G_paper"),
        ({"static_kwargs": [1]}, "lacks the options"),
        ({"variables": 7}, "list of named variables"),
        ({"variables": [["a", "text"]]}, "a has type"),
        ({"build_func_name": "G_progressive_8", "variables": 7}, "list of the arrays"),
    ],
)
def test_wrong_states(tmp_path, three, changes, message):
    three[0] |= changes
    with pytest.raises(FormatError, match=message):
        weights.read_snapshot(write(tmp_path / "a.pkl", three))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_not_finite(tmp_path, three, value):
    """In single precision, in which the networks compute."""
    three[2]["variables"][1][1] = writing.array(np.full((4, 4), value))
    with pytest.raises(FormatError, match="is not finite"):
        weights.read_snapshot(write(tmp_path / "a.pkl", three))


def test_a_variable_twice(tmp_path, three):
    name = three[2]["variables"][1][0]
    three[2]["variables"].append([name, writing.array(np.zeros((4, 4)))])
    with pytest.raises(FormatError, match=f"network Gs: holds .*{name}.* twice"):
        weights.read_snapshot(write(tmp_path / "a.pkl", three))


def test_other_contents(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(FormatError, match="a list of 2"):
        weights.read_snapshot(path)
    with pytest.raises(InputError, match="no such"):
        weights.read_snapshot(tmp_path / "b.pkl")


def test_variables_must_be_the_options(tmp_path, three):
    removed = three[2]["variables"].pop()
    found = weights.read_snapshot(write(tmp_path / "a.pkl", three))
    with pytest.raises(FormatError, match="lacks variable"):
        found["Gs"].build()
    three[2]["variables"] += [removed, ["more", writing.array(np.zeros(2))]]
    found = weights.read_snapshot(write(tmp_path / "a.pkl", three))
    with pytest.raises(FormatError, match="unknown variable 'more'"):
        found["Gs"].build()
    three[2]["variables"].pop()
    three[2]["variables"][-1][1] = writing.array(np.zeros(7))
    found = weights.read_snapshot(write(tmp_path / "a.pkl", three))
    with pytest.raises(FormatError, match=r"shape \[7\]"):
        found["Gs"].build()


def test_import_and_export(tmp_path, three):
    path = write(tmp_path / "network-snapshot-000013.pkl", three)
    run = tmp_path / "032-tbgan"
    written = importing.import_snapshot(path, run)
    assert written == run / "snapshots" / "snapshot-000013000"
    pipeline = tbgan.open_run(run)
    assert not pipeline.label_softmax and pipeline.level_of_detail == 0.5
    stored = weights.read_snapshot(path)["Gs"].variables
    weights.write_arrays(
        tmp_path / "Gs.npz",
        {k: v.numpy() for k, v in pipeline.generator.variables_by_name().items()},
    )
    with np.load(tmp_path / "Gs.npz") as found:
        assert set(found.files) == set(stored)
        for name, value in stored.items():
            np.testing.assert_array_equal(found[name], value)
    with pytest.raises(InputError, match="13000 images already"):
        importing.import_snapshot(path, run)
    with pytest.raises(InputError, match="ends in .npz"):
        weights.write_arrays(tmp_path / "Gs.txt", stored)


def test_number_of_images():
    assert importing.images_shown("network-snapshot-013600.pkl") == 13_600_000
    assert importing.images_shown("network-final.pkl") == 0
