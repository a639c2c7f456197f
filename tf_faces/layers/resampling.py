"""Enlarging and shrinking images by whole factors (Progressive GAN).

All images are [N, H, W, C].  Source: networks.py of the Progressive GAN code.
"""

from keras import ops


def upscale(images, factor: int = 2):
    """Repeats every pixel `factor` times along both axes.

    Args:
      images: [N, H, W, C].
      factor: whole number >= 1.

    Returns:
      [N, factor * H, factor * W, C].
    """
    if factor == 1:
        return images
    height, width, channels = images.shape[1:]
    spread = ops.broadcast_to(
        images[:, :, None, :, None, :],
        (ops.shape(images)[0], height, factor, width, factor, channels),
    )
    return ops.reshape(spread, (-1, factor * height, factor * width, channels))


def downscale(images, factor: int = 2):
    """Takes the mean of blocks of `factor` x `factor` pixels.

    Args:
      images: [N, H, W, C], H and W multiples of `factor`.
      factor: whole number >= 1.

    Returns:
      [N, H / factor, W / factor, C].
    """
    if factor == 1:
        return images
    return ops.average_pool(images, factor, strides=factor, padding="valid")


def thinned(images, stride: int):
    """Keeps every `stride`-th row and column, the first ones included.

    Before a convolution by one pixel this is what a stride of it does.  TensorFlow
    2.21's oneDNN writes beyond its buffers in the gradient of such a convolution's
    kernel, if it has a stride and its channels are no multiples of 8 (AVX2): networks
    thin first.

    Args:
      images: [N, H, W, C].
      stride: whole number >= 1.

    Returns:
      [N, ceil(H / stride), ceil(W / stride), C].
    """
    return images if stride == 1 else images[:, ::stride, ::stride]


def lerp(first, second, weight):
    """Returns `first + (second - first) * weight`."""
    return first + (second - first) * weight
