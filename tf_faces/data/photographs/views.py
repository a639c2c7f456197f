"""From where a face is seen: poses and cameras.

A view turns the head (R of 3DDFA's angles), and projects it into the image frame (x
right, y down, pixel centres at integers, larger z nearer):

    weak perspective   x = f (R v)_x + t_x,  y = S - 1 - (f (R v)_y + t_y)
    true perspective   the same for points at the depth of the head's centre, and
                       smaller or larger by d / (d - z) about the picture's centre for
                       points z nearer; d is the distance to the camera
    depth, both        z = f (R v)_z + t_z

so the pose of seven numbers (pitch, yaw, roll, t_x, t_y, t_z, f) is exact for weak
perspective, and for true perspective that of the weak one which agrees at the centre.
"""

import dataclasses
import functools

import numpy as np

from tf_faces.data.photographs.settings import Settings
from tf_faces.geometry import cameras

MICROMETRES = 1e4  # In a centimetre.
_WEAK_SHARE = 0.3
_NEAREST = 22.0  # Centimetres from the camera to the head's centre at least.


@functools.lru_cache(maxsize=16)
def _rotation(pitch: float, yaw: float, roll: float) -> np.ndarray:
    # A view is refined in some steps, none of which turns it.
    return np.asarray(cameras.pose_rotation(np.array([pitch, yaw, roll, 0, 0, 0, 1.0])))


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A camera that looks at a head.

    Attributes:
      pose: float64 [7], pixels for a centimetre, of a picture of `size`.
      size: pixels of a side.
      distance: centimetres to the head's centre; infinite for weak perspective.
      centre: float64 [3], the head's centre, in the model's frame, centimetres.
    """

    pose: np.ndarray
    size: int
    distance: float
    centre: np.ndarray

    @functools.cached_property
    def rotation(self) -> np.ndarray:
        """float64 [3, 3]."""
        return _rotation(*self.pose[:3].tolist())

    @property
    def is_perspective(self) -> bool:
        return bool(np.isfinite(self.distance))

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """float64 [3, 4] P: (x, y) = (P v)_xy / (P v)_z for v = (x, y, z, 1) in cm.

        Its last row is (0, 0, 0, 1) for weak perspective.
        """
        linear = self.pose[6] * self.rotation
        affine = np.concatenate([linear, self.pose[3:6, None]], axis=1)[:2]
        affine[1] *= -1
        affine[1, 3] += self.size - 1
        if not self.is_perspective:
            return np.concatenate([affine, [[0, 0, 0, 1.0]]])
        # x - p = (weak x - p) / w with w = 1 - (R (v - c))_z / d.
        row = self.rotation[2]
        w = np.array([*(-row / self.distance), 1 + row @ self.centre / self.distance])
        middle = (self.size - 1) / 2
        one = np.array([0, 0, 0, 1.0])
        return np.stack([affine[k] - middle * one + middle * w for k in range(2)] + [w])

    @property
    def pose_in_micrometres(self) -> np.ndarray:
        """float32 [7]: the pose as 300W-LP has it, pixels for a micrometre."""
        pose = self.pose.copy()
        pose[6] /= MICROMETRES
        return pose.astype(np.float32)

    def project(self, vertices: np.ndarray, factor: int = 1) -> np.ndarray:
        """Vertices [n, 3] (cm) in the image frame: float32 [n, 3].

        Args:
          vertices: in the model's frame.
          factor: pixels of the picture wanted for one of this view's.
        """
        linear, constant = self._projection
        # One row a coordinate while it is computed: columns are slow.
        x, y, z, w = linear @ vertices.astype(np.float32, copy=False).T + constant
        if self.is_perspective:
            x /= w
            y /= w
        result = np.empty(vertices.shape, np.float32)
        for column, row in enumerate((x, y)):
            row += np.float32(0.5)
            row *= np.float32(factor)
            row -= np.float32(0.5)
            result[:, column] = row
        z *= np.float32(factor)
        result[:, 2] = z
        return result

    @functools.cached_property
    def _projection(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of x and y times w, depth, and w: float32 [4, 3], and added [4, 1]."""
        matrix = self.matrix
        depth = self.pose[6] * self.rotation[2]
        linear = np.stack([*matrix[:2, :3], depth, matrix[2, :3]])
        constant = np.array([*matrix[:2, 3], self.pose[5], matrix[2, 3]])
        return linear.astype(np.float32), constant[:, None].astype(np.float32)

    def in_camera_frame(self, vertices: np.ndarray) -> np.ndarray:
        """Vertices [n, 3] about the head's centre, turned, cm: float32 [n, 3]."""
        moved = vertices - self.centre.astype(np.float32)
        return moved @ self.rotation.T.astype(np.float32)

    def rays(self, size: int) -> np.ndarray:
        """Directions that a picture of another size sees, float32 [size, size, 3].

        Weak perspective looks through a lens of 200 mm.
        """
        half = self.half_angle_tangent
        steps = ((np.arange(size) + 0.5) / size * 2 - 1) * half
        rays = np.empty((size, size, 3), np.float32)
        rays[..., 0] = steps
        rays[..., 1] = -steps[:, None]
        rays[..., 2] = -1
        return rays

    @property
    def half_angle_tangent(self) -> float:
        """Tangent of half the picture's field of view."""
        distance = self.distance if self.is_perspective else 150.0
        return self.size / 2 / (self.pose[6] * distance)


def _turn(rng, law: str, largest: float) -> float:
    """An angle in degrees; the same draws for every law."""
    normal, uniform, choice = rng.standard_normal(), rng.uniform(-1, 1), rng.random()
    is_uniform = law == "uniform" or (law == "mixed" and choice < 0.5)
    if is_uniform:
        return uniform * largest
    return float(np.clip(normal * largest / 3, -largest, largest))


def draw(
    settings: Settings,
    vertices: np.ndarray,
    landmarks: np.ndarray,
    rng: np.random.Generator,
) -> View:
    """Draws a view in which a face fills the picture as the settings say.

    Args:
      settings: how.
      vertices: [n, 3] head in centimetres.
      landmarks: [68] vertices of it.
      rng: the generator.
    """
    size = settings.size
    # The larger turns are about one axis mostly.
    yaw = _turn(rng, settings.pose_law, settings.yaw)
    calm = "normal" if settings.pose_law == "mixed" else settings.pose_law
    pitch = _turn(rng, calm, settings.pitch)
    roll = _turn(rng, calm, settings.roll)
    share = rng.uniform(settings.face_low, settings.face_high)
    shift = rng.uniform(-settings.shift, settings.shift, 2) * size
    focal = np.exp(rng.uniform(np.log(settings.focal_low), np.log(settings.focal_high)))
    crop = np.exp(rng.uniform(np.log(0.25), np.log(1.0)))
    is_weak = rng.random() < _WEAK_SHARE
    if settings.camera != "mixed":
        is_weak = settings.camera == "weak"
    points = vertices[landmarks].astype(np.float64)
    centre = points.mean(axis=0)
    pose = np.array([*np.radians([pitch, yaw, roll]), 0, 0, 0, 1.0])
    view = View(pose, size, np.inf, centre)
    placed = view.project(points)[:, :2]
    scale = share * size / np.ptp(placed, axis=0).max()
    pose[6] = scale
    # Pixels that the film's 36 mm would have, were the picture not a crop of it.
    film = size / crop
    distance = np.inf if is_weak else max(focal / 36 * film / scale, _NEAREST)
    view = View(pose, size, float(distance), centre)
    # Twice: true perspective moves the box a little.
    for _ in range(2):
        placed = view.project(points)[:, :2]
        middle = (placed.max(axis=0) + placed.min(axis=0)) / 2
        step = (size - 1) / 2 + shift - middle
        moved = view.pose.copy()
        moved[3:5] += step * (1, -1)
        view = dataclasses.replace(view, pose=moved)
    # Depth is zero at the centre.
    final = view.pose.copy()
    final[5] = -final[6] * (view.rotation @ centre)[2]
    return dataclasses.replace(view, pose=final)
