"""Fully connected networks."""

import math

import keras

from tfgen.networks.initial import reseeded


def mlp(inputs, outputs, hidden, activation="relu", initializer="glorot_uniform", name="mlp"):
    """Layers of `hidden` units between two shapes.

    Args:
        inputs, outputs: shapes of a row, without the batch; flattened and restored.
        hidden: a sequence of widths.
        activation: of the hidden layers; the output is linear, in float32.
        initializer: of all weights.

    Returns:
        A `keras.Model` from `[N, *inputs]` to `[N, *outputs]`.
    """

    def dense(units, **options):
        return keras.layers.Dense(units, kernel_initializer=reseeded(initializer), **options)

    x = entry = keras.Input(inputs)
    x = keras.layers.Flatten()(x)
    for width in hidden:
        x = dense(width, activation=activation)(x)
    x = dense(math.prod(outputs), dtype="float32")(x)
    x = keras.layers.Reshape(outputs, dtype="float32")(x)
    return keras.Model(entry, x, name=name)
