"""Adversarial losses, in pairs, as functions of logits.

Each takes the discriminator's raw outputs `[N, ...]` (float32, unbounded) and returns the mean over
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


# Goodfellow et al., 2014, arXiv:1406.2661: both players move the same value, E[log(1 - D(G(z)))],
# whose slope vanishes where D is sure of itself.
minimax = AdversarialLoss(_cross_entropy, lambda fakes: -tf.reduce_mean(tf.nn.softplus(fakes)))

# There, too: the generator maximizes E[log D(G(z))], the same fixed point with a strong slope early
# in learning.
non_saturating = AdversarialLoss(
    _cross_entropy, lambda fakes: tf.reduce_mean(tf.nn.softplus(-fakes))
)

# Mao et al., 2017, arXiv:1611.04076: 1 for reals, 0 for fakes, and 1 what G aims at; without their
# factor 1/2.
least_squares = AdversarialLoss(
    lambda reals, fakes: tf.reduce_mean((reals - 1.0) ** 2) + tf.reduce_mean(fakes**2),
    lambda fakes: tf.reduce_mean((fakes - 1.0) ** 2),
)

# Lim and Ye, 2017, arXiv:1705.02894; Tran, Ranganath and Blei, 2017, arXiv:1702.08896.
hinge = AdversarialLoss(
    lambda reals, fakes: (
        tf.reduce_mean(tf.nn.relu(1.0 - reals)) + tf.reduce_mean(tf.nn.relu(1.0 + fakes))
    ),
    lambda fakes: -tf.reduce_mean(fakes),
)

# Arjovsky, Chintala and Bottou, 2017, arXiv:1701.07875: where the critic's slope is at most 1, its
# best value is the earth mover's distance.
wasserstein = AdversarialLoss(
    lambda reals, fakes: tf.reduce_mean(fakes) - tf.reduce_mean(reals),
    lambda fakes: -tf.reduce_mean(fakes),
)

# Hjelm et al., 2018, arXiv:1702.08431, for continuous data: the logit is log D - log(1 - D).
boundary_seeking = AdversarialLoss(_cross_entropy, lambda fakes: tf.reduce_mean(fakes**2) / 2.0)


def class_loss(logits, labels):
    """-E[log p(c)], of logits `[N, classes]` and labels int32 `[N]`: a float32 scalar."""
    logits = tf.cast(logits, tf.float32)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def margin(size):
    """Each real row should score better than the fake row beside it, by `size`, and need no more.

    Juefei-Xu, Boddeti and Savvides, 2017, arXiv:1704.04865.
    """
    return AdversarialLoss(
        lambda reals, fakes: tf.reduce_mean(tf.nn.relu(size + fakes - reals)),
        wasserstein.generator,
    )
