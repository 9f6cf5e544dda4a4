"""What a code means: images in which one thing varies from left to right, and nothing else."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen.endpoint import classes
from tfgen.errors import InputError
from tfgen.latents.decoding import PRIOR, decoder

COLUMNS = 10


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
        Code(f"latent {i}", slice(i, i + 1), steps(*ends)) for i, ends in enumerate(prior.T)
    ]
    return own + dimensions


def traverse(model, number, rows=10, seed=0):
    """Varies one code of some latents.

    Args:
        model: has an endpoint `decode` and `latents(seeds)`.
        number: of the code, among those of `codes`.
        rows: an int; row k has the latents of seed + k, and class k where there are classes.
        seed: an int.

    Returns:
        The `Code`, and float32 `[rows, V, H, W, C]`.

    Raises:
        InputError: there is no such code.
    """
    known = codes(model)
    if not 0 <= number < len(known):
        listed = ", ".join(f"{i} ({code.name})" for i, code in enumerate(known[:12]))
        raise InputError(
            f"code {number}: there are 0 to {len(known) - 1}: {listed}"
            f"{', …' if len(known) > 12 else ''}"
        )
    endpoint, chosen = decoder(model), known[number]
    inputs = {"latents": model.latents(tf.range(seed, seed + rows)).numpy()}
    names = [element.name for element in endpoint.inputs]
    if "labels" in names:
        inputs["labels"] = np.arange(rows, dtype="int32") % classes(endpoint)
    if "conditions" in names:
        inputs["conditions"] = model.conditions(tf.range(rows) % model.classes).numpy()
    for code in known:
        if code.in_turn:
            turn = np.arange(rows) % len(code.values)
            inputs[code.vector][:, code.columns] = code.values[turn]

    columns = []
    for value in chosen.values:
        varied = inputs[chosen.vector].copy()
        varied[:, chosen.columns] = value
        tensors = {key: tf.constant(v) for key, v in (inputs | {chosen.vector: varied}).items()}
        columns.append(endpoint(**tensors)[endpoint.outputs[0].name].numpy())
    return chosen, np.stack(columns, axis=1)
