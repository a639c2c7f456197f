"""Warm-up requests for TensorFlow Serving, written without its Python package.

`assets.extra/tf_serving_warmup_requests` is a TFRecord file of PredictionLog messages.
The three small messages around the tensors (tensorflow_serving/apis/prediction_log,
predict, model .proto) are put together field by field here:

    PredictionLog.predict_log = 6, PredictLog.request = 1,
    PredictRequest.model_spec = 1, .inputs = 2 (map: key 1, value 2),
    ModelSpec.name = 1, .signature_name = 3
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_faces.core import files
from tf_faces.core.errors import InputError

FILE_NAME = "tf_serving_warmup_requests"
# The server ignores files that hold more.
MAXIMUM_REQUESTS = 1000


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field (wire type 2)."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def prediction_log(
    model_name: str, signature: str, inputs: Mapping[str, np.ndarray]
) -> bytes:
    """Returns one serialised PredictionLog."""
    specification = _field(1, model_name.encode()) + _field(3, signature.encode())
    request = _field(1, specification)
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def write(
    path: files.PathLike,
    model_name: str,
    requests: Sequence[tuple[str, Mapping[str, np.ndarray]]],
) -> None:
    """Writes the requests (signature, inputs), atomically.

    Raises:
      InputError: if there are more than a server reads.
    """
    if len(requests) > MAXIMUM_REQUESTS:
        raise InputError(
            f"requests must be at most {MAXIMUM_REQUESTS}. Received: {len(requests)}"
        )
    with files.atomic_path(path) as temporary:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for signature, inputs in requests:
                writer.write(prediction_log(model_name, signature, inputs))
