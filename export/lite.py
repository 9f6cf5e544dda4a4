"""LiteRT (formerly TensorFlow Lite): one file of builtin operators, for phones and small boards."""

import math
import os
import re
from pathlib import Path

import tensorflow as tf

from export.errors import DeliveryError
from export.examples import likely
from tfgen.endpoint import affordable
from tfgen.quiet import quiet

REPRESENTATIVE = 100  # rows


def write(saved_model_path, path, endpoints, quantize="float16", rows=None):
    """Converts a SavedModel into one .tflite file, all endpoints as its signatures.

    They take and give float32 in any case.

    Args:
        saved_model_path: a folder that `export.saved_model.write` made.
        path: the file; it appears when it is complete.
        endpoints: `{name: Endpoint}`, the signatures.
        quantize: how weights are kept: "none", in float32; "float16", in half the bytes; "dynamic",
            as 8 bits, for which activations are rounded as they come; "int8", as 8 bits, for which
            their ranges are taken from examples.
        rows: `{column: array}`, real rows for these examples, or None.

    Raises:
        DeliveryError: an endpoint needs an operation that LiteRT has not.
    """
    # From a SavedModel: the converters from functions drop all weights of Keras 3, in silence.
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model_path), signature_keys=list(endpoints)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.representative_dataset = lambda: _representative(endpoints, rows)
    try:
        with quiet():
            content = converter.convert()
    except Exception as error:  # the converter's own class lies in a private module
        raise DeliveryError(_explain(str(error), endpoints)) from error
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _representative(endpoints, rows):
    """Rows for the ranges of activations: `(signature, {input: [N, ...]})`."""
    for name, endpoint in endpoints.items():
        size = endpoint.batch or 1
        count = math.ceil(affordable(endpoint, REPRESENTATIVE) / size) * size
        examples = likely(endpoints, endpoint, rows, count)
        for i in range(0, count, size):
            yield name, {key: value[i : i + size] for key, value in examples.items()}


def _explain(text, endpoints):
    """The converter's pages of locations as one sentence."""
    missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", text)))
    here = [name for name in endpoints if re.search(rf'@__inference_{name}_\d+"', text)]
    place = f"lite: endpoint {', '.join(map(repr, here or endpoints))}"
    if not missing:
        return f"{place} cannot be converted: {text.strip().splitlines()[0]}"
    return (
        f"{place} needs {', '.join(missing)}, which LiteRT has not: write it with other operations "
        "(noise from seeds: tfgen.random)"
    )
