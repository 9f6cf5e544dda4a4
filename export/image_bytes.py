"""Endpoints that take and give files of pictures, as clients of a server hold them."""

import tensorflow as tf

from tfgen.data.levels import from_levels, to_levels
from tfgen.endpoint import Element, Endpoint


def is_picture(element):
    """Whether an element is an image `[H, W, 1 or 3]` in [-1, 1]."""
    ends = (element.low, element.high)
    return len(element.shape) == 3 and element.shape[2] in (1, 3) and ends == (-1, 1)


def with_files(endpoints):
    """For each endpoint with pictures, one of the name `<endpoint>_bytes` with files instead.

    An element "images" becomes "images_bytes", a string a row: PNG or JPEG comes in, PNG goes
    out. TensorFlow Serving's REST takes and gives what ends in `_bytes` as base64.

    Args:
        endpoints: `{name: Endpoint}`.

    Returns:
        `{name: Endpoint}` of the additional ones.
    """
    return {
        f"{name}_bytes": _with_files(endpoint)
        for name, endpoint in endpoints.items()
        if any(map(is_picture, (*endpoint.inputs, *endpoint.outputs)))
    }


def encode(images):
    """PNG files, strings `[N]`, of images `[N, H, W, C]` in [-1, 1]."""
    return tf.io.encode_png(to_levels(images))


def decode(files, shape, multiple=1):
    """Images float32 `[N, *shape]` in [-1, 1] of files, strings `[N]`.

    A size of None is free, and is a multiple of `multiple`.

    Raises:
        tf.errors.InvalidArgumentError: a file is no picture, or of another size.
    """

    def one(file):
        image = tf.io.decode_image(file, channels=shape[2], expand_animations=False)
        message = f"height and width of a picture must be multiples of {multiple}"
        fits = tf.debugging.assert_equal(tf.shape(image)[:2] % multiple, 0, message)
        with tf.control_dependencies([fits]):
            return tf.ensure_shape(image, shape)  # whose error tells both shapes

    levels = tf.map_fn(one, files, fn_output_signature=tf.TensorSpec(shape, tf.uint8))
    return from_levels(levels)


def _with_files(endpoint):
    def answer(*tensors):
        opened = [
            decode(tensor, element.shape, element.multiple) if is_picture(element) else tensor
            for element, tensor in zip(endpoint.inputs, tensors, strict=True)
        ]
        values = endpoint.function(*opened)
        values = values if isinstance(values, tuple) else (values,)
        return tuple(
            encode(value) if is_picture(element) else value
            for element, value in zip(endpoint.outputs, values, strict=True)
        )

    inputs, outputs = (tuple(map(_file, e)) for e in (endpoint.inputs, endpoint.outputs))
    return Endpoint(answer, inputs, outputs, endpoint.batch)


def _file(element):
    return Element(f"{element.name}_bytes", (), "string") if is_picture(element) else element
