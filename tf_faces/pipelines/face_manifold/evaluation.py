"""How diverse and how plausible generated faces are, beside uniform and normal ones."""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from tf_faces.core import files, seeding
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import random_faces, samplers
from tf_faces.metrics import diversity
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.model import MorphableModel

HELD_OUT = "held-out real"


class Manifold(Protocol):
    """What is measured: see `manifold.FaceManifold`."""

    def denoise(
        self, faces: FaceCoefficients, mode: str, **options
    ) -> FaceCoefficients:
        """Projects the group(s) of `mode`."""

    def project(self, group: str, coefficients: np.ndarray, **options) -> np.ndarray:
        """Brings coefficients of one group to the manifold."""


@dataclasses.dataclass(frozen=True)
class GroupMeasures:
    """What was measured of one group of coefficients.

    Attributes:
      sets: {"normal", "uniform", "generated", HELD_OUT: measures}.
      network_generalisation_mm: mean vertex distance of held-out real faces from what
        the network makes of them, millimetres.
    """

    sets: Mapping[str, diversity.Measures]
    network_generalisation_mm: float

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return {
            "sets": {
                name: dataclasses.asdict(values) for name, values in self.sets.items()
            },
            "network_generalisation_mm": self.network_generalisation_mm,
        }


def split(
    real: FaceCoefficients, held_out: float, seed: int, source: str
) -> tuple[FaceCoefficients, FaceCoefficients]:
    """Parts real faces at random: (known, held out).

    Args:
      real: N faces.
      held_out: part kept aside, between 0 and 1.
      seed: of the choice.
      source: named in errors.

    Raises:
      InputError: if one of the parts would have fewer than two faces.
    """
    order = seeding.numpy_generator(seed, "held-out faces").permutation(len(real))
    known = round(len(real) * (1 - held_out))
    if min(known, len(real) - known) < 2:
        raise InputError(
            f"{source}: found {len(real)} faces, expected at least 2 to compare with "
            "and 2 held out."
        )
    return real.take(order[:known]), real.take(order[known:])


def measure(
    manifold: Manifold,
    group: str,
    model: MorphableModel,
    deviations: random_faces.SamplingDeviations,
    known: FaceCoefficients,
    held_out: FaceCoefficients,
    size: int,
    rng: np.random.Generator,
    *,
    width: float = samplers.DEFAULT_RANGE,
    passes: int = 1,
    blend: float = 1.0,
) -> GroupMeasures:
    """Measures generated, uniform and normal faces against real ones.

    Args:
      manifold: with a denoiser of `group`.
      group: "shape" or "expression".
      model: face model in raw form, for distances between vertices.
      deviations: that random faces are drawn with.
      known, held_out: real faces, see `split`.
      size: faces of each set.
      rng: draws them.
      width: of the uniform box, in deviations.
      passes, blend: see `FaceManifold.project`.

    Raises:
      InputError: if the real faces have other numbers of coefficients than the model.
    """
    uniform = random_faces.uniform_faces(
        rng, deviations, size, group, width, width, 0.0
    )
    sets = {
        "normal": random_faces.normal_faces(rng, deviations, size, 0.0),
        "uniform": uniform,
        "generated": manifold.denoise(uniform, group, passes=passes, blend=blend),
        HELD_OUT: held_out,
    }
    metric = diversity.vertex_metric(model, group)
    seen, unseen = known.group(group), held_out.group(group)
    if seen.shape[1] != len(metric):
        raise InputError(
            f"the real faces have {seen.shape[1]} {group} coefficients, the face model "
            f"{model.name!r} has {len(metric)}."
        )
    measured = {
        name: diversity.measure(
            faces.group(group),
            seen,
            # A real face is not compared with itself.
            seen if name == HELD_OUT else unseen,
            metric,
        )
        for name, faces in sets.items()
    }
    rebuilt = manifold.project(group, unseen)
    return GroupMeasures(measured, diversity.reconstruction(unseen, rebuilt, metric))


def write(folder: files.PathLike, measured: Mapping[str, GroupMeasures]) -> None:
    """Writes measures.json and measures.csv, one row a group and set."""
    folder = pathlib.Path(folder)
    files.write_json(
        folder / "measures.json",
        {group: found.to_dict() for group, found in measured.items()},
    )
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("group", "set", *diversity.COLUMNS))
    for group, found in measured.items():
        for name, values in found.to_dict()["sets"].items():
            writer.writerow((group, name, *(values[key] for key in diversity.COLUMNS)))
    files.write_text(folder / "measures.csv", stream.getvalue())
