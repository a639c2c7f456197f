"""The shortest texts of many numbers at once, each as `repr` writes it.

Python's own code takes numbers one by one.  Here whole arrays pass through exact
integer arithmetic, in a fraction of the time.  The rule is that of Schubfach: with
10^k at most the distance of a number from its neighbours, its shortest text is one of
the two multiples of 10^(k + 1) beside it, if just one of them reads back as the number,
and else one of the two multiples of 10^k.

Reference:
  Giulietti, "The Schubfach way to render doubles", 2020.
"""

import functools
from collections.abc import Sequence

import numpy as np

# Magnitudes whose powers of ten are exact in 64 bits; others are written one by one.
_LEAST, _LIMIT = 2.0**-10, 1e8
_LEAST_EXPONENT = -10
# So many numbers at a time stay in the processor's cache.
_PIECE = 1 << 13
# A number is eight words of four characters, NUL where there is none: what stands
# before it and its sign; two of whole digits; its point and 19 decimals.
_WORDS, _BEFORE, _DECIMALS = 8, 3, 19
# Entries of the tables of words.
_GROUP, _SHORT_GROUP = 10_000, 1_000


def joined(values: np.ndarray, before: Sequence[bytes]) -> bytes:
    """The numbers' texts row by row, each after the text of its column.

    Args:
      values: [N, C] floats of at most 64 bits.
      before: C texts of at most three characters, none of them NUL.

    Returns:
      before[0] + repr(values[0, 0]) + before[1] + repr(values[0, 1]) and so on, of the
      values as float64.

    Raises:
      ValueError: if there are other texts than those.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] != len(before):
        raise ValueError(
            f"before: {len(before)} texts, expected one a column of shape "
            f"{values.shape}."
        )
    if any(len(text) > _BEFORE or b"\0" in text for text in before):
        raise ValueError(f"before: found {before}, expected at most {_BEFORE} bytes.")
    # The first word in each column, without and with a minus.
    first = np.array(
        [text.ljust(_BEFORE, b"\0") + sign for text in before for sign in (b"", b"-")],
        f"S{_BEFORE + 1}",
    ).view(np.uint32)
    rows = max(1, _PIECE // max(1, len(before)))
    return b"".join(
        _texts(values[start : start + rows], first)
        for start in range(0, len(values), rows)
    )


def _texts(values: np.ndarray, first: np.ndarray) -> bytes:
    size = np.abs(values)
    usual = (size >= _LEAST) & (size < _LIMIT)
    ordinary = bool(usual.all())
    if not ordinary:
        size = np.where(usual, size, 1.0)
    words = np.empty((*values.shape, _WORDS), np.uint32)
    words[..., 0] = first[2 * np.arange(values.shape[1]) + np.signbit(values)]
    _write_digits(size.ravel(), words.reshape(-1, _WORDS))
    if not ordinary:
        zero = values == 0
        words[zero, 2] = _as_words(["0"])[0, 0]
        others = np.nonzero(~(usual | zero))
        if len(others[0]):
            # Their texts have a sign of their own.
            words[(*others, 0)] = first[2 * others[1]]
            texts = [repr(value) for value in values[others].tolist()]
            words[(*others, slice(1, None))] = _as_words(texts, _WORDS - 1)
    return words.tobytes().translate(None, b"\0")


def _as_words(texts: Sequence[str], count: int = 1) -> np.ndarray:
    """Texts as `count` words of four characters each, NUL behind them: [N, count]."""
    return np.array(texts, f"S{4 * count}").view(np.uint32).reshape(-1, count)


def _write_digits(size: np.ndarray, words: np.ndarray) -> None:
    """Fills all words but the first; sizes [N] in the usual range."""
    whole_words, decimal_words, point_words = _tables_of_words()
    whole = size.astype(np.uint32)
    high = whole // _GROUP
    low = whole - high * _GROUP
    words[:, 1] = whole_words.take(high) * (high > 0)
    words[:, 2] = whole_words.take(low + _GROUP * (high > 0))
    decimals = _decimals(size, whole)
    upper = decimals // 10**8
    thousands = upper // 10**8
    ended = np.True_  # No digit follows.
    column = _WORDS - 1
    for eight in (decimals - upper * 10**8, upper - thousands * 10**8):
        eight = eight.astype(np.uint32)
        four = eight // _GROUP
        for group in (eight - four * _GROUP, four):
            words[:, column] = decimal_words.take(group + _GROUP * ended)
            ended = ended & (group == 0)
            column -= 1
    words[:, column] = point_words.take(
        thousands.astype(np.uint32) + _SHORT_GROUP * ended
    )


def _decimals(size: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """What follows the point in the shortest text, times 10^19: uint64 [N]."""
    bits = size.view(np.uint64)
    row = (bits >> 52).astype(np.intp) - (1023 + _LEAST_EXPONENT)
    scale, left, right, missing = (table.take(row) for table in _tables_of_powers())
    # The size is mantissa * 2^-(right + 1); `scale` 10^-k is a power of ten.
    mantissa = bits & (2**52 - 1) | 2**52
    odd = mantissa & 1
    upper, lower = _product(2 * mantissa, scale)

    def quarters(upper, lower):
        """In units of 10^k / 4; the last bit is set where something is cut off."""
        return (upper << left) | (lower >> right) | ((lower << left) != 0)

    value = quarters(upper, lower)
    # Half of the way to the neighbours reads back as the number if it is even.
    least = quarters(upper - (lower < scale), lower - scale) + odd
    beyond = lower + scale
    most = quarters(upper + (beyond < scale), beyond) - odd
    fine = value >> 2
    coarse = fine // 10
    start = coarse * 40
    coarse_below, coarse_above = least <= start, start + 40 <= most
    start = fine << 2
    fine_below, fine_above = least <= start, start + 4 <= most
    # Of two that read back the nearer, of two as near the even one.
    nearer = (value - start) + (fine & 1) > 2
    digits = np.where(
        coarse_below != coarse_above,
        (coarse + coarse_above) * 10,
        fine + np.where(fine_below != fine_above, fine_above, nearer),
    )
    # Whole numbers are exact, so that none lies between the size and its text.
    return (digits - whole * scale) * missing


def _product(first: np.ndarray, second: np.ndarray):
    """(upper, lower) 64 bits of products of uint64."""
    half = np.uint64(2**32 - 1)
    first_high, first_low = first >> 32, first & half
    second_high, second_low = second >> 32, second & half
    crossed = first_high * second_low
    other = first_low * second_high
    middle = (first_low * second_low >> 32) + (crossed & half) + (other & half)
    upper = first_high * second_high + (crossed >> 32) + (other >> 32) + (middle >> 32)
    return upper, first * second


@functools.cache
def _tables_of_powers():
    """By the exponent from the least: 10^p, 64 - n, n, 10^(19 - p), n = -exponent + 51.

    p is the number of decimals whose last one still counts.
    """
    shifts = [
        51 - exponent for exponent in range(_LEAST_EXPONENT, int(np.log2(_LIMIT)) + 1)
    ]
    places = [len(str(2 ** (shift + 1))) for shift in shifts]
    columns = (
        [10**place for place in places],
        [64 - shift for shift in shifts],
        shifts,
        [10 ** (_DECIMALS - place) for place in places],
    )
    return tuple(np.array(column, np.uint64) for column in columns)


@functools.cache
def _tables_of_words():
    """Words of digits by their number: whole ones, decimals, and point and decimals.

    Each table has two halves, for whole digits without and with leading zeros, for
    decimals with and without zeros at the end.
    """
    four = [f"{number:04}" for number in range(_GROUP)]
    three = [f".{number:03}" for number in range(_SHORT_GROUP)]
    return (
        _as_words([*(text.lstrip("0") or "0" for text in four), *four])[:, 0],
        _as_words([*four, *(text.rstrip("0") for text in four)])[:, 0],
        _as_words([*three, *(text[:2] + text[2:].rstrip("0") for text in three)])[:, 0],
    )
