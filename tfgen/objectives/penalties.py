"""Bounds on a critic's slope, and a push between samples.

Each penalty returns a float32 scalar, the mean over the batch, without a weight.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.errors import InputError


def refuse_batch_norm(critic):
    """Checks that a critic, a `keras.Model`, may stand under a penalty on its slopes.

    Raises:
        InputError: it has batch normalization.
    """
    for layer in critic._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            raise InputError(
                f"the critic has batch normalization ({layer.name}), through which a row's score "
                "depends on the other rows: a penalty on the slope at each row would be of the "
                "wrong slopes, often of 0; use layer or instance normalization, or none"
            )


class Clip(keras.constraints.Constraint):
    """Weights within [-limit, limit], after each update."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, weights):
        return keras.ops.clip(weights, -self.limit, self.limit)


def clipped(critic, limit):
    """The critic, with all that is trained of it clipped from its first update on.

    Arjovsky, Chintala and Bottou, 2017, arXiv:1701.07875, algorithm 1.
    """
    for variable in critic.trainable_variables:
        variable.constraint = Clip(limit)
    return critic


def squared_slopes(critic, rows):
    """|d critic(x) / dx|^2 at each row, float32 `[N]`.

    Args:
        critic: a function from rows to scores `[N, ...]`, each of its own row alone.
        rows: float32 `[N, ...]`.
    """
    with tf.GradientTape() as tape:
        tape.watch(rows)
        scores = critic(rows)
    slopes = tf.cast(tape.gradient(scores, rows), tf.float32)
    return tf.reduce_sum(slopes**2, axis=range(1, slopes.shape.rank))


def _off_one(critic, rows):
    # The root's own slope is infinite at 0.
    return tf.reduce_mean((tf.sqrt(squared_slopes(critic, rows) + 1e-12) - 1.0) ** 2)


def gradient_penalty(critic, reals, fakes):
    """E[(|grad D| - 1)^2] on straight lines between data and samples.

    Gulrajani et al., 2017, arXiv:1704.00028; the place on the line is uniform, a row
    its own. Arguments as in `squared_slopes`; `reals` and `fakes` have the same shape.
    """
    ones = [1] * (reals.shape.rank - 1)
    weights = random.uniform(random.fresh(reals), ones)
    return _off_one(critic, reals + weights * (fakes - reals))


def dragan(critic, reals):
    """E[(|grad D| - 1)^2] around the data.

    Kodali, Abernethy, Hays and Kira, 2017, arXiv:1705.07215. Their text has noise of N(0, cI); this
    is the noise of their published notebook (kodalinaveen3/DRAGAN), which Lucic et al. took over:
    half a standard deviation of the batch's numbers times U(0, 1), to one side, at a place on the
    way there that is uniform, a row its own. The slope is that of the logit, as in the notebook.
    (Lucic et al. differentiate the sigmoid of it, in google/compare_gan's first version; what its
    later `penalty_lib` adds is a noise to both sides, without the way there.)
    """
    replica = tf.distribute.get_replica_context()
    mean = replica.all_reduce("MEAN", tf.reduce_mean(reals))
    variance = replica.all_reduce("MEAN", tf.reduce_mean((reals - mean) ** 2))
    noise = 0.5 * tf.sqrt(variance) * random.uniform(random.fresh(reals), reals.shape[1:])
    place = random.uniform(random.fresh(reals), [1] * (reals.shape.rank - 1))
    return _off_one(critic, reals + place * noise)


def r1(critic, reals):
    """E[|grad D|^2] at the data (Mescheder et al., 2018, arXiv:1801.04406)."""
    return tf.reduce_mean(squared_slopes(critic, reals))


def pull_away(codes):
    """The mean squared cosine between the codes `[N, D]` of different rows, of all replicas.

    Zhao, Mathieu and LeCun, 2017, arXiv:1609.03126.
    """
    codes = tf.distribute.get_replica_context().all_gather(codes, axis=0)
    directions = tf.math.l2_normalize(codes, axis=1)
    similar = tf.matmul(directions, directions, transpose_b=True) ** 2
    rows = tf.cast(tf.shape(codes)[0], tf.float32)
    return (tf.reduce_sum(similar) - tf.linalg.trace(similar)) / (rows * (rows - 1.0))
