"""What can be chosen about photographs."""

import dataclasses
import math
from typing import Any

from tf_faces.core.errors import InputError

LIGHTS = ("surroundings", "even")
BACKGROUNDS = ("surroundings", "plain", "black")
CAMERAS = ("mixed", "weak", "perspective")
POSE_LAWS = ("normal", "uniform", "mixed")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How photographs are drawn; shares and chances lie in 0..1.

    Attributes:
      model: name or file of the face model.
      size: pixels of a side.
      supersampling: 1 to 4; the head is drawn so many times finer and averaged.
      identity: factor of the identity law's deviations.
      identities: file of a table of faces (as the Face Manifold programs write) whose
        identities are drawn instead of the model's law; empty for none.
      expression: chance that a face has an expression at all.
      expression_strength: factor of its blend shapes.
      asymmetry: chance that one side of the face moves less than the other.
      blink: chance that the eyes are closed or nearly so.
      gaze: degrees, deviation of the eyes' turn.
      yaw, pitch, roll: degrees; the largest turns either way.
      pose_law: "normal" (deviation: a third of the largest), "uniform" (all the same),
        or "mixed" (half of each).
      face_low, face_high: longer side of the landmarks' box, as a share of the
        picture's; drawn evenly.
      shift: share of the side by which that box is off the centre at most.
      camera: "weak" perspective, true "perspective", or "mixed".
      focal_low, focal_high: millimetres on 36 mm film, of true perspective.
      light: "surroundings", or "even" (no place, no shadow).
      background: "surroundings", "plain" (one colour) or "black".
      skins: use pictures of skin where there are some.
      hair: chance of hair, where the head has parts.
      glasses: chance.
      make_up, stubble, freckles: chances.
      shadows: cast shadows of the dominant light.
      gloss: factor of the skin's shine; 0 for none.
      occluders: chance that something lies before the face.
      camera_effects: blur, noise, white balance, exposure, curve, compression.
      grey: chance of a grey picture.
      low_resolution: chance of one that was small and is scaled up.
      quality_low, quality_high: of JPEG compression.
    """

    model: str = "ict"
    size: int = 128
    supersampling: int = 2
    identity: float = 1.0
    identities: str = ""
    expression: float = 0.85
    expression_strength: float = 1.0
    asymmetry: float = 0.3
    blink: float = 0.08
    gaze: float = 10.0
    yaw: float = 90.0
    pitch: float = 30.0
    roll: float = 30.0
    pose_law: str = "mixed"
    face_low: float = 0.42
    face_high: float = 0.62
    shift: float = 0.05
    camera: str = "mixed"
    focal_low: float = 35.0
    focal_high: float = 200.0
    light: str = "surroundings"
    background: str = "surroundings"
    skins: bool = True
    hair: float = 0.93
    glasses: float = 0.15
    make_up: float = 0.25
    stubble: float = 0.25
    freckles: float = 0.2
    shadows: bool = True
    gloss: float = 1.0
    occluders: float = 0.15
    camera_effects: bool = True
    grey: float = 0.05
    low_resolution: float = 0.15
    quality_low: int = 40
    quality_high: int = 97

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float | int) and not math.isfinite(value):
                raise InputError(f"{field.name} must be finite. Received: {value}")
        for name in (
            *("expression", "asymmetry", "blink", "shift", "hair", "glasses"),
            *("make_up", "stubble", "freckles", "occluders", "grey", "low_resolution"),
        ):
            _require(name, getattr(self, name), 0, 1)
        for name, low, high in (
            ("size", 16, 4096),
            ("supersampling", 1, 4),
            ("identity", 0, 10),
            ("expression_strength", 0, 10),
            ("gaze", 0, 45),
            ("yaw", 0, 90),
            ("pitch", 0, 90),
            ("roll", 0, 180),
            ("gloss", 0, 10),
        ):
            _require(name, getattr(self, name), low, high)
        for name, low, high in (
            ("face", 0.05, 2.0),
            ("focal", 10.0, 2000.0),
            ("quality", 1, 100),
        ):
            first, second = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            _require(f"{name}_low", first, low, high)
            _require(f"{name}_high", second, first, high)
        for name, known in (
            ("light", LIGHTS),
            ("background", BACKGROUNDS),
            ("camera", CAMERAS),
            ("pose_law", POSE_LAWS),
        ):
            if getattr(self, name) not in known:
                raise InputError(
                    f"{name} must be one of {', '.join(known)}. "
                    f"Received: {getattr(self, name)!r}"
                )

    def replace(self, **changes: Any) -> "Settings":
        """A copy with some settings changed."""
        return dataclasses.replace(self, **changes)


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} must lie in {low}..{high}. Received: {value}")
