"""The checksum of TFRecord framing: CRC-32C (Castagnoli), masked.

`google_crc32c` computes it where that package is installed (some 16 GB/s); without
it NumPy does (some 500 MB/s): the bytes are cut into lanes whose checksums advance
side by side, and the lanes are joined with the linear operator "append n zero bytes".

Reference: the TFRecord format, tensorflow/core/lib/io/record_writer.h.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # CRC-32C, bits reversed.
_MASK_DELTA = 0xA282EAD8

# From this size on, lanes are faster than a Python loop over the bytes.
_SMALLEST_FOR_LANES = 512
# About the best number of lanes: enough to fill NumPy's loops, few to join.
_MOST_LANES = 16384
_LANE_BYTES = 64


@functools.cache
def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ _POLYNOMIAL, table >> 1)
        table = table.astype(np.uint32)
    return table


@functools.cache
def _byte_list() -> list[int]:
    return _byte_table().tolist()


@functools.cache
def _pair_table() -> np.ndarray:
    """[65536] the effect of two bytes at once (little-endian pairs)."""
    table = _byte_table()
    pairs = np.arange(65536, dtype=np.uint32)
    first = table[pairs & 255]
    return table[(first ^ (pairs >> 8)) & 255] ^ (first >> 8)


def _apply(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Multiplies [32] matrix columns (uint32) with vectors over GF(2)."""
    result = np.zeros_like(values)
    for bit in range(32):
        chosen = (values >> np.uint32(bit)) & np.uint32(1)
        result ^= chosen * matrix[bit]
    return result


@functools.cache
def _zeros_operator(length: int) -> np.ndarray:
    """Returns the matrix that advances a checksum register over `length` zeros."""
    identity = np.uint32(1) << np.arange(32, dtype=np.uint32)
    if length == 0:
        return identity
    half = _zeros_operator(length // 2)
    doubled = _apply(half, half)
    if length % 2:
        table = _byte_table()
        doubled = table[doubled & 255] ^ (doubled >> 8)
    return doubled


def _advance_bytes(register: int, content: bytes | memoryview) -> int:
    table = _byte_list()
    for byte in content:
        register = table[(register ^ byte) & 255] ^ (register >> 8)
    return register


def _advance(register: int, content: bytes | memoryview) -> int:
    """Advances the register over `content` (no inversion before or after)."""
    if len(content) < _SMALLEST_FOR_LANES:
        return _advance_bytes(register, content)
    lanes = 1
    while lanes < _MOST_LANES and len(content) >= 2 * lanes * _LANE_BYTES:
        lanes *= 2
    length = len(content) // lanes // 2 * 2
    pairs = np.frombuffer(content, np.dtype("<u2"), lanes * length // 2)
    steps = np.ascontiguousarray(pairs.reshape(lanes, -1).T)
    table = _pair_table()
    registers = np.zeros(lanes, np.uint32)
    registers[0] = register
    for step in steps:
        registers = table[(registers ^ step) & 0xFFFF] ^ (registers >> 16)
    while len(registers) > 1:
        moved = _apply(_zeros_operator(length), registers[0::2])
        registers = moved ^ registers[1::2]
        length *= 2
    return _advance_bytes(int(registers[0]), content[lanes * (length // lanes) :])


def crc32c_numpy(content: bytes | memoryview, value: int = 0) -> int:
    """CRC-32C without compiled help; `value` is the checksum of what came before."""
    return _advance(value ^ 0xFFFFFFFF, content) ^ 0xFFFFFFFF


@functools.cache
def _implementation():
    try:
        import google_crc32c
    except ImportError:
        return None
    # Without its compiled part that package is slower than NumPy.
    return google_crc32c if google_crc32c.implementation == "c" else None


def crc32c(content: bytes | memoryview, value: int = 0) -> int:
    """Returns the CRC-32C of `content`.

    Args:
      content: the bytes.
      value: checksum of the bytes before these, 0 at the beginning.
    """
    compiled = _implementation()
    if compiled is None:
        return crc32c_numpy(content, value)
    if isinstance(content, memoryview):  # Which that package does not take.
        content = np.frombuffer(content, np.uint8)
    return compiled.extend(value, content)


def mask(checksum: int) -> int:
    """Returns the masked form in which TFRecord files store a checksum."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF
