"""The shortest texts of many numbers at once, each as `repr` writes it."""

import numpy as np
import orjson

# Magnitudes that `repr` writes without an exponent; beyond them orjson's texts differ.
_LEAST, _LIMIT = 1e-4, 1e16


def lines(values: np.ndarray, begin: str) -> str:
    """A line a row: `begin`, then the row's numbers with blanks between them.

    Args:
      values: [N, C] floats of at most 64 bits, written as float64.
      begin: what each line begins with.

    Returns:
      N lines, each with its end.
    """
    values = np.ascontiguousarray(values, np.float64)
    if not values.size:
        return f"{begin}\n" * len(values)
    size = np.abs(values)
    if not ((size >= _LEAST) & (size < _LIMIT) | (values == 0)).all():
        return "".join(
            f"{begin}{' '.join(map(repr, row))}\n" for row in values.tolist()
        )
    rows = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
    rows = rows.replace(b"],[", f"\n{begin}".encode()).replace(b",", b" ")
    return f"{begin}{rows.decode()}\n"
