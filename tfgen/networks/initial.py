"""How weights start."""

import keras


def narrow():
    """N(0, 0.02), as in DCGAN (Radford et al., 2016, arXiv:1511.06434) and most after it."""
    return keras.initializers.RandomNormal(stddev=0.02)


def uniform(limit):
    """U(-limit, limit)."""
    return keras.initializers.RandomUniform(-limit, limit)


def reseeded(initializer):
    """A copy with a seed of its own: Keras' initializers give the same numbers at each call."""
    return keras.initializers.get(initializer).clone()
