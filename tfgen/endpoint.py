"""What a model offers to the world: named functions with named, described inputs and outputs."""

import difflib
import inspect
import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgen.errors import InputError

# The well-known names: tools look for them, and a name that nearly is one of them is an error.
ENDPOINTS = {
    "sample": "seeds (and labels, captions) -> rows as those of the data",
    "latents": "seeds -> latents, draws of the prior",
    "conditions": "labels -> what latents are decoded with",
    "decode": "latents (and labels, conditions) -> rows",
    "encode": "rows -> latents; of a Gaussian posterior its latents (means) and scales",
    "reconstruct": "rows -> rows, through the latents",
    "denoise": "damaged rows -> rows",
    "discriminate": "rows (and labels) -> logits, whether they are real",
    "classify": "rows -> probabilities of the classes",
    "log_prob": "rows -> log-density or a bound on it, in nats, one number a row",
    "energy": "rows -> free energy, in nats up to a constant, one number a row",
    "translate_a_to_b": "images of A -> images of B",
    "translate_b_to_a": "images of B -> images of A",
    "enlarge": "images -> images of more pixels",
    "complete": "rows, masks, seeds -> rows whose masked part is filled in",
    "predict": "what has been observed, seeds -> what comes next",
    "map": "latents -> styles",
    "synthesize": "styles, seeds -> images",
    "components": "rows -> probabilities of the components of a mixture",
    "recognize": "rows -> probabilities of categories and means of codes found without labels",
}
KINDS = {  # of what an element of this name is; all others are numbers
    "images": "images",
    "points": "points",
    "labels": "labels",
    "seeds": "seeds",
    "tokens": "tokens",
    "captions": "tokens",
    "trajectories": "trajectories",
    "videos": "videos",
    "masks": "masks",
}
ELEMENTS = (
    *KINDS,
    *("latents", "scales", "conditions", "logits", "probabilities", "errors", "energies", "means"),
    *("log_prob", "codes", "styles", "truncation", "attributes"),
)


class Element(NamedTuple):
    """One row of a tensor: its name, shape, dtype and range (both ends included).

    Attributes:
        name: what it is; well-known ones stand in `ELEMENTS`.
        shape: a size that is None is free, but a multiple of `multiple`.
        dtype: a name, as "float32".
        low, high: the range.
        multiple: see `shape`.
        drawn: whether rows are draws of discrete values, as pixels of one bit are. A runtime that
            rounds otherwise may draw another value, so what counts is the share of equal rows.
        column: the column of a data set that such rows are in; by default the one of this name.
    """

    name: str
    shape: tuple = ()
    dtype: str = "float32"
    low: float = -math.inf
    high: float = math.inf
    multiple: int = 1
    drawn: bool = False
    column: str | None = None

    @property
    def kind(self):
        """How it is drawn and measured: a value of `KINDS`, or "numbers"."""
        return KINDS.get(self.name, "numbers")

    @property
    def of_rows(self):
        """The shape of rows in words, as "[N, 28, 28, 1]"."""
        return f"[{', '.join(['N', *('any' if n is None else str(n) for n in self.shape)])}]"

    def spec(self, batch=None):
        """The `tf.TensorSpec` of `batch` rows, by default of any number."""
        return tf.TensorSpec([batch, *self.shape], self.dtype, name=self.name)


SEEDS = Element("seeds", (), "int32", -(2**31), 2**31 - 1)


def as_seeds(numbers):
    """Whole numbers as seeds, an int32 array of their shape.

    Raises:
        InputError: one has more than 32 bits; a model would take it for another seed.
    """
    numbers = np.asarray(numbers)
    for number in (numbers.min(), numbers.max()) if numbers.size else ():
        if not SEEDS.low <= number <= SEEDS.high:
            raise InputError(f"seed {number}: seeds are whole numbers from -2^31 to 2^31 - 1")
    return numbers.astype("int32")


def seeds_from(first, count):
    """The seeds first, first + 1, …: int32 `[count]`; raises as `as_seeds`."""
    as_seeds([first, first + count - 1])
    return np.arange(first, first + count, dtype="int32")


def labels(classes):
    """The `Element` of labels 0 .. classes - 1."""
    return Element("labels", (), "int32", 0, classes - 1)


class Endpoint(NamedTuple):
    """A function of a model: `{name: tensor [N, ...]} -> {name: tensor [N, ...]}`.

    `function` takes one positional tensor for each of `inputs`, and returns one tensor for each
    of `outputs`: a tensor where there is one, else a tuple. The command line, the SavedModel's
    signatures, the LiteRT file, the ONNX graphs, the web page and the tests are all made from this
    one declaration.
    """

    function: Callable
    inputs: tuple
    outputs: tuple
    batch: int | None = None  # rows of each call; None for any number
    slow: bool = False  # seconds a call: callbacks, metrics and deliveries then ask for few rows

    @property
    def specs(self):
        """`{name: tf.TensorSpec}` of the inputs."""
        return {element.name: element.spec(self.batch) for element in self.inputs}

    def __call__(self, **tensors):
        values = self.function(*(tensors[element.name] for element in self.inputs))
        values = values if isinstance(values, tuple) else (values,)
        return {e.name: value for e, value in zip(self.outputs, values, strict=True)}


SLOW_ROWS = 16


def affordable(endpoint, count):
    """`count` rows of an endpoint, or `SLOW_ROWS` where these are fewer and it is slow."""
    return min(count, SLOW_ROWS) if endpoint.slow else count


def check_names(endpoints):
    """Checks that no name of `{name: Endpoint}` is a well-known one but for a slip of the pen.

    Raises:
        ValueError: names the endpoint or element, and what it nearly is.
    """
    for name, endpoint in endpoints.items():
        elements = [element.name for element in (*endpoint.inputs, *endpoint.outputs)]
        for given, known in [(name, ENDPOINTS), *((e, ELEMENTS) for e in elements)]:
            near = difflib.get_close_matches(given, known, n=1, cutoff=0.8)
            if given not in known and near:
                raise ValueError(f"endpoint {name!r} has the name {given!r}: {near[0]!r} is meant")


def classes(endpoint):
    """How many classes an endpoint tells apart by its "labels": 0 where it has none."""
    return next((e.high + 1 for e in endpoint.inputs if e.name == "labels"), 0)


def asked(endpoint, seeds, label=None):
    """The class of each row that is drawn: int32 `[N]`; None where there are no classes.

    Args:
        endpoint: an `Endpoint`.
        seeds: int32 `[N]`.
        label: as in `draw`.

    Raises:
        InputError: a label where there are no classes, or one that is none of them.
    """
    count = classes(endpoint)
    numbers = () if label is None else np.ravel(label)
    wrong = next((number for number in numbers if not 0 <= number < count), None)
    if wrong is not None:
        known = f"its labels are 0 to {count - 1}" if count else "this model has no classes"
        raise InputError(f"label {wrong}: {known}")
    if not count:
        return None
    if label is None:
        return tf.range(tf.shape(seeds)[0]) % count
    return tf.broadcast_to(tf.constant(label, tf.int32), tf.shape(seeds))


def draw(endpoint, seeds, label=None):
    """Runs a `sample` endpoint.

    Args:
        endpoint: an `Endpoint` whose inputs are "seeds" and, where there are classes, "labels".
        seeds: int32 `[N]`.
        label: an int, the class of all rows, or int32 `[N]`, the class of each; None for the
            classes in turn: 0, 1, 2, …

    Returns:
        The first output, `[N, ...]`.

    Raises:
        InputError: a label where there are no classes, or one that is none of them.
    """
    labels = asked(endpoint, seeds, label)
    inputs = {"seeds": seeds} | ({} if labels is None else {"labels": labels})
    return endpoint(**inputs)[endpoint.outputs[0].name]


def trace(name, endpoint):
    """An `Endpoint` as a `tf.function`, and its trace.

    Both take the inputs by place or by keyword and give `{name: tensor [N, ...]}`. What is not as
    declared, labels out of range, inputs of unequal rows, sizes that are no multiple, is an
    `InvalidArgumentError` that says so. (Seeds may be any int32.)
    """

    def answer(*tensors):
        with tf.control_dependencies(_checks(endpoint, tensors)):
            # Through an identity, as what a network takes must come after the checks.
            return endpoint(**dict(zip(endpoint.specs, map(tf.identity, tensors), strict=True)))

    answer.__name__ = name  # for the graph, the profiler, and the errors of the converter
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(element.name, place) for element in endpoint.inputs]
    answer.__signature__ = inspect.Signature(parameters)
    function = tf.function(answer, autograph=False)
    return function, function.get_concrete_function(**endpoint.specs)


def save(endpoints, path, verbose=False):
    """Writes a SavedModel with a signature for each of `{name: Endpoint}`; weights lie in it once.

    Args:
        endpoints: the first is `serving_default` too.
        path: a folder to be made.
        verbose: whether the signatures are printed.
    """
    # Without `track(model)`, which would write each weight a second time. And not by
    # `tf.saved_model.save` of anything that holds Keras variables: that loads in C++, but a C++
    # session does not find its variables when it runs.
    archive = keras.export.ExportArchive()
    for name, endpoint in endpoints.items():
        function, _ = trace(name, endpoint)  # the archive takes a function, and wants it traced
        archive.add_endpoint(name, function)
    archive.write_out(str(path), verbose=verbose)


def _checks(endpoint, tensors):
    """Assertions of what `trace` promises. (LiteRT's converter leaves them out.)"""
    rows, checks = tf.shape(tensors[0])[0], []
    for other, tensor in zip(endpoint.inputs[1:], tensors[1:], strict=True):
        message = f"{other.name} must have as many rows as {endpoint.inputs[0].name}"
        checks.append(tf.debugging.assert_equal(tf.shape(tensor)[0], rows, message))
    for element, tensor in zip(endpoint.inputs, tensors, strict=True):
        low, high = element.low, element.high
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


def in_portions(endpoint, inputs, rows=250, say=lambda done, total: None):
    """Runs an endpoint on arrays, portion by portion, in one graph.

    Args:
        endpoint: an `Endpoint`.
        inputs: `{name: array [N, ...]}`, one for each of its inputs.
        rows: of a portion; where the endpoint has a fixed number of them it is that one.
        say: takes how many rows are done, and N, after each portion.

    Returns:
        `{name: array [N, ...]}`, one for each of its outputs.
    """
    count, rows = len(next(iter(inputs.values()))), endpoint.batch or rows
    graph = tf.function(lambda given: endpoint(**given), reduce_retracing=True, autograph=False)
    portions = []
    for start in range(0, count, rows):
        places = np.arange(start, min(start + rows, count))
        padded = np.resize(places, rows) if endpoint.batch else places
        given = {
            element.name: tf.constant(np.asarray(inputs[element.name])[padded], element.dtype)
            for element in endpoint.inputs
        }
        answer = graph(given)
        portions.append({name: value.numpy()[: len(places)] for name, value in answer.items()})
        say(int(places[-1]) + 1, count)
    return {name: np.concatenate([part[name] for part in portions]) for name in portions[0]}
