"""TensorFlow's own format: for TensorFlow Serving, for C++, Java and Go, and for Python.

It needs no Keras where it runs: each endpoint is a signature of the same name, of free batch, that
takes and gives tensors by the names of their elements; and one with files for tensors, where there
are pictures (`export.image_bytes`). What a signature cannot take it refuses, and says why.

In Python `tf.saved_model.load(path).sample([0, 1, 2])` takes tensors by place as well, and so does
`keras.layers.TFSMLayer(path, call_endpoint="sample")`.
"""

from export.image_bytes import with_files
from tfgen.endpoint import save, trace
from tfgen.quiet import quiet

__all__ = ["trace", "write"]


def write(endpoints, path):
    """Writes a SavedModel whose signatures are a model's endpoints; weights lie in it once.

    Args:
        endpoints: `{name: Endpoint}`, of float32 weights.
        path: a folder to be made.
    """
    with quiet():
        save(endpoints | with_files(endpoints), path)
