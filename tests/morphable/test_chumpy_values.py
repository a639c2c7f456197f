"""chumpy's expressions are evaluated without chumpy, or refused by name."""

import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse

from tf_faces.core import pickles
from tf_faces.core.errors import FormatError
from tf_faces.morphable import io
from tf_faces.morphable.formats import chumpy_values

N, K = 6, 5
RNG = np.random.default_rng(0)
TEMPLATE, MODES = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3, K))
TRIANGLES = np.array([[0, 1, 2], [3, 4, 5]], np.uint32)
REORDERING, OPERATIONS = "chumpy.reordering", "chumpy.ch_ops"


@pytest.fixture
def chumpy(monkeypatch):
    """Makes instances of chumpy's classes, which exist while they are pickled only."""
    classes = {}

    def make(name, module=REORDERING, **attributes):
        if (module, name) not in classes:
            parts = module.split(".")
            for end in range(1, len(parts) + 1):
                parent = ".".join(parts[:end])
                if parent not in sys.modules:
                    monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
            made = type(name, (), {"__module__": module, "__qualname__": name})
            setattr(sys.modules[module], name, made)
            classes[module, name] = made
        instance = classes[module, name]()
        instance.__dict__.update(attributes)
        return instance

    return make


def leaf(make, values):
    return make("Ch", "chumpy.ch", x=values)


def doubled(make, values, times=60):
    for _ in range(times):
        values = make("add", OPERATIONS, a=values, b=values)
    return values


# Functions of (make, ch): a value that is the template, 6 x 3.
TEMPLATES = {
    "Ch": lambda make, ch: ch(TEMPLATE),
    "Ch with notes": lambda make, ch: make(
        "Ch", "chumpy.ch", x=TEMPLATE, _dirty_vars={"x"}, _itr=None, dterms=["x"]
    ),
    "Ch of a list": lambda make, ch: ch(TEMPLATE.tolist()),
    "Select": lambda make, ch: make(
        "Select",
        a=ch(TEMPLATE[::-1].copy()),
        idxs=np.arange(18).reshape(6, 3)[::-1].ravel(),
        preferred_shape=(6, 3),
    ),
    "Select by a mask": lambda make, ch: make(
        "Select",
        a=ch(np.stack([TEMPLATE, 0 * TEMPLATE])),
        idxs=np.arange(36) < 18,
        preferred_shape=[6, 3],
    ),
    "Select by floats": lambda make, ch: make(
        "Select", a=TEMPLATE, idxs=np.arange(18.0), preferred_shape=np.array([6, 3])
    ),
    "Select of a flat list": lambda make, ch: make(
        "Reshape",
        a=make("Select", a=ch(TEMPLATE), idxs=list(range(18))),
        newshape=(6, -1),
    ),
    "Ravel": lambda make, ch: make(
        "Reshape", a=make("Ravel", a=ch(TEMPLATE)), newshape=(6, 3)
    ),
    "Transpose": lambda make, ch: make("Transpose", a=ch(TEMPLATE.T.copy()), axes=None),
    "Transpose by axes": lambda make, ch: make(
        "Transpose", a=ch(TEMPLATE.T.copy()), axes=(1, 0)
    ),
    "SwapAxes": lambda make, ch: make("SwapAxes", a=ch(TEMPLATE.T), axis1=0, axis2=1),
    "Concatenate": lambda make, ch: make(
        "Concatenate", m0=ch(TEMPLATE[:2]), m1=TEMPLATE[2:], axis=0, dterms=["m0", "m1"]
    ),
    "Concatenate by numbers": lambda make, ch: make(
        "Concatenate",
        axis=-1,
        **{f"m{number}": np.zeros((6, 0)) for number in range(12)}
        | {"m0": TEMPLATE[:, :1], "m2": ch(TEMPLATE[:, 1:2]), "m10": TEMPLATE[:, 2:]},
    ),
    "vstack": lambda make, ch: make("vstack", m0=ch(TEMPLATE[:1]), m1=ch(TEMPLATE[1:])),
    "hstack": lambda make, ch: make("hstack", m0=TEMPLATE[:, :1], m1=TEMPLATE[:, 1:]),
    "add": lambda make, ch: make("add", OPERATIONS, a=ch(TEMPLATE - 1), b=1.0),
    "subtract": lambda make, ch: make(
        "subtract", OPERATIONS, a=ch(TEMPLATE + 1), b=ch(np.ones(3))
    ),
    "multiply": lambda make, ch: make("multiply", OPERATIONS, a=ch(TEMPLATE / 2), b=2),
    "divide": lambda make, ch: make(
        "divide", OPERATIONS, x1=ch(2 * TEMPLATE), x2=ch(2.0)
    ),
    "negative": lambda make, ch: make("negative", OPERATIONS, x=ch(-TEMPLATE)),
    "sum": lambda make, ch: make(
        "sum", OPERATIONS, x=ch(np.stack([TEMPLATE / 4, 3 * TEMPLATE / 4])), axis=0
    ),
    "dot": lambda make, ch: make("dot", OPERATIONS, a=ch(TEMPLATE), b=np.eye(3)),
    "MatVecMult": lambda make, ch: make(
        "Reshape",
        a=make(
            "MatVecMult",
            "chumpy.ch",
            mtx=scipy.sparse.csc_matrix(2 * np.eye(18)),
            vec=ch(TEMPLATE / 2),
        ),
        newshape=(6, 3),
    ),
    "doubled often": lambda make, ch: doubled(make, ch(TEMPLATE / 2.0**60)),
    **{
        name: lambda make, ch, name=name: getattr(scipy.sparse, name)(TEMPLATE)
        for name in ("csc_matrix", "csr_matrix", "coo_matrix", "csr_array", "coo_array")
    },
}
REFUSED = {
    "Select without idxs": (
        lambda make, ch: make("Select", a=ch(TEMPLATE), preferred_shape=(6, 3)),
        "idxs",
    ),
    "Select beyond": (
        lambda make, ch: make("Select", a=ch(TEMPLATE), idxs=np.arange(18) + 1),
        "Select",
    ),
    "a term of another name": (
        lambda make, ch: make("Transpose", a=ch(TEMPLATE.T), axis=(1, 0)),
        "'axis'",
    ),
    "an unknown class": (
        lambda make, ch: make("sinh", OPERATIONS, x=ch(TEMPLATE)),
        "chumpy.ch_ops.sinh",
    ),
    "a function": (
        lambda make, ch: make("ChLambda", "chumpy.ch", f=1),
        "chumpy.ch.ChLambda",
    ),
    "no value": (lambda make, ch: make("Ch", "chumpy.ch"), "'x'"),
    "another kind of sparse": (
        lambda make, ch: scipy.sparse.bsr_matrix(TEMPLATE),
        "bsr_matrix",
    ),
    "division by zero": (
        lambda make, ch: make("divide", OPERATIONS, x1=ch(TEMPLATE), x2=0.0),
        "not finite",
    ),
    "too large": (
        lambda make, ch: make("Tile", A=ch(TEMPLATE), reps=(10**9, 10**9)),
        "more than",
    ),
    "shapes that do not fit": (
        lambda make, ch: make("dot", OPERATIONS, a=ch(TEMPLATE), b=np.eye(4)),
        "do not fit",
    ),
    "texts": (lambda make, ch: ch("words"), "no array of numbers"),
}


def written(path, template, modes, protocol):
    stored = {"v_template": template, "shapedirs": modes, "f": TRIANGLES}
    path.write_bytes(pickle.dumps(stored, protocol))


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_values(tmp_path, chumpy, name, protocol):
    template = TEMPLATES[name](chumpy, lambda values: leaf(chumpy, values))
    path = tmp_path / "generic_model.pkl"
    first = np.arange(MODES.size).reshape(MODES.shape)[:, :, :2].ravel()
    modes = chumpy("Select", a=MODES, idxs=first, preferred_shape=(N, 3, 2))
    written(path, template, modes, protocol)
    for module in [name for name in sys.modules if name.startswith("chumpy")]:
        del sys.modules[module]
    model = io.load(path)
    np.testing.assert_allclose(model.mean, TEMPLATE, atol=1e-6)
    np.testing.assert_allclose(model.shape_basis, MODES[:, :, :2], atol=1e-6)
    assert not any(name.startswith("chumpy") for name in sys.modules)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_term(tmp_path, chumpy, name):
    make, words = REFUSED[name]
    path = tmp_path / "generic_model.pkl"
    template = make(chumpy, lambda values: leaf(chumpy, values))
    written(path, template, MODES, 2)
    with pytest.raises(FormatError) as caught:
        io.load(path)
    assert "'v_template'" in str(caught.value) and words in str(caught.value)


def test_circles_end(tmp_path, chumpy):
    circle = chumpy("Ravel")
    circle.a = circle
    path = tmp_path / "generic_model.pkl"
    written(path, circle, MODES, 2)
    with pytest.raises(FormatError, match="refers to itself"):
        io.load(path)
    deep = TEMPLATE
    for _ in range(100_000):
        deep = pickles.PickledObject("chumpy.ch.Ch", (), {"x": deep})
    with pytest.raises(FormatError, match="nests too many"):
        chumpy_values.plain_array(deep, "a.pkl", "x")


@pytest.mark.parametrize(
    "changes",
    [
        {"indptr": np.array([0, 1])},
        {"indptr": np.array([0, 2, 1, 18])},
        {"indices": np.arange(18)},
        {"indices": -np.ones(18, int)},
        {"data": np.ones(17)},
        {"_shape": (2**30, 2**30)},
        {"_shape": None},
    ],
)
def test_damaged_sparse_matrices(changes):
    state = vars(scipy.sparse.csc_matrix(TEMPLATE)) | {"_shape": (6, 3)}
    thing = pickles.PickledObject("scipy.sparse.csc.csc_matrix", (), state | changes)
    with pytest.raises(FormatError, match="do not fit its shape"):
        chumpy_values.plain_array(thing, "a.pkl", "x")


def test_sparse_entries_add_up():
    state = {"_shape": (2, 2), "row": [0, 0, 1], "col": [1, 1, 0], "data": [1, 2, 4.0]}
    thing = pickles.PickledObject("scipy.sparse.coo.coo_matrix", (), state)
    found = chumpy_values.plain_array(thing, "a.pkl", "x")
    assert found.tolist() == [[0, 3], [4, 0]]


@pytest.mark.parametrize(
    ("name", "terms", "expected"),
    [
        ("add", {"a": np.uint8([200, 3]), "b": np.uint8([100, 1])}, [300, 4]),
        ("subtract", {"a": np.uint16([1, 9]), "b": np.uint16([2, 9])}, [-1, 0]),
        ("multiply", {"a": np.int16([300, -2]), "b": np.int16([300, 1])}, [90000, -2]),
        ("negative", {"a": np.uint8([5, 0])}, [-5, 0]),
        ("square", {"a": np.int8([100, -100])}, [10000, 10000]),
        ("dot", {"a": np.uint8([[20, 20]]), "b": np.uint8([20, 1])}, [420]),
    ],
)
def test_whole_numbers_do_not_wrap_around(name, terms, expected):
    thing = pickles.PickledObject(f"{OPERATIONS}.{name}", (), terms)
    np.testing.assert_array_equal(
        chumpy_values.plain_array(thing, "a.pkl", "x"), expected
    )


def test_terms_that_do_not_fit_are_told_by_their_shapes():
    terms = {"a": np.zeros((2, 3)), "b": np.zeros(4)}
    thing = pickles.PickledObject(f"{OPERATIONS}.add", (), terms)
    with pytest.raises(FormatError, match=r"of the shapes \[2, 3\] and \[4\]\); save"):
        chumpy_values.plain_array(thing, "a.pkl", "x")
