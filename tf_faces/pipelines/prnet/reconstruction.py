"""From pictures to faces: boxes, crops, the network, and the way back."""

import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.core.errors import InputError
from tf_faces.data.prnet.layout import MapLayout
from tf_faces.geometry import cropping
from tf_faces.models.prnet import inference
from tf_faces.pipelines.detectors import Detector
from tf_faces.pipelines.prnet.face import Face

# Crops that pass the network at once.
CROPS_A_BATCH = 8


def as_picture(source: files.PathLike | np.ndarray) -> np.ndarray:
    """Reads or checks a picture: uint8 [H, W, 3] RGB.

    Args:
      source: a file, or an array [H, W], [H, W, 3] or [H, W, 4] of uint8 or of floats
        in 0..1.  Grey is repeated, a fourth channel dropped.

    Raises:
      InputError: for another shape, type or range, or a file that is no picture.
    """
    if isinstance(source, str | pathlib.PurePath):
        return pictures.read(source)
    array = np.asarray(source)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=-1)
    if array.ndim != 3 or array.shape[-1] not in (3, 4) or 0 in array.shape:
        raise InputError(
            "a picture must have shape [H, W], [H, W, 3] or [H, W, 4], found "
            f"{array.shape}."
        )
    array = array[..., :3]
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise InputError("a picture of floats must have values in 0..1.")
        return pictures.to_bytes(array)
    if array.dtype != np.uint8:
        raise InputError(
            f"a picture must be uint8 or floats in 0..1, found {array.dtype}."
        )
    return array


def check_crop(crop: cropping.SquareCrop, height: int, width: int) -> None:
    """Refuses a crop that shows nothing of the picture.

    Raises:
      InputError: if the crop and the picture do not overlap.
    """
    (x, y), half = crop.center, crop.size / 2
    if x + half < 0 or y + half < 0 or x - half > width - 1 or y - half > height - 1:
        raise InputError(
            f"the face's square about ({x:.0f}, {y:.0f}) with side {crop.size:.0f} "
            f"lies outside of the picture of {width} x {height} pixels."
        )


class Reconstructor:
    """A network, the layout of its maps, and perhaps a detector of faces.

    Args:
      network: with folded norms, see `models.prnet.inference.fold`.
      layout: of its maps; resized to the network's where it is of another size.
      detector: finds faces where neither box nor landmarks are given.
    """

    def __init__(
        self,
        network: inference.FoldedNetwork,
        layout: MapLayout,
        detector: Detector | None = None,
    ):
        self.network = network
        self.layout = layout.resized(network.config.map_resolution)
        self.detector = detector

    @property
    def resolution(self) -> int:
        """Side of a crop."""
        return self.network.config.resolution

    def crops(
        self,
        image: np.ndarray,
        *,
        box: Sequence[float] | None = None,
        landmarks: np.ndarray | None = None,
    ) -> list[cropping.SquareCrop]:
        """The square of each face: given, or found by the detector.

        Args:
          image: uint8 [H, W, 3].
          box: (left, right, top, bottom).
          landmarks: key points, see `geometry.cropping.box_of_points`.

        Raises:
          InputError: if no face is found, there is no detector, or a square lies
            outside of the picture.
        """
        found = self._crops(image, box, landmarks)
        if not found:
            raise InputError("no face was found.")
        return found

    def _crops(self, image, box, landmarks) -> list[cropping.SquareCrop]:
        """`crops`, or none."""
        if box is not None and landmarks is not None:
            raise InputError("give a box or landmarks, not both.")
        height, width = image.shape[:2]
        if box is not None:
            box = np.asarray(box, np.float64)
            if box.shape != (4,) or not np.isfinite(box).all():
                raise InputError(
                    "a box must be four finite numbers (left, right, top, bottom), "
                    f"found {box.tolist()}."
                )
            if box[0] >= box[1] or box[2] >= box[3]:
                raise InputError(
                    "a box must have left < right and top < bottom, found (left, "
                    f"right, top, bottom) = {tuple(box.tolist())}."
                )
            found = [cropping.crop_from_box(box, self.resolution)]
        elif landmarks is not None:
            found = [cropping.crop_from_points(landmarks, self.resolution)]
        else:
            if self.detector is None:
                raise InputError("no detector of faces: give a box or landmarks.")
            found = [
                cropping.crop_from_detection(
                    (left, right, top, bottom), self.resolution
                )
                for left, top, right, bottom in self.detector(image)
            ]
        for crop in found:
            check_crop(crop, height, width)
        return found

    def faces(
        self,
        source: files.PathLike | np.ndarray,
        *,
        box: Sequence[float] | None = None,
        landmarks: np.ndarray | None = None,
    ) -> list[Face]:
        """The faces of one picture.

        Args:
          source: a picture, see `as_picture`.
          box, landmarks: see `crops`; with either there is exactly one face.
        """
        image = as_picture(source)
        crops = self.crops(image, box=box, landmarks=landmarks)
        return self.reconstruct([image] * len(crops), crops)

    def each(
        self,
        sources: Iterable[files.PathLike | np.ndarray],
        *,
        boxes: Iterable[Sequence[float] | None] | None = None,
        landmarks: Iterable[np.ndarray | None] | None = None,
    ) -> Iterator[list[Face]]:
        """The faces of each of many pictures, or frames of a video, one after another.

        Crops of several pictures pass the network together; no more pictures are held
        than that takes.

        Args:
          sources: pictures of any sizes, see `as_picture`; also an array
            [N, H, W, 3].
          boxes, landmarks: of each picture, see `crops`; None where the detector shall
            look, which may find no face: an empty list.

        Raises:
          InputError: as `faces`, when the picture's turn comes.
        """
        held: list[tuple[np.ndarray, list[cropping.SquareCrop]]] = []

        def finished() -> Iterator[list[Face]]:
            faces = iter(
                self.reconstruct(
                    [image for image, crops in held for _ in crops],
                    [crop for _, crops in held for crop in crops],
                )
            )
            for _, crops in held:
                yield list(itertools.islice(faces, len(crops)))
            held.clear()

        places = [
            itertools.repeat(None) if given is None else iter(given)
            for given in (boxes, landmarks)
        ]
        for number, source in enumerate(sources):
            image = as_picture(source)
            try:
                box, marks = [next(given) for given in places]
            except StopIteration:
                raise InputError(
                    f"boxes and landmarks must be as many as pictures, found {number} "
                    "of one of them."
                ) from None
            held.append((image, self._crops(image, box, marks)))
            crops = sum(len(crops) for _, crops in held)
            if max(crops, len(held)) >= CROPS_A_BATCH:
                yield from finished()
        yield from finished()

    def reconstruct(
        self,
        images: Sequence[np.ndarray],
        crops: Sequence[cropping.SquareCrop],
        batch: int = CROPS_A_BATCH,
    ) -> list[Face]:
        """One face for each picture and square, through the network in batches.

        Args:
          images: uint8 [H, W, 3] each, of any sizes.
          crops: one for each picture.
          batch: crops that pass the network at once.
        """
        faces = []
        for start in range(0, len(crops), batch):
            part = list(zip(images, crops, strict=True))[start : start + batch]
            given = np.stack([crop.cut(image / 255.0) for image, crop in part])
            maps = self.network.predict(given, batch)
            faces += [
                Face(crop.to_image(one), self.layout, image.shape[:2], crop)
                for (image, crop), one in zip(part, maps, strict=True)
            ]
        return faces
