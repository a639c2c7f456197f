"""The MakeHuman head, built from MakeHuman's own files."""

import gzip
import re

import numpy as np
import pytest
from PIL import Image

from tf_faces.apps import face_model
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import io
from tf_faces.morphable.formats import makehuman
from tf_faces.morphable.formats.makehuman import source as makehuman_source

BODY_PARTS = makehuman_source.PARTS[:4]
# Islands of the body before each part that are none of the head's.
STRANGERS = {"eye_socket_right": 1, "eye_socket_left": 2}


def write_target(path, moves, body_index, digits):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["# made by a test"]
    for number, move in zip(body_index, moves, strict=True):
        if move.any():
            lines.append(f"{number} " + " ".join(f"{x:.{digits}f}" for x in move))
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_source(folder, arrays):
    """Writes the folder that `makehuman_source.read` would make these arrays of."""
    body_index = arrays["hm08_vertex_index"]
    vertices = np.zeros((body_index.max() + 5, 3))
    chart = [*arrays["uv_atlas"].astype(np.float64).tolist()]
    lines = []
    stranger = len(vertices) - 4
    for number, name in enumerate(makehuman_source.PARTS):
        for _ in range(STRANGERS.get(name, 0)):
            lines.append("g body")
            corners = range(stranger + 1, stranger + 5)
            places = range(len(chart) + 1, len(chart) + 5)
            pairs = zip(corners, places, strict=True)
            lines.append("f " + " ".join(f"{a}/{b}" for a, b in pairs))
            chart += [[0.0, 0.0]] * 4
        groups = makehuman_source._GROUPS.get(name, ("body",))
        members = np.flatnonzero(arrays["polygon_part"] == number)
        for group, rows in zip(
            groups, np.array_split(members, len(groups)), strict=True
        ):
            lines.append(f"g {group}")
            for row in rows:
                corners = body_index[arrays["polygons"][row]] + 1
                places = arrays["polygons_uv"][row] + 1
                pairs = zip(corners, places, strict=True)
                lines.append("f " + " ".join(f"{a}/{b}" for a, b in pairs))
    base = folder / makehuman_source.BASE_MESH
    base.parent.mkdir(parents=True)
    rows = [f"v {x} {y} {z}" for x, y, z in vertices.tolist()]
    rows += [f"vt {u:.9f} {v:.9f}" for u, v in chart]
    base.write_text("# basemesh\n" + "\n".join(rows + lines) + "\n")
    targets = folder / "mpfb2" / "targets"
    heads = (arrays["mean"].astype(np.float64) + arrays["macro_deltas"]) / 10
    for name, head in zip(arrays["macro_names"], heads, strict=True):
        path = targets / "macrodetails" / f"{name}.target.gz"
        write_target(path, head, body_index, 9)
    for name, moves in zip(
        arrays["target_names"], arrays["target_deltas"], strict=True
    ):
        path = targets / f"{name}.target.gz"
        write_target(path, moves / 1000, body_index, 3)
    faces = folder / "faceunits01" / "targets" / "faceunits"
    for name, moves in zip(
        arrays["expression_names"], arrays["expression_deltas"], strict=True
    ):
        write_target(faces / f"{name}.target", moves / 1000, body_index, 3)
    trunk = targets / "asym" / "asymm-trunk-1-l.target.gz"
    write_target(trunk, np.ones((1, 3)), [len(vertices) - 1], 3)
    return folder


def small_head():
    """A strip of quads a part, of which the eyes are symmetric to the origin."""
    rng = np.random.default_rng(0)
    quads, quads_uv, parts, vertex, place = [], [], [], 0, 0
    for number, name in enumerate(makehuman_source.PARTS):
        for _ in makehuman_source._GROUPS.get(name, ("body",)):
            for column in range(4):
                a, b = vertex + 2 * column, place + 2 * column
                quads.append([a, a + 1, a + 3, a + 2])
                quads_uv.append([b, b + 1, b + 3, b + 2])
                parts.append(number)
            vertex, place = vertex + 10, place + 10
    quads, quads_uv = np.array(quads, np.int32), np.array(quads_uv, np.int32)
    # Numbers in the order of first use.
    first = list(dict.fromkeys(quads.reshape(-1).tolist()))
    rank = np.argsort(first).astype(np.int32)
    quads, quads_uv = rank[quads], rank[quads_uv]
    mean = rng.normal(size=(vertex, 3)) * 5
    parts = np.array(parts, np.int32)
    eyes = [
        np.unique(quads[parts == makehuman_source.PARTS.index(name)])
        for name in ("l-eye", "r-eye")
    ]
    mean -= np.mean([mean[eye].mean(axis=0) for eye in eyes], axis=0)
    # Scaled copies need no motion to lie on each other.
    skin = mean[np.unique(quads[parts == 0])].mean(axis=0)
    sizes = np.array([0.1, -0.2, 0.1, 0, 0.1, 0.2, 0.1, -0.2, 0.1, 0, 0.1, 0.2])
    return {
        "mean": mean.astype(np.float32),
        "polygons": quads,
        "polygons_uv": quads_uv,
        "polygon_part": parts,
        "uv_atlas": rng.random((place, 2)).astype(np.float32),
        "macro_names": np.array(makehuman_source.ARCHETYPES),
        "macro_deltas": sizes[:, None, None] * (mean - skin),
        "target_names": np.array(["head/head-round", "nose/nose-in", "nose/nose-out"]),
        "target_deltas": rng.integers(-90, 90, (3, vertex, 3)).astype(np.int16),
        "expression_names": np.array(["jawOpen", "mouthSmileLeft"]),
        "expression_deltas": rng.integers(-90, 90, (2, vertex, 3)).astype(np.int16),
        "hm08_vertex_index": rng.permutation(vertex * 2)[:vertex].astype(np.int32),
    }


def assert_read(found, expected):
    for name, value in expected.items():
        if name in ("mean", "macro_deltas", "uv"):
            np.testing.assert_allclose(found[name], value, atol=2e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_small_head(tmp_path):
    arrays = small_head()
    folder = write_source(tmp_path / "data", arrays)
    found = makehuman_source.read(folder)
    assert_read(found, arrays)
    assert found["part_polygon_range"][:2].tolist() == [[0, 4], [4, 8]]
    # Every quad is two triangles of its own corners.
    np.testing.assert_array_equal(
        found["triangles"][::2], arrays["polygons"][:, [0, 1, 2]]
    )
    # Turned heads are turned back.
    turned = dict(arrays)
    angle = np.deg2rad(3)
    turn = np.array(
        [
            [1, 0, 0],
            [0, np.cos(angle), -np.sin(angle)],
            [0, np.sin(angle), np.cos(angle)],
        ]
    )
    heads = arrays["mean"] + arrays["macro_deltas"]
    old = np.array(["old" in name for name in makehuman_source.ARCHETYPES])
    heads[old] = heads[old] @ turn.T + [0, 70, 3]
    turned["macro_deltas"] = heads - arrays["mean"]
    found = makehuman_source.read(write_source(tmp_path / "turned", turned))
    assert_read(found, arrays)
    with pytest.raises(FormatError, match="base.obj: gives a head of 130 vertices"):
        io.load(folder)


def test_the_published_head(data_directory, tmp_path):
    published = data_directory / "makehuman_head" / "makehuman_head.npz"
    with np.load(published) as stored:
        arrays = dict(stored)
    folder = write_source(tmp_path / "data", arrays)
    output = tmp_path / "made" / "makehuman_head.npz"
    command = ["convert", str(folder), str(output), "--layout", "makehuman"]
    assert face_model.main(command) == 0
    with np.load(output) as found:
        assert set(found.files) == set(arrays)
        assert_read(found, arrays)
        for name, value in arrays.items():
            assert found[name].dtype == value.dtype, name
    assert io.load(folder).expression_names == tuple(arrays["expression_names"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("g helper-tongue", "g tongue"),
        ("v 0.0", "v nan"),
        ("v 0.0", "v x"),
        ("v 0.0 0.0", "v 0.0"),
        ("vt ", "vt inf "),
        ("f ", "f 1/1 "),
        ("f ", "f 999/1 2/2 3/3 4/4\nf "),
        ("f ", "f 0/1 2/2 3/3 4/4\nf "),
        ("f ", "f 1 2 3 4\nf "),
        ("f ", "f 1/99999999999999999999 2/2 3/3 4/4\nf "),
        ("f ", "# "),
        ("v 0.0", "v 0_0"),
        ("f ", "f 1_0/1 2/2 3/3 4/4\nf "),
    ],
)
def test_damaged_bodies(tmp_path, old, new):
    folder = write_source(tmp_path / "data", small_head())
    base = folder / makehuman_source.BASE_MESH
    count = -1 if new in ("# ", "g tongue") else 1
    base.write_text(base.read_text().replace(old, new, count))
    with pytest.raises(FormatError, match="base.obj"):
        makehuman_source.read(folder)


@pytest.mark.parametrize(
    "content",
    ["1 0 0\n", "1 0 0 x\n", "one 0 0 0\n", "-1 0 0 0\n", "9999 0 0 0\n", "1 0 0 nan\n"]
    + ["1 0 0 99\n", "9" * 30 + " 0 0 0\n", None, "1 0 0 1_0\n", "1 0 0 0 0\n"]
    + ["1 0 0 0.1\n1 0 0 0.2\n"],
)
def test_damaged_targets(tmp_path, content):
    folder = write_source(tmp_path / "data", small_head())
    path = folder / "mpfb2" / "targets" / "nose" / "nose-in.target.gz"
    whole = path.read_bytes()
    number = small_head()["hm08_vertex_index"][0]
    if content is None:
        path.write_bytes(whole[:-9])
    else:
        text = re.sub("^1 ", f"{number} ", content, flags=re.MULTILINE)
        path.write_bytes(gzip.compress(text.encode()))
    said = "moves the vertex .* several times" if content and "0.2" in content else ""
    with pytest.raises(FormatError, match=f"nose-in.*{said}"):
        makehuman_source.read(folder)
    path.write_bytes(whole)
    for gone, error in (
        ("mpfb2/targets/macrodetails/asian-male-old.target.gz", InputError),
        ("faceunits01/targets/faceunits/jawOpen.target", FormatError),
    ):
        (folder / gone).unlink()
        if error is FormatError:
            (folder / "faceunits01/targets/faceunits/mouthSmileLeft.target").unlink()
        with pytest.raises(error, match="asian-male-old|faceunits"):
            makehuman_source.read(folder)
        write_source(tmp_path / "again", small_head())
        folder = (tmp_path / "again").rename(tmp_path / gone.replace("/", "-"))


def test_skins_of_the_body_atlas(tmp_path):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8))
    atlas = small.resize((makehuman.ATLAS_SIZE,) * 2, Image.Resampling.BILINEAR)
    atlas.save(tmp_path / "young.png")
    skin = makehuman.load_skin(tmp_path / "young.png")
    assert skin.shape == (makehuman.SKIN_HEIGHT, makehuman.SKIN_WIDTH, 3)
    chart = rng.uniform([0.65, 0.2], [0.98, 0.8], (100, 2))
    np.testing.assert_allclose(
        makehuman.sample_picture(skin, makehuman_source._cropped(chart)),
        makehuman.sample_picture(np.asarray(atlas), chart),
        atol=1e-2,
    )
    atlas.resize((100, 100)).save(tmp_path / "old.png")
    with pytest.raises(FormatError, match="100 x 100"):
        makehuman.load_skin(tmp_path / "old.png")
