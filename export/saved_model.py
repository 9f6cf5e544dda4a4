"""TensorFlow's own format: for TensorFlow Serving, for C++, Java and Go, and for Python.

It needs no Keras where it runs: each endpoint is a signature of the same name, of free batch, that
takes and gives tensors by the names of their elements.
"""

import keras
import tensorflow as tf

from tfgen.quiet import quiet


def trace(name, endpoint):
    """An `Endpoint` as a `tf.function`, traced for any number of rows, and that trace.

    Both take the inputs by keyword and give `{name: tensor [N, ...]}`.
    """

    def answer(**tensors):
        return endpoint(**tensors)

    answer.__name__ = name  # for the graph, the profiler, and the errors of the converter
    function = tf.function(answer, autograph=False)
    specs = {element.name: element.spec() for element in endpoint.inputs}
    return function, function.get_concrete_function(**specs)


def write(model, path):
    """Writes a SavedModel whose signatures are the model's endpoints; weights lie in it once.

    Args:
        model: has `endpoints`, `{name: Endpoint}`, and float32 weights.
        path: a folder to be made.
    """
    # Without `track(model)`, which would write each weight a second time. And not by
    # `tf.saved_model.save` of anything that holds Keras variables: that loads in C++, but a C++
    # session does not find its variables when it runs.
    archive = keras.export.ExportArchive()
    for name, endpoint in model.endpoints.items():
        function, _ = trace(name, endpoint)  # the archive takes a function, and wants it traced
        archive.add_endpoint(name, function)
    with quiet():
        archive.write_out(str(path), verbose=False)
