"""TensorFlow's own format: for TensorFlow Serving, for C++, Java and Go, and for Python.

It needs no Keras where it runs: each endpoint is a signature of the same name, of free batch, that
takes and gives tensors by the names of their elements; and one with files for tensors, where there
are pictures (`export.image_bytes`). What a signature cannot take it refuses, and says why.
"""

import inspect

import keras
import tensorflow as tf

from export.image_bytes import with_files
from tfgen.endpoint import SEEDS
from tfgen.quiet import quiet


def trace(name, endpoint):
    """An `Endpoint` as a `tf.function`, and its trace.

    Both give `{name: tensor [N, ...]}`. They take the inputs by keyword, and the function also in
    their order, as Keras' `TFSMLayer` wants it of what is loaded.
    """
    names = [element.name for element in endpoint.inputs]

    def answer(*args, **tensors):
        tensors |= zip(names, args, strict=False)
        with tf.control_dependencies(_checks(endpoint, tensors)):
            # Through an identity, as what a network takes must come after the checks.
            return endpoint(**{key: tf.identity(tensor) for key, tensor in tensors.items()})

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    answer.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])
    answer.__name__ = name  # for the graph, the profiler, and the errors of the converter
    function = tf.function(answer, autograph=False)
    return function, function.get_concrete_function(**endpoint.specs)


def write(endpoints, path):
    """Writes a SavedModel whose signatures are a model's endpoints; weights lie in it once.

    Args:
        endpoints: `{name: Endpoint}`, of float32 weights.
        path: a folder to be made.
    """
    # Without `track(model)`, which would write each weight a second time. And not by
    # `tf.saved_model.save` of anything that holds Keras variables: that loads in C++, but a C++
    # session does not find its variables when it runs.
    archive = keras.export.ExportArchive()
    for name, endpoint in (endpoints | with_files(endpoints)).items():
        function, _ = trace(name, endpoint)  # the archive takes a function, and wants it traced
        archive.add_endpoint(name, function)
    with quiet():
        archive.write_out(str(path), verbose=False)


def _checks(endpoint, tensors):
    """Assertions that all inputs have as many rows, integers are in their range, and sizes fit.

    (Seeds may be any int32. LiteRT's converter leaves assertions out.)
    """
    first, *others = endpoint.inputs
    rows, checks = tf.shape(tensors[first.name])[0], []
    for other in others:
        message = f"{other.name} must have as many rows as {first.name}"
        checks.append(tf.debugging.assert_equal(tf.shape(tensors[other.name])[0], rows, message))
    for element in endpoint.inputs:
        tensor, low, high = tensors[element.name], element.low, element.high
        if tensor.dtype.is_integer and high - low < SEEDS.high - SEEDS.low:
            message = f"{element.name} must be {low} to {high}"
            checks += [
                tf.debugging.assert_greater_equal(tensor, tf.cast(low, tensor.dtype), message),
                tf.debugging.assert_less_equal(tensor, tf.cast(high, tensor.dtype), message),
            ]
        if None in element.shape and element.multiple > 1:
            rest = tf.shape(tensor)[1:3] % element.multiple
            message = f"height and width of {element.name} must be multiples of {element.multiple}"
            checks.append(tf.debugging.assert_equal(rest, 0, message))
    return [check for check in checks if check is not None]  # None where they hold already
