"""From a trained TBGAN to textured faces: latents and labels -> UV maps -> meshes.

The maps are filled beyond the chart's rim, the shape map is smoothed, looked up at the
chart's places, and joined with the chart's triangles (`pipelines.tbgan.maps` and
`pipelines.tbgan.surface` have the arithmetic).

Labels are what the network is fed.  Networks whose losses took a softmax of the stored
labels (TBGAN's default) are used to flat probabilities: `TbganPipeline.labels_for` does
the same to labels as stored.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tf_faces.core import files, runs
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.geometry.mesh import Mesh
from tf_faces.morphable.uv_dictionary import UvDictionary
from tf_faces.pipelines.tbgan import maps as tbgan_maps
from tf_faces.pipelines.tbgan import sources, surface

Network = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """One generated face.

    Attributes:
      latents: float32 [Z].
      labels: float32 [L], as fed.
      maps: float32 [R, R, C], as the network made them.
      texture: uint8 [R, R, 3].
      mesh: the textured mesh, or None where the network makes no shape.
    """

    latents: np.ndarray
    labels: np.ndarray
    maps: np.ndarray
    texture: np.ndarray
    mesh: Mesh | None

    @property
    def shape_map(self) -> np.ndarray:
        """float32 [R, R, 3]."""
        return self.maps[..., 3:6]

    @property
    def normal_map(self) -> np.ndarray:
        """float32 [R, R, 3]."""
        return self.maps[..., 6:9]


# The networks compute in float32, and square what they are fed.
_LARGEST_LABEL = 1e15


class TbganPipeline:
    """Samples faces from a generator.

    Attributes:
      latent_size, label_size, resolution, channels: of the network.
      dictionary: the chart, or None without shape maps.
      label_softmax: whether stored labels are made probabilities before use.
      level_of_detail: that the network is evaluated at.
      smoothing: sigma in pixels that shape maps are smoothed with, unless another is
        asked for.
      source: where it came from.
    """

    def __init__(
        self,
        network: Network,
        *,
        latent_size: int,
        label_size: int,
        resolution: int,
        channels: int,
        dictionary: UvDictionary | None = None,
        label_softmax: bool = True,
        level_of_detail: float = 0.0,
        smoothing: float | None = None,
        source: str = "",
        generator=None,
    ):
        """Joins a network and a chart.

        Args:
          network: (latents [N, Z], labels [N, L]) -> float32 [N, R, R, C].
          latent_size, label_size, resolution, channels: Z, L, R, C.
          dictionary: the chart; None gives faces without a mesh.
          label_softmax: see the class.
          level_of_detail: see the class.
          smoothing: see the class; None takes the original's 3 pixels of 512 in
            proportion, but at least 1.
          source: see the class.
          generator: the Keras model behind `network`, for export.
        """
        self.latent_size, self.label_size = latent_size, label_size
        self.resolution, self.channels = resolution, channels
        self.label_softmax, self.level_of_detail = label_softmax, level_of_detail
        self.source, self.generator = source, generator
        self.smoothing = (
            max(
                tbgan_maps.SMOOTHING_AT_512 * resolution / 512,
                tbgan_maps.LEAST_SMOOTHING,
            )
            if smoothing is None
            else smoothing
        )
        self.dictionary = (
            None
            if dictionary is None
            else tbgan_maps.fitted_dictionary(dictionary, resolution)
        )
        self._clean: surface.CleanChart | None = None
        self._network = network

    def __repr__(self) -> str:
        return (
            f"TbganPipeline({self.source or 'a network'}: {self.resolution}x"
            f"{self.resolution}x{self.channels}, latents {self.latent_size}, labels "
            f"{self.label_size}, {'with' if self.dictionary else 'no'} meshes)"
        )

    # --- where it comes from --------------------------------------------------------

    @classmethod
    def from_generator(
        cls, generator, level_of_detail: float = 0.0, **keywords
    ) -> "TbganPipeline":
        """Of a `models.tbgan.Generator`; keywords as for the constructor."""
        import tensorflow as tf

        config = generator.config

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, config.latent_size], tf.float32),
                tf.TensorSpec([None, config.label_size], tf.float32),
            ]
        )
        def run(latents, labels):
            images = generator(latents, labels, level_of_detail)
            return tf.cast(images, tf.float32)

        return cls(
            lambda latents, labels: run(latents, labels).numpy(),
            latent_size=config.latent_size,
            label_size=config.label_size,
            resolution=config.resolution,
            channels=config.num_channels,
            level_of_detail=level_of_detail,
            generator=generator,
            **keywords,
        )

    @classmethod
    def from_run(
        cls,
        run: str,
        *,
        snapshot: int | None = None,
        result_directory: files.PathLike = "results",
        dictionary: files.PathLike | None = None,
    ) -> "TbganPipeline":
        """Of a training run: the averaged generator Gs of one of its snapshots.

        Args:
          run: folder, number, or "newest".
          snapshot: images shown when it was taken; None takes the newest whole one.
          result_directory: where runs lie.
          dictionary: UV dictionary file, "grid" for a vertex a pixel, or None to look
            for it beside the training data.

        Raises:
          InputError: if there is no such run, snapshot or dictionary.
        """
        from tf_faces.training import checkpoints

        folder = runs.RunFolder.locate(result_directory, run)
        if snapshot is None:
            found = checkpoints.load_newest(folder.snapshots)
            if found is None:
                raise InputError(f"{folder.path}: holds no snapshot yet.")
        else:
            found = checkpoints.load(folder.snapshots / f"snapshot-{snapshot:09d}")
        return cls.from_snapshot(found, dictionary=dictionary)

    @classmethod
    def from_snapshot(
        cls, snapshot, *, dictionary: files.PathLike | None = None
    ) -> "TbganPipeline":
        """Of a `training.checkpoints.Snapshot`; `dictionary` as in `from_run`."""
        generator = sources.load_generator(snapshot)
        level = float(generator.level_of_detail.numpy())
        losses = snapshot.configuration.get("G_loss", {})
        smoothing = snapshot.configuration.get("finish", {}).get("smoothing", "auto")
        return cls.from_generator(
            generator,
            level,
            dictionary=sources.find_dictionary(dictionary, snapshot, generator.config),
            label_softmax=bool(losses.get("label_softmax", True)),
            smoothing=None if smoothing == "auto" else float(smoothing),
            source=str(snapshot.path),
        )

    @classmethod
    def from_export(
        cls,
        directory: files.PathLike,
        *,
        dictionary: files.PathLike | None = None,
    ) -> "TbganPipeline":
        """Of an exported SavedModel (one version's folder, or the one around them).

        A SavedModel is a program: open only what you trust.

        Args:
          directory: what `export.tbgan` wrote.
          dictionary: as in `from_run`; None takes the one stored in the export.
        """
        import tensorflow as tf

        path = sources.newest_version(directory)
        card = files.read_json(path / "assets.extra" / "model_card.json")
        try:
            network = {
                "latent_size": int(card["latent_size"]),
                "label_size": int(card["label_size"]),
                "resolution": int(card["resolution"]),
                "channels": int(card["channels"]),
            }
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f"{path}: its model_card.json describes no TBGAN ({in_words(error)})."
            ) from error
        loaded = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]

        # The functions of a SavedModel live as long as the object they came from,
        # which therefore is an argument that nobody gives.
        def run(latents, labels, loaded=loaded):
            inputs = {"latents": tf.constant(latents)}
            if network["label_size"]:
                inputs["labels"] = tf.constant(labels)
            return signature(**inputs)["images"].numpy()

        stored = path / "assets.extra" / "uv_dictionary.npz"
        if dictionary is None and stored.is_file():
            dictionary = stored
        return cls(
            run,
            **network,
            dictionary=sources.open_dictionary(dictionary, network["resolution"]),
            label_softmax=bool(card.get("label_softmax", True)),
            level_of_detail=float(card.get("level_of_detail", 0.0)),
            smoothing=card.get("smoothing"),
            source=str(path),
        )

    # --- sampling -------------------------------------------------------------------

    def random_latents(self, count: int, seed: int = 0) -> np.ndarray:
        """float32 [count, Z], standard normal; face i is the same for any count."""
        rows = [
            np.random.default_rng([seed, index]).standard_normal(self.latent_size)
            for index in range(count)
        ]
        return np.array(rows, np.float32).reshape(count, self.latent_size)

    def random_labels(self, count: int, seed: int = 0) -> np.ndarray:
        """Stored-type labels [count, L]: mostly one expression, a little of another."""
        labels = np.zeros((count, self.label_size), np.float32)
        for index in range(count if self.label_size else 0):
            rng = np.random.default_rng([seed, index, 1])
            first, second = rng.integers(self.label_size, size=2)
            share = 0.3 * rng.random()
            labels[index, first] += 1 - share
            labels[index, second] += share
        return labels

    def labels_for(
        self, stored: np.ndarray, weights: Sequence[float] | float = 1.0
    ) -> np.ndarray:
        """Labels as stored in a data set -> labels as fed, as in training.

        Args:
          stored: [N, L].
          weights: factors behind the softmax; 1 is what training saw, and
            tbgan_maps.TEST_SCRIPT_LABEL_WEIGHTS what the original's test script feeds.
        """
        stored = np.asarray(stored, np.float32)
        if stored.ndim != 2 or stored.shape[1] != self.label_size:
            raise InputError(
                f"labels must have shape [N, {self.label_size}]. "
                f"Received: {stored.shape}"
            )
        if not self.label_size:
            return stored
        fed = tbgan_maps.softmax(stored) if self.label_softmax else stored
        with np.errstate(over="ignore", invalid="ignore"):
            weighted = (fed * np.asarray(weights)).astype(np.float32)
        if not (np.abs(weighted) < _LARGEST_LABEL).all():
            raise InputError(
                f"weights of labels must leave them below {_LARGEST_LABEL:g}. "
                f"Received: {weights}"
            )
        return weighted

    def maps(
        self, latents: np.ndarray, labels: np.ndarray, minibatch: int = 8
    ) -> Iterator[np.ndarray]:
        """Yields float32 [R, R, C] for each row of the inputs.

        Args:
          latents: [N, Z].
          labels: [N, L], as fed.
          minibatch: number of images made at once.
        """
        latents, labels = np.asarray(latents), np.asarray(labels)
        for name, array, size in (
            ("latents", latents, self.latent_size),
            ("labels", labels, self.label_size),
        ):
            if array.shape != (len(latents), size):
                raise InputError(
                    f"{name} must have shape [{len(latents)}, {size}]. "
                    f"Received: {array.shape}"
                )
        for start in range(0, len(latents), minibatch):
            part = slice(start, start + minibatch)
            yield from self._network(
                latents[part].astype(np.float32), labels[part].astype(np.float32)
            )

    def mesh(
        self,
        maps: np.ndarray,
        *,
        smoothing: float | None = None,
        bilinear: bool = True,
        clean_rim: bool | None = None,
        normals: bool = False,
        name: str = "face",
    ) -> Mesh:
        """The textured mesh of a sample.

        Args:
          maps: [R, R, C] with at least six channels.
          smoothing: sigma of the shape's smoothing in pixels; None takes the
            pipeline's own; 0 takes none.
          bilinear: look the shape up between pixels; False takes whole pixels, as the
            original does.
          clean_rim: take of the maps what can be trusted (`surface.clean_chart`), and
            the rest of the face from the chart's neutral one; False takes the whole
            maps alone, as the original does; None does the former if the shape is
            smoothed and looked up between pixels, unless every pixel is a vertex.
          normals: give the mesh the normal map's normals, at its vertices and as a
            texture; otherwise it has those of its triangles.
          name: of the mesh.
        """
        if normals and self.channels < 9:
            raise InputError(
                f"{self.source or 'the network'}: makes {self.channels} channels, "
                "expected 9, of which the last three are normals."
            )
        if self.dictionary is None or self.channels < 6:
            raise InputError(
                f"{self.source or 'the network'}: a mesh needs shape maps and a UV "
                f"dictionary. Received: {self.channels} channels, "
                f"{'no' if self.dictionary is None else 'a'} UV dictionary"
            )
        if smoothing is None:
            smoothing = self.smoothing
        dictionary, made = self.dictionary, maps
        if clean_rim is None:
            clean_rim = (
                bilinear and smoothing > 0 and not tbgan_maps.is_grid(dictionary)
            )
        if clean_rim:
            if self._clean is None:
                self._clean = surface.clean_chart(dictionary)
            dictionary = self._clean.dictionary
            vertices = self._clean.vertices(maps[..., 3:6], smoothing, bilinear)
            maps = self._clean.fill_texture(maps[..., :3])
        else:
            shape = tbgan_maps.smooth_shape(maps[..., 3:6], smoothing)
            vertices = dictionary.vertices(np.moveaxis(shape, -1, 0), bilinear=bilinear)
        mesh = Mesh(
            vertices=vertices,
            triangles=dictionary.triangles(bilinear),
            texture_coordinates=dictionary.tcoords,
            texture=tbgan_maps.texture_image(maps),
            name=name,
            unit=dictionary.known_unit,
        )
        if not normals:
            return mesh
        known = self._clean.trusted if clean_rim else None
        return surface.with_normals(mesh, dictionary, made[..., 6:9], known, bilinear)

    def faces(
        self,
        latents: np.ndarray,
        labels: np.ndarray,
        *,
        minibatch: int = 8,
        **mesh_options,
    ) -> Iterator[Face]:
        """Yields a `Face` for each row of the inputs.

        Args:
          latents: [N, Z].
          labels: [N, L], as fed.
          minibatch: number of images made at once.
          **mesh_options: of `mesh`.
        """
        has_mesh = self.dictionary is not None and self.channels >= 6
        all_maps = self.maps(latents, labels, minibatch)
        for index, maps in enumerate(all_maps):
            yield Face(
                latents=np.asarray(latents[index], np.float32),
                labels=np.asarray(labels[index], np.float32),
                maps=maps,
                texture=tbgan_maps.texture_image(maps),
                mesh=(
                    self.mesh(maps, name=f"face{index:04d}", **mesh_options)
                    if has_mesh
                    else None
                ),
            )

    def sample(
        self, count: int, seed: int = 0, labels: np.ndarray | None = None, **options
    ) -> Iterator[Face]:
        """Yields random faces; face i depends on seed and i only.

        Args:
          count: number of faces.
          seed: of latents and labels.
          labels: [count, L] as stored; None draws expressions.
          **options: of `faces`.
        """
        stored = self.random_labels(count, seed) if labels is None else labels
        return self.faces(
            self.random_latents(count, seed), self.labels_for(stored), **options
        )

    def expression_targets(
        self, latents: np.ndarray, gain: float = 1.0, **mesh_options
    ) -> tuple[Face, dict[str, np.ndarray]]:
        """One identity at rest and the offsets that each label moves it by.

        Args:
          latents: [Z].
          gain: factor of the labels as fed.
          **mesh_options: of `mesh`.

        Returns:
          The face under equal labels, and {"expression k": float32 [V, 3]}.
        """
        stored = np.concatenate(
            [np.full((1, self.label_size), 1 / max(self.label_size, 1)),
             np.eye(self.label_size)]
        )  # fmt: skip
        fed = self.labels_for(stored, gain)
        faces = list(
            self.faces(np.repeat(latents[None], len(fed), 0), fed, **mesh_options)
        )
        rest, *moved = faces
        targets = {
            f"expression {number}": face.mesh.vertices - rest.mesh.vertices
            for number, face in enumerate(moved)
            if face.mesh is not None and rest.mesh is not None
        }
        return rest, targets


def open_pipeline(
    source: str,
    *,
    snapshot: int | None = None,
    result_directory: files.PathLike = "results",
    dictionary: files.PathLike | None = None,
) -> TbganPipeline:
    """Opens an export, a snapshot's folder, or a run (folder, number, "newest").

    Raises:
      InputError: if it is none of these, or a snapshot is named of what is no run.
    """
    from tf_faces.training import checkpoints

    path = pathlib.Path(source)
    is_export = path.is_dir() and sources.is_export(path)
    is_snapshot = path.is_dir() and sources.is_snapshot(path)
    if snapshot is not None and (is_export or is_snapshot):
        raise InputError(
            f"{path}: found {'an export' if is_export else 'one snapshot'}, expected a "
            f"run to take snapshot {snapshot} of."
        )
    if is_export:
        return TbganPipeline.from_export(path, dictionary=dictionary)
    if is_snapshot:
        return TbganPipeline.from_snapshot(
            checkpoints.load(path), dictionary=dictionary
        )
    return TbganPipeline.from_run(
        source,
        snapshot=snapshot,
        result_directory=result_directory,
        dictionary=dictionary,
    )


def open_run(
    folder: files.PathLike,
    *,
    snapshot: int | None = None,
    dictionary: files.PathLike | None = None,
) -> TbganPipeline:
    """Opens a run folder, a snapshot or an export; see `open_pipeline`."""
    return open_pipeline(str(folder), snapshot=snapshot, dictionary=dictionary)


def card_fields(pipeline: TbganPipeline) -> dict:
    """What an export's model card says about the network, JSON-able."""
    return {
        "latent_size": pipeline.latent_size,
        "label_size": pipeline.label_size,
        "resolution": pipeline.resolution,
        "channels": pipeline.channels,
        "label_softmax": pipeline.label_softmax,
        "level_of_detail": float(pipeline.level_of_detail),
        "smoothing": float(pipeline.smoothing),
        "source": pathlib.Path(pipeline.source).name,
    }
