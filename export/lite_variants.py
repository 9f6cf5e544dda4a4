"""Which LiteRT file to take: each way to keep the weights, measured on the trained model."""

import math
import time
from typing import NamedTuple

import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from rich.table import Table

from export import lite
from export.errors import DeliveryError
from export.examples import likely
from export.verify import LITE, TOLERANCE, scale_of, typical, unequal
from tfgen.endpoint import affordable
from tfgen.quiet import quiet

ROWS = 10
SECONDS = 0.3  # of timing an endpoint,
CALLS = 3  # but at least so many; of a slow one, one
GOOD = 2e-2  # of an output's scale: a level or two of 255 in a picture
SLOWER = 1.2  # than float32, at most


class Variant(NamedTuple):
    """One way to keep the weights, and what was found of it.

    `size` is that of the file in bytes; `error` the root of the mean square error, of an output's
    scale, in the worst output, and `place` the name of its endpoint; `milliseconds` those of a call
    with one row (or the fixed batch), summed over the endpoints. If it cannot be made, `problem`
    says why.
    """

    quantize: str
    size: int = 0
    error: float = math.inf
    milliseconds: float = math.inf
    place: str = ""
    problem: str = ""


def measure(saved_model, folder, endpoints, rows=None):
    """Converts a model in every way, `FOLDER/<quantize>.tflite`, and runs it.

    Args:
        saved_model: the path of a SavedModel.
        folder: a folder to be made.
        endpoints: `{name: Endpoint}` of the model.
        rows: `{column: array}`, real ones, or None.

    Returns:
        A list of `Variant`.
    """
    folder.mkdir()
    inputs = {
        name: likely(endpoints, e, rows, e.batch or affordable(e, ROWS))
        for name, e in endpoints.items()
    }
    truth = {
        name: endpoint(**{key: tf.constant(value) for key, value in inputs[name].items()})
        for name, endpoint in endpoints.items()
    }
    found = []
    for kind in LITE:
        path = folder / f"{kind}.tflite"
        try:
            lite.write(saved_model, path, endpoints, kind, rows)
            found.append(_measured(kind, path, endpoints, inputs, truth))
        except DeliveryError as error:
            found.append(Variant(kind, problem=str(error)))
    return found


def advise(variants):
    """The smallest file that is good enough and not slower than float32; that one if none is."""
    plain = next(v for v in variants if v.quantize == "none")
    fit = [v for v in variants if v.error <= GOOD and v.milliseconds <= SLOWER * plain.milliseconds]
    return min(fit, key=lambda v: v.size, default=plain).quantize


def table(variants, advised):
    """A `rich.table.Table` of the variants, to be printed."""
    result = Table("weights", title="LiteRT, measured on this machine")
    for column in ("bytes", "relative error", "ms"):
        result.add_column(column, justify="right")
    result.add_column("worst in")
    for v in variants:
        name = f"{v.quantize} (advised)" if v.quantize == advised else v.quantize
        if v.problem:
            result.add_row(name, v.problem)
        else:
            result.add_row(name, f"{v.size:,}", f"{v.error:.1e}", f"{v.milliseconds:.2f}", v.place)
    return result


def _measured(kind, path, endpoints, inputs, truth):
    with quiet():
        interpreter = Interpreter(model_path=str(path))
    errors, milliseconds = {}, 0.0
    for name, endpoint in endpoints.items():
        with quiet():
            runner = interpreter.get_signature_runner(name)
            answer = runner(**inputs[name])
        for element in endpoint.outputs:
            expected = truth[name][element.name].numpy().astype("float64")
            if element.drawn:
                errors[unequal(element, [answer[element.name]], expected, TOLERANCE)[1]] = name
                continue
            scale = scale_of(element, expected)
            errors[typical(answer[element.name] - expected) / scale] = name
        row = {k: v[: endpoint.batch or 1] for k, v in inputs[name].items()}
        milliseconds += _time(runner, row, 1 if endpoint.slow else CALLS)
    worst = max(errors)
    return Variant(kind, path.stat().st_size, worst, milliseconds, errors[worst])


def _time(runner, row, least):
    """The least milliseconds of `least` calls or more."""
    runner(**row)  # allocates for one row
    times, start = [], time.perf_counter()
    while len(times) < least or time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        runner(**row)
        times.append(time.perf_counter() - before)
    return 1e3 * min(times)
