"""Generator: latents and labels to coupled UV maps (`G_paper` of networks.py).

A trunk grows from 4x4 to 2^lod_sep; above it three narrower branches make texture,
shape and normals.  Only the blocks that the level of detail needs are evaluated.
"""

import math
from typing import Any

import keras
from keras import ops

from tf_faces.layers import equalized, normalization, resampling
from tf_faces.models.tbgan.config import GeneratorConfig, split_level_of_detail
from tf_faces.models.tbgan.network import (
    ProgressiveNetwork,
    image_shape,
    regroup,
    side,
)

# The first layer's gain makes up for the normalisation of its inputs.
_FIRST_GAIN = math.sqrt(2.0) / 4.0


@keras.saving.register_keras_serializable(package="tf_faces")
class Generator(ProgressiveNetwork):
    """Trunk-branch generator, or the Progressive GAN's with `single_trunk`.

    Args:
      config: `GeneratorConfig`.

    Example:

    >>> generator = Generator(GeneratorConfig(num_channels=9, resolution=64,
    ...     label_size=7, fmap_base=64, fmap_max=8, lod_sep=4))
    >>> generator(latents, labels).shape     # latents [2, 24], labels [2, 7]
    (2, 64, 64, 9)

    Reference: Gecer et al., ECCV 2020, arXiv 1909.02215.
    """

    config: GeneratorConfig

    def __init__(self, config: GeneratorConfig, **keywords):
        super().__init__(config, **{"name": "G", **keywords})
        if isinstance(config, dict):
            raise TypeError("config must be a GeneratorConfig; use from_config")
        self._activation = "leaky_relu" if config.use_leakyrelu else "relu"
        options: dict[str, Any] = {
            "use_wscale": config.use_wscale,
            "activation": self._activation,
        }
        inputs = config.latents + config.label_size
        width = config.features(2)
        self._add(
            "4x4/Dense",
            equalized.EqualizedDenseToMaps(width, gain=_FIRST_GAIN, **options),
            (None, inputs),
        )
        self._add(
            "4x4/Conv",
            equalized.EqualizedConv2D(width, **options),
            (None, 4, 4, width),
        )
        self._add_to_rgb(2)
        for res in range(3, config.resolution_log2 + 1):
            self._add_block(res, options)
            self._add_to_rgb(res)
        self.built = True

    def _add_block(self, res: int, options) -> None:
        config = self.config
        if config.branched(res):
            scopes = [f"{side(res)}/{name}" for name in config.branches]
            incoming = config.features(res - 1) // 3
            width = config.branch_features(res)
        else:
            scopes = [side(res)]
            incoming, width = config.features(res - 1), config.features(res)
        for scope in scopes:
            if config.fused_scale:
                layer = equalized.EqualizedUpscaleConv2D(width, **options)
                self._add(f"{scope}/Conv0_up", layer, (None, None, None, incoming))
            else:
                layer = equalized.EqualizedConv2D(width, **options)
                self._add(f"{scope}/Conv0", layer, (None, None, None, incoming))
            layer = equalized.EqualizedConv2D(width, **options)
            self._add(f"{scope}/Conv1", layer, (None, None, None, width))

    def _to_rgb_scopes(self, res: int) -> list[str]:
        scope = f"ToRGB_lod{self.config.resolution_log2 - res}"
        if self.config.branched(res):
            return [f"{scope}/{name}" for name in self.config.branches]
        return [scope]

    def _add_to_rgb(self, res: int) -> None:
        scopes = self._to_rgb_scopes(res)
        for scope in scopes:
            layer = equalized.EqualizedConv2D(
                self.config.num_channels // len(scopes),
                kernel_size=1,
                gain=1.0,
                use_wscale=self.config.use_wscale,
            )
            width = self.config.features(res) // len(scopes)
            self._add(scope, layer, (None, None, None, width))

    # --- evaluation -----------------------------------------------------------------

    def _normalize(self, features):
        if self.config.use_pixelnorm:
            return normalization.pixel_norm(features, self.config.pixelnorm_epsilon)
        return features

    def _apply(self, name: str, features, activations):
        features = self._normalize(self._layer_of[name](features))
        if activations is not None:
            activations[name] = features
        return features

    def _block(self, res: int, parts, activations):
        if self.config.branched(res):
            scopes = [f"{side(res)}/{name}" for name in self.config.branches]
        else:
            scopes = [side(res)]
        outputs = []
        for scope, part in zip(scopes, regroup(parts, len(scopes)), strict=True):
            if self.config.fused_scale:
                part = self._apply(f"{scope}/Conv0_up", part, activations)
            else:
                part = resampling.upscale(part)
                part = self._apply(f"{scope}/Conv0", part, activations)
            outputs.append(self._apply(f"{scope}/Conv1", part, activations))
        return outputs

    def _to_rgb(self, res: int, parts):
        scopes = self._to_rgb_scopes(res)
        images = [
            self._layer_of[scope](part)
            for scope, part in zip(scopes, regroup(parts, len(scopes)), strict=True)
        ]
        return regroup(images, 1)[0]

    def call(
        self, latents, labels=None, level_of_detail=0.0, native=False, activations=None
    ):
        """Makes images.

        Args:
          latents: [N, latent_size].
          labels: [N, label_size] probabilities; None without labels.
          level_of_detail: number or `LevelOfDetail`.
          native: return images at the resolution of the level of detail, not enlarged.
          activations: dict that receives every layer's output under its name.

        Returns:
          [N, H, W, num_channels] of the configuration's dtype, about [-1, 1] but
          unbounded; H = resolution, or resolution / 2^floor if `native`.
        """
        config = self.config
        level = split_level_of_detail(level_of_detail)
        top = config.resolution_log2 - level.floor
        if top < 2:
            raise ValueError(
                f"level_of_detail must be at most {config.resolution_log2 - 2}. "
                f"Received: {level_of_detail}"
            )
        features = ops.cast(latents, config.dtype)
        if labels is not None and config.label_size:
            labels = ops.cast(labels, config.dtype)
            if config.label_strength != 1.0:
                labels = labels * config.label_strength
            features = ops.concatenate([features, labels], axis=1)
        if config.normalize_latents:
            features = normalization.pixel_norm(features, config.pixelnorm_epsilon)
            if activations is not None:
                activations["4x4"] = features
        features = self._apply("4x4/Dense", features, activations)
        features = self._apply("4x4/Conv", features, activations)
        former, parts = None, [features]
        for res in range(3, top + 1):
            former = parts
            parts = self._block(res, parts, activations)
        images = self._to_rgb(top, parts)
        if level.fraction is not None and former is not None:
            lower = resampling.upscale(self._to_rgb(top - 1, former))
            fraction = self.fade_weight(level)
            images = resampling.lerp(images, lower, fraction)
        return images if native else resampling.upscale(images, 2**level.floor)

    def used_layers(self, level_of_detail) -> set[str]:
        """Names of the layers that are evaluated at a level of detail."""
        level = split_level_of_detail(level_of_detail)
        top = self.config.resolution_log2 - level.floor
        blocks = {side(res) for res in range(2, top + 1)}
        used = {name for name in self._layer_of if name.split("/")[0] in blocks}
        used.update(self._to_rgb_scopes(top))
        if level.fraction is not None and top > 2:
            used.update(self._to_rgb_scopes(top - 1))
        return used

    # --- description ----------------------------------------------------------------

    def layer_rows(self) -> tuple[list[tuple[str, str, str, str]], int]:
        """Returns (rows, number of parameters) of the layer table.

        A row is (name, parameters, output shape, weight shape) in the order of the
        original's listing; branched blocks are one row with the last branch's shape.
        """
        config = self.config
        inputs = config.latents + config.label_size
        rows = [
            ("latents_in", "-", f"(?, {config.latents})", "-"),
            ("labels_in", "-", f"(?, {config.label_size})", "-"),
            ("lod", "-", "()", "-"),
        ]
        if config.normalize_latents:
            rows.append(("4x4/PixelNorm", "-", f"(?, {inputs})", "-"))
        for name in ("4x4/Dense", "4x4/Conv"):
            rows.append(self._row(name, image_shape(config.features(2), 4)))
        rows.append(self._to_rgb_row(2))
        for res in range(3, config.resolution_log2 + 1):
            size = 2**res
            if config.branched(res):
                shape = image_shape(config.branch_features(res), size)
                rows.append(self._row(side(res), shape))
            else:
                first = "Conv0_up" if config.fused_scale else "Conv0"
                for name in (first, "Conv1"):
                    shape = image_shape(config.features(res), size)
                    rows.append(self._row(f"{side(res)}/{name}", shape))
            rows.append(self._to_rgb_row(res))
            suffix = "" if res == 3 else f"_{res - 3}"
            full = image_shape(config.num_channels, size)
            rows.append((f"Upscale2D{suffix}", "-", full, "-"))
            rows.append((f"Grow_lod{config.resolution_log2 - res}", "-", full, "-"))
        full = image_shape(config.num_channels, config.resolution)
        rows.append(("images_out", "-", full, "-"))
        return rows, self.parameter_count()

    def _to_rgb_row(self, res: int) -> tuple[str, str, str, str]:
        scopes = self._to_rgb_scopes(res)
        channels = self.config.num_channels // len(scopes)
        name = f"ToRGB_lod{self.config.resolution_log2 - res}"
        return self._row(name, image_shape(channels, 2**res))

    def get_config(self):
        return {"config": self.config.to_dict(), "name": self.name}

    @classmethod
    def from_config(cls, config):
        options = dict(config)
        return cls(GeneratorConfig.from_dict(options.pop("config")), **options)
