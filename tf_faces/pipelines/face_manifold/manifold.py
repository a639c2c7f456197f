"""Faces in, plausible faces out: what the Face Manifold programs do, without files.

A `FaceManifold` holds the denoisers for shape, for expression, or both.  `mode` says
which group is meant: "shape", "expression" (or the original's "exp"), or "both".
"""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from tf_faces.convert import face_manifold as weights
from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import random_faces, samplers
from tf_faces.models.face_manifold import denoisers
from tf_faces.morphable import raw_form
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.model import MorphableModel
from tf_faces.pipelines.face_manifold import evaluation


@dataclasses.dataclass(frozen=True)
class FaceManifold:
    """The denoisers of one face model.

    Attributes:
      shape: denoiser of the shape coefficients, or None.
      expression: denoiser of the expression coefficients, or None.
    """

    shape: denoisers.Denoiser | None = None
    expression: denoisers.Denoiser | None = None

    def __repr__(self) -> str:
        held = [
            f"{one.config.group}[{one.config.length}]"
            for one in (self.shape, self.expression)
            if one is not None
        ]
        return f"FaceManifold({', '.join(held) or 'empty'})"

    @property
    def mode(self) -> str:
        """The groups there are denoisers for, "shape", "expression" or "both"."""
        if self.shape is None:
            return "expression"
        return "shape" if self.expression is None else "both"

    def denoiser(self, group: str) -> denoisers.Denoiser:
        """Returns the denoiser of "shape" or "expression".

        Raises:
          InputError: if it was not given.
        """
        found = {"shape": self.shape, "expression": self.expression}.get(group)
        if found is None:
            raise InputError(f"no denoiser for {group} coefficients was given.")
        if found.config.group != group:
            raise InputError(
                f"the denoiser given for {group} is one for {found.config.group}."
            )
        return found

    def project(
        self,
        group: str,
        coefficients: np.ndarray,
        *,
        passes: int = 1,
        blend: float = 1.0,
    ) -> np.ndarray:
        """Brings coefficients of one group to the manifold.

        Args:
          group: "shape" or "expression".
          coefficients: [N, L], raw.
          passes: how often they go through the network; the original does it once.
          blend: 1 takes the network's output, 0 the input, between them a mixture
            (the network also changes faces that were plausible already).

        Returns:
          float32 [N, L], raw.
        """
        if passes < 1:
            raise InputError(f"passes must be at least 1. Received: {passes}")
        if not 0 <= blend <= 1:
            raise InputError(f"blend must lie in 0..1. Received: {blend}")
        denoiser = self.denoiser(group)
        for _ in range(passes):
            projected = denoiser.denoise(coefficients)
            if blend == 1:
                coefficients = projected
            else:
                coefficients = np.float32(blend) * projected + np.float32(
                    1 - blend
                ) * coefficients.astype(np.float32)
        return coefficients

    def denoise(
        self,
        faces: FaceCoefficients,
        mode: str,
        *,
        passes: int = 1,
        blend: float = 1.0,
    ) -> FaceCoefficients:
        """Projects the group(s) of `mode`; the other coefficients pass unchanged."""
        changes = {
            group: self.project(group, faces.group(group), passes=passes, blend=blend)
            for group in random_faces.groups_of(mode)
        }
        return faces.replace(**changes)

    # --- random faces and their measures ---------------------------------------------

    def sample(
        self,
        model: MorphableModel,
        count: int,
        seed: int = 0,
        *,
        width: float = samplers.DEFAULT_RANGE,
        passes: int = 1,
        blend: float = 1.0,
    ) -> FaceCoefficients:
        """Draws plausible faces: uniform ones, brought to the manifold.

        Args:
          model: face model whose coefficients the denoisers were trained on.
          count: number of faces.
          seed: of the draws.
          width: of the uniform box, in deviations of the model.
          passes, blend: see `project`.

        Returns:
          Faces of `raw_form.coefficient_model(model)`.
        """
        deviations = random_faces.SamplingDeviations.of_model(
            raw_form.coefficient_model(model)
        )
        drawn = random_faces.uniform_faces(
            np.random.default_rng(seed), deviations, count, self.mode, width, width
        )
        return self.denoise(drawn, self.mode, passes=passes, blend=blend)

    def evaluate(
        self,
        model: MorphableModel,
        real: FaceCoefficients | None = None,
        *,
        size: int = 2000,
        held_out: float = 0.2,
        seed: int = 0,
        passes: int = 1,
        blend: float = 1.0,
    ) -> dict[str, evaluation.GroupMeasures]:
        """Measures diversity and plausibility of generated faces.

        Args:
          model: face model whose coefficients the denoisers were trained on.
          real: faces to compare with; None draws them by the model's own law.
          size: faces of each set.
          held_out: part of the real faces kept aside.
          seed: of all draws.
          passes, blend: see `project`.

        Returns:
          {group: measures}.
        """
        model = raw_form.coefficient_model(model)
        if real is None:
            real = raw_form.draw_faces(model, int(size / (1 - held_out)) + 1, seed + 1)
        known, unseen = evaluation.split(real, held_out, seed, "the real faces")
        rng = np.random.default_rng(seed)
        return {
            group: evaluation.measure(
                self,
                group,
                model,
                random_faces.SamplingDeviations.of_model(model),
                known,
                unseen,
                size,
                rng,
                passes=passes,
                blend=blend,
            )
            for group in random_faces.groups_of(self.mode)
        }

    # --- control --------------------------------------------------------------------

    def complete(
        self,
        group: str,
        known: np.ndarray,
        fixed: np.ndarray,
        *,
        starts: np.ndarray,
        passes: int = 10,
    ) -> np.ndarray:
        """Fills in coefficients so that they suit some that are given.

        Every pass projects the whole vector and then sets the given ones back: the
        others settle where the network finds the whole plausible.

        Args:
          group: "shape" or "expression".
          known: [L] or [N, L]; only the entries that `fixed` marks are looked at.
          fixed: bool [L].
          starts: [N, L] what the others start from; random faces give variety.
          passes: how often.

        Returns:
          float32 [N, L], raw; the fixed entries are exactly those of `known`.

        Raises:
          InputError: for wrong shapes, or if nothing is fixed.
        """
        length = self.denoiser(group).config.length
        fixed = np.asarray(fixed, bool)
        starts = np.asarray(starts, np.float32)
        if fixed.shape != (length,) or starts.ndim != 2 or starts.shape[1] != length:
            raise InputError(
                f"fixed must have shape [{length}] and starts [N, {length}]. Received: "
                f"{fixed.shape} and {starts.shape}"
            )
        if not fixed.any():
            raise InputError("no coefficient is fixed; expected at least one.")
        known = np.broadcast_to(np.asarray(known, np.float32), starts.shape)
        result = np.where(fixed, known, starts)
        for _ in range(passes):
            result = np.where(fixed, known, self.project(group, result))
        return result

    def interpolate(
        self,
        group: str,
        first: np.ndarray,
        second: np.ndarray,
        steps: int,
        *,
        exact_ends: bool = True,
    ) -> np.ndarray:
        """Walks from one face to another along the manifold.

        The straight line between them is projected; with `exact_ends` the difference
        that the network makes at the ends is faded out along the way, so that the walk
        begins and ends at the very faces given.

        Args:
          group: "shape" or "expression".
          first, second: [L] raw.
          steps: faces of the walk, both ends included.

        Returns:
          float32 [steps, L].
        """
        if steps < 2:
            raise InputError(f"steps must be at least 2. Received: {steps}")
        way = np.linspace(0, 1, steps)[:, None]
        first, second = (np.asarray(end, np.float64)[None] for end in (first, second))
        projected = self.project(group, (1 - way) * first + way * second)
        if not exact_ends:
            return projected
        corrected = (
            projected
            + (1 - way) * (first - projected[:1])
            + way * (second - projected[-1:])
        )
        return corrected.astype(np.float32)


GROUPS = ("shape", "expression")


def recognises(directory: files.PathLike) -> bool:
    """Whether a folder holds weights of a Face Manifold, the original's included."""
    return any((pathlib.Path(directory) / group).is_dir() for group in GROUPS)


def open_run(
    folder: files.PathLike,
    *,
    epoch: str | None = None,
    units: Mapping[str, float | None] | None = None,
    lengths: Mapping[str, int] | None = None,
) -> FaceManifold:
    """Opens the denoisers of a run folder or of the original's folder.

    Args:
      folder: with `shape/` or `expression/` or both.
      epoch: a number, "final" or "best"; None takes the final weights of a run folder,
        epoch 10 of the original's.
      units: {group: unit of the coefficients}, for PyTorch files.
      lengths: {group: number of coefficients} that the weights must suit.

    Raises:
      InputError: if there are no weights.
      FormatError: if they are damaged or of other lengths.
    """
    folder = files.require_directory(folder, "run folder")
    if not recognises(folder):
        raise InputError(
            f"{folder}: found neither shape/ nor expression/, expected weights of a "
            "Face Manifold."
        )
    units, lengths = units or {}, lengths or {}
    return FaceManifold(
        **{
            group: weights.load(
                weights.find(folder, group, epoch),
                group,
                unit=units.get(group),
                length=lengths.get(group),
            )
            for group in GROUPS
            if (folder / group).is_dir()
        }
    )
