"""ONNX: a graph a file, for ONNX Runtime in any language, in the browser, and for its compilers.

ONNX tells values apart by their names within a graph, so an output that bears the name of an input
gets `_out` behind it; the order of inputs and outputs is that of the endpoint.
"""

import importlib
import os
from pathlib import Path

import tensorflow as tf

from export.errors import DeliveryError
from tfgen.quiet import quiet

OPSET = 18  # the newest that tf2onnx 1.17 writes; ONNX Runtime reads it since 1.14, of 2023


def write(endpoints, folder):
    """Converts each endpoint into a float32 graph, `FOLDER/<endpoint>.onnx`.

    Args:
        endpoints: `{name: Endpoint}` of a model with float32 weights.
        folder: a folder to be made.

    Raises:
        DeliveryError: an endpoint needs an operation that ONNX has not, or the packages of the
            extra "onnx" are not installed.
    """
    onnx, tf2onnx = require()
    folder = Path(folder)
    folder.mkdir()
    for name, endpoint in endpoints.items():
        try:
            with quiet():
                graph = _convert(tf2onnx, endpoint)
                missing = sorted(_unknown(onnx, graph.graph))
                content = graph.SerializeToString()
        except Exception as error:  # the converter lets through whatever its helpers raise
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise DeliveryError(f"onnx: endpoint {name!r} cannot be converted: {reason}") from error
        if missing:
            raise DeliveryError(
                f"onnx: endpoint {name!r} needs {', '.join(missing)}, which ONNX has not: write it "
                "with other operations (noise from seeds: tfgen.random)"
            )
        (folder / f"{name}.onnx").write_bytes(content)


def require():
    """The modules `onnx` and `tf2onnx`, and the certainty that ONNX Runtime is there too.

    Raises:
        DeliveryError: one of them is not installed.
    """
    try:
        onnx, tf2onnx, _ = map(importlib.import_module, ("onnx", "tf2onnx", "onnxruntime"))
    except ImportError as error:
        raise DeliveryError(f'onnx: {error}; pip install -e ".[onnx]" in the clone') from error
    return onnx, tf2onnx


def _convert(tf2onnx, endpoint):
    inputs = [element.name for element in endpoint.inputs]
    outputs = [e.name + "_out" * (e.name in inputs) for e in endpoint.outputs]

    def answer(*tensors):
        values = endpoint(**dict(zip(inputs, tensors, strict=True))).values()
        return dict(zip(outputs, values, strict=True))

    function, specs = tf.function(answer, autograph=False), list(endpoint.specs.values())
    try:  # without a copy of the graph before each of its passes, in case one fails
        os.environ["TF2ONNX_CATCH_ERRORS"] = "FALSE"
        model, _ = tf2onnx.convert.from_function(function, specs, opset=OPSET)
    except Exception:  # one does, or more is wrong
        del os.environ["TF2ONNX_CATCH_ERRORS"]
        model, _ = tf2onnx.convert.from_function(function, specs, opset=OPSET)
    # TensorFlow sorts the keys of a structure.
    ordered = sorted(model.graph.output, key=lambda output: outputs.index(output.name))
    del model.graph.output[:]
    model.graph.output.extend(ordered)
    return model


def _unknown(onnx, graph):
    """Names of operators that are in no ONNX: tf2onnx writes what it cannot convert as it is."""
    names = set()
    for node in graph.node:
        if not onnx.defs.has(node.op_type, node.domain):
            names.add(node.op_type)
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                names |= _unknown(onnx, body)
    return names
