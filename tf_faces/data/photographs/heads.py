"""Heads to be photographed: what of a face model does not change from face to face.

A head is a face model in the form of `morphable.raw_form` (so that truth fits 300W-LP's
layout), in centimetres while pictures are made: its skin, mouth and sockets, the eyes
of the folder `head_parts` where they fit, and shoulders that grow from its open border.
"""

import dataclasses
import functools
import pathlib

import numpy as np
import scipy.sparse

from tf_faces.core.errors import InputError
from tf_faces.data.photographs import occlusion, parts, surroundings
from tf_faces.geometry import topology, uv
from tf_faces.morphable import io, raw_form, soft_masks
from tf_faces.morphable.model import MorphableModel

# Labels of a picture's pixels.
LABELS = (
    *("background", "skin", "neck", "mouth", "teeth", "eye", "brow", "lashes"),
    *("hair", "glasses", "cloth", "occluder"),
)
LABEL = {name: number for number, name in enumerate(LABELS)}
# What a triangle's colour comes from.
PLAIN, FACE_SKIN, HEAD_SKIN, IRIS = range(4)

_CENTIMETRES = 1e-4  # A micrometre.
# Regions by how they are drawn; others are skin.
_LEFT_OUT = ("eyelashes", "lacrimal_fluid", "eye_blend", "eye_occlusion")
_EYEBALLS = ("eyeball", "l-eye", "r-eye")
_MOUTH = ("mouth", "gums", "tongue", "eye_socket")
_TEETH = ("teeth", "upper-teeth", "lower-teeth")
NECK_REGION = "head_and_neck"  # ICT's; others have no neck of their own.
# Rings of cloth that grow from the open border at the neck: centimetres outwards, down.
_SHOULDER_RINGS = ((1.5, 0.7), (4.0, 2.5), (6.0, 6.0), (7.0, 16.0), (7.5, 30.0))
_SHOULDER_WIDTH = 1.35


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """The triangles of a head as they are drawn; vertices are split along seams.

    Attributes:
      source: int [w], geometry vertex behind each drawn vertex.
      coordinates: float32 [w, 2], texture coordinates.
      triangles: int32 [t, 3], counter-clockwise from outside, y up.
      material: int8 [t].
      label: uint8 [t].
      color: float32 [w, 3], linear; ones where a texture has the colour.
    """

    source: np.ndarray
    coordinates: np.ndarray
    triangles: np.ndarray
    material: np.ndarray
    label: np.ndarray
    color: np.ndarray


class Head:
    """A face model made ready for photographs.

    Args:
      model: in `raw_form`'s form, with 68 landmarks.
      kind: "ict", "makehuman" or "other": which skins and parts fit.
      folder: of head parts, or None.
      skins: files of skins, (face, head) pairs or singles.

    Attributes:
      model: as given.
      numbers: int [n], the model's vertices that are computed.
      vertex_count: geometry vertices: n, then eyes, then shoulders.
      drawn: what is drawn.
      landmarks68: int [68] into the geometry.
    """

    def __init__(
        self,
        model: MorphableModel,
        kind: str = "other",
        folder: pathlib.Path | None = None,
        skins: tuple[tuple[pathlib.Path, ...], ...] = (),
    ):
        if model.landmarks68 is None:
            raise InputError(
                f"the face model {model.name!r} has no 68 landmarks, which pictures "
                "with truth need."
            )
        self.model, self.kind, self.skins = model, kind, skins
        regions = _region_of_vertex(model)
        eyes = self._find_eyes(folder)
        drawn = _drawn_vertices(model, regions, without_eyes=eyes is not None)
        needed = [np.flatnonzero(drawn), model.landmarks68]
        found = {} if folder is None or kind == "other" else self._find_parts(folder)
        bust = self._find_bust(folder)
        for part in [eyes, bust, *sum(found.values(), ())]:
            if part is not None:
                needed.append(part.head_vertices)
        self.numbers = np.unique(np.concatenate(needed))
        renumbering = np.full(model.vertex_count, -1)
        renumbering[self.numbers] = np.arange(len(self.numbers))
        self.landmarks68 = renumbering[model.landmarks68]
        self.parts = {
            name: tuple(part.renumbered(renumbering) for part in some)
            for name, some in found.items()
        }
        self.eyes = None if eyes is None else eyes.renumbered(renumbering)
        self.bust = None if bust is None else bust.renumbered(renumbering)
        self._mean = np.ascontiguousarray(
            model.neutral[self.numbers].astype(np.float32) * _CENTIMETRES
        )
        identity = model.shape_basis[self.numbers] * np.float32(_CENTIMETRES)
        self._identity = identity.reshape(-1, model.shape_count)
        expression = np.moveaxis(model.expression_basis[self.numbers], 2, 0)
        self._expression = np.ascontiguousarray(
            expression.reshape(model.expression_count, -1) * np.float32(_CENTIMETRES)
        )
        self._build(regions, drawn, renumbering)

    # --- parts ------------------------------------------------------------------------

    def _find_eyes(self, folder):
        path = None if folder is None else folder / "eyes" / "high-poly.npz"
        if path is None or self.kind == "other" or not path.is_file():
            return None
        return parts.load(path, self.kind)

    def _find_bust(self, folder):
        path = None if folder is None else folder / "bust" / "bust.npz"
        if path is None or self.kind != "makehuman" or not path.is_file():
            return None
        return parts.load(path, self.kind)

    def _find_parts(self, folder):
        return {
            kind: tuple(
                parts.load(path, self.kind) for path in parts.available(folder, kind)
            )
            for kind in ("hair", "eyebrows", "eyelashes", "glasses")
        }

    # --- what is drawn ----------------------------------------------------------------

    def _build(self, regions, drawn, renumbering):
        model = self.model.with_winding("ccw")
        triangles, corners = model.triangles, model.texture_triangles
        coordinates = model.texture_coordinates
        if corners is None:
            corners = triangles
        if len(model.triangles_mouth):
            triangles = model.full_triangles
            corners = triangles
        if coordinates is None:
            coordinates = np.zeros((model.vertex_count, 2), np.float32)
            corners = triangles
        kept = drawn[triangles].all(axis=1)
        triangles, corners = triangles[kept], corners[kept]
        # The region of a triangle: its most particular corner's.
        names = np.array([*model.region_names, "face"], object)
        region = names[regions[triangles].max(axis=1)]
        label, material = _looks(region)
        first_in_mouth = len(kept) - len(model.triangles_mouth)
        label[np.flatnonzero(kept) >= first_in_mouth] = LABEL["mouth"]
        if self.kind == "ict":
            # The whole part of u is the number of the picture.
            tile = np.floor(coordinates[corners, 0].mean(axis=1))
            material[(material != PLAIN) & (tile == 0)] = FACE_SKIN
            material[(material != PLAIN) & (tile == 1)] = HEAD_SKIN
        if not self.skins:
            material[:] = PLAIN
        split_source, split_uv, split = uv.split_seams(triangles, corners)
        chart = coordinates[split_uv].astype(np.float32)
        if self.kind == "ict":
            chart[np.unique(split[material == HEAD_SKIN]), 0] -= 1
        color = self._plain_colors(split_source, split, material, label)
        source = renumbering[split_source]
        pieces = [(source, chart, split, material, label, color)]
        count = len(self.numbers)
        if self.eyes is not None:
            pieces.append(self._eye_piece(count))
            count += len(self.eyes.index)
        self._neck_start = count
        if self.bust is not None:
            pieces.append(self._bust_piece(count))
            count += len(self.bust.index)
        self._border, shoulder = self._shoulder_piece(triangles, renumbering, count)
        if shoulder is not None:
            pieces.append(shoulder)
            count += len(self._border) * len(_SHOULDER_RINGS)
        self.vertex_count = count
        starts = np.cumsum([0, *(len(piece[0]) for piece in pieces)])
        self.drawn = Drawn(
            np.concatenate([piece[0] for piece in pieces]),
            np.concatenate([piece[1] for piece in pieces]).astype(np.float32),
            np.concatenate(
                [piece[2] + start for piece, start in zip(pieces, starts, strict=False)]
            ).astype(np.int32),
            np.concatenate([piece[3] for piece in pieces]).astype(np.int8),
            np.concatenate([piece[4] for piece in pieces]).astype(np.uint8),
            np.concatenate([piece[5] for piece in pieces]).astype(np.float32),
        )
        self._prepare_normals()
        self._prepare_masks(regions)

    def _plain_colors(self, source, triangles, material, label):
        """Linear vertex colours where no texture is."""
        shown = self.model.colors()[source] / np.float32(255)
        color = surroundings.from_srgb(np.clip(shown, 0, 1))
        for name, value in (
            ("mouth", (0.30, 0.08, 0.07)),
            ("teeth", (0.75, 0.70, 0.6)),
        ):
            color[np.unique(triangles[label == LABEL[name]])] = value
        color[np.unique(triangles[material != PLAIN])] = 1
        return color

    def _eye_piece(self, start):
        eyes = self.eyes
        solid = np.ones(len(eyes.triangles), bool)
        if "cornea" in eyes.layer_names:
            solid = eyes.layer != eyes.layer_names.index("cornea")
        used, triangles = np.unique(eyes.triangles[solid], return_inverse=True)
        triangles = triangles.reshape(-1, 3)
        size = len(triangles)
        return (
            eyes.source[used] + start,
            eyes.coordinates[used],
            triangles,
            np.full(size, IRIS),
            np.full(size, LABEL["eye"]),
            # The pictures are bright: eyes lie in the lids' shade.
            np.full((len(used), 3), 0.5),
        )

    def _bust_piece(self, start):
        bust = self.bust
        size = len(bust.triangles)
        return (
            bust.source + start,
            bust.coordinates,
            bust.triangles,
            np.full(size, HEAD_SKIN if self.skins else PLAIN),
            np.full(size, LABEL["neck"]),
            np.ones((len(bust.source), 3)),
        )

    def _shoulder_piece(self, triangles, renumbering, start):
        """Cloth below the open border at the neck: border vertices and the piece."""
        loop = _lowest_border(triangles, self.model.neutral, self.model.landmarks68)
        if loop is None:
            return np.zeros(0, int), None
        border = renumbering[loop]
        count, rings = len(border), len(_SHOULDER_RINGS)
        numbers = np.concatenate([border, start + np.arange(count * rings)])
        grid = np.arange(count * (rings + 1)).reshape(rings + 1, count)
        first, second = grid[:-1], grid[1:]
        following = np.roll(first, -1, axis=1), np.roll(second, -1, axis=1)
        faces = np.concatenate(
            [
                np.stack([first, following[0], second], -1).reshape(-1, 3),
                np.stack([following[0], following[1], second], -1).reshape(-1, 3),
            ]
        )
        size = len(faces)
        return border, (
            numbers,
            np.zeros((len(numbers), 2)),
            faces,
            np.full(size, PLAIN),
            np.full(size, LABEL["cloth"]),
            np.ones((len(numbers), 3)),
        )

    # --- masks ------------------------------------------------------------------------

    def _prepare_masks(self, regions):
        """Soft masks of drawn vertices, on the mean face."""
        names = np.array([*self.model.region_names, "face"], object)[regions]
        label, _ = _looks(names)
        is_skin = np.isin(label, (LABEL["skin"], LABEL["neck"]))
        neutral = self.model.neutral * np.float32(_CENTIMETRES)
        masks = soft_masks.on_the_mean_face(neutral, self.model.landmarks68, is_skin)
        self.masks = {}
        on_model = self.drawn.source < len(self.numbers)
        behind = self.numbers[np.where(on_model, self.drawn.source, 0)]
        for name, values in masks.items():
            self.masks[name] = np.where(on_model, values[behind], 0).astype(np.float32)
        self.masks["red"] = (self.masks["cheeks"] + self.masks["nose"]).clip(0, 1)
        self._marked = {
            name: np.flatnonzero(values > 1e-4) for name, values in self.masks.items()
        }
        inside = np.zeros(len(self.drawn.source), bool)
        mouth = np.isin(self.drawn.label, (LABEL["mouth"], LABEL["teeth"]))
        inside[np.unique(self.drawn.triangles[mouth])] = True
        inside &= ~_of_triangles(self.drawn, LABEL["skin"])
        self.inside = inside
        self.is_neck = np.zeros(len(inside), bool)
        self.is_neck[self.drawn.source >= self._neck_start] = True
        self.is_neck |= _of_triangles(self.drawn, LABEL["neck"])
        self.is_skin = self.is_neck | _of_triangles(self.drawn, LABEL["skin"])

    def marked(self, name: str) -> np.ndarray:
        """Numbers of the drawn vertices that a mask holds."""
        return self._marked[name]

    # --- normals ----------------------------------------------------------------------

    def _prepare_normals(self):
        triangles = self.drawn.source[self.drawn.triangles]
        self._corners = np.ascontiguousarray(triangles.T)
        rows = np.tile(np.arange(len(triangles)), 3)
        self._touching = scipy.sparse.csr_array(
            (np.ones(len(rows), np.float32), (self._corners.reshape(-1), rows)),
            shape=(self.vertex_count, len(triangles)),
        )

    @functools.cached_property
    def casting(self) -> np.ndarray:
        """int32 [t, 3], geometry that casts shadows: all but mouth and eyes."""
        inner = np.isin(self.drawn.label, [LABEL[x] for x in ("mouth", "teeth", "eye")])
        return self.drawn.source[self.drawn.triangles[~inner]].astype(np.int32)

    def normals(self, geometry: np.ndarray) -> np.ndarray:
        """Unit outward normals [v, 3] of the geometry's vertices; 0 where unused."""
        # One row an axis while they are computed: columns are slow.
        columns = np.ascontiguousarray(geometry.T)
        first, second, third = (columns.take(own, axis=1) for own in self._corners)
        second -= first
        third -= first
        normal = self._touching @ _cross(second, third)
        x, y, z = normal.T
        length = np.sqrt(x * x + y * y + z * z)
        normal *= (1 / np.maximum(length, np.float32(1e-12)))[:, None]
        return normal

    # --- geometry ---------------------------------------------------------------------

    def neutral(self, shape: np.ndarray) -> np.ndarray:
        """The computed model vertices, cm, without expression: float32 [n, 3].

        Args:
          shape: [ks] raw coefficients.
        """
        # Vertex by vertex: bits do not depend on the number of threads, as those of
        # products of several people at once would.
        moved = self._identity @ np.asarray(shape, np.float32)
        return self._mean + moved.reshape(-1, 3)

    def skin(self, neutral: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """The computed model vertices, cm, with an expression: float32 [n, 3].

        Args:
          neutral: [n, 3] from `neutral`.
          expression: [ke].
        """
        active = np.flatnonzero(expression)
        weights = np.asarray(expression, np.float32)[active]
        delta = (weights @ self._expression[active]).reshape(-1, 3)
        return neutral + delta

    def geometry(
        self, neutral, vertices, gaze: np.ndarray, shoulders=(1.0, 1.0)
    ) -> np.ndarray:
        """All vertices of a head, cm: skin, eyes, shoulders.

        Args:
          neutral, vertices: from `neutral` and `skin`.
          gaze: [2, 2], degrees that the left and the right eye turn to the subject's
            left and up.
          shoulders: factors of their width and of how far they fall.
        """
        pieces = [vertices]
        if self.eyes is not None:
            eyes = self.eyes.place(neutral, vertices)
            if self.kind == "ict":  # MakeHuman's expressions turn the eyes themselves.
                eyes = self._turned_eyes(eyes, gaze)
            pieces.append(eyes)
        if self.bust is not None:
            pieces.append(self.bust.place(neutral, vertices).astype(np.float32))
        if len(self._border):
            pieces.append(self._shoulders(vertices, *shoulders))
        return np.concatenate(pieces)

    def _turned_eyes(self, eyes, gaze):
        rest = self._resting_eyes
        for side, mine in enumerate(self._eye_rows):
            own = eyes.take(mine, axis=0)
            moved = (own - rest.take(mine, axis=0)).mean(axis=0)
            centre = self.eyes.eye_centers[side] + moved
            yaw, pitch = np.radians(gaze[side])
            turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0],
                             [-np.sin(yaw), 0, np.cos(yaw)]])  # fmt: skip
            nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)],
                            [0, -np.sin(pitch), np.cos(pitch)]])  # fmt: skip
            eyes[mine] = (own - centre) @ (turn @ nod).T + centre
        return eyes.astype(np.float32)

    @functools.cached_property
    def _eye_rows(self):
        return [np.flatnonzero(self.eyes.eye == side) for side in range(2)]

    @functools.cached_property
    def _resting_eyes(self):
        return self.eyes.place(self._mean, self._mean)

    def _shoulders(self, vertices, width, fall):
        border = vertices[self._border]
        middle = border.mean(axis=0)
        outwards = border - middle
        outwards[:, 1] = 0
        outwards /= np.maximum(np.linalg.norm(outwards, axis=1), 1e-6)[:, None]
        outwards[:, 0] *= _SHOULDER_WIDTH
        fallen = np.float32([0, fall, 0])
        rings = [
            border + outwards * np.float32(out * width) - np.float32(down) * fallen
            for out, down in _SHOULDER_RINGS
        ]
        return np.concatenate(rings).astype(np.float32)

    # --- light ------------------------------------------------------------------------

    @functools.lru_cache(maxsize=32)  # noqa: B019 - heads live as long as processes.
    def ambient(self, hair: int | None) -> np.ndarray:
        """Share of the surroundings that each geometry vertex sees, on the mean head.

        Args:
          hair: number of the hair part, or None.
        """
        geometry = self.geometry(self._mean, self._mean, np.zeros((2, 2)))
        triangles = self.drawn.source[self.drawn.triangles]
        extra = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
        if hair is not None:
            part = self.parts["hair"][hair]
            placed = part.place(self._mean, self._mean)
            extra = placed[part.source], part.triangles
        return occlusion.ambient(geometry, self.normals(geometry), triangles, *extra)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products [n, 3] of columns [3, n]; faster than numpy.cross."""
    ax, ay, az = a
    bx, by, bz = b
    result = np.empty((a.shape[1], 3), a.dtype)
    result[:, 0] = ay * bz - az * by
    result[:, 1] = az * bx - ax * bz
    result[:, 2] = ax * by - ay * bx
    return result


def _of_triangles(drawn: Drawn, label: int) -> np.ndarray:
    found = np.zeros(len(drawn.source), bool)
    found[np.unique(drawn.triangles[drawn.label == label])] = True
    return found


def _region_of_vertex(model: MorphableModel) -> np.ndarray:
    if model.vertex_regions is None:
        return np.full(model.vertex_count, len(model.region_names))
    return model.vertex_regions


def _drawn_vertices(model, regions, without_eyes: bool) -> np.ndarray:
    names = np.array([*model.region_names, "face"], object)
    hidden = _LEFT_OUT + (_EYEBALLS if without_eyes else ())
    keep = np.array([not str(name).startswith(hidden) for name in names])
    return keep[regions]


def _looks(region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and materials of region names."""
    label = np.full(len(region), LABEL["skin"])
    material = np.full(len(region), FACE_SKIN)
    for name in set(region.tolist()):
        mine = region == name
        if name.startswith(_EYEBALLS):
            label[mine], material[mine] = LABEL["eye"], PLAIN
        elif name.startswith(_TEETH):
            label[mine], material[mine] = LABEL["teeth"], PLAIN
        elif name.startswith(_MOUTH):
            label[mine], material[mine] = LABEL["mouth"], PLAIN
        elif name == NECK_REGION:
            label[mine], material[mine] = LABEL["neck"], HEAD_SKIN
    return label, material


def _lowest_border(triangles, vertices, landmarks68) -> np.ndarray | None:
    """The border loop at the bottom of a mesh, as vertex numbers in their order.

    None if the lowest border does not lie well below the chin.
    """
    # As the triangles beside them run, for cloth that goes on from them.
    loops = [ring[::-1] for ring in topology.boundary_rings(triangles)]
    chin = vertices[landmarks68[8], 1]
    span = np.ptp(vertices[landmarks68, 0])
    low = [
        loop for loop in loops
        if len(loop) > 12 and vertices[loop, 1].mean() < chin - 0.3 * span
    ]  # fmt: skip
    return max(low, key=len) if low else None


def _skins(kind: str, folder: pathlib.Path | None, model: MorphableModel):
    """Skin files: (face, head) pairs for ICT, one file each for MakeHuman."""
    if kind == "ict" and folder is not None:
        faces = sorted((folder / "ict_skins").glob("*_face.jpg"))
        heads = [path.with_name(path.name.replace("_face", "_head")) for path in faces]
        return tuple(zip(faces, heads, strict=True))
    if kind == "makehuman":
        faces = [pathlib.Path(path) for path in model.texture_pictures]
        busts = [None if folder is None else folder / "bust" / x.name for x in faces]
        return tuple(
            (face,) if bust is None or not bust.is_file() else (face, bust)
            for face, bust in zip(faces, busts, strict=True)
        )
    return ()


def load(path_or_name: str) -> Head:
    """Loads a head by the name or file of its model; kept for the process's life."""
    return _load(str(path_or_name), parts.find_folder(), tuple(io.data_folders()))


@functools.cache
def _load(path_or_name, folder, _) -> Head:
    model = raw_form.load(path_or_name)
    kind = "other"
    if NECK_REGION in model.region_names and model.vertex_count == 26719:
        kind = "ict"
    elif "head_skin" in model.region_names and model.vertex_count == 4881:
        kind = "makehuman"
    return Head(model, kind, folder, _skins(kind, folder, model))
