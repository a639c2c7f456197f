"""Photographs of the picture factory as CoarseNet's training pictures, from records."""

from collections.abc import Iterable, Sequence

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.data.coarse_fine import pictures
from tf_faces.data.coarse_fine.preparation import crop_pose
from tf_faces.data.photographs import records, truth
from tf_faces.data.record_sets import frames
from tf_faces.geometry import cropping

_FIELDS = ("picture", "coarse_parameters", "landmarks")


def face_crop(
    box: Sequence[float], mean_box: Sequence[float], size: int, jitter=(0.0, 0.0, 1.0)
) -> cropping.SquareCrop:
    """The square in which a face lies as the mean face does.

    Args:
      box: (left, right, top, bottom) of the face's 68 points in its picture.
      mean_box: the same of the initial mean face in a picture of `size`.
      size: S.
      jitter: shift along x and y in parts of the square's side, factor of the side.
    """
    left, right, top, bottom = (float(value) for value in box)
    scale = max(right - left, bottom - top) / max(
        mean_box[1] - mean_box[0], mean_box[3] - mean_box[2]
    )
    # The middle of our box goes to the middle of theirs.
    centre = (size - 1) / 2
    x = (left + right) / 2 + (centre - (mean_box[0] + mean_box[1]) / 2) * scale
    y = (top + bottom) / 2 + (centre - (mean_box[2] + mean_box[3]) / 2) * scale
    side = scale * (size - 1)
    x, y = x + jitter[0] * side, y + jitter[1] * side
    return cropping.SquareCrop((x, y), side * jitter[2], size)


class RecordedPhotographs:
    """A set of records of the picture factory, grey, in memory.

    Attributes:
      grey: uint8 [N, H, H].
      parameters: float32 [N, 7 + ks + ke], in the photographs' own frame.
      boxes: float32 [N, 4], (left, right, top, bottom) of the landmarks.

    Args:
      directory: of the set.
      shape_count, expression_count: coefficients that the networks know; the set must
        have no more.

    Raises:
      InputError: if there is no set, it lacks a field or has more coefficients.
      FormatError: if a file is missing or damaged.
    """

    def __init__(
        self, directory: files.PathLike, shape_count: int, expression_count: int
    ):
        self.directory = files.require_directory(directory, "set of photographs")
        described, paths = records.describe_stored(self.directory)
        fields = described["fields"]
        for name in _FIELDS:
            if name not in fields:
                raise InputError(
                    f"{self.directory}: has no field {name}; make it with --fields "
                    f"{','.join(_FIELDS)}."
                )
        self._fields = fields
        self._check(described["count"], shape_count, expression_count)
        count, height = described["count"], fields["picture"]["shape"][0]
        length = 7 + shape_count + expression_count
        self.grey = np.empty((count, height, height), np.uint8)
        self.parameters = np.empty((count, length), np.float32)
        self.boxes = np.empty((count, 4), np.float32)
        row = 0
        for path in paths:
            file = frames.RecordFile(path)
            try:
                for number in range(len(file)):
                    if row == count:
                        raise FormatError(
                            f"{path}: more photographs than set.json says ({count})."
                        )
                    self._keep(row, file, number, shape_count)
                    row += 1
            finally:
                file.close()
        if row < count:
            raise FormatError(
                f"{self.directory}: found {row} photographs, set.json says {count}."
            )

    def _check(self, count: int, shape_count: int, expression_count: int) -> None:
        picture = self._fields["picture"]["shape"]
        landmarks = self._fields["landmarks"]["shape"]
        (length,) = self._fields["coarse_parameters"]["shape"]
        if count < 1 or len(picture) != 3 or picture[0] != picture[1]:
            raise FormatError(f"{self.directory}: holds no square photographs.")
        if picture[2] != 3 or landmarks != [68, 3]:
            raise FormatError(
                f"{self.directory}: found pictures {picture} and landmarks "
                f"{landmarks}, expected colours and [68, 3]."
            )
        # The shorter of both kinds are padded with zeros.
        expected = (
            7
            + max(truth.COARSE_SHAPE, shape_count)
            + max(truth.COARSE_EXPRESSION, expression_count)
        )
        if length != expected:
            raise InputError(
                f"{self.directory}: found {length} coarse_parameters a photograph, "
                f"expected {expected} for {shape_count} identity and "
                f"{expression_count} expression coefficients."
            )

    def _keep(self, row: int, file: frames.RecordFile, number: int, shape_count: int):
        import tensorflow as tf

        try:
            features = tf.train.Example.FromString(file.payload(number)).features
            found = {
                name: np.frombuffer(
                    features.feature[name].bytes_list.value[0],
                    self._fields[name]["type"],
                ).reshape(self._fields[name]["shape"])
                for name in _FIELDS
            }
        except FormatError:
            raise
        except Exception as error:  # protobuf's errors have no common kind.
            raise FormatError(
                f"{file.where(number)}: no photograph ({in_words(error)})."
            ) from error
        values, landmarks = found["coarse_parameters"], found["landmarks"]
        if not (np.isfinite(values).all() and np.isfinite(landmarks).all()):
            raise FormatError(f"{file.where(number)}: numbers that are not finite.")
        self.grey[row] = np.rint(pictures.grey(found["picture"]))
        known = 7 + shape_count
        expressions = self.parameters.shape[1] - known
        start = 7 + max(truth.COARSE_SHAPE, shape_count)
        unknown = (*values[known:start], *values[start + expressions :])
        if np.any(np.asarray(unknown) != 0):
            raise InputError(
                f"{self.directory}: its faces have more coefficients than "
                f"{shape_count} of identity and {expressions} of expression; set "
                "network.shape_count and network.expression_count to the model's."
            )
        self.parameters[row, :known] = values[:known]
        self.parameters[row, known:] = values[start : start + expressions]
        low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
        self.boxes[row] = low[0], high[0], low[1], high[1]

    def __len__(self) -> int:
        return len(self.grey)

    def crops(
        self,
        numbers: Iterable[int],
        mean_box: Sequence[float],
        size: int,
        jitter: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Some faces in the squares that the networks expect, with their parameters.

        Args:
          numbers: of N faces.
          mean_box, size: see `face_crop`.
          jitter: [N, 3], see `face_crop`; None for none.

        Returns:
          grey levels float32 [N, S, S, 1] of 0..255, black beyond the photographs; and
          parameters float32 [N, P].
        """
        numbers = [int(number) for number in numbers]
        images = np.empty((len(numbers), size, size, 1), np.float32)
        labels = self.parameters[numbers].copy()
        for row, number in enumerate(numbers):
            crop = face_crop(
                self.boxes[number],
                mean_box,
                size,
                (0.0, 0.0, 1.0) if jitter is None else jitter[row],
            )
            images[row] = crop.cut(self.grey[number][..., np.newaxis])
            labels[row, :7] = crop_pose(labels[row, :7], crop, self.grey.shape[1])
        return images, labels
