"""What the networks are trained and tested on: crops with their landmarks.

Reference: jilliam/ParFace, datasets/facedataset.py.
"""

import dataclasses

import numpy as np

from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.data.parface import augmentation, crops
from tf_faces.data.parface.sets import Face, FaceSet

# Of VGGFace2, RGB in 0..1.
CHANNEL_MEANS = np.array([0.518, 0.418, 0.361], np.float32)


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How faces become samples.

    Attributes:
      size: side of the pictures.
      crop_source: "lm_ground_truth" crops by landmarks, anything else by boxes.
      align: turn faces upright; needs the crop by landmarks.
      daug: level of the augmentation; None takes faces as they are.
      normalized: take the channels' means off.
    """

    size: int = 256
    crop_source: str = "bb_ground_truth"
    align: bool = False
    daug: int | None = None
    normalized: bool = True

    def __post_init__(self) -> None:
        if self.daug is not None:
            augmentation.require_level(self.daug)
        if self.align and self.crop_source != "lm_ground_truth":
            raise InputError(
                f"align: found crop_source={self.crop_source}, expected "
                "crop_source=lm_ground_truth."
            )


@dataclasses.dataclass(frozen=True)
class Sample:
    """One crop.

    Attributes:
      image: uint8 [S, S, 3].
      landmarks: float32 [K, 2] in pixels of the crop; zeros where the set has none.
      landmarks_3d: float32 [K, 3], depths in pixels of the crop; zeros likewise.
      crop: how it was cut.
      name: of the picture.
    """

    image: np.ndarray
    landmarks: np.ndarray
    landmarks_3d: np.ndarray
    crop: crops.FaceCrop
    name: str


def network_images(images: np.ndarray, normalized: bool) -> np.ndarray:
    """Bytes to what the network takes: float32 in 0..1, less the channels' means."""
    scaled = np.asarray(images).astype(np.float32) / np.float32(255)
    return scaled - CHANNEL_MEANS if normalized else scaled


def crop_of(face: Face, preparation: Preparation, picture: np.ndarray):
    """The crop of a face.

    Raises:
      InputError: if the crop is by landmarks that the face does not have.
    """
    if preparation.crop_source == "lm_ground_truth":
        if face.landmarks is None:
            raise InputError(
                f"crop_source=lm_ground_truth: {face.name} has no landmarks, expected "
                "crop_source=bb_ground_truth."
            )
        measured = (
            face.landmarks if face.crop_landmarks is None else face.crop_landmarks
        )
        return crops.crop_by_landmarks(measured, preparation.size, preparation.align)
    box = crops.not_black_box(picture) if face.box is None else face.box
    return crops.crop_by_box_or_whole(box, preparation.size, picture.shape)


def prepare(
    face: Face,
    preparation: Preparation,
    num_landmarks: int,
    uniform: augmentation.Draw | None = None,
) -> Sample:
    """Reads, cuts and augments one face.

    Args:
      face: of a data set.
      preparation: how.
      num_landmarks: of the set, for faces without.
      uniform: random numbers (low, high) -> number; needed with `daug`.

    Raises:
      InputError, FormatError: if the picture cannot be read or cropped.
    """
    picture = face.read()
    try:
        crop = crop_of(face, preparation, picture)
        cut = crop.image(picture)
    except InputError as error:
        raise InputError(f"{face.name}: {error}") from error
    side, size = crop.output, preparation.size
    change = augmentation.Change()
    if preparation.daug is not None and uniform is not None:
        change = augmentation.draw(preparation.daug, side, uniform)
    image = augmentation.apply_to_image(cut, change, size)

    def moved(points, columns):
        if points is None:
            return np.zeros((num_landmarks, columns), np.float32)
        points = crop.landmarks(np.asarray(points, np.float32)).astype(np.float32)
        points = augmentation.apply_to_landmarks(points, change, side)
        return augmentation.centre_crop(points, side, size).astype(np.float32)

    return Sample(
        np.ascontiguousarray(image),
        moved(face.landmarks, 2),
        moved(face.landmarks_3d, 3),
        crop,
        face.name,
    )


class Mixture:
    """Several data sets as one, drawn by weight.

    Args:
      sets: opened data sets with the same number of landmarks.
      weights: how often each is drawn; None by their sizes (each face alike).
      limit: at most so many faces in all, after one shuffle (`train_count_multi`).
      seed: of the shuffle and the draws.

    Raises:
      InputError: if the numbers of landmarks differ or weights do not fit.
    """

    def __init__(
        self,
        sets: list[FaceSet],
        weights: list[float] | None = None,
        limit: int | None = None,
        seed: int = 0,
    ):
        counts = sorted({one.num_landmarks for one in sets})
        if len(counts) != 1:
            raise InputError(
                f"dataset_train: found sets of {counts} landmarks, expected one number."
            )
        if weights and (len(weights) != len(sets) or min(weights) <= 0):
            raise InputError(
                f"dataset_weights: found {weights}, expected {len(sets)} positive "
                "numbers, one a data set."
            )
        self.num_landmarks = counts[0]
        self.has_landmarks = all(one.has_landmarks for one in sets)
        self.has_depths = all(one.has_depths for one in sets)
        self.seed = seed
        self.faces = [face for one in sets for face in one.faces]
        self._groups = None
        owners = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
        if limit is not None and limit < len(self.faces):
            order = seeding.numpy_generator(seed, "train_count_multi").permutation(
                len(self.faces)
            )[:limit]
            self.faces = [self.faces[index] for index in order]
            owners = owners[order]
        if weights:
            self._groups = [
                np.flatnonzero(owners == number) for number in range(len(sets))
            ]
            if not all(len(group) for group in self._groups):
                raise InputError(
                    f"train_count_multi: found {limit}, which leaves no face of a data "
                    "set that dataset_weights draws from, expected more."
                )
            self._shares = np.array(weights, np.float64) / sum(weights)

    def __len__(self) -> int:
        return len(self.faces)

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the faces of one epoch: int [len(self)], shuffled."""
        rng = seeding.numpy_generator(self.seed, "order", epoch)
        if self._groups is None:
            return rng.permutation(len(self.faces))
        counts = rng.multinomial(len(self.faces), self._shares)
        drawn = [
            _repeated(rng, group, count)
            for group, count in zip(self._groups, counts, strict=True)
        ]
        return rng.permutation(np.concatenate(drawn))


def _repeated(rng, group: np.ndarray, count: int) -> np.ndarray:
    """`count` members of a group, each about equally often."""
    rounds = -(-count // len(group))
    return np.concatenate(
        [np.empty(0, int), *(rng.permutation(group) for _ in range(rounds))]
    )[:count]
