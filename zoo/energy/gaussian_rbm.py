"""Restricted Boltzmann machine with Gaussian pixels.

    p(v) = exp(-F(v)) / Z,   F(v) = |v - a|^2 / 2 - sum_j softplus(b_j + (v W)_j),
    min  E_x[F(x)] - E_v~p[F(v)],   whose slope is that of -log p(x)

Visible units are numbers, each a Gaussian of variance 1 given the binary hidden units. So p is a
mixture of 2^H Gaussians whose centres are a plus sums of columns of W. Rows are standardized, so
that the variance of 1 is a fit; how far the machine gets is a matter of how many hidden units share
the work.

Krizhevsky, "Learning multiple layers of features from tiny images", technical report, University of
Toronto, 2009; contrastive divergence: Hinton, 2002, doi:10.1162/089976602760128018.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.errors import InputError
from tfgen.runs.recipes import Stage, Tiny
from zoo.energy.rbm import RBM, Energy

FLAT = 0.05  # of the largest deviation: what varies less is not magnified to 1


class GaussianEnergy(Energy):
    """A machine whose visible units are numbers; `outputs` are their means."""

    def call(self, v):
        squares = tf.reduce_sum((v - self.visible) ** 2, axis=-1)
        return 0.5 * squares - tf.reduce_sum(tf.nn.softplus(self.inputs(v)), axis=-1)


class GaussianRBM(RBM):
    """A machine of standardized rows, trained by contrastive divergence; arguments as of `RBM`."""

    if_diverged = "take a smaller learning_rate: with numbers for pixels it has to be 10 times less"

    def __init__(self, element, hidden, gibbs=1, chain=1000):
        super().__init__(element, hidden, gibbs, chain)
        self.energy = GaussianEnergy(self.size, hidden)
        self.centre, self.scale = (
            self.add_weight((self.size,), first, trainable=False, name=name)
            for first, name in (("zeros", "centre"), ("ones", "scale"))
        )

    def begin(self, data):
        """Means and deviations of the rows, by which they are standardized."""
        rows = data.rows("train").reshape(data.size, -1).astype("float64")
        deviations = rows.std(axis=0)
        if not deviations.any():
            raise InputError(f"all rows of {data.name} are the same: there is nothing to learn")
        self.centre.assign(rows.mean(axis=0))
        self.scale.assign(np.maximum(deviations, FLAT * deviations.max()))

    def observed(self, images, seeds):
        return self.units(images)

    def units(self, images):
        return (tf.reshape(images, [-1, self.size]) - self.centre) / self.scale

    def visible(self, outputs, seeds, stream):
        return outputs + random.normal(seeds, [self.size], stream)

    def log_volume(self):
        return tf.constant(0.5 * self.size * math.log(2.0 * math.pi), tf.float64)

    def images(self, units):
        """Standardized rows as rows, within the range of the data."""
        rows = tf.reshape(self.centre + self.scale * units, [-1, *self.element.shape])
        return tf.clip_by_value(rows, self.element.low, self.element.high)

    def sample(self, seeds):
        """Rows by `chain` steps of Gibbs sampling, the last without its noise, of int32 seeds."""
        h = self.draw_hidden(self.draw(seeds, self.chain), seeds)
        return self.images(self.energy.outputs(h))

    def draw_hidden(self, v, seeds):
        """Draws h given v: binary `[N, H]`."""
        draws = random.uniform(seeds, [self.energy.hidden.shape[0]], 1_000_001)
        return tf.cast(draws < tf.sigmoid(self.energy.inputs(v)), tf.float32)

    def decode(self, hidden):
        """Rows of hidden units `[N, H]`: the means."""
        return self.images(self.energy.outputs(hidden))


def recipe(
    data,
    hidden=500,
    gibbs=1,
    chain=1000,
    learning_rate=1e-3,
    batch_size=100,
    epochs=20,
):
    """Standardized rows, a variance of 1 that is not learnt, and a rate far below that of binary
    machines; it falls to 0 in a straight line. A departure: pixels that hardly vary are divided by
    a twentieth of the largest deviation, not by their own; the paper whitens natural images.

    Args:
        hidden: how many hidden units.
        gibbs: steps of a chain for each step of training.
        chain: steps of the chain that draws a sample.
        learning_rate: of the first step.
    """
    if data.has_domains or data.element.kind not in ("images", "points"):
        what = "images of two domains" if data.has_domains else data.element.kind
        raise InputError(f"gaussian_rbm takes images or points, but {data.name} has {what}")
    model = GaussianRBM(data.element, hidden, gibbs, chain)
    steps = epochs * data.steps_per_epoch(batch_size)
    rate = keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, 0.0)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


TINY = (Tiny({"hidden": 6, "chain": 3, "batch_size": 16}),)
