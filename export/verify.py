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
LITE = {
    "none": (TOLERANCE, 0.9),
    "float16": (2e-2, 0.45),
    "dynamic": (0.5, 0.2),
    "int8": (0.5, 0.2),
}
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

    `relative` is `difference` in units of the output's scale, and is what `tolerance` bounds; for
    integers both are absolute; for files of pictures it counts levels of 255; for rounded
    weights it is the root of the mean square in these units.
    """

    format: str
    endpoint: str
    output: str
    difference: float
    relative: float
    tolerance: float

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
    endpoints, rows=None, saved_model=None, lite=None, onnx=None, quantize="none", count=COUNT
):
    """Runs endpoints in Keras and in the formats that are given, and compares.

    Args:
        endpoints: `{name: Endpoint}` of a model with float32 weights.
        rows: `{column: array}`, real rows for inputs; the others get noise.
        saved_model: the path of a SavedModel, or None.
        lite: the path of a .tflite file, or None.
        onnx: the path of a folder of `<endpoint>.onnx` files, or None.
        quantize: how LiteRT's weights are kept, a key of `LITE`.
        count: rows of the larger batch; the other is of one row.

    Returns:
        A `Report`.

    Raises:
        VerificationError: a format does not run, has not the size of its weights, or gives names,
            shapes, dtypes, numbers or values that are not those of Keras and of the declaration.
    """
    functions = {name: trace(name, endpoint)[1] for name, endpoint in endpoints.items()}
    inputs = {name: examples(e, rows, e.batch or count) for name, e in endpoints.items()}

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
            apart = _distance(element, values, truth[name][element.name], measure)
            coarse = measure is typical
            integral = not np.issubdtype(values[0].dtype, np.floating)
            row = Row(format, name, element.name, *apart, 0.0 if integral else tolerance)
            if not row.ok:
                raise VerificationError(
                    f"{place} is {row.difference:.3g} off, {row.relative:.3g} of its scale, but "
                    f"at most {row.tolerance:g} is allowed: {TOO_COARSE if coarse else NO_ROWS}"
                )
            rows.append(row)
    return rows


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
                if not image_bytes.is_picture(element):
                    continue  # the same as without files, but of pictures of 8 bits
                value = image_bytes.decode(answers[file.name], element.shape).numpy()
                expected = levels.from_levels(levels.to_levels(truth[element.name])).numpy()
                difference = float(abs(value - expected).max())
                row = Row("saved_model", name, file.name, difference, 127.5 * difference, ONE_LEVEL)
                if not row.ok:
                    raise VerificationError(
                        f"saved_model: endpoint {name!r}, output {file.name!r} is "
                        f"{row.relative:.0f} levels of 255 off, but at most one is allowed"
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
