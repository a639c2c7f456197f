"""The neutral surface of the built-in face: x and z at angles and heights.

A skull of smooth cross-sections that narrows to a neck below the jaw, with bumps for
the features in front of it, and lids over eyeballs.  Millimetres and radians.
"""

import numpy as np

from tf_faces.morphable.builtin.curves import (
    gaussian,
    interpolate,
    mirrored_gaussian,
    smooth_curve,
    smooth_step,
)

LIP_LINE = -46.0  # Height of the closed mouth.
MOUTH_HALF_WIDTH = 23.5
EYE = (31.0, 25.0)  # Middle of the subject's left eyeball in (x, y).
EYE_HALF_WIDTH = 11.8

_EYEBALL = 12.2  # Radius.
_LID = 1.3  # Thickness of the lids over it.

# Half width, foremost point, and where the widest point lies, by height.
_WIDTH = (
    (-140, -100, -80, -62, -42, -20, 0, 20, 40, 58, 74, 90, 110),
    (42, 50, 56, 62, 67.5, 71, 72.6, 73, 72.2, 69.5, 64.5, 56.5, 40),
)
_DEPTH = (
    (-140, -100, -88, -74, -60, -46, -30, -12, 8, 24, 42, 58, 74, 90, 110),
    (78, 90, 95, 97.5, 99.5, 101.5, 101, 99.5, 98.5, 98.5, 99.5, 97.5, 91.5, 80.5, 60),
)
_MIDDLE = ((-120, -70, -40, 0, 40, 90, 110), (12, 12, 7, 0, -3, -1, 2))
# How much fuller (or leaner) than an ellipse the cross-section is at 45 degrees.
_FULLNESS = ((-120, -85, -60, -40, -10, 20, 50, 90), (-8, -7, -3, 1, 4, 6, 7, 5))
# The lower edge of the jaw by the angle from the front, in degrees.
_JAW_EDGE = (
    (-40, -20, 0, 20, 40, 60, 75, 90, 120),
    (-84, -91, -93, -91, -84, -71, -54, -34, -10),
)
_BACK = 90.0  # From the widest point to the back of the head, which is left out.

_NOSE_HEIGHT = (
    (-60, -34, -30, -26, -22, -18, -13, -6, 2, 12, 22, 29, 40, 60),
    (0, 0, 1.2, 5, 11.0, 16.5, 20.0, 20.0, 16.2, 11, 5.8, 3.2, 1, 0),
)
_NOSE_WIDTH = ((-60, -25, -14, -4, 8, 22, 45), (7, 7, 6.6, 6.2, 5.6, 5.6, 8))

# Bumps in front of the skull: height, (centre x, y), (spread x, y); entries with a
# centre off the middle stand for both sides.
_RELIEF = (
    (4.2, 0, -12, 6.5, 5.5),  # tip of the nose
    (8.5, 11.0, -15.5, 4.2, 4.4),  # alae
    (-5.0, 6.4, -22.4, 2.4, 2.0),  # nostrils
    (-2.5, 18, -17, 2.8, 6),  # furrow behind the alae
    (-8.0, 31, 22, 13, 9),  # eye sockets
    (-5.5, 17, 25, 5, 8),
    (4.2, 29, 40, 17, 5.5),  # brow ridge
    (2.5, 0, 40, 10, 8),  # glabella
    (3.0, 0, 66, 28, 16),  # forehead
    (3.6, 44, 0, 13, 10),  # cheek bone
    (2.0, 27, -12, 10, 12),  # cheek beside the nose
    (-2.6, 46, -40, 12, 14),  # cheek hollow
    (-1.6, 29, -32, 4, 10),  # nasolabial fold
    (-1.2, 0, -32, 2.4, 4.0),  # philtrum
    (2.2, 0, -43, 20, 9),  # muzzle
    (-1.6, 26.5, -47, 3.4, 3.6),  # mouth corners
    (-3.6, 0, -62, 15, 4.2),  # mentolabial fold
    (5.2, 0, -80, 13, 9),  # chin
)
_EAR = (-19.0, 13.0)  # Middle in (z, y).


def skull(theta: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and z of the head without features at angles about the vertical axis."""
    degrees = np.abs(np.rad2deg(theta))
    # From the ears on the surface turns in faster, so that it ends in a soft rim.
    turn = (
        theta
        + np.sign(theta) * np.deg2rad(16.0) * smooth_step((degrees - 70.0) / 60.0) * 2.0
    )
    sine, cosine = np.sin(turn), np.cos(turn)
    width = smooth_curve(_WIDTH, y, 7.0)
    middle = smooth_curve(_MIDDLE, y, 9.0)
    reach = smooth_curve(_DEPTH, y, 6.0) - middle
    full = 1.0 + 0.01 * smooth_curve(_FULLNESS, y, 8.0) * np.sin(2 * turn) ** 2
    x = width * sine * full
    z = middle + np.where(cosine > 0, reach * full, _BACK) * cosine
    neck = smooth_step(
        (smooth_curve(_JAW_EDGE, degrees, 6.0) + 6.0 - y)
        / (24.0 + 0.32 * (np.hypot(degrees, 15.0) - 15.0))
    )
    x = x + neck * (49.0 * sine - x)
    z = z + neck * (2.0 + 45.0 * cosine - z)
    return x, z


def _ear(theta: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How far the ears stand out: a flap that rises to the back, with a rolled edge."""
    across, up = z - _EAR[0], y - _EAR[1]
    across, up = across + 0.22 * up, up - 0.1 * across
    broad = 11.5 + 2.5 * np.clip(up / 30.0, -1.0, 1.0)
    radius = np.hypot(across / broad, up / 30.0)
    inside = smooth_step((1.28 - radius) / 0.6)
    flap = 2.0 + 5.0 * smooth_step((9.0 - across) / 20.0)
    upper = smooth_step((up + 22.0) / 16.0)
    behind = smooth_step((8.0 - across) / 6.0 + np.maximum(up - 14.0, 0.0) / 6.0)
    helix = 3.0 * np.exp(-0.5 * ((radius - 0.84) / 0.14) ** 2) * upper * behind
    hollow = -4.5 * gaussian(across, up, 1.0, -5.0, 4.0, 8.0)
    scapha = -2.0 * np.exp(-0.5 * ((radius - 0.6) / 0.1) ** 2) * upper * behind
    beside = smooth_step((np.abs(np.rad2deg(theta)) - 70.0) / 10.0)
    # Few columns hold no fold as deep.
    scale = min(1.0, theta.shape[1] / 97)
    return scale * (flap + helix + hollow + scapha) * inside * beside


def lid_edges(side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the upper and the lower lid's edge at distances from the middle.

    Beyond the corners of the eye both run on in the line that joins them.
    """
    t = (side - EYE[0]) / EYE_HALF_WIDTH
    line = 24.7 + 0.3 * np.clip(t, -1.2, 1.2)
    arch = np.clip(1.0 - t * t, 0.0, None)
    return line + 5.2 * arch**0.8 * (1.0 - 0.12 * t), line - 3.3 * arch**0.9 * (
        1.0 + 0.15 * t
    )


def eye_opening(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance inside the opening of the lids, millimetres, negative outside."""
    side = np.abs(x)
    upper, lower = lid_edges(side)
    across = EYE_HALF_WIDTH - np.abs(side - EYE[0])
    return np.minimum(np.minimum(upper - y, y - lower), 0.5 * across)


def mouth_shape(x: np.ndarray) -> np.ndarray:
    """How high the lips are at x, 1 in the middle and 0 from the corners on."""
    return np.sqrt(np.clip(1.0 - (x / (MOUTH_HALF_WIDTH + 1.8)) ** 2, 0.0, 1.0))


def _lips(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    along = mouth_shape(x)
    high = np.maximum(along, 0.3)
    bow = 1.0 - 0.25 * np.exp(-0.5 * (x / 3.8) ** 2)
    above = y - LIP_LINE
    upper = 4.8 * np.exp(-0.5 * ((above / high - 4.4) / 3.1) ** 2) * along * bow
    lower = 5.6 * np.exp(-0.5 * ((above / high + 5.2) / 3.8) ** 2) * along
    line = -3.6 * np.exp(-0.5 * (above / 1.4) ** 2) * along
    return upper + lower + line


def _relief(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    nose = interpolate(_NOSE_HEIGHT, y)
    across = np.abs(x) / smooth_curve(_NOSE_WIDTH, y, 3.0)
    nose = nose * np.exp(-0.5 * across**2.2)
    return sum(
        (height * mirrored_gaussian(x, y, *where) for height, *where in _RELIEF),
        start=nose + _lips(x, y),
    )


def _with_eyes(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Lays lids over eyeballs into the sockets."""
    side = np.abs(x)
    to_eye = (side - EYE[0]) ** 2 + (y - EYE[1]) ** 2
    near = (to_eye < 1.0) | (to_eye == to_eye.min())
    front = z[near].mean() + 3.2
    ball = front - _EYEBALL + np.sqrt(np.maximum(_EYEBALL**2 - to_eye, 0.0))
    lid_radius = _EYEBALL + _LID
    lids = front - _EYEBALL + np.sqrt(np.maximum(lid_radius**2 - to_eye, 0.0))
    # A smooth maximum of skin and lids, only where the ball faces the front.
    weight = smooth_step((lid_radius * 1.02 - np.sqrt(to_eye)) / 4.0)
    rise = np.logaddexp(0.0, (lids - z) / 1.2) * 1.2
    skin = z + weight * rise
    crease = -0.9 * np.exp(-0.5 * ((y - lid_edges(side)[0] - 4.4) / 1.0) ** 2)
    across = np.clip(1.0 - ((side - EYE[0]) / 15.0) ** 2, 0.0, 1.0)
    skin = skin + crease * across
    opening = smooth_step(eye_opening(x, y) / 1.3 + 0.5)
    return skin + opening * (ball - skin)


def surface(theta: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and z [R, C] of the neutral face at angles and heights [R, C]."""
    x, z = skull(theta, y)
    front = smooth_step((np.cos(theta) - 0.05) / 0.5)
    ear = _ear(theta, y, z)
    z = _with_eyes(x, y, z + front * _relief(x, y))
    return x + 0.93 * ear * np.sign(x), z - 0.37 * ear
