"""The proof of a delivery: what was written is run, and must answer as the model does.

Loading proves nothing. A SavedModel may load and fail when it runs, a LiteRT file may be converted
without an error and without a weight. So each endpoint is run in the runtime of its users, a C++
session, the LiteRT interpreter and ONNX Runtime, alone and in a batch, and the values are compared.
"""

import contextlib
import itertools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from rich.table import Table

from export import image_bytes
from export.errors import VerificationError
from export.examples import examples
from export.saved_model import trace
from tfgen.data import levels
from tfgen.endpoint import affordable
from tfgen.quiet import quiet

# Of the scale of an output. Honest float32 is up to 4e-5 off, in a DCGAN of 19 million weights:
# sums in another order, and noise by another logarithm and cosine. The smallest real fault,
# weights rounded to float16, is 7e-4 off or more.
TOLERANCE = 2e-4
# Of a LiteRT file, and the least part of the weights' bytes that it must have, by `quantize`.
# Rounded weights may put a single pixel at an edge far off, so for all but "none" it is the root of
# the mean square that counts. In float16 they are 2^-11 of themselves off, which adds up over
# layers. 8 bits are coarse: what they may do to an output is a question of taste, which
# `lite_variants` answers with numbers; beyond this it is another model.
COARSE = 0.5
LITE = {
    "none": (TOLERANCE, 0.9),
    "float16": (2e-2, 0.45),
    "dynamic": (COARSE, 0.2),
    "int8": (COARSE, 0.2),
}
# An output that hardly varies yet is a small sum of large terms, of which rounded weights move it
# by more than 2e-2. So in float16 it may be as far off as weights rounded to float16 put it in
# Keras, and these times more, as LiteRT folds normalization into the weights before it rounds.
HALVED = 3.0
# Of a row's drawn values, that may be others. A value changes where the threshold of its draw lies
# between two roundings: for a probability that is off by `TOLERANCE`, in 2 of 10,000. In a chain
# all that comes later in the row may change with it, so a fifth of the rows may be any others. A
# sampler that is wrong changes nearly every row.
DRAWN = 1e-2
OTHER_ROWS = 0.2
NO_ROWS = (
    "its rows are not those that Keras gives in a batch (noise must come from seeds, by "
    "tfgen.random)"
)
TOO_COARSE = "weights rounded like that are another model: round less, or leave this endpoint out"
ONE_LEVEL = 1.01  # of 255, by which a picture of 8 bits may be off
COUNT = 10  # rows: the classes of most labels
ANY_BYTES = 4096  # an index and a header beside the weights,
ENTRY_BYTES = 256  # and an entry for each of them
GRAPH_BYTES = 2**20  # of one endpoint: operators, and constants such as the counters of noise


class Row(NamedTuple):
    """How far one output of one endpoint is off in one format, in the worst of its numbers.

    `relative` is `difference` in the `unit`, and is what `tolerance` bounds. The unit is the
    "scale" of the output, in which it is the root of the mean square for rounded weights; "one" for
    integers; "level" of 255 for files of pictures; "draw" where rows are drawn: then `difference`
    is the share of all values that differ, and `relative` that of the worst row but for
    `OTHER_ROWS` of them.
    """

    format: str
    endpoint: str
    output: str
    difference: float
    relative: float
    tolerance: float
    unit: str = "scale"

    @property
    def ok(self):
        return self.relative <= self.tolerance


class Report(NamedTuple):
    """`rows` of differences, `sizes`, `{"weights" or format: bytes}`, and LiteRT's `variants`."""

    rows: list
    sizes: dict
    variants: list = []


@contextlib.contextmanager
def _full_precision():
    """GPUs may round the factors of float32 products to 11 bits; here that would be a fault."""
    config = tf.config.experimental
    before = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.enable_tensor_float_32_execution(before)


@_full_precision()
def verify(
    endpoints,
    rows=None,
    saved_model=None,
    lite=None,
    onnx=None,
    quantize="none",
    count=COUNT,
    replay=None,
):
    """Runs endpoints in Keras and in the formats that are given, and compares.

    Args:
        endpoints: `{name: Endpoint}` of a model with float32 weights.
        rows: `{column: array}`, real rows for inputs; the others get noise.
        saved_model: the path of a SavedModel, or None.
        lite: the path of a .tflite file, or None.
        onnx: the path of a folder of `<endpoint>.onnx` files, or None.
        quantize: how LiteRT's weights are kept, a key of `LITE`.
        count: rows of the larger batch; the other is of one row. Slow endpoints get fewer.
        replay: is called with the session of the SavedModel, see `session`, to run more in it.

    Returns:
        A `Report`.

    Raises:
        VerificationError: a format does not run, has not the size of its weights, or gives names,
            shapes, dtypes, numbers or values that are not those of Keras and of the declaration.
    """
    functions = {name: trace(name, endpoint)[1] for name, endpoint in endpoints.items()}
    inputs = {
        name: examples(e, rows, e.batch or affordable(e, count)) for name, e in endpoints.items()
    }

    def keras(name, tensors):
        tensors = {key: tf.constant(value) for key, value in tensors.items()}
        return {key: value.numpy() for key, value in functions[name](**tensors).items()}

    truth = {name: keras(name, tensors) for name, tensors in inputs.items()}
    # Keras against itself: a row must not depend on the call or on the others in its batch,
    # because a server batches the requests of strangers.
    _compare("keras", keras, endpoints, inputs, truth)
    rows = []
    weights = {id(v): v for f in functions.values() for v in f.variables}
    sizes = {"weights": _bytes(weights.values())}
    if saved_model:
        sizes["saved_model"] = _size(Path(saved_model))
        # Once: more is a second copy, less is a loss.
        _check_size(
            "saved_model",
            _size(Path(saved_model) / "variables"),
            sizes["weights"],
            1.1 * sizes["weights"] + ANY_BYTES + ENTRY_BYTES * len(weights),
        )
        with session(saved_model) as run:
            rows += _compare("saved_model", run, endpoints, inputs, truth)
            rows += _compare_files(run, endpoints, inputs, keras)
            if replay:
                replay(run)
    if lite:
        tolerance, least = LITE[quantize]
        sizes["lite"] = _size(Path(lite))
        # Twice at most, for a matrix that is used transposed too is stored both ways. Statistics
        # of normalization may be folded into the kernels, so only what was trained must be there.
        _check_size(
            "lite",
            sizes["lite"],
            least * _bytes(v for v in weights.values() if v.trainable),
            2 * sizes["weights"] + GRAPH_BYTES * len(endpoints),
        )
        if quantize == "float16":
            with _in_half(weights.values()):
                halved = {name: keras(name, tensors) for name, tensors in inputs.items()}
            tolerance = _tolerances(endpoints, halved, truth, tolerance)
        with _interpreter(lite) as run:
            measure = largest if quantize == "none" else typical
            rows += _compare("lite", run, endpoints, inputs, truth, tolerance, measure)
    if onnx:
        sizes["onnx"] = _size(Path(onnx))
        for name, function in functions.items():
            # Within the bounds of LiteRT, for the same reasons, but a file an endpoint.
            _check_size(
                f"onnx: endpoint {name!r}",
                _size(Path(onnx) / f"{name}.onnx"),
                0.9 * _bytes(v for v in function.variables if v.trainable),
                2 * _bytes(function.variables) + GRAPH_BYTES,
            )
        rows += _compare("onnx", _runtime(onnx, endpoints), endpoints, inputs, truth)
    return Report(rows, sizes)


def table(report):
    """A `rich.table.Table` of a `Report`, to be printed."""
    result = Table("format", "endpoint", "output", title="Differences from Keras")
    for column in ("largest", "relative", "allowed"):
        result.add_column(column, justify="right")
    for row in report.rows:
        numbers = (row.difference, row.relative, row.tolerance)
        result.add_row(row.format, row.endpoint, row.output, *(f"{n:.1e}" for n in numbers))
    result.caption = "\n".join(f"{name}: {size:,} bytes" for name, size in report.sizes.items())
    return result


def largest(differences):
    """The largest of some differences, a float."""
    return float(abs(differences).max())


def typical(differences):
    """The root of the mean square of some differences, a float."""
    return float(np.sqrt((differences**2).mean()))


def _compare(format, run, endpoints, inputs, truth, tolerance=TOLERANCE, measure=largest):
    """Runs each endpoint on its first row alone, then on all its rows: a `Row` an output.

    Where the batch is fixed, on all its rows.
    """
    rows = []
    for name, endpoint in endpoints.items():
        count = len(next(iter(inputs[name].values())))
        sizes = (count,) if endpoint.batch else (1, count)
        answers = []
        for size in sizes:
            batch = {key: value[:size] for key, value in inputs[name].items()}
            with _as_verification_error(f"{format}: endpoint {name!r} does not run"):
                answers.append(run(name, batch))
        for element in endpoint.outputs:
            place = f"{format}: endpoint {name!r}, output {element.name!r}"
            values = [answer[element.name] for answer in answers]
            for value, size in zip(values, sizes, strict=True):
                _check_declared(place, element, value, size)
            allowed = (
                tolerance.get((name, element.name)) if isinstance(tolerance, dict) else tolerance
            )
            judged = _judged(element, values, truth[name][element.name], allowed, measure)
            rows.append(_passed(place, Row(format, name, element.name, *judged), measure))
    return rows


def _judged(element, answers, truth, tolerance, measure):
    """The last four fields of the `Row` of some batches against the first rows of `truth`."""
    if element.drawn:
        return *unequal(element, answers, truth, tolerance), max(DRAWN, tolerance), "draw"
    apart = _distance(element, answers, truth, measure)
    floating = np.issubdtype(answers[0].dtype, np.floating)
    return *apart, tolerance if floating else 0.0, "scale" if floating else "one"


def _passed(place, row, measure=largest):
    """The row, if it is within its tolerance."""
    if row.ok:
        return row
    if row.unit == "draw":
        raise VerificationError(
            f"{place}: {row.difference:.1%} of the drawn values are others, in most rows up to "
            f"{row.relative:.1%}, but at most {row.tolerance:.1%} may be: {NO_ROWS}"
        )
    raise VerificationError(
        f"{place} is {row.difference:.3g} off, {row.relative:.3g} of its scale, but "
        f"at most {row.tolerance:g} is allowed: {TOO_COARSE if measure is typical else NO_ROWS}"
    )


def unequal(element, answers, truth, tolerance):
    """How many drawn values of some batches are not those of the first rows of `truth`.

    Returns:
        The share of all values, and that of the worst row but for `OTHER_ROWS` of the rows.
    """
    floating = np.issubdtype(truth.dtype, np.floating)
    slack = tolerance * scale_of(element, truth) if floating else 0
    shares = [
        (abs(answer.astype("float64") - truth[: len(answer)]) > slack)
        .reshape(len(answer), -1)
        .mean(axis=1)
        for answer in answers
    ]
    shares = np.concatenate(shares)
    return float(shares.mean()), float(np.quantile(shares, 1 - OTHER_ROWS, method="lower"))


def _compare_files(run, endpoints, inputs, keras):
    """Runs the signatures that take and give files, against `keras` on the same 8-bit pictures."""
    rows = []
    for name, with_file in image_bytes.with_files(endpoints).items():
        plain = endpoints[name.removesuffix("_bytes")]
        tensors, files = {}, {}
        for element, file in zip(plain.inputs, with_file.inputs, strict=True):
            value = inputs[name.removesuffix("_bytes")][element.name]
            if image_bytes.is_picture(element):
                value = levels.from_levels(levels.to_levels(value)).numpy()
            tensors[element.name] = value
            picture = image_bytes.is_picture(element)
            files[file.name] = image_bytes.encode(value).numpy() if picture else value
        truth = keras(name.removesuffix("_bytes"), tensors)
        with _as_verification_error(f"saved_model: endpoint {name!r} does not run"):
            answers = run(name, files)
            for element, file in zip(plain.outputs, with_file.outputs, strict=True):
                place = f"saved_model: endpoint {name!r}, output {file.name!r}"
                value, expected = answers[file.name], truth[element.name]
                if not image_bytes.is_picture(element):
                    judged = _judged(element, [value], expected, TOLERANCE, largest)
                    rows.append(_passed(place, Row("saved_model", name, file.name, *judged)))
                    continue
                value = image_bytes.decode(value, element.shape).numpy()
                expected = levels.from_levels(levels.to_levels(expected)).numpy()
                if element.drawn:
                    judged = _judged(element, [value], expected, TOLERANCE, largest)
                    rows.append(_passed(place, Row("saved_model", name, file.name, *judged)))
                    continue
                difference = float(abs(value - expected).max())
                row = Row(
                    "saved_model",
                    name,
                    file.name,
                    difference,
                    127.5 * difference,
                    ONE_LEVEL,
                    "level",
                )
                if not row.ok:
                    raise VerificationError(
                        f"{place} is {row.relative:.0f} levels of 255 off, "
                        "but at most one is allowed"
                    )
                rows.append(row)
    return rows


def _check_declared(place, element, value, count):
    """Holds an array against the `Element` that promised it."""
    fits = len(value.shape) == len(element.shape) + 1 and all(
        size in (None, got) for size, got in zip((count, *element.shape), value.shape, strict=True)
    )
    if not fits:
        raise VerificationError(
            f"{place} has the shape {value.shape}, but {(count, *element.shape)} is declared"
        )
    if value.dtype != element.dtype:
        raise VerificationError(f"{place} is {value.dtype}, but {element.dtype} is declared")
    if not np.isfinite(value).all():
        raise VerificationError(
            f"{place} has {value[~np.isfinite(value)][0]} in it, but only finite numbers may be"
        )
    # A bound such as tanh's may be missed by the rounding of the bound itself.
    slack = 1e-6 if np.issubdtype(value.dtype, np.floating) else 0.0
    low, high = element.low - slack * abs(element.low), element.high + slack * abs(element.high)
    if value.min() < low or value.max() > high:
        worst = value.min() if value.min() < low else value.max()
        raise VerificationError(
            f"{place} has {worst} in it, but [{element.low}, {element.high}] is declared"
        )


def _distance(element, answers, truth, measure):
    """How far some batches are from the first rows of `truth`.

    Returns:
        The largest difference, and their `measure` in units of the output's scale.
    """
    truth = truth.astype("float64")
    differences = [answer - truth[: len(answer)] for answer in answers]
    difference = max(map(largest, differences))
    if not np.issubdtype(answers[0].dtype, np.floating):
        return difference, difference
    return difference, max(map(measure, differences)) / scale_of(element, truth)


def scale_of(element, values):
    """The unit in which differences of an output are told, from its values `[N, ...]`: a float."""
    # The deviation. But numbers far from 0, or that were mapped onto a range, are rounded in units
    # of their own size or the range's: the hundredth allows 2e-6 of it, float32's epsilon 17 times.
    ends = [abs(end) for end in (element.low, element.high) if math.isfinite(end)]
    return float(values.std() + 0.01 * max([abs(values).max(), *ends])) or 1.0


@contextlib.contextmanager
def _in_half(variables):
    """Rounds weights to half precision for a while."""
    weights = [v for v in variables if v.dtype == tf.float32]
    before, most = [v.numpy() for v in weights], np.finfo(np.float16).max
    try:
        for weight, value in zip(weights, before, strict=True):
            weight.assign(np.clip(value, -most, most).astype("float16").astype("float32"))
        yield
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.assign(value)


def _tolerances(endpoints, halved, truth, least):
    """`{(endpoint, output): tolerance}` of files with weights in half precision: see `HALVED`."""
    tolerances = {}
    for name, endpoint in endpoints.items():
        for element in endpoint.outputs:
            values, expected = halved[name][element.name], truth[name][element.name]
            moved = _distance(element, [values], expected, typical)[1]
            tolerances[name, element.name] = min(max(least, HALVED * moved), COARSE)
    return tolerances


def _check_size(format, size, low, high):
    if not low <= size <= high:
        raise VerificationError(
            f"{format}: the weights take {size:,} bytes, "
            f"but between {int(low):,} and {int(high):,} were expected"
        )


def _bytes(variables):
    return sum(v.shape.num_elements() * v.dtype.size for v in variables)


def _size(path):
    """Bytes of a file, or of all files below a folder."""
    files = itertools.chain([path], path.rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file())


@contextlib.contextmanager
def session(path):
    """Runs a SavedModel as TensorFlow Serving does: a C++ session, without Keras' Python.

    Gives `run(signature, {input: array}) -> {output: array}`.
    """
    session = tf.compat.v1.Session(graph=tf.Graph())
    with contextlib.closing(session):
        # The default graph only while it loads: around it, tensors are eager as everywhere.
        with (
            quiet(),
            _as_verification_error("saved_model: does not load"),
            session.graph.as_default(),
        ):
            loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))

        def run(name, tensors):
            signature = loaded.signature_def[name]
            feed = {signature.inputs[key].name: value for key, value in tensors.items()}
            fetch = {key: tensor.name for key, tensor in signature.outputs.items()}
            return session.run(fetch, feed)

        yield run


@contextlib.contextmanager
def _interpreter(path):
    """Runs a .tflite file in plain LiteRT, which knows builtin operators only."""
    with quiet(), _as_verification_error("lite: does not load"):
        interpreter = Interpreter(model_path=str(path))

    def run(name, tensors):
        with quiet():  # it tells of its delegates when a signature is first run
            return interpreter.get_signature_runner(name)(**tensors)

    yield run


def _runtime(folder, endpoints):
    """Runs .onnx files in ONNX Runtime."""
    import onnxruntime  # of an optional extra

    def load(name):
        with quiet(), _as_verification_error(f"onnx: endpoint {name!r} does not load"):
            return onnxruntime.InferenceSession(
                str(Path(folder) / f"{name}.onnx"), providers=["CPUExecutionProvider"]
            )

    sessions = {name: load(name) for name in endpoints}

    def run(name, tensors):
        with quiet():
            values = sessions[name].run(None, tensors)
        return {e.name: value for e, value in zip(endpoints[name].outputs, values, strict=True)}

    return run


@contextlib.contextmanager
def _as_verification_error(what):
    """Gives the errors of a runtime, of many classes, one class and the place."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's are direct children of it
        raise VerificationError(f"{what}: {str(error).strip().splitlines()[0]}") from error
