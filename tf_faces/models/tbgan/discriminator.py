"""Discriminator: coupled UV maps to a score and label logits (`D_paper`).

The generator's mirror image, except that its branches begin one level lower, and its
image inputs are split another level below that.
"""

from typing import Any

import keras
from keras import ops

from tf_faces.layers import equalized, normalization, resampling
from tf_faces.models.tbgan.config import DiscriminatorConfig, split_level_of_detail
from tf_faces.models.tbgan.network import (
    ProgressiveNetwork,
    image_shape,
    regroup,
    side,
)


@keras.saving.register_keras_serializable(package="tf_faces")
class Discriminator(ProgressiveNetwork):
    """Trunk-branch discriminator, or the Progressive GAN's with `single_trunk`.

    Args:
      config: `DiscriminatorConfig`.

    Example:

    >>> discriminator = Discriminator(DiscriminatorConfig(num_channels=9,
    ...     resolution=64, label_size=7, fmap_base=64, fmap_max=8, lod_sep=4))
    >>> scores, logits = discriminator(images)     # images [8, 64, 64, 9]
    >>> scores.shape, logits.shape
    ((8, 1), (8, 7))

    Reference: Gecer et al., ECCV 2020, arXiv 1909.02215.
    """

    config: DiscriminatorConfig

    def __init__(self, config: DiscriminatorConfig, **keywords):
        super().__init__(config, **{"name": "D", **keywords})
        if isinstance(config, dict):
            raise TypeError("config must be a DiscriminatorConfig; use from_config")
        self._options: dict[str, Any] = {
            "use_wscale": config.use_wscale,
            "activation": "leaky_relu",
        }
        self._add_from_rgb(config.resolution_log2)
        for res in range(config.resolution_log2, 2, -1):
            self._add_block(res)
            self._add_from_rgb(res - 1)
        width = config.features(2)
        self._statistic = None
        if config.mbstd_group_size > 1:
            self._statistic = normalization.MinibatchStandardDeviation(
                config.mbstd_group_size
            )
        extra = 0 if self._statistic is None else 1
        self._add(
            "4x4/Conv",
            equalized.EqualizedConv2D(width, **self._options),
            (None, 4, 4, width + extra),
        )
        self._add(
            "4x4/Dense0",
            equalized.EqualizedDense(config.features(1), **self._options),
            (None, 16 * width),
        )
        self._add(
            "4x4/Dense1",
            equalized.EqualizedDense(
                1 + config.label_size, gain=1.0, use_wscale=config.use_wscale
            ),
            (None, config.features(1)),
        )
        self.built = True

    def _from_rgb_scopes(self, res: int) -> list[str]:
        scope = f"FromRGB_lod{self.config.resolution_log2 - res}"
        if self.config.from_rgb_branched(res):
            return [f"{scope}/{name}" for name in self.config.branches]
        return [scope]

    def _add_from_rgb(self, res: int) -> None:
        scopes = self._from_rgb_scopes(res)
        for scope in scopes:
            layer = equalized.EqualizedConv2D(
                self.config.features(res) // len(scopes), kernel_size=1, **self._options
            )
            channels = self.config.num_channels // len(scopes)
            self._add(scope, layer, (None, None, None, channels))

    def _block_scopes(self, res: int) -> list[str]:
        if self.config.branched(res):
            return [f"{side(res)}/{name}" for name in self.config.branches]
        return [side(res)]

    def _add_block(self, res: int) -> None:
        config = self.config
        scopes = self._block_scopes(res)
        width = config.features(res) // len(scopes)
        outgoing = config.features(res - 1) // len(scopes)
        for scope in scopes:
            layer = equalized.EqualizedConv2D(width, **self._options)
            self._add(f"{scope}/Conv0", layer, (None, None, None, width))
            if config.fused_scale:
                layer = equalized.EqualizedConvDownscale2D(outgoing, **self._options)
                self._add(f"{scope}/Conv1_down", layer, (None, None, None, width))
            else:
                layer = equalized.EqualizedConv2D(outgoing, **self._options)
                self._add(f"{scope}/Conv1", layer, (None, None, None, width))

    # --- evaluation -----------------------------------------------------------------

    def _apply(self, name: str, features, activations):
        features = self._layer_of[name](features)
        if activations is not None:
            activations[name] = features
        return features

    def from_rgb(self, res: int, images, activations=None):
        """Returns the features of images at log2 resolution `res`, one part a branch.

        Args:
          res: log2 of the images' side.
          images: [N, 2^res, 2^res, num_channels].
          activations: as in `call`.
        """
        scopes = self._from_rgb_scopes(res)
        return [
            self._apply(scope, part, activations)
            for scope, part in zip(scopes, regroup([images], len(scopes)), strict=True)
        ]

    def _block(self, res: int, parts, activations):
        scopes = self._block_scopes(res)
        outputs = []
        for scope, part in zip(scopes, regroup(parts, len(scopes)), strict=True):
            part = self._apply(f"{scope}/Conv0", part, activations)
            if self.config.fused_scale:
                part = self._apply(f"{scope}/Conv1_down", part, activations)
            else:
                part = resampling.downscale(
                    self._apply(f"{scope}/Conv1", part, activations)
                )
            outputs.append(part)
        return outputs

    def call(
        self, images, level_of_detail=0.0, native=False, sets: int = 1, activations=None
    ):
        """Judges images.

        Args:
          images: [N, H, W, num_channels] in about [-1, 1]; H = resolution, or
            resolution / 2^floor if `native`.
          level_of_detail: number or `LevelOfDetail`.
          native: images are at the resolution of the level of detail already.
          sets: number of minibatches stacked in `images` whose statistics are apart.
          activations: dict that receives every layer's output under its name.

        Returns:
          Scores [N, 1] (higher: more real) and label logits [N, label_size].
        """
        config = self.config
        level = split_level_of_detail(level_of_detail)
        top = config.resolution_log2 - level.floor
        if top < 2:
            raise ValueError(
                f"level_of_detail must be at most {config.resolution_log2 - 2}. "
                f"Received: {level_of_detail}"
            )
        images = ops.cast(images, config.dtype)
        if not native:
            images = resampling.downscale(images, 2**level.floor)
        parts = self.from_rgb(top, images, activations)
        for res in range(top, 2, -1):
            parts = self._block(res, parts, activations)
            if res == top and level.fraction is not None:
                lower = self.from_rgb(
                    res - 1, resampling.downscale(images), activations
                )
                fraction = self.fade_weight(level)
                parts = [
                    resampling.lerp(part, other, fraction)
                    for part, other in zip(parts, lower, strict=True)
                ]
        (features,) = regroup(parts, 1)
        if self._statistic is not None:
            features = self._statistic(features, sets=sets)
            if activations is not None:
                activations["4x4/MinibatchStddev"] = features[..., -1:]
        features = self._apply("4x4/Conv", features, activations)
        flat = ops.reshape(
            ops.transpose(features, (0, 3, 1, 2)), (-1, 16 * config.features(2))
        )
        flat = self._apply("4x4/Dense0", flat, activations)
        combined = self._apply("4x4/Dense1", flat, activations)
        return combined[:, :1], combined[:, 1:]

    def used_layers(self, level_of_detail) -> set[str]:
        """Names of the layers that are evaluated at a level of detail."""
        level = split_level_of_detail(level_of_detail)
        top = self.config.resolution_log2 - level.floor
        blocks = {side(res) for res in range(2, top + 1)}
        used = {name for name in self._layer_of if name.split("/")[0] in blocks}
        used.update(self._from_rgb_scopes(top))
        if level.fraction is not None and top > 2:
            used.update(self._from_rgb_scopes(top - 1))
        return used

    # --- description ----------------------------------------------------------------

    def layer_rows(self) -> tuple[list[tuple[str, str, str, str]], int]:
        """Returns (rows, number of parameters) of the layer table.

        See `Generator.layer_rows`.
        """
        config = self.config
        top = config.resolution_log2
        full = image_shape(config.num_channels, config.resolution)
        rows = [("images_in", "-", full, "-"), ("lod", "-", "()", "-")]
        rows.append(self._from_rgb_row(top))
        for index, res in enumerate(range(top, 2, -1)):
            size = 2**res
            if config.branched(res):
                shape = image_shape(config.branch_features(res - 1), size // 2)
                rows.append(self._row(side(res), shape))
            else:
                shape = image_shape(config.features(res), size)
                rows.append(self._row(f"{side(res)}/Conv0", shape))
                if config.fused_scale:
                    shape = image_shape(config.features(res - 1), size // 2)
                    rows.append(self._row(f"{side(res)}/Conv1_down", shape))
                else:
                    shape = image_shape(config.features(res - 1), size)
                    rows.append(self._row(f"{side(res)}/Conv1", shape))
            suffix = f"_{index}" if index else ""
            smaller = image_shape(config.num_channels, size // 2)
            rows.append((f"Downscale2D{suffix}", "-", smaller, "-"))
            rows.append(self._from_rgb_row(res - 1))
            shape = image_shape(config.features(res - 1), size // 2)
            rows.append((f"Grow_lod{top - res}", "-", shape, "-"))
        if self._statistic is not None:
            rows.append(("4x4/MinibatchStddev", "-", image_shape(1, 4), "-"))
        rows.append(self._row("4x4/Conv", image_shape(config.features(2), 4)))
        rows.append(self._row("4x4/Dense0", f"(?, {config.features(1)})"))
        rows.append(self._row("4x4/Dense1", f"(?, {1 + config.label_size})"))
        rows.append(("scores_out", "-", "(?, 1)", "-"))
        rows.append(("labels_out", "-", f"(?, {config.label_size})", "-"))
        return rows, self.parameter_count()

    def _from_rgb_row(self, res: int) -> tuple[str, str, str, str]:
        scopes = self._from_rgb_scopes(res)
        name = f"FromRGB_lod{self.config.resolution_log2 - res}"
        width = self.config.features(res) // len(scopes)
        return self._row(name, image_shape(width, 2**res))

    def get_config(self):
        return {"config": self.config.to_dict(), "name": self.name}

    @classmethod
    def from_config(cls, config):
        options = dict(config)
        return cls(DiscriminatorConfig.from_dict(options.pop("config")), **options)
