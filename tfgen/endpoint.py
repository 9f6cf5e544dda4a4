"""What a model offers to the world: named functions with named, described inputs and outputs."""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Element(NamedTuple):
    """One row of a tensor: its name, shape, dtype and range (both ends included)."""

    name: str
    shape: tuple = ()
    dtype: str = "float32"
    low: float = -math.inf
    high: float = math.inf

    def spec(self, batch=None):
        """The `tf.TensorSpec` of `batch` rows, by default of any number."""
        return tf.TensorSpec([batch, *self.shape], self.dtype, name=self.name)


SEEDS = Element("seeds", (), "int32", -(2**31), 2**31 - 1)


class Endpoint(NamedTuple):
    """A function of a model: `{name: tensor [N, ...]} -> {name: tensor [N, ...]}`.

    `function` takes one positional tensor for each of `inputs`, and returns one tensor for each
    of `outputs`: a tensor where there is one, else a tuple. The command line, the SavedModel's
    signatures, the LiteRT file and the tests are all made from this one declaration.
    """

    function: Callable
    inputs: tuple
    outputs: tuple

    def __call__(self, **tensors):
        values = self.function(*(tensors[element.name] for element in self.inputs))
        values = values if isinstance(values, tuple) else (values,)
        return {e.name: value for e, value in zip(self.outputs, values, strict=True)}
