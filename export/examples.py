"""Inputs that an endpoint may meet."""

import math
import warnings

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import SEEDS
from tfgen.errors import InputError

ROWS = 128  # of real data, at most
FREE = 32  # at least, where an element's size is free
SMALL_AND_LARGE = (0, 1, -1, 7, 2**31 - 1, -(2**31), 1234567890, -987654321, 65536, 42)


def real_rows(endpoints, data):
    """Real rows for the inputs of endpoints, as `examples` takes them: `{column: array}`.

    Args:
        endpoints: `{name: Endpoint}`.
        data: a `tfgen.Data`, an array of images, or None for none. Where its rows cannot be had,
            a warning says so.
    """
    if data is None:
        return {}
    if isinstance(data, np.ndarray):
        return {"images": data}
    inputs = [element for endpoint in endpoints.values() for element in endpoint.inputs]
    wanted = {e.column or e.name for e in inputs if e.name != "labels"}
    columns = [column for column in data.columns if column in wanted]
    try:
        return {column: data.rows("test", ROWS, column) for column in columns}
    except InputError as error:
        reason = str(error).splitlines()[0]
        warnings.warn(
            f"noise takes the place of real rows, which cannot be had: {reason}", stacklevel=2
        )
        return {}


def examples(endpoint, rows, count):
    """Inputs that an endpoint may meet: `{name: array [count, ...]}`, the same at each call.

    Seeds are small, negative and large ones; what is a column of the data has real rows; integers
    run through their range; other numbers are standard normal, or uniform where both ends are
    bounded.

    Args:
        endpoint: an `Endpoint`.
        rows: as `real_rows` gives them, or None.
        count: how many.
    """
    return {
        element.name: _example(element, rows, count, stream)
        for stream, element in enumerate(endpoint.inputs)
    }


def _example(element, rows, count, stream):
    column = element.column or element.name
    if rows and column in rows:
        return np.asarray(rows[column], element.dtype)[np.arange(count) % len(rows[column])]
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


def likely(endpoints, endpoint, rows, count):
    """Like `examples`, but an input with the name of another endpoint is what that one gives.

    So latents and conditions are those of the model's own prior.
    """
    values = examples(endpoint, rows, count)
    for name in values.keys() & endpoints.keys():
        inputs = examples(endpoints[name], rows, count)
        answer = endpoints[name](**{key: tf.constant(value) for key, value in inputs.items()})
        values[name] = answer[name].numpy()
    return values
