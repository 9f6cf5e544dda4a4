"""From the range of the data to [0, 1] and back, as layers of a network."""

import math

import keras


def to_unit(x, element):
    """Rows in [0, 1], where they have a range: what is dropped is then black."""
    if not math.isfinite(element.high):
        return x
    scale = 1 / (element.high - element.low)
    return keras.layers.Rescaling(scale, -element.low * scale)(x)


def squashed(x, element):
    """A sigmoid onto the range of the data, in float32; all of x where they have no range."""
    if not math.isfinite(element.high):
        return x
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    return keras.layers.Rescaling(element.high - element.low, element.low, dtype="float32")(x)
