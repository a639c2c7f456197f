"""How learning rates fall."""

import math


def cosine(share: float, end: float = 0.0) -> float:
    """Half a wave of the cosine, from 1 down to `end`.

    Args:
      share: part of the way, 0 at the begin; from 1 on it stays at `end`.
      end: the last value.
    """
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
