"""What a model offers to the world: named functions with named, described inputs and outputs."""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfgen.errors import InputError


class Element(NamedTuple):
    """One row of a tensor: its name, shape, dtype and range (both ends included).

    A size that is None is free, but a multiple of `multiple`.
    """

    name: str
    shape: tuple = ()
    dtype: str = "float32"
    low: float = -math.inf
    high: float = math.inf
    multiple: int = 1

    def spec(self, batch=None):
        """The `tf.TensorSpec` of `batch` rows, by default of any number."""
        return tf.TensorSpec([batch, *self.shape], self.dtype, name=self.name)


SEEDS = Element("seeds", (), "int32", -(2**31), 2**31 - 1)


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

    @property
    def specs(self):
        """`{name: tf.TensorSpec}` of the inputs."""
        return {element.name: element.spec(self.batch) for element in self.inputs}

    def __call__(self, **tensors):
        values = self.function(*(tensors[element.name] for element in self.inputs))
        values = values if isinstance(values, tuple) else (values,)
        return {e.name: value for e, value in zip(self.outputs, values, strict=True)}


def classes(endpoint):
    """How many classes an endpoint tells apart by its "labels": 0 where it has none."""
    return next((e.high + 1 for e in endpoint.inputs if e.name == "labels"), 0)


def draw(endpoint, seeds, label=None):
    """Runs a `sample` endpoint.

    Args:
        endpoint: an `Endpoint` whose inputs are "seeds" and, where there are classes, "labels".
        seeds: int32 `[N]`.
        label: an int, the class of all rows; None for the classes in turn: 0, 1, 2, …

    Returns:
        The first output, `[N, ...]`.

    Raises:
        InputError: a label where there are no classes, or one that is none of them.
    """
    inputs, count = {"seeds": seeds}, classes(endpoint)
    if label is not None and not 0 <= label < count:
        known = f"its labels are 0 to {count - 1}" if count else "this model has no classes"
        raise InputError(f"label {label}: {known}")
    if count:
        turn = tf.range(tf.shape(seeds)[0]) % count
        inputs["labels"] = turn if label is None else tf.fill(tf.shape(seeds), label)
    return endpoint(**inputs)[endpoint.outputs[0].name]
