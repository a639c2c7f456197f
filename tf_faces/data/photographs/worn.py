"""Hair, brows, lashes and glasses before a head: layers, blended from front to back."""

import dataclasses
import functools

import numpy as np

from tf_faces.data.photographs import occlusion, textures
from tf_faces.data.photographs.faces import Face
from tf_faces.data.photographs.heads import Head
from tf_faces.ops.render_depth import layers as render_layers

WORN = ("hair", "glasses", "eyebrows", "eyelashes")
_LAYERS = 5
# Centimetres by which parts that lie on the skin are brought forward.
_FORWARD = {"eyebrows": 0.15, "eyelashes": 0.12, "hair": 0.03, "glasses": 0.0}


@dataclasses.dataclass(frozen=True, eq=False)
class Placed:
    """A part in its place.

    Attributes:
      worn: what it is.
      part: its file.
      points: [w, 3] drawn vertices, in the model's frame.
    """

    worn: object
    part: object
    points: np.ndarray


def put_on(
    head: Head, face: Face, neutral: np.ndarray, vertices: np.ndarray
) -> list[Placed]:
    """Places what a face wears.

    Args:
      head, face: who.
      neutral, vertices: from `Head.neutral` and `Head.skin`.
    """
    found = []
    for worn in face.worn:
        part = head.parts[worn.kind][worn.number]
        placed = part.place(neutral, vertices)
        found.append(Placed(worn, part, placed[part.source].astype(np.float32)))
    return found


@functools.lru_cache(maxsize=4)
def _blocks(size: int, factor: int) -> np.ndarray:
    """The pixel of a picture that each pixel of a finer one lies in, int32 [R * R]."""
    fine = np.arange(size * factor) // factor
    return (fine[:, None] * size + fine).reshape(-1).astype(np.int32)


class Sums:
    """A picture that is added up from pixels of a finer one.

    Args:
      size, factor: the finer one has size * factor pixels a side.

    Attributes:
      color: three float32 [S, S].
      cover: float32 [S, S] for each of `WORN`.
    """

    def __init__(self, size: int, factor: int):
        self._size, self._share = size, 1 / factor**2
        self._blocks = _blocks(size, factor)
        self.color = [np.zeros((size, size), np.float32) for _ in range(3)]
        self.cover = [np.zeros((size, size), np.float32) for _ in WORN]

    def _summed(self, block, values):
        size = self._size
        found = np.bincount(block, values, size * size)
        return (found * self._share).astype(np.float32).reshape(size, size)

    def add_color(self, pixel, colors, shares) -> None:
        """Adds colours [3, P] times shares [P] at pixels [P] of the finer picture."""
        block = self._blocks.take(pixel)
        for channel, total in enumerate(self.color):
            total += self._summed(block, colors[channel] * shares)

    def add_cover(self, pixel, kind, shares) -> None:
        """Adds shares [P] of things of `kind` [P] at pixels [P]."""
        block = self._blocks.take(pixel)
        for number, total in enumerate(self.cover):
            chosen = np.flatnonzero(kind == number)
            if len(chosen):
                total += self._summed(block.take(chosen), shares.take(chosen))


def add_layers(worn, view, factor, light, shadow, limit, through, sums) -> None:
    """Blends what is worn into `sums`.

    Args:
      worn: from `put_on`.
      view, light: of the picture.
      factor: of supersampling.
      shadow: `occlusion.DepthMap` of the dominant light, or None.
      limit: [R, R] depth of what is solid, -inf where nothing is.
      through: float32 [R * R], ones; becomes the share that passes all layers.
      sums: what is added to.
    """
    points, attributes, triangles, owners = [], [], [], []
    start = 0
    for number, one in enumerate(worn):
        camera = view.in_camera_frame(one.points)
        placed = view.project(one.points, factor)
        forward = _FORWARD[one.worn.kind] * view.pose[6] * factor
        placed[:, 2] += np.float32(forward)
        points.append(placed)
        attributes.append(_layer_attributes(one, camera, light, shadow))
        triangles.append(one.part.triangles + start)
        owners.append(np.full(len(one.part.triangles), number))
        start += len(placed)
    found = render_layers.rasterize_layers(
        np.concatenate(points),
        np.concatenate(triangles),
        np.concatenate(attributes),
        limit,
        _LAYERS,
    )
    if not len(found.pixel):
        return
    owner = np.concatenate(owners).take(found.triangle_id)
    first_triangle = np.cumsum([0, *(len(one.part.triangles) for one in worn)])
    columns = np.ascontiguousarray(found.attributes.T)
    rgba = np.empty((4, len(found.pixel)), np.float32)
    for number, one in enumerate(worn):
        chosen = np.flatnonzero(owner == number)
        if len(chosen):
            numbers = found.triangle_id.take(chosen) - first_triangle[number]
            rgba[:, chosen] = _layer_colors(one, columns.take(chosen, axis=1), numbers)
    kind = np.array([WORN.index(one.worn.kind) for one in worn]).take(owner)
    shares = rgba[3]
    for begin, end in zip(found.starts[:-1], found.starts[1:], strict=True):
        pixel = found.pixel[begin:end]
        passing = through.take(pixel)
        shares[begin:end] *= passing
        through[pixel] = passing - shares[begin:end]
    sums.add_color(found.pixel, rgba, shares)
    sums.add_cover(found.pixel, kind, shares)


def _layer_attributes(one, camera, light, shadow) -> np.ndarray:
    """uv [2], light [3] and highlight [3] at the vertices of a part."""
    middle = np.float32([0, 0.0, -6])
    if one.worn.kind == "hair":
        outwards = camera - camera.mean(axis=0)
    else:
        outwards = camera - middle
    outwards = outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
    # Sheets of hair would shade each other in blotches; hair lets light through.
    lit = occlusion.lit(shadow, camera, occlusion.HAIR_BIAS, 2.0)
    lit = lit * np.float32(0.8) + np.float32(0.2)
    cosine = outwards @ light.direction
    soft = np.maximum(cosine + np.float32(0.3), 0) / np.float32(1.69) * lit
    received = 0.75 * light.ambient(outwards) + soft[:, None] * light.irradiance
    shine = np.zeros_like(received)
    if one.worn.kind == "hair":
        # Strands run down along the head: what is mirrored makes a ring around it.
        strand = np.float32([0, -1, 0]) + outwards * outwards[:, 1:2]
        strand /= np.maximum(np.linalg.norm(strand, axis=1, keepdims=True), 1e-3)
        half = light.direction + np.float32([0, 0, 1])
        half = half / max(float(np.linalg.norm(half)), 1e-3)
        along = strand @ half
        ring = np.maximum(1 - along * along, 0) ** 20
        ring *= np.clip(cosine + 0.2, 0, 1) * lit * np.float32(0.07)
        shine = ring[:, None] * light.irradiance
    coordinates = one.part.coordinates
    return np.concatenate([coordinates, received / np.float32(np.pi), shine], axis=1)


def _layer_colors(one, values, triangle) -> np.ndarray:
    """Linear colour and alpha [4, F] of a part's fragments, of attributes [8, F]."""
    worn, part = one.worn, one.part
    largest = 256 if worn.kind in ("eyebrows", "eyelashes", "glasses") else 512
    look = textures.read if worn.kind == "glasses" else textures.read_variation
    texture = look(part.textures[0], largest)
    # Layers are averaged over pixels and blended: the nearest texel is enough.
    found = np.ascontiguousarray(texture.nearest(values[0], values[1]).T)
    if worn.kind == "glasses":
        names = np.array(part.layer_names)[part.layer[triangle]]
        lens = names == "lens"
        found[:3] *= (worn.color / np.float32(0.5))[:, None]
        found[3] = np.where(lens, max(worn.lens, 0.04), 1)
        found[:3] *= values[2:5]
        # What clear glass mirrors, or the dark of sunglasses and a little of that.
        mirrored = 0.05 if worn.lens > 0 else 0.7
        found[:3, lens] = np.float32(mirrored) * values[2:5, lens]
        return found
    for channel in range(3):
        color = np.minimum(found[channel] * worn.color[channel], np.float32(0.9))
        color *= values[2 + channel]
        if worn.kind == "hair":
            color += values[5 + channel] * (np.float32(0.3) + worn.color[channel])
        found[channel] = color
    return found
