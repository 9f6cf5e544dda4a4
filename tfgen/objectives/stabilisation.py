"""What helps an adversarial game along, in pieces that combine with each other and any model.

`one_sided`, `noisy` and `flipped` take an `AdversarialLoss` and return another one. They see labels
by what logits cost: the discriminator's loss is a(reals) + b(fakes), so a row that is called real
costs a, and one that is called fake costs b.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.objectives.losses import AdversarialLoss


def one_sided(loss, share=0.1):
    """One-sided label smoothing: reals are called real by `1 - share`, fakes fake as before.

    Salimans et al., 2016, arXiv:1606.03498, section 3.4. The loss is (1 - share) a(reals) +
    share b(reals) + b(fakes): of a cross-entropy that with targets 1 - share and 0. (Of a loss for
    which a(0) is not b(0) it differs by a constant.)
    """

    def discriminator(reals, fakes):
        zeros = tf.zeros_like(reals)
        more = loss.discriminator(zeros, reals) - loss.discriminator(reals, zeros)  # b - a
        return loss.discriminator(reals, fakes) + share * more

    return AdversarialLoss(discriminator, loss.generator)


def noisy(loss, probability=0.05):
    """Noisy labels: for the discriminator a real and a fake change places with `probability`.

    Chintala, Denton, Arjovsky and Mathieu, "How to train a GAN?", 2016, number 6.
    """

    def discriminator(reals, fakes):
        swapped = random.uniform(random.fresh(reals), reals.shape[1:]) < probability
        return loss.discriminator(tf.where(swapped, fakes, reals), tf.where(swapped, reals, fakes))

    return AdversarialLoss(discriminator, loss.generator)


def flipped(loss):
    """Flipped labels: the generator calls its fakes real, and minimizes a(fakes).

    The same list, number 2. (The constant is as in `one_sided`: `flipped(minimax)` is
    `non_saturating`.)
    """

    def generator(fakes):
        zeros = tf.zeros_like(fakes)
        return loss.discriminator(fakes, zeros) - loss.discriminator(zeros, zeros) / 2.0

    return AdversarialLoss(loss.discriminator, generator)


def on_sphere(latents):
    """Latents `[N, D]` at their directions on the sphere of radius sqrt(D).

    Where normal latents nearly are, for large D; so ways between them had better follow the sphere
    (White, 2016, arXiv:1609.04468). The same list, number 3.
    """
    radius = latents.shape[-1] ** 0.5
    return radius * tf.math.l2_normalize(latents, axis=-1)


def instance_noise(rows, deviation):
    """Rows with N(0, deviation^2) added, for the eyes of the discriminator only: reals and fakes.

    The two then overlap, and their divergence has a slope. Sonderby, Caballero, Theis, Shi and
    Huszar, 2017, arXiv:1610.04490; let the deviation fall to 0 in training.

    Args:
        rows: float32 `[N, ...]`.
        deviation: a number, or a float32 scalar tensor such as `falling` gives.
    """
    return rows + deviation * random.normal(random.fresh(rows), rows.shape[1:])


def falling(start, step, steps):
    """From `start` to 0 in `steps` steps, linearly: float32 scalar at int32 scalar `step`."""
    return start * tf.maximum(0.0, 1.0 - tf.cast(step, tf.float32) / steps)


def feature_matching(reals, fakes):
    """|E f(x) - E f(G(z))|^2, of features `[N, F]`, the means over the batch of all replicas.

    A generator's loss: Salimans et al., 2016, arXiv:1606.03498.
    """
    replica = tf.distribute.get_replica_context()
    means = [tf.reduce_mean(tf.cast(rows, tf.float32), axis=0) for rows in (reals, fakes)]
    real, fake = replica.all_reduce("MEAN", means)
    return tf.reduce_sum((real - fake) ** 2)


def averaged(optimizer, momentum, player="generator", others=("discriminator",)):
    """An optimizer for each player; that of `player` also averages the weights that it moves.

        average <- momentum average + (1 - momentum) weights,  after each update

    Where the trained model is used, the average takes the place of the weights (Keras' `use_ema`):
    a generator circles around what it would be. (Yazici et al., 2019, arXiv:1806.04498. The
    statistics of its batch normalization are those of the weights, not of the average.)

    Args:
        optimizer: a Keras optimizer, or `{player: optimizer}`.
        momentum: a number from 0 to 1, such as 0.999; None to leave all as it is.
        player, others: names of objectives.

    Returns:
        What a stage takes: `{player: optimizer}`, or `optimizer` where there is no momentum.
    """
    if momentum is None:
        return optimizer
    if not isinstance(optimizer, dict):
        optimizer = dict.fromkeys((*others, player), optimizer)
    average = {"use_ema": True, "ema_momentum": momentum}
    return {
        name: type(own).from_config(own.get_config() | (average if name == player else {}))
        for name, own in optimizer.items()
    }


class HistoricalAveraging(keras.layers.Layer):
    """Historical averaging: how far weights are from their means over all steps so far.

        |theta - 1/t sum_i theta[i]|^2

    Salimans et al., 2016, arXiv:1606.03498.

    Args:
        network: whose trainable variables are followed; a built Keras model or layer.
    """

    def __init__(self, network, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.averages = [
            self.add_weight(v.shape, trainable=False, aggregation="only_first_replica")
            for v in network.trainable_variables
        ]
        for average, variable in zip(self.averages, network.trainable_variables, strict=True):
            average.assign(variable)
        self.built = True

    def distance(self, network):
        """The term, a float32 scalar."""
        pairs = zip(network.trainable_variables, self.averages, strict=True)
        return tf.add_n([tf.reduce_sum((v.value - average.value) ** 2) for v, average in pairs])

    def update(self, network, step):
        """Takes in the weights after step number `step`, int32, of which 0 is the first."""
        share = 1.0 / tf.cast(step + 2, tf.float32)  # those before any step count, too
        for average, variable in zip(self.averages, network.trainable_variables, strict=True):
            average.assign(average.value + share * (variable.value - average.value))
