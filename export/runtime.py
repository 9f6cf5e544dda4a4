"""A SavedModel that answers requests of strangers: in a C++ session, as in TensorFlow Serving."""

import struct
from pathlib import Path

import numpy as np
import tensorflow as tf

from export.errors import DeliveryError, reason
from tfgen.quiet import quiet

DEFAULT = "serving_default"  # the signature of a request that names none
MOST_ROWS = 1024  # of one request
MOST_NUMBERS = 2**23  # in an input, or in an output, of one request
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"  # how such files begin


class Refused(Exception):
    """A request that cannot be answered: the HTTP status, and why."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Runtime:
    """One SavedModel with all of its signatures.

    Args:
        path: of the SavedModel.

    Raises:
        DeliveryError: it does not load.
    """

    def __init__(self, path):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with quiet(), self.session.graph.as_default():
                loaded = tf.compat.v1.saved_model.load(self.session, ["serve"], str(path))
        except Exception as error:  # the loader's are of a dozen classes
            raise DeliveryError(
                f"{Path(path)} is damaged, export it anew: {reason(error)[:300]}"
            ) from error
        self.signatures = {
            name: definition
            for name, definition in loaded.signature_def.items()
            if not name.startswith("__")
        }
        self.most_numbers = max(map(_most_numbers, self.signatures.values()))

    def signature(self, name):
        """The `SignatureDef` of a name; raises `Refused`."""
        if not isinstance(name, str) or name not in self.signatures:
            raise Refused(400, f"no signature {name!r}, but {', '.join(self.signatures)}")
        return self.signatures[name]

    def run(self, name, tensors):
        """Runs a signature.

        Args:
            name: of the signature.
            tensors: by name, as nested lists, or as lists of `bytes` where files are expected.

        Returns:
            `{name: array [N, ...]}`.

        Raises:
            Refused: the tensors are not as the signature declares, or too large, or the model
                refuses them.
        """
        signature = self.signature(name)
        if not isinstance(tensors, dict) or set(tensors) != set(signature.inputs):
            raise Refused(400, f"{name} takes {', '.join(signature.inputs)}")
        arrays = {key: _array(key, tensors[key], info) for key, info in signature.inputs.items()}
        rows = {len(array) for array in arrays.values()}
        if len(rows) > 1 or not 1 <= max(rows) <= MOST_ROWS:
            raise Refused(400, f"expected 1 to {MOST_ROWS} rows, as many of each input")
        self._check_numbers(name, arrays, max(rows))
        feed = {signature.inputs[key].name: array for key, array in arrays.items()}
        fetch = {key: info.name for key, info in signature.outputs.items()}
        try:
            values = self.session.run(fetch, feed)
        except tf.errors.ResourceExhaustedError as error:
            raise Refused(413, reason(error)) from None
        except tf.errors.OpError as error:
            raise Refused(400, reason(error)) from None
        for key, value in values.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise Refused(400, f"these inputs are too large: {key} would not be finite")
        return values

    def _check_numbers(self, name, arrays, rows):
        """Refuses what would take too much memory, before any picture is decoded."""
        plain = self.signatures.get(name.removesuffix("_bytes"), self.signatures[name])
        numbers = [array.size for array in arrays.values()]
        for info in plain.outputs.values():
            numbers.append(rows * int(np.prod([size or 1 for size in _shape(info)[1:]])))
        for key, array in arrays.items():
            if array.dtype == object:
                shape = _shape(plain.inputs[key.removesuffix("_bytes")])[1:]
                sizes = [_check_size(f"{key}[{i}]", file, shape) for i, file in enumerate(array)]
                numbers.append(sum(height * width * shape[2] for height, width in sizes))
        if max(numbers) > MOST_NUMBERS:
            raise Refused(
                413,
                f"this would be {max(numbers):,} numbers, but one request may have "
                f"{MOST_NUMBERS:,}: ask for fewer rows or smaller pictures at once",
            )


def _check_size(place, file, shape):
    """Height and width of a picture, by its header; refused where others are declared."""
    try:
        if file.startswith(PNG):
            width, height = struct.unpack(">II", file[16:24])
        elif file.startswith(JPEG):
            height, width, _ = map(int, tf.io.extract_jpeg_shape(file))
        else:
            raise ValueError("it begins like neither")
    except (ValueError, struct.error, tf.errors.OpError):
        raise Refused(400, f"{place} is no PNG or JPEG image") from None
    if any(size not in (None, got) for size, got in zip(shape, (height, width), strict=False)):
        raise Refused(
            400,
            f"{place} is an image of {height} x {width} pixels, expected {shape[0]} x {shape[1]}",
        )
    return height, width


def _most_numbers(signature):
    """How many numbers and files a request for a signature may hold."""
    shapes = [_shape(info)[1:] for info in signature.inputs.values()]
    sizes = [MOST_NUMBERS if None in s else MOST_ROWS * int(np.prod(s)) for s in shapes]
    return sum(min(size, MOST_NUMBERS) for size in sizes)


def _shape(info):
    """The sizes of a `TensorInfo`; None where one is free."""
    return [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]


def _array(key, value, info):
    """A value as an array of the declared type and shape; raises `Refused`."""
    dtype, shape = tf.as_dtype(info.dtype), _shape(info)
    if dtype == tf.string:
        if not isinstance(value, list) or not all(isinstance(file, bytes) for file in value):
            raise Refused(400, f'{key} must be a list of {{"b64": "..."}}')
        return np.array(value, object)
    declared = f"{key} must be {dtype.name} {['N', *shape[1:]]}"
    # As objects: what NumPy makes of a long string among numbers may not fit the memory.
    array = np.array(value, object)
    fits = array.ndim == len(shape) and all(
        size in (None, got) for size, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise Refused(400, f"{declared}, but is {list(array.shape)}, or its rows differ in shape")
    if not set(map(type, array.ravel().tolist())) <= ({int} if dtype.is_integer else {int, float}):
        raise Refused(400, f"{declared}, but holds other things than such numbers")
    if not array.size:
        raise Refused(400, f"{declared}, but has no rows, or rows without numbers")
    low, high = np.array([dtype.min, dtype.max]).tolist()  # else Python's would become NumPy's
    if not low <= array.min() <= array.max() <= high:
        raise Refused(400, f"{declared}, but holds numbers beyond {low} to {high}")
    return array.astype(dtype.as_numpy_dtype)
