"""Fully connected networks."""

import math

import keras


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
    x = entry = keras.Input(inputs)
    x = keras.layers.Flatten()(x)
    for width in hidden:
        x = keras.layers.Dense(width, activation=activation, kernel_initializer=initializer)(x)
    x = keras.layers.Dense(math.prod(outputs), kernel_initializer=initializer, dtype="float32")(x)
    x = keras.layers.Reshape(outputs, dtype="float32")(x)
    return keras.Model(entry, x, name=name)
