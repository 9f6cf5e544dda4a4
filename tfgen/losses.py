"""Adversarial losses, in pairs, as functions of logits.

Each takes the discriminator's raw outputs `[N, 1]` (float32, unbounded) and returns the mean over
them, a float32 scalar to be minimized.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class AdversarialLoss(NamedTuple):
    """The two sides of a game: `discriminator(reals, fakes)` and `generator(fakes)`."""

    discriminator: Callable
    generator: Callable


def _cross_entropy(reals, fakes):
    """-E[log D(x)] - E[log(1 - D(G(z)))], where D is the sigmoid of a logit."""
    return tf.reduce_mean(tf.nn.softplus(-reals)) + tf.reduce_mean(tf.nn.softplus(fakes))


# Goodfellow et al., 2014, arXiv:1406.2661. Equation 1: both players move the same value,
# E[log(1 - D(G(z)))], whose slope vanishes where D is sure of itself.
minimax = AdversarialLoss(_cross_entropy, lambda fakes: -tf.reduce_mean(tf.nn.softplus(fakes)))

# Section 3, last paragraph: the generator maximizes E[log D(G(z))], the same fixed point with a
# strong slope early in learning.
non_saturating = AdversarialLoss(
    _cross_entropy, lambda fakes: tf.reduce_mean(tf.nn.softplus(-fakes))
)
