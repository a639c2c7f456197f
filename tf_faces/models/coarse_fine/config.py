"""Configuration of CoarseNet, FineNet and the rendering between them."""

import dataclasses

from tf_faces.core.errors import InputError
from tf_faces.models.configuration import NetworkConfiguration

# Residual units of the four groups of each trunk: slim's bottlenecks as the
# re-implementation cuts them, the plain units of the paper's figure, and ResNet-50 and
# ResNet-101 with their root.
TRUNKS = {
    "bottleneck": (2, 2, 2, 2),
    "plain": (2, 2, 2, 2),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
}
STATISTICS = ("batch", "moving")
RANGES = ("original", "deviations")
UPDATES = ("absolute", "residual")
POOLINGS = ("mean", "flat")
RENDERERS = ("original", "smooth")


@dataclasses.dataclass(frozen=True)
class CoarseFineConfig(NetworkConfiguration):
    """Both networks; the defaults are those of the re-implementation.

    Attributes:
      image_size: S, side of the square grey picture; a multiple of 4.
      shape_count, expression_count: coefficients beside the seven pose numbers.
      iterations: passes of CoarseNet.
      share_weights: one network for all passes (the paper), or one a pass.
      trunk: one of `TRUNKS`.
      stem_width: channels of the first convolution.
      widths: inner channels of the four groups; bottlenecks put out four times these.
      dense_layers: fully connected layers of the head.
      pooling: "mean": the head's maps are averaged; "flat": the fully connected layers
        see each of their pixels.
      head_width: channels of the head's convolution and of the inner fully connected
        layers; 0 for the number of parameters.
      statistics: "batch": batch normalisation by the batch's own statistics, also in
        use; "moving": averages kept in training are used afterwards.
      decay: of these averages, a step.
      scale: whether batch normalisation has a factor (gamma).
      ranges: "original": sigmoid ranges of `morphable.parameters`; "deviations":
        unbounded numbers in units of each parameter's usual deviation.
      update: "absolute": each pass gives the parameters anew; "residual": it gives
        what is added to those before (with ranges "deviations" only).
      renderer: "original": one depth a triangle, triangles across the border left out,
        no gradient to angles; "smooth": interpolated, clipped, differentiable.
      fine_widths: channels of FineNet's three stages.
      fine_inputs_in_column: whether the hypercolumn holds the two inputs too.
      fine_residual: whether FineNet gives what is added to the coarse depth.
      depth_scale: FineNet's depth channel is divided by it, and its output times it.
    """

    image_size: int = 200
    shape_count: int = 199
    expression_count: int = 29
    iterations: int = 4
    share_weights: bool = False
    trunk: str = "bottleneck"
    stem_width: int = 64
    widths: tuple[int, ...] = (64, 128, 256, 512)
    dense_layers: int = 1
    pooling: str = "mean"
    head_width: int = 0
    statistics: str = "batch"
    # slim's 0.999, which the original never uses, would need thousands of steps before
    # the averages are those of the network.
    decay: float = 0.99
    scale: bool = False
    ranges: str = "original"
    update: str = "absolute"
    renderer: str = "original"
    fine_widths: tuple[int, ...] = (64, 128, 256)
    fine_inputs_in_column: bool = False
    fine_residual: bool = False
    depth_scale: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (
            ("trunk", tuple(TRUNKS)),
            ("statistics", STATISTICS),
            ("ranges", RANGES),
            ("update", UPDATES),
            ("pooling", POOLINGS),
            ("renderer", RENDERERS),
        ):
            if getattr(self, name) not in known:
                raise InputError(
                    f"{name} must be one of {', '.join(known)}. "
                    f"Received: {getattr(self, name)!r}"
                )
        for name, count in (("widths", 4), ("fine_widths", 3)):
            value = tuple(int(width) for width in getattr(self, name))
            if len(value) != count or min(value) < 1:
                raise InputError(
                    f"{name} must be {count} positive numbers. Received: {value}"
                )
            object.__setattr__(self, name, value)
        for name in ("iterations", "stem_width", "dense_layers", "shape_count"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"{name} must be at least 1. Received: {getattr(self, name)}"
                )
        for name in ("expression_count", "head_width"):
            if getattr(self, name) < 0:
                raise InputError(
                    f"{name} must be at least 0. Received: {getattr(self, name)}"
                )
        if self.image_size < 16 or self.image_size % 4:
            raise InputError(
                "image_size must be a multiple of 4 of at least 16. Received: "
                f"{self.image_size}"
            )
        if not 0 <= self.decay < 1:
            raise InputError(
                f"decay must be at least 0 and below 1. Received: {self.decay}"
            )
        if not self.depth_scale > 0:
            raise InputError(
                f"depth_scale must be above 0. Received: {self.depth_scale}"
            )
        if self.update == "residual" and self.ranges == "original":
            raise InputError(
                "update: found 'residual' with ranges 'original', expected ranges "
                "'deviations': sigmoid ranges cannot be added up."
            )

    @property
    def parameter_count(self) -> int:
        """Length of the parameter vector, 235 in the original."""
        return 7 + self.shape_count + self.expression_count

    @property
    def networks(self) -> int:
        """Number of CoarseNets with weights of their own."""
        return 1 if self.share_weights else self.iterations
