"""Multivariate Gaussian, fitted by maximum likelihood.

    max  1/N sum_n log N(x_n; m, S),   attained at
    m = 1/N sum_n x_n,  S = 1/N sum_n (x_n - m)(x_n - m)^T

The density to beat: all that it knows of the data are means and covariances. It has a closed form,
which is one step on the whole set.

Fisher, "On the mathematical foundations of theoretical statistics", Philosophical Transactions of
the Royal Society A 222, 1922, doi:10.1098/rsta.1922.0009 (maximum likelihood).
"""

import math
from typing import Annotated

import tensorflow as tf

from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.model import update
from tfgen.runs.recipes import Stage, Tiny
from zoo.density._density import (
    Density,
    check_rows,
    check_size,
    check_spread,
    factored,
    identity,
    moments,
    normal_log_prob,
)

TINY = (Tiny({}), Tiny({"ridge": 0.0}, "ring"))


class Gaussian(Density):
    """A mean m and the Cholesky factor L of a covariance: x = m + L z, z ~ N(0, I).

    Args:
        element: as in `Density`.
        ridge: is added to the variances.
    """

    def __init__(self, element, ridge=0.0):
        super().__init__(element)
        self.ridge = ridge
        self.centre = self.variable([self.size])
        self.factor = self.variable([self.size, self.size], "identity")
        self.inverse = self.variable([self.size, self.size], "identity")  # L^-1
        self.log_det = self.variable()  # of L

    def begin(self, data):
        if not self.ridge:
            check_spread(data)

    @property
    def objectives(self):
        return {"likelihood": update(self.assign_moments, self.mean_log_prob)}

    def assign_moments(self, rows):
        """The closed form, exact where `rows` are the whole set."""
        centre, covariance = moments(self.vectors(rows))
        factor, inverse, log_det = factored(covariance + self.ridge * identity(self.size))
        self.centre.assign(tf.cast(centre, tf.float32))
        self.factor.assign(tf.cast(factor, tf.float32))
        self.inverse.assign(tf.cast(inverse, tf.float32))
        self.log_det.assign(tf.cast(log_det, tf.float32))
        # The mean of z^2 is the trace of S^-1 (S - ridge).
        squares = self.size - self.ridge * tf.reduce_sum(inverse**2)
        return {"log_prob": normal_log_prob(squares, log_det, self.size)}

    def log_prob(self, rows):
        """log N(x; m, S), float32 `[N]` in nats."""
        squares = tf.reduce_sum(self.encode(rows) ** 2, axis=-1)
        return normal_log_prob(squares, self.log_det, self.size)

    def encode(self, rows):
        """Whitened rows, z = L^-1 (x - m): float32 `[N, D]`."""
        return tf.matmul(self.vectors(rows) - self.centre, self.inverse, transpose_b=True)

    def decode(self, latents):
        """x = m + L z, within the range of the data."""
        return self.rows(self.centre + tf.matmul(latents, self.factor, transpose_b=True))

    def latents(self, seeds):
        """z ~ N(0, I): float32 `[N, D]`, from int32 seeds, one a row."""
        return random.normal(seeds, [self.size])

    def sample(self, seeds):
        """Rows from int32 seeds; images are clipped to their range."""
        return self.decode(self.latents(seeds))

    @property
    def endpoints(self):
        latents, rows = Element("latents", (self.size,)), self.element
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (rows,)),
            "log_prob": Endpoint(self.log_prob, (rows,), (Element("log_prob"),)),
            "latents": Endpoint(self.latents, (SEEDS,), (latents,)),
            "decode": Endpoint(self.decode, (latents,), (rows,)),
            "encode": Endpoint(self.encode, (rows,), (latents,)),
        }


def recipe(data, ridge: Annotated[float, (0.0, math.inf)] = 1e-6):
    """The closed form. A departure: `ridge` is added to the variances, as pixels that never vary
    have none and leave no density. By default it is below the variance of the rounding to 8 bits,
    (2 / 255)^2 / 12 = 5e-6. With 0 it is maximum likelihood to the letter.

    Args:
        ridge: what is added to the variances.
    """
    check_rows("gaussian", data)
    check_size("gaussian", data, 1, "take a smaller image_size, or ppca")
    yield Stage(Gaussian(data.element, ridge), data, None, batch_size=data.size, epochs=1)
