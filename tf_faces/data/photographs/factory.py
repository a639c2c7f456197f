"""The picture factory: photograph i of a seed, with all that is true of it."""

import dataclasses

import numpy as np

from tf_faces.core import seeding
from tf_faces.data.photographs import (
    faces,
    heads,
    occluders,
    sensor,
    shading,
    surroundings,
    textures,
    views,
)
from tf_faces.data.photographs.settings import Settings

# Luminance to which an exposure by the face brings it, and how much the face counts.
_FACE_LEVEL, _FACE_WEIGHT = 0.22, 0.65
_LUMINANCE = np.float32([0.2126, 0.7152, 0.0722])


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """A picture and what it was made from; `truth.fields` computes what is true of it.

    Attributes:
      index: i.
      settings: how it was drawn.
      picture: uint8 [S, S, 3].
      head: the face model made ready.
      face: who.
      view: from where.
      light: in the camera's frame, exposed: linear light before the camera's curve.
      posed: the geometry.
      worn: float32 [S, S, 4], shares of a pixel that `worn.WORN` covers.
      occluded: float32 [S, S], share behind an occluder.
      sensor: the camera's faults.
    """

    index: int
    settings: Settings
    picture: np.ndarray
    head: heads.Head
    face: faces.Face
    view: views.View
    light: surroundings.Light
    posed: shading.Posed
    worn: np.ndarray
    occluded: np.ndarray
    sensor: sensor.Sensor

    @property
    def hidden(self) -> np.ndarray:
        """float32 [S, S], share of a pixel behind hair, glasses or an occluder."""
        hair = self.worn[..., :2].sum(axis=-1)
        return 1 - (1 - hair) * (1 - self.occluded)


def places() -> tuple[surroundings.Environment, ...]:
    """The surroundings of this process: those of the face data, or made by code."""
    return surroundings.load(surroundings.find_folder())


def _rotation(turn: float, tilt: float) -> np.ndarray:
    """Panorama directions to the camera's frame: turned about y, then tilted."""
    about_y = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0],
                        [-np.sin(turn), 0, np.cos(turn)]])  # fmt: skip
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)],
                        [0, np.sin(tilt), np.cos(tilt)]])  # fmt: skip
    return about_x @ about_y


def _doubled(picture: np.ndarray) -> np.ndarray:
    """A picture [h, w, 3] twice as large, with straight transitions."""
    for axis in range(2):
        before = np.concatenate([picture.take([0], axis), picture], axis)
        before = before.take(range(picture.shape[axis]), axis)
        after = np.concatenate([picture, picture.take([-1], axis)], axis)
        after = after.take(range(1, picture.shape[axis] + 1), axis)
        mine = picture * np.float32(0.75)
        pair = np.stack(
            [mine + np.float32(0.25) * before, mine + np.float32(0.25) * after],
            axis + 1,
        )
        shape = list(picture.shape)
        shape[axis] *= 2
        picture = pair.reshape(shape)
    return picture


def _even_light() -> surroundings.Light:
    """As strong from everywhere, a little more from the camera."""
    radiance = np.zeros((9, 3), np.float32)
    radiance[0] = 0.5 / 0.28209479
    return surroundings.Light(
        radiance, np.float32([0, 0, 1]), np.full(3, 0.4, np.float32)
    )


def _skin_level(head: heads.Head, face: faces.Face) -> float:
    """About how bright a face is: luminance of its albedo."""
    if not head.skins:
        return 0.4
    levels = [textures.read(head.skins[k][0], 512).mean_level for k in face.skins]
    level = levels[0] + face.skin_share * (levels[1] - levels[0])
    return float(level * (face.tone @ _LUMINANCE))


def _exposure(place, light, level: float, stops: float) -> float:
    """Factor between the place's radiance and exposed light.

    Args:
      place: where.
      light: there, turned, not exposed.
      level: albedo of the face; a camera half makes up for it.
      stops: natural logarithm of a factor.
    """
    normals = np.float32([[0, 0, 1], [0.5, 0, 0.866], [-0.5, 0, 0.866]])
    received = float(light.irradiance_at(normals).mean(axis=0) @ _LUMINANCE)
    sent = received * np.sqrt(max(level, 0.02) * 0.4) / np.pi
    by_face = np.log(_FACE_LEVEL / max(sent, 1e-6))
    by_place = np.log(place.exposure)
    return float(np.exp(by_place + _FACE_WEIGHT * (by_face - by_place) + stops))


def draw(
    settings: Settings,
    seed: int,
    index: int,
    given: tuple[np.ndarray, np.ndarray] | None = None,
) -> Photograph:
    """Photograph `index` of `seed`: the same bits in every process.

    Args:
      settings: how photographs are drawn.
      seed: of the set.
      index: from 0.
      given: identity [ks] and expression [ke] coefficients of the face; None draws
        them.

    Raises:
      InputError: if the model or its data cannot be had.
    """
    head = heads.load(settings.model)

    def generator(stream: str) -> np.random.Generator:
        return seeding.numpy_generator(seed, f"photograph {stream}", index)

    face = faces.draw(head, settings, generator("face"), given)
    posed = shading.pose(head, face)
    view = views.draw(settings, posed.vertices, head.landmarks68, generator("view"))
    rng = generator("place")
    every = places()
    place = every[rng.integers(len(every))]
    rotation = _rotation(rng.uniform(-np.pi, np.pi), rng.normal(0, 0.12))
    stops = rng.normal(0, 0.35)
    focus = rng.integers(1, len(surroundings.FOCUS_DEGREES))
    focus = 0 if rng.random() < 0.12 else focus
    plain = faces.linear(rng.uniform(0, 255, 3))
    if settings.light == "surroundings":
        light = place.light.turned(rotation)
        exposure = _exposure(place, light, _skin_level(head, face), stops)
        light = light.scaled(exposure)
    else:
        light, exposure = _even_light(), place.exposure
    shaded = shading.shade(
        head,
        face,
        posed,
        view,
        light,
        factor=settings.supersampling,
        shadows=settings.shadows and settings.light == "surroundings",
        gloss=settings.gloss,
        use_skins=settings.skins,
    )
    size = settings.size
    if settings.background == "surroundings":
        panorama = place.background(int(focus))
        # What is out of focus is looked at coarsely.
        step = 2 if focus > 0 and size % 2 == 0 else 1
        rays = view.rays(size // step) @ rotation.astype(np.float32)
        seen = surroundings.look(panorama, rays)
        seen = _doubled(seen) if step == 2 else seen
        behind = seen * np.float32(exposure / place.exposure)
    else:
        shown = plain if settings.background == "plain" else np.zeros(3)
        behind = np.broadcast_to(shown.astype(np.float32), (size, size, 3))
    linear = shaded.color + (1 - shaded.coverage)[..., None] * behind
    points = view.project(posed.vertices[head.landmarks68])[:, :2]
    tone = np.float32([0.45, 0.26, 0.18]) * face.tone
    occluder = occluders.draw(settings, points, tone, generator("occluder"))
    occluded = np.zeros((size, size), np.float32)
    if occluder is not None:
        occluded = occluder.alpha
        towards = light.irradiance_at(np.float32([[0, 0, 1]]))[0] / np.float32(np.pi)
        linear += occluded[..., None] * (occluder.albedo * towards - linear)
    camera = sensor.draw(settings, generator("sensor"))
    return Photograph(
        index,
        settings,
        sensor.develop(linear, camera),
        head,
        face,
        view,
        light,
        posed,
        shaded.worn,
        occluded,
        camera,
    )
