"""Photographs of the picture factory as CoarseNet's training pictures."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.data.coarse_fine import pictures
from tf_faces.data.coarse_fine.preparation import crop_pose
from tf_faces.data.photographs import records, truth
from tf_faces.data.record_sets import frames
from tf_faces.geometry import cropping

FIELDS = ("picture", "coarse_parameters", "landmarks")


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


class Photographs:
    """Grey photographs whose faces have known parameters.

    Args:
      grey: uint8 [N, H, H].
      parameters: float32 [N, 7 + ks + ke], in the photographs' own frame.
      boxes: float32 [N, 4], (left, right, top, bottom) of the landmarks.
    """

    def __init__(self, grey: np.ndarray, parameters: np.ndarray, boxes: np.ndarray):
        self.grey = grey
        self.parameters = parameters
        self.boxes = boxes

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


def of_fields(
    photographs: Sequence[Mapping[str, np.ndarray]],
    shape_count: int,
    expression_count: int,
    source: str,
) -> Photographs:
    """Photographs from their fields `FIELDS`, as the factory's streams yield them.

    Args:
      photographs: at least one.
      shape_count, expression_count: coefficients that the networks know.
      source: what messages call them.

    Raises:
      InputError: if the faces have more coefficients.
      FormatError: if a number is not finite.
    """
    known = 7 + shape_count
    start = 7 + max(truth.COARSE_SHAPE, shape_count)
    grey, parameters, boxes = [], [], []
    for found in photographs:
        values, landmarks = found["coarse_parameters"], found["landmarks"]
        if not (np.isfinite(values).all() and np.isfinite(landmarks).all()):
            raise FormatError(f"{source}: holds numbers that are not finite.")
        if values[known:start].any() or values[start + expression_count :].any():
            raise InputError(
                f"{source}: its faces have more coefficients than {shape_count} of "
                f"identity and {expression_count} of expression; set "
                "network.shape_count and network.expression_count to the model's."
            )
        grey.append(np.rint(pictures.grey(found["picture"])).astype(np.uint8))
        own = values[:known], values[start : start + expression_count]
        parameters.append(np.concatenate(own))
        low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
        boxes.append((low[0], high[0], low[1], high[1]))
    return Photographs(np.stack(grey), np.float32(parameters), np.float32(boxes))


def read_records(
    directory: files.PathLike, shape_count: int, expression_count: int
) -> Photographs:
    """A whole set of records of the picture factory, in memory.

    Args:
      directory: of the set.
      shape_count, expression_count: see `of_fields`.

    Raises:
      InputError: if there is no set, it lacks a field or has more coefficients.
      FormatError: if a file is missing or damaged.
    """
    directory = files.require_directory(directory, "set of photographs")
    described, paths = records.describe_stored(directory)
    fields, count = described["fields"], described["count"]
    for name in FIELDS:
        if name not in fields:
            raise InputError(
                f"{directory}: has no field {name}; make it with --fields "
                f"{','.join(FIELDS)}."
            )
    _check(directory, fields, count, shape_count, expression_count)
    parts, total = [], 0
    for path in paths:
        with frames.RecordFile(path) as file:
            total += len(file)
            if total > count:
                raise FormatError(
                    f"{path}: more photographs than set.json says ({count})."
                )
            found = (_parsed(file, number, fields) for number in range(len(file)))
            parts.append(of_fields(found, shape_count, expression_count, str(path)))
    if total < count:
        raise FormatError(
            f"{directory}: found {total} photographs, set.json says {count}."
        )
    return joined(parts)


def joined(parts: Sequence[Photographs]) -> Photographs:
    """All photographs of some sets of one size, in their order.

    Raises:
      InputError: if their sizes differ.
    """
    sizes = sorted({part.grey.shape[1] for part in parts})
    if len(sizes) > 1:
        raise InputError(
            f"sets of photographs: found sides of {' and '.join(map(str, sizes))} "
            "pixels, expected one size."
        )
    return Photographs(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("grey", "parameters", "boxes")
        )
    )


def _check(directory, fields, count: int, shape_count: int, expression_count: int):
    picture, landmarks = fields["picture"]["shape"], fields["landmarks"]["shape"]
    if count < 1 or len(picture) != 3 or picture[0] != picture[1]:
        raise FormatError(f"{directory}: holds no square photographs.")
    if picture[2] != 3 or landmarks != [68, 3]:
        raise FormatError(
            f"{directory}: found pictures {picture} and landmarks {landmarks}, "
            "expected colours and [68, 3]."
        )
    # The shorter of both kinds are padded with zeros.
    expected = (
        7
        + max(truth.COARSE_SHAPE, shape_count)
        + max(truth.COARSE_EXPRESSION, expression_count)
    )
    if fields["coarse_parameters"]["shape"] != [expected]:
        raise InputError(
            f"{directory}: found {fields['coarse_parameters']['shape']} "
            f"coarse_parameters a photograph, expected {expected} for {shape_count} "
            f"identity and {expression_count} expression coefficients."
        )


def _parsed(file: frames.RecordFile, number: int, fields) -> dict[str, np.ndarray]:
    import tensorflow as tf

    payload = file.payload(number)
    try:
        features = tf.train.Example.FromString(payload).features.feature
        return {
            name: np.frombuffer(
                features[name].bytes_list.value[0], fields[name]["type"]
            ).reshape(fields[name]["shape"])
            for name in FIELDS
        }
    except Exception as error:  # protobuf's errors have no common kind.
        raise FormatError(
            f"{file.where(number)}: no photograph ({in_words(error)})."
        ) from error
