"""Static shape checks with messages that name the tensor."""

from collections.abc import Sequence

from tf_faces.core.errors import InputError


def check_shape(value, expected: Sequence[int | None | str], name: str) -> None:
    """Checks the static shape of an array or tensor.

    Args:
      value: anything with a `.shape`.
      expected: one entry an axis: an integer for an exact size, None or a letter
        such as "N" for any size; a leading "..." admits any number of batch axes.
      name: what the message calls the tensor.

    Raises:
      InputError: if rank or an exact size differs (unknown sizes pass).
    """
    shape = tuple(value.shape)
    wanted = list(expected)
    actual = list(shape)
    if wanted and wanted[0] == "...":
        wanted = wanted[1:]
        actual = (
            actual[len(actual) - len(wanted) :] if len(actual) >= len(wanted) else []
        )
    matches = len(actual) == len(wanted) and all(
        not isinstance(want, int) or size is None or int(size) == want
        for size, want in zip(actual, wanted, strict=True)
    )
    if not matches:
        listed = ", ".join("any" if want is None else str(want) for want in expected)
        raise InputError(f"{name} must have shape [{listed}]. Received: shape={shape}")
