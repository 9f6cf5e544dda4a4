"""Inputs that an endpoint may meet."""

import math

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import SEEDS

FREE = 32  # at least, where an element's size is free
SMALL_AND_LARGE = (0, 1, -1, 7, 2**31 - 1, -(2**31), 1234567890, -987654321, 65536, 42)


def examples(endpoint, images, count):
    """Inputs that an endpoint may meet: `{name: array [count, ...]}`, the same at each call.

    Seeds are small, negative and large ones; "images" are the given ones; integers run through
    their range; other numbers are standard normal, or uniform where both ends are bounded.
    """
    return {
        element.name: _example(element, images, count, stream)
        for stream, element in enumerate(endpoint.inputs)
    }


def _example(element, images, count, stream):
    if element.name == "images" and images is not None:
        return np.asarray(images, element.dtype)[np.arange(count) % len(images)]
    free = math.ceil(FREE / element.multiple) * element.multiple
    shape = [free if size is None else size for size in element.shape]
    low, high = element.low, element.high
    if np.issubdtype(element.dtype, np.integer):
        values = np.arange(count * math.prod(shape)).reshape([count, *shape])
        if high - low >= SEEDS.high - SEEDS.low:
            values = np.take(SMALL_AND_LARGE, values, mode="wrap")
        else:
            values = low + values % (high - low + 1)
    elif math.isfinite(low) and math.isfinite(high):
        values = low + (high - low) * random.uniform(tf.range(count), shape, stream).numpy()
    else:
        values = random.normal(tf.range(count), shape, stream).numpy()
        values = low + abs(values) if math.isfinite(low) else values
        values = high - abs(values) if math.isfinite(high) else values
    return values.astype(element.dtype)


def likely(endpoints, endpoint, images, count):
    """Like `examples`, but an input with the name of another endpoint is what that one gives.

    So latents and conditions are those of the model's own prior.
    """
    values = examples(endpoint, images, count)
    for name in values.keys() & endpoints.keys():
        inputs = examples(endpoints[name], images, count)
        answer = endpoints[name](**{key: tf.constant(value) for key, value in inputs.items()})
        values[name] = answer[name].numpy()
    return values
