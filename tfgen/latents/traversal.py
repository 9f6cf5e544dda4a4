"""What a code means: images in which one thing varies from left to right, and nothing else."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen.endpoint import classes, seeds_from
from tfgen.errors import InputError
from tfgen.latents.decoding import PRIOR, decoder

COLUMNS = 10
PROBES = 8  # seeds that show how much a code changes


class Code(NamedTuple):
    """Some numbers of a vector that mean something together.

    Attributes:
        name: for people.
        columns: their places in the vector, a slice.
        values: float32 `[V, places]`, what they are to be from left to right.
        vector: the input of the endpoint that they belong to.
        in_turn: whether rows take the values in turn where another code is varied: of a category.
    """

    name: str
    columns: slice
    values: np.ndarray
    vector: str = "latents"
    in_turn: bool = False


def steps(first, last):
    """Values `[10, 1]` from one number to another: y = (1 - a) first + a last."""
    return np.linspace(first, last, COLUMNS, dtype="float32")[:, None]


def codes(model):
    """The `Code`s of a model: its own, `model.codes`, then a code for each latent dimension.

    Raises:
        InputError: nothing makes images of latents.
    """
    decoder(model)
    prior = np.percentile(model.latents(tf.range(PRIOR)), [2, 98], axis=0)  # [2, D]
    own = list(getattr(model, "codes", ()))
    dimensions = [
        Code(f"latent {i + 1}", slice(i, i + 1), steps(*ends)) for i, ends in enumerate(prior.T)
    ]
    return own + dimensions


def find(model, code):
    """A `Code` of a model by its name, or by its number among `codes`, which begins at 1.

    Raises:
        InputError: there is none; names the first ones.
    """
    known = codes(model)
    named = {code.name: code for code in known}
    if code in named:
        return named[code]
    if str(code).isdecimal() and 1 <= int(code) <= len(known):
        return known[int(code) - 1]
    listed = ", ".join(f"{i} ({code.name})" for i, code in enumerate(known[:12], start=1))
    raise InputError(
        f"code {code}: there are 1 to {len(known)}: {listed}{', …' if len(known) > 12 else ''}"
    )


def traverse(model, code, rows=10, seed=0):
    """Varies one code of some latents.

    Args:
        model: has an endpoint `decode` and `latents(seeds)`.
        code: a `Code` of the model.
        rows: an int; row k has the latents of seed + k, and class k where there are classes.
        seed: an int.

    Returns:
        float32 `[rows, V, H, W, C]`.

    Raises:
        InputError: there are no such seeds.
    """
    return _varied(model, code, code.values, _start(model, rows, seed))


def most_varied(model, count=10, seed=0):
    """The `Code`s that change pictures most, in this order: at most `count`.

    How much is the mean squared difference of the pictures at both ends, over a few seeds.
    """
    known = [code for code in codes(model) if len(code.values) == COLUMNS]
    start, change = _start(model, PROBES, seed), []
    for code in known:
        ends = _varied(model, code, code.values[[0, -1]], start)
        change.append(np.mean((ends[:, 0] - ends[:, 1]) ** 2))
    return [known[i] for i in np.argsort(change)[::-1][:count]]


def _start(model, rows, seed):
    """What the decoder takes, by name: `[rows, ...]`, where nothing is varied yet."""
    endpoint, turn = decoder(model), np.arange(rows, dtype="int32")
    inputs = {"latents": model.latents(tf.constant(seeds_from(seed, rows))).numpy()}
    names = [element.name for element in endpoint.inputs]
    if "labels" in names:
        inputs["labels"] = turn % classes(endpoint)
    if "conditions" in names:
        inputs["conditions"] = model.conditions(tf.constant(turn) % model.classes).numpy()
    for code in getattr(model, "codes", ()):
        if code.in_turn:
            inputs[code.vector][:, code.columns] = code.values[turn % len(code.values)]
    return inputs


def _varied(model, code, values, inputs):
    """Rows for each of some values of a code: float32 `[rows, V, H, W, C]`."""
    endpoint, columns = decoder(model), []
    for value in values:
        varied = inputs[code.vector].copy()
        varied[:, code.columns] = value
        tensors = {key: tf.constant(v) for key, v in (inputs | {code.vector: varied}).items()}
        columns.append(endpoint(**tensors)[endpoint.outputs[0].name].numpy())
    return np.stack(columns, axis=1)
