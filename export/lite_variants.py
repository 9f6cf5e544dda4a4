"""Which LiteRT file to take: each way to keep the weights, measured on the trained model."""

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from rich.table import Table

from export import lite
from export.errors import DeliveryError
from export.examples import likely
from export.verify import LITE, scale_of
from tfgen.quiet import quiet

ROWS = 10
SECONDS = 0.3  # of timing an endpoint, at least three calls
GOOD = 2e-2  # of an output's scale: some levels of 255 in a picture
SLOWER = 1.2  # than float32, at most


class Variant(NamedTuple):
    """What was found: bytes of the file, the worst relative error of an output, and the sum over

    the endpoints of the milliseconds of one row. If it cannot be made, `problem` says why.
    """

    quantize: str
    size: int = 0
    error: float = float("inf")
    milliseconds: float = float("inf")
    problem: str = ""


def measure(saved_model, endpoints, images=None):
    """Converts and runs a model in every way.

    Args:
        saved_model: the path of a SavedModel.
        endpoints: `{name: Endpoint}` of the model.
        images: `[M, H, W, C]`, real ones, or None.

    Returns:
        A list of `Variant`.
    """
    inputs = {name: likely(endpoints, e, images, ROWS) for name, e in endpoints.items()}
    truth = {
        name: endpoint(**{key: tf.constant(value) for key, value in inputs[name].items()})
        for name, endpoint in endpoints.items()
    }
    return [_measured(kind, saved_model, endpoints, images, inputs, truth) for kind in LITE]


def advise(variants):
    """The smallest file that is good enough and not slower than float32; that one if none is."""
    plain = next(v for v in variants if v.quantize == "none")
    fit = [v for v in variants if v.error <= GOOD and v.milliseconds <= SLOWER * plain.milliseconds]
    return min(fit, key=lambda v: v.size, default=plain).quantize


def table(variants, advised):
    """A `rich.table.Table` of the variants, to be printed."""
    result = Table("weights", title="LiteRT, measured on this machine")
    for column in ("bytes", "relative error", "ms a row"):
        result.add_column(column, justify="right")
    for v in variants:
        name = f"{v.quantize} (advised)" if v.quantize == advised else v.quantize
        if v.problem:
            result.add_row(name, v.problem)
        else:
            result.add_row(name, f"{v.size:,}", f"{v.error:.1e}", f"{v.milliseconds:.2f}")
    return result


def _measured(kind, saved_model, endpoints, images, inputs, truth):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        try:
            lite.write(saved_model, path, endpoints, kind, images)
        except DeliveryError as error:
            return Variant(kind, problem=str(error))
        with quiet():
            interpreter = Interpreter(model_path=str(path))
        worst, milliseconds = 0.0, 0.0
        for name, endpoint in endpoints.items():
            with quiet():
                runner = interpreter.get_signature_runner(name)
                answer = runner(**inputs[name])
            for element in endpoint.outputs:
                expected = truth[name][element.name].numpy().astype("float64")
                difference = float(np.abs(answer[element.name] - expected).max())
                worst = max(worst, difference / scale_of(element, expected))
            milliseconds += _time(runner, {k: v[:1] for k, v in inputs[name].items()})
        return Variant(kind, path.stat().st_size, worst, milliseconds)


def _time(runner, row):
    """The least milliseconds of a call."""
    runner(**row)  # allocates for one row
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        runner(**row)
        times.append(time.perf_counter() - before)
    return 1e3 * min(times)
