"""ParFace opened for use: crops of photographs through the networks and back."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_faces.convert import parface as convert
from tf_faces.core import files, texts
from tf_faces.core.errors import InputError
from tf_faces.data.parface import crops
from tf_faces.data.parface.samples import network_images
from tf_faces.metrics import parface_pictures
from tf_faces.models.parface import inference
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.training.parface import weights

# Crops that go through the networks together.
_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Detection:
    """What was found of one face.

    Attributes:
      landmarks: float32 [K, 2], or [K, 3] with depths (larger is nearer), in pixels of
        the photograph.
      scores: float32 [K] in 0..1; above 0.8 is good.
      crop: uint8 [S, S, 3], what the network saw.
      crop_landmarks: as `landmarks`, in pixels of the crop.
      reconstruction: uint8 [S, S, 3], what the decoder made of it.
      heatmaps: float32 [128, 128, K], as they were decoded.
      latent: float32 [Z].
    """

    landmarks: np.ndarray
    scores: np.ndarray
    crop: np.ndarray
    crop_landmarks: np.ndarray
    reconstruction: np.ndarray
    heatmaps: np.ndarray
    latent: np.ndarray


class ParFace:
    """Networks for use on photographs.

    Args:
      networks: trained ones; their weights are taken as they are at the first use.

    Example:

    >>> parface = open_run("results/003-parface-landmarks_2d")
    >>> found = parface.detect(photograph, box=(80, 60, 210, 220))
    >>> found.landmarks.shape
    (68, 2)
    """

    def __init__(self, networks: ParFaceNetworks):
        self.networks = networks
        self.size = networks.config.input_size
        self._folded = None
        self._functions = {}

    def _run(
        self, images, maps, wanted, spatial: bool, smooth: bool, decoding: str | None
    ):
        key = (wanted, spatial, smooth, decoding, maps is None)
        if key not in self._functions:
            if self._folded is None:
                self._folded = inference.fold(self.networks)
            nets = self._folded
            detect = nets.detect_3d if spatial else nets.detect

            def results(given, **more):
                # What only others need is not computed.
                found = detect(given, smooth=smooth, decoding=decoding, **more)
                return {name: found[name] for name in wanted or found}

            # Nothing in it depends on values: rewriting takes longer than tracing.
            self._functions[key] = tf.function(
                results, reduce_retracing=True, autograph=False
            )
        given = network_images(images, self.networks.config.normalized)
        more = {} if maps is None else {"maps": tf.constant(maps)}
        found = self._functions[key](tf.constant(given), **more)
        return {name: value.numpy() for name, value in found.items()}

    def detect_crops(
        self,
        images: np.ndarray,
        *,
        spatial: bool = False,
        smooth: bool | None = None,
        decoding: str | None = None,
        maps: np.ndarray | None = None,
        wanted: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Finds the landmarks of crops.

        Args:
          images: uint8 [N, S, S, 3].
          spatial: with depths.
          smooth: decode smoothed heat maps; None does so in the plane alone, as the
            original.
          decoding: see `heatmaps.decode`; None means the networks' own.
          maps: float32 [N, 128, 128, K] that depths are read from; None means those
            that are found.
          wanted: names of the results; None means all. Without "reconstructions" it
            takes about six tenths of the time.

        Returns:
          As `ParFaceNetworks.detect` and `detect_3d`.
        """
        if images.ndim != 4 or images.shape[1:] != (self.size, self.size, 3):
            raise InputError(
                f"images must have shape [N, {self.size}, {self.size}, 3]. "
                f"Received: {images.shape}"
            )
        smooth = not spatial if smooth is None else smooth
        pieces = [
            self._run(
                images[start : start + _BATCH],
                None if maps is None else maps[start : start + _BATCH],
                None if wanted is None else tuple(wanted),
                spatial,
                smooth,
                decoding,
            )
            for start in range(0, len(images), _BATCH)
        ]
        return {
            name: np.concatenate([piece[name] for piece in pieces])
            for name in pieces[0]
        }

    def crop_of(
        self,
        picture: np.ndarray,
        box: Sequence[float] | None = None,
        landmarks: np.ndarray | None = None,
        exact: bool = False,
        middle: bool = True,
    ) -> crops.FaceCrop:
        """The crop that the network sees of a photograph.

        Args:
          picture: uint8 [H, W, 3].
          box: (left, top, right, bottom) of the face; None means the whole picture.
          landmarks: crop by these instead, as the data sets do.
          exact: cut the box as it is; otherwise a larger square about it, as the data
            sets do.
          middle: cut `roi_size` pixels of which the network sees the middle.
        """
        output = None if middle else self.size
        if landmarks is not None:
            return crops.crop_by_landmarks(landmarks, self.size, output=output)
        if box is None:
            box = (0, 0, picture.shape[1], picture.shape[0])
        if exact:
            side = crops.roi_size(self.size) if middle else self.size
            return crops.crop_exactly(box, side)
        return crops.crop_by_box(box, self.size, output)

    def detect(
        self,
        picture: np.ndarray,
        box: Sequence[float] | None = None,
        landmarks: np.ndarray | None = None,
        *,
        spatial: bool = False,
        smooth: bool | None = None,
        decoding: str | None = None,
        exact: bool = False,
        middle: bool = True,
    ) -> Detection:
        """Finds the landmarks of one face in a photograph.

        Args:
          picture: uint8 [H, W, 3].
          box, landmarks, exact, middle: see `crop_of`.
          spatial, smooth, decoding: see `detect_crops`.
        """
        crop = self.crop_of(picture, box, landmarks, exact, middle)
        offset = (crop.output - self.size) // 2
        whole = crop.image(picture)
        seen = whole[offset : offset + self.size, offset : offset + self.size]
        found = self.detect_crops(
            seen[None], spatial=spatial, smooth=smooth, decoding=decoding
        )
        points = found["landmarks_3d" if spatial else "landmarks"][0]
        moved = np.array(points)
        moved[:, :2] += offset
        return Detection(
            crop.undo(moved).astype(np.float32),
            found["scores"][0],
            np.ascontiguousarray(seen),
            points,
            parface_pictures.displayed(
                found["reconstructions"][0], self.networks.config.normalized
            ),
            found["heatmaps"][0],
            found["latents"][0],
        )


def recognises(folder: files.PathLike) -> bool:
    """True if a folder holds weights of ParFace."""
    try:
        weights.find(str(folder))
    except InputError:
        return False
    return True


def open_run(
    folder: files.PathLike,
    *,
    snapshot: str | None = None,
    activation: str | None = None,
    normalized: bool | None = None,
) -> ParFace:
    """Opens the weights of a run, a file, or a snapshot of the original.

    Args:
      folder: a run folder, RUN/session/00050, an .npz, or a snapshot of the original.
      snapshot: epoch of a run ("00050" or "50"); None takes the newest.
      activation, normalized: override what the file says (original snapshots say
        neither; they are taken for ParFace's).

    Raises:
      InputError: if there are no weights.
    """
    path = pathlib.Path(folder)
    if snapshot is not None:
        number = texts.natural_number(str(snapshot))
        path = path / weights.FOLDER / f"{-1 if number is None else number:05d}"
        if not path.is_dir():
            raise InputError(f"{path}: no snapshot {snapshot!r} of this run.")
    return ParFace(convert.load(weights.find(str(path)), activation, normalized))
