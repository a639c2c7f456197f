"""A head in its light, as linear colours without a background.

Everything solid is drawn first and shaded pixel by pixel; hair, brows, lashes and
glasses come in layers before it, blended from front to back.  The head is drawn finer
than the picture and averaged.
"""

import dataclasses
import functools
import pathlib

import numpy as np
import scipy.ndimage

from tf_faces.data.photographs import heads, occlusion, textures
from tf_faces.data.photographs import worn as worn_parts
from tf_faces.data.photographs.faces import Face
from tf_faces.data.photographs.heads import LABEL, Head
from tf_faces.data.photographs.surroundings import Light
from tf_faces.data.photographs.views import View
from tf_faces.ops import render_depth

# By how much light wraps around skin, by channel: red goes deepest.
_SKIN_WRAP = np.float32([0.28, 0.12, 0.08])
# Side of the tiles of stubble and freckles, and how often they repeat over a chart.
_GRAIN, _GRAIN_TILES = 256, 3
_MOUTH_DEPTH = 3.5  # Centimetres behind the lips at which it is dark.
_SKIN_REFLECTANCE, _EYE_REFLECTANCE = 0.045, 0.35
_EYE_GLOSS = 160.0
# Columns of the attributes that are interpolated.
_UV, _NORMAL, _AMBIENT, _COLOR = slice(0, 2), slice(2, 5), slice(5, 8), slice(8, 11)
_LIT, _GLOSS, _COLLAR, _BEARD, _FRECKLED = range(11, 16)
_COLUMNS = 16
_PLAIN_SKIN = np.float32([0.52, 0.30, 0.21])
_SKIN_SIZE = 512  # Largest side of skin textures for pictures up to 256 pixels.


@dataclasses.dataclass(frozen=True, eq=False)
class Shaded:
    """A head before any background, S x S pixels.

    Attributes:
      color: float32 [S, S, 3], linear, times coverage.
      coverage: float32 [S, S], by the head and what it wears.
      worn: float32 [S, S, 4], by what lies before the skin, as `worn.WORN` names it.
    """

    color: np.ndarray
    coverage: np.ndarray
    worn: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Posed:
    """A face's geometry; centimetres in the model's frame.

    Attributes:
      neutral, vertices: [n, 3] from `Head.neutral` and `Head.skin`.
      geometry: [v, 3] from `Head.geometry`.
      normals: [v, 3].
    """

    neutral: np.ndarray
    vertices: np.ndarray
    geometry: np.ndarray
    normals: np.ndarray


def pose(head: Head, face: Face) -> Posed:
    """Computes a face's geometry."""
    neutral = head.neutral(face.shape)
    vertices = head.skin(neutral, face.expression)
    geometry = head.geometry(neutral, vertices, face.gaze, face.shoulders)
    return Posed(neutral, vertices, geometry, head.normals(geometry))


def shade(
    head: Head,
    face: Face,
    posed: Posed,
    view: View,
    light: Light,
    *,
    factor: int = 2,
    shadows: bool = True,
    gloss: float = 1.0,
    use_skins: bool = True,
) -> Shaded:
    """Draws a head.

    Args:
      head, face, posed: what.
      view: from where.
      light: in the camera's frame, exposed.
      factor: of supersampling.
      shadows: cast those of the dominant light.
      gloss: factor of the shine.
      use_skins: take the colour from pictures of skin where there are some.
    """
    size = view.size * factor
    worn = worn_parts.put_on(head, face, posed.neutral, posed.vertices)
    hair = next((x.worn.number for x in worn if x.worn.kind == "hair"), None)
    ambient_share = head.ambient(hair)
    camera = view.in_camera_frame(posed.geometry)
    turned = posed.normals @ view.rotation.T.astype(np.float32)
    shadow = None
    if shadows:
        shadow = _shadow_map(head, view, light, camera, worn, hair)
    lit = occlusion.lit(shadow, camera, occlusion.SKIN_BIAS)
    attributes = _attributes(head, face, posed, light, turned, ambient_share, lit)
    placed = view.project(posed.geometry, factor)
    # One mesh as a batch: taking parts of tensors is slow.
    drawn = render_depth.rasterize(
        placed.take(head.drawn.source, axis=0)[None],
        _drawn_triangles(head),
        size,
        size,
        attributes=attributes[None],
    )
    triangle = render_depth.values_of(drawn.triangle_id).reshape(-1)
    pixel = np.flatnonzero(triangle >= 0)
    values = _columns(drawn, pixel)
    solid = _shade_solid(
        head, face, light, values, triangle.take(pixel), pixel, size, gloss, use_skins,
        is_averaged=factor > 1,
    )  # fmt: skip
    through = np.ones(size * size, np.float32)
    sums = worn_parts.Sums(view.size, factor)
    if worn:
        depth = render_depth.values_of(drawn.depth).reshape(-1)
        depth = np.where(triangle < 0, np.float32(-np.inf), depth)
        worn_parts.add_layers(
            worn, view, factor, light, shadow, depth.reshape(size, size), through, sums
        )
    sums.add_color(pixel, solid, through.take(pixel))
    coverage = 1 - through
    coverage[pixel] = 1
    return Shaded(
        np.stack(sums.color, axis=-1),
        reduced(coverage.reshape(size, size), factor),
        np.stack(sums.cover, axis=-1),
    )


def solid_maps(
    head: Head, face: Face, posed: Posed, view: View, use_skins: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Labels uint8 [S, S] and linear albedo float32 [S, S, 3] of what is solid."""
    size = view.size
    values = np.zeros((len(head.drawn.source), _COLUMNS), np.float32)
    values[:, _UV] = head.drawn.coordinates
    values[:, _COLOR] = _tinted(head, face).T
    values[:, _COLLAR] = _collar(head, face, posed)
    _mark_skin(head, face, values)
    placed = view.project(posed.geometry)
    drawn = render_depth.rasterize(
        placed[head.drawn.source], head.drawn.triangles, size, size, attributes=values
    )
    triangle = render_depth.values_of(drawn.triangle_id).reshape(-1)
    pixel = np.flatnonzero(triangle >= 0)
    values = _columns(drawn, pixel)
    triangle = triangle.take(pixel)
    label = head.drawn.label.take(triangle)
    label[values[_COLLAR] > 0] = LABEL["cloth"]
    labels = np.zeros(size * size, np.uint8)
    labels[pixel] = label
    colors = np.zeros((size * size, 3), np.float32)
    colors[pixel] = _albedo(head, face, values, triangle, label, 2 * size, use_skins).T
    return labels.reshape(size, size), colors.reshape(size, size, 3)


def reduced(picture: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of factor x factor pixels."""
    if factor == 1:
        return picture
    total = picture[::factor].copy()
    for row in range(1, factor):
        total += picture[row::factor]
    result = total[:, ::factor].copy()
    for column in range(1, factor):
        result += total[:, column::factor]
    result *= np.float32(1 / factor**2)
    return result


# --- shadows --------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _casting(head: Head, hair: int | None):
    """Triangles, as a tensor, of the geometry that casts shadows, then of the hair."""
    import tensorflow as tf

    faces = [head.casting]
    if hair is not None:
        faces.append(head.parts["hair"][hair].triangles + head.vertex_count)
    return tf.constant(np.concatenate(faces), tf.int32)


def _shadow_map(head, view, light, camera, worn, hair):
    pieces = [camera]
    for one in worn:
        if one.worn.kind == "hair":
            pieces.append(view.in_camera_frame(one.points))
    return occlusion.DepthMap(
        light.direction, np.concatenate(pieces), _casting(head, hair)
    )


# --- solid things ---------------------------------------------------------------------


@functools.lru_cache(maxsize=16)
def _drawn_triangles(head: Head):
    """The head's triangles as a tensor."""
    import tensorflow as tf

    return tf.constant(head.drawn.triangles, tf.int32)


def _columns(drawn, pixel) -> np.ndarray:
    """Interpolated attributes at pixels, [_COLUMNS, P]: each contiguous."""
    rows = render_depth.values_of(drawn.attributes).reshape(-1, _COLUMNS)
    return np.ascontiguousarray(rows.take(pixel, axis=0).T)


def _attributes(head, face, posed, light, normals, ambient_share, lit):
    """What is interpolated, [w, _COLUMNS], at the drawn vertices."""
    source = head.drawn.source
    values = np.empty((len(source), _COLUMNS), np.float32)
    ambient = light.ambient(normals) * ambient_share[:, None]
    values[:, _UV] = head.drawn.coordinates
    values[:, _NORMAL] = normals.take(source, axis=0)
    values[:, _AMBIENT] = ambient.take(source, axis=0)
    values[:, _LIT] = lit.take(source)
    values[:, _COLOR] = _tinted(head, face).T
    values[:, _GLOSS] = 1 + 0.8 * head.masks["nose"] + face.lips * head.masks["lips"]
    lips = posed.vertices[head.landmarks68[48:68]]
    inside = np.flatnonzero(head.inside)
    behind = lips[:, 2].max() - posed.geometry[source[inside], 2]
    dark = np.clip(1 - behind / _MOUTH_DEPTH, 0.02, 1) ** 1.5
    everywhere = light.ambient(np.float32([[0, 0, 1]]))[0]
    values[inside, _AMBIENT] = (0.55 * dark)[:, None] * everywhere
    values[inside, _LIT] *= dark
    values[:, _COLLAR] = _collar(head, face, posed)
    _mark_skin(head, face, values)
    return values


def _mark_skin(head, face, values) -> None:
    """Sets how much stubble and how many freckles drawn vertices have."""
    masks = head.masks
    values[:, _BEARD] = face.stubble * masks["beard"]
    freckled = (masks["cheeks"] + 0.8 * masks["nose"]).clip(0, 1)
    values[:, _FRECKLED] = face.freckles * freckled


@functools.cache
def _grain() -> tuple[np.ndarray, np.ndarray]:
    """Tiles [256, 256] in 0..1: stubble, hair by hair, and freckles, spot by spot."""
    rng = np.random.default_rng(0)
    fine = rng.random((_GRAIN, _GRAIN)).astype(np.float32)
    spots = scipy.ndimage.gaussian_filter(
        rng.standard_normal((_GRAIN, _GRAIN)), 1.3, mode="wrap"
    )
    spots = np.clip(spots / spots.std() - 0.9, 0, 1).astype(np.float32)
    return fine, spots


def _roughen(face, values, chosen, albedo) -> None:
    """Adds stubble and freckles to the skin's colours."""
    if face.stubble == 0 and face.freckles == 0:
        return
    strength = values[_BEARD] + values[_FRECKLED]
    chosen = chosen[strength.take(chosen) > 1e-3]
    places = values[_UV].take(chosen, axis=1) * np.float32(_GRAIN * _GRAIN_TILES)
    places = places.astype(np.int32) + np.int32(face.freckle_seed % 4096)
    places %= _GRAIN
    flat = places[1] * _GRAIN + places[0]
    fine, spots = _grain()
    beard = np.float32(0.35) + np.float32(0.65) * fine.reshape(-1).take(flat)
    beard *= values[_BEARD].take(chosen)
    freckled = values[_FRECKLED].take(chosen) * spots.reshape(-1).take(flat)
    for channel, share in enumerate(np.float32([0.35, 0.5, 0.6])):
        found = albedo[channel].take(chosen)
        found += beard * (np.float32(face.stubble_color[channel]) - found)
        found *= 1 - freckled * share
        albedo[channel, chosen] = found


def _collar(head, face, posed) -> np.ndarray:
    """Centimetres [w] by which drawn vertices lie below the cloth's upper edge."""
    chin = posed.neutral[head.landmarks68[8]]
    points = posed.geometry.take(head.drawn.source, axis=0)
    across = np.abs(points[:, 0] - chin[0])
    open_by = np.float32(face.opening) * np.maximum(7 - across, 0)
    collar = chin[1] - face.neckline - open_by - points[:, 1]
    # Behind, cloth begins higher.
    collar += 0.3 * np.maximum(chin[2] - 4 - points[:, 2], 0)
    return np.where(head.is_neck, collar, np.float32(-1))


@functools.lru_cache(maxsize=16)
def _plain_colors(head: Head) -> np.ndarray:
    """The head's own colours [3, w]."""
    return np.ascontiguousarray(head.drawn.color.T)


def _tinted(head: Head, face: Face) -> np.ndarray:
    """Colours [3, w] of drawn vertices, with tone, redness and make-up."""
    masks = head.masks
    tone = np.where(head.is_skin, face.tone.astype(np.float32)[:, None], np.float32(1))
    colors = _plain_colors(head) * tone
    changes = (
        (face.redness, "red", np.float32([0.08, -0.22, -0.18])),
        (face.lips, "lips", face.lip_color - 1),
        (face.lids, "lids", face.lid_color - 1),
    )
    for strength, name, change in changes:
        if strength > 0:
            chosen = head.marked(name)
            mask = np.float32(strength) * masks[name].take(chosen)
            for channel in range(3):
                colors[channel, chosen] *= 1 + mask * np.float32(change[channel])
    return colors


def _skin_textures(head: Head, face: Face, size: int):
    """Textures of the face and of the rest of the skin: which are blended for each."""
    largest = _SKIN_SIZE if size <= 512 else None
    first, second = (head.skins[number] for number in face.skins)
    found = []
    for place, (one, other) in enumerate(zip(first, second, strict=True)):
        side = largest if place == 0 or largest is None else largest // 2
        blended = [textures.read(one, side)]
        if face.skin_share > 0 and one != other:
            blended.append(textures.read(other, side))
        found.append(blended)
    return found


def _albedo(head, face, values, triangle, label, size, use_skins, is_averaged=False):
    """Linear colours [3, P]; `label` says what each pixel is."""
    albedo = values[_COLOR].copy()
    material = head.drawn.material.take(triangle)

    def multiply(chosen, blended):
        if len(chosen):
            u, v = values[_UV].take(chosen, axis=1)
            found, *others = (
                (texture.nearest if is_averaged else texture.sample)(u, v)
                for texture in blended
            )
            for other in others:
                other -= found
                other *= np.float32(face.skin_share)
                found += other
            for channel in range(3):
                albedo[channel, chosen] *= found[:, channel]

    if use_skins and head.skins:
        for number, blended in enumerate(_skin_textures(head, face, size)):
            multiply(np.flatnonzero(material == heads.FACE_SKIN + number), blended)
    elif head.skins:
        skin = (material == heads.FACE_SKIN) | (material == heads.HEAD_SKIN)
        albedo[:, skin] *= _PLAIN_SKIN[:, None]
    _roughen(face, values, np.flatnonzero(label == LABEL["skin"]), albedo)
    if head.eyes is not None:
        texture = textures.read(_iris(head.eyes.textures, face.iris), 256)
        multiply(np.flatnonzero(material == heads.IRIS), [texture])
    cloth = np.flatnonzero(label == LABEL["cloth"])
    if len(cloth):
        stripe = values[_COLLAR].take(cloth) * np.float32(0.8)
        stripe = np.floor(stripe).astype(int) % 2
        albedo[:, cloth] = face.cloth[stripe].T
    return albedo


def _iris(pictures, number: int) -> pathlib.Path:
    """One of the irises: two in three are brown."""
    brown = [path for path in pictures if "brown" in path.stem]
    some = brown if brown and number % 3 else pictures
    return some[number // 3 % len(some)]


def _shade_solid(
    head, face, light, values, triangle, pixel, size, gloss, use_skins, is_averaged
) -> np.ndarray:
    """Linear colours [3, P] of the pixels that something solid covers."""
    label = head.drawn.label.take(triangle)
    label[values[_COLLAR] > 0] = LABEL["cloth"]
    albedo = _albedo(head, face, values, triangle, label, size, use_skins, is_averaged)
    x, y, z = light.direction
    nx, ny, nz = values[_NORMAL]
    cosine = nx * x + ny * y + nz * z
    if face.bumps > 0:
        is_skin = (label == LABEL["skin"]) | (label == LABEL["neck"])
        cosine += _bumps(albedo, is_skin, pixel, size, light) * np.float32(face.bumps)
    lit = values[_LIT]
    mirrored = None
    if gloss > 0:
        mirrored = _mirrored(face, light, values, (nx, ny, nz), cosine, lit, label)
    color = np.empty((3, len(pixel)), np.float32)
    for channel in range(3):
        wrap = _SKIN_WRAP[channel]
        received = np.maximum(cosine + wrap, 0)
        received *= lit
        received *= light.irradiance[channel] / (1 + wrap) ** 2
        ambient = values[_AMBIENT][channel]
        received += ambient
        received *= albedo[channel]
        received *= np.float32(1 / np.pi)
        if mirrored is not None:
            lobe, grazing = mirrored
            received += lobe * (np.float32(gloss) * light.irradiance[channel])
            received += grazing * ambient * np.float32(gloss)
        color[channel] = received
    return color


def _bumps(albedo, is_skin, pixel, size, light) -> np.ndarray:
    """Change of the cosine by wrinkles and pores: what is darker lies deeper."""
    height = np.zeros(size * size, np.float32)
    # Of the logarithm, so that dark skin is as rough; nothing is flat.
    height[pixel] = np.where(is_skin, np.log(np.maximum(albedo[1], 0.01)), np.nan)
    height = height.reshape(size, size)
    change = np.zeros((size, size), np.float32)
    x, y = light.direction[0], light.direction[1]
    change[1:-1, 1:-1] = (height[1:-1, :-2] - height[1:-1, 2:]) * x
    change[1:-1, 1:-1] += (height[2:, 1:-1] - height[:-2, 1:-1]) * y
    found = change.reshape(-1).take(pixel)
    np.nan_to_num(found, copy=False)
    return np.clip(found, -0.4, 0.4, out=found)


def _mirrored(face, light, values, normal, cosine, lit, label):
    """Factors of the light that is mirrored: of the source, and of all the rest."""
    nx, ny, nz = normal
    half = light.direction + np.float32([0, 0, 1])
    half /= max(float(np.linalg.norm(half)), 1e-3)
    facing = np.maximum(nx * half[0] + ny * half[1] + nz * half[2], 0)
    lobe = facing ** np.float32(face.gloss)
    lobe *= np.float32((face.gloss + 8) / (8 * np.pi) * _SKIN_REFLECTANCE * face.shine)
    lobe *= values[_GLOSS]
    eye = np.flatnonzero(label == LABEL["eye"])
    lobe[eye] = facing[eye] ** np.float32(_EYE_GLOSS)
    lobe[eye] *= np.float32((_EYE_GLOSS + 8) / (8 * np.pi) * _EYE_REFLECTANCE)
    lobe *= np.maximum(cosine, 0)
    lobe *= lit
    grazing = np.clip(1 - nz, 0, 1)
    square = grazing * grazing
    grazing *= square * square * np.float32(0.22 / np.pi)
    grazing += np.float32(0.02 / np.pi)
    cloth = label == LABEL["cloth"]
    lobe[cloth] = 0
    grazing[cloth] = 0
    return lobe, grazing
