"""Gaussian mixture, fitted by expectation maximization.

    max  sum_n log p(x_n),  p(x) = sum_k w_k N(x; m_k, S_k),  by
    r_nk = w_k N(x_n; m_k, S_k) / p(x_n)   (E step),   N_k = sum_n r_nk,   w_k = N_k / N,
    m_k = 1/N_k sum_n r_nk x_n,   S_k = 1/N_k sum_n r_nk (x_n - m_k)(x_n - m_k)^T   (M step)

Which component a row came from is not known: the E step says how probable each is, the M step fits
each to the rows as far as they are its own. The likelihood never falls. A step is on the whole set.

Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm", Journal
of the Royal Statistical Society B 39, 1977, doi:10.1111/j.2517-6161.1977.tb01600.x.
"""

import math
from typing import Annotated

import numpy as np
import tensorflow as tf
from sklearn import cluster, metrics

from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.errors import InputError, check_choice
from tfgen.model import mean_over_replicas, update
from tfgen.runs.recipes import Stage, Tiny
from zoo.density._density import (
    Density,
    check_rows,
    check_size,
    check_spread,
    factored,
    log_sum,
    normal_log_prob,
    total,
)

TINY = (
    Tiny({"components": 8, "epochs": 2}, "ring"),
    Tiny({"components": 3, "covariance": "diagonal", "start": "random", "epochs": 2}),
)


class GMM(Density):
    """A mixture of K Gaussians, each with a full covariance.

    Args:
        element: the `Element` of the rows.
        components: K.
        ridge: is added to the variances in each step.
        start: "kmeans++" or "random", see `begin`.
    """

    if_diverged = (
        "a component has shrunk to rows that do not spread: take a ridge, or fewer components"
    )

    def __init__(self, element, components, ridge=0.0, start="kmeans++"):
        super().__init__(element)
        self.components, self.ridge, self.start = components, ridge, start
        self.log_weights = self.variable([components])
        self.ends = self.variable([components])  # w_1, w_1 + w_2, ..., 1
        self.centres = self.variable([components, self.size])
        self.factors = self.variable([components, *self.spread])
        self.inverses = self.variable([components, *self.spread])
        self.log_dets = self.variable([components])  # of the factors

    @property
    def spread(self):
        """The shape of a component's factor."""
        return self.size, self.size

    def begin(self, data):
        """Chooses rows as centres; all components are equal, round, and as wide as rows are far.

        "kmeans++" takes rows far from each other (Arthur and Vassilvitskii, SODA 2007), "random"
        any rows. The width is the root of the mean square distance to the nearest centre.
        """
        if not self.ridge:
            check_spread(data)
        rows = data.rows("train").reshape(data.size, -1)
        seed, count = self._seed % 2**32, self.components
        if self.start == "kmeans++":
            centres = cluster.kmeans_plusplus(rows, count, random_state=seed)[0]
        else:
            centres = rows[np.random.RandomState(seed).choice(len(rows), count, replace=False)]
        distances = metrics.pairwise_distances_argmin_min(rows, centres)[1].astype("float64")
        variance = (distances**2).mean() / self.size + self.ridge
        covariances = np.broadcast_to(variance * self.unit, [count, *self.spread])
        self.assign(np.full([count], 1.0 / count), centres, covariances)

    @property
    def unit(self):
        """The covariance that is 1 in all directions."""
        return np.eye(self.size)

    @property
    def objectives(self):
        return {"em": update(self.expect_and_maximize, self.mean_log_prob)}

    def expect_and_maximize(self, rows):
        """A step of EM on rows, best on all of them.

        The terms: the mean log-density before the step, and the geometric mean of the deviations
        of the narrowest component after it.
        """

        def expect(part):
            joint = self.log_joint(part)
            log_prob = tf.reduce_logsumexp(joint, axis=-1)
            shares = tf.exp(joint - log_prob[:, None])  # r_nk
            offsets = part - self.precisely(self.centres)[:, None]  # [K, n, D]
            sums = tf.reduce_sum(shares, axis=0), tf.einsum("nk,knd->kd", shares, offsets)
            return tf.reduce_sum(log_prob), *sums, self.scatter(shares, offsets)

        vectors = self.vectors(rows)
        sums = total(expect, vectors, self.components * self.size)
        count = tf.cast(tf.shape(vectors)[0], tf.float64)
        log_prob, counts, firsts, seconds, count = mean_over_replicas((*sums, count))
        counts += 1e-15  # a component may have lost all rows
        shifts = firsts / counts[:, None]
        covariances = self.covariances(shifts, seconds, counts) + self.ridge * self.unit
        log_dets = self.assign(counts / count, self.precisely(self.centres) + shifts, covariances)
        narrowest = tf.exp(tf.reduce_min(log_dets) / self.size)
        return {"log_prob": log_prob / count, "narrowest": narrowest}

    def assign(self, weights, centres, covariances):
        """Sets the mixture to `[K]`, `[K, D]`, `[K, *spread]`; gives the log-determinants."""
        factors, inverses, log_dets = self.factored(tf.convert_to_tensor(covariances))
        ends = tf.concat([tf.cumsum(weights)[:-1], [1.0]], axis=0)
        for variable, value in (
            (self.log_weights, tf.math.log(weights)),
            (self.ends, ends),
            (self.centres, centres),
            (self.factors, factors),
            (self.inverses, inverses),
            (self.log_dets, log_dets),
        ):
            variable.assign(tf.cast(value, tf.float32))
        return log_dets

    def precisely(self, variable):
        """A variable in float64."""
        return tf.cast(variable, tf.float64)

    def scatter(self, shares, offsets):
        """sum_n r_nk o_nk o_nk^T: `[K, *spread]`."""
        return tf.matmul(offsets * tf.transpose(shares)[..., None], offsets, transpose_a=True)

    def covariances(self, shifts, seconds, counts):
        """Of the means that lie `shifts` beside the old ones, from the scatter around these."""
        return seconds / counts[:, None, None] - shifts[:, :, None] * shifts[:, None, :]

    def factored(self, covariances):
        """Factors, inverses and log-determinants, as `_density.factored`."""
        return factored(covariances)

    def whitened(self, offsets):
        """L_k^-1 (x_n - m_k): `[K, N, D]`, from x_n - m_k."""
        inverses = tf.cast(self.inverses, offsets.dtype)
        return tf.matmul(offsets, inverses, transpose_b=True)

    def coloured(self, chosen, noise):
        """L_k z_n: `[N, D]`, k the one that is 1 in `chosen [N, K]`."""
        masked = tf.reshape(chosen[:, :, None] * noise[:, None], [-1, self.components * self.size])
        stacked = tf.transpose(self.factors, [0, 2, 1])  # L_1^T above L_2^T above ...
        return tf.matmul(masked, tf.reshape(stacked, [-1, self.size]))

    def log_joint(self, vectors):
        """log w_k N(x_n; m_k, S_k): `[N, K]`, from `[N, D]`, in the precision of these."""
        centres, log_dets, log_weights = (
            tf.cast(v, vectors.dtype) for v in (self.centres, self.log_dets, self.log_weights)
        )
        squares = tf.reduce_sum(self.whitened(vectors - centres[:, None]) ** 2, axis=-1)
        return log_weights + normal_log_prob(tf.transpose(squares), log_dets, self.size)

    def log_prob(self, rows):
        """log p(x), float32 `[N]` in nats."""
        return log_sum(self.log_joint(self.vectors(rows)))

    def shares(self, rows):
        """r_nk, how probable each component is: float32 `[N, K]`."""
        return tf.nn.softmax(self.log_joint(self.vectors(rows)))

    def sample(self, seeds):
        """Rows from int32 seeds: a component is drawn, then a row of it; images are clipped."""
        place = random.uniform(seeds, [1], stream=1)
        below = tf.cast(place < self.ends, tf.float32)  # 0, ..., 0, 1, ..., 1
        chosen = below - tf.pad(below[:, :-1], [[0, 0], [1, 0]])
        noise = random.normal(seeds, [self.size])
        return self.rows(tf.matmul(chosen, self.centres.value) + self.coloured(chosen, noise))

    @property
    def endpoints(self):
        rows, log_prob = self.element, Element("log_prob")
        probabilities = Element("probabilities", (self.components,), low=0.0, high=1.0)
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (rows,)),
            "log_prob": Endpoint(self.log_prob, (rows,), (log_prob,)),
            "components": Endpoint(self.shares, (rows,), (probabilities,)),
        }


class DiagonalGMM(GMM):
    """A mixture whose components have a variance for each number, and no covariances."""

    @property
    def spread(self):
        return (self.size,)

    @property
    def unit(self):
        return np.ones([self.size])

    def scatter(self, shares, offsets):
        return tf.einsum("nk,knd->kd", shares, offsets**2)

    def covariances(self, shifts, seconds, counts):
        return seconds / counts[:, None] - shifts**2

    def factored(self, covariances):
        factors = tf.sqrt(covariances)
        return factors, 1.0 / factors, tf.reduce_sum(tf.math.log(factors), axis=-1)

    def whitened(self, offsets):
        return offsets * tf.cast(self.inverses, offsets.dtype)[:, None]

    def coloured(self, chosen, noise):
        return tf.matmul(chosen, self.factors.value) * noise


COVARIANCES = {"full": GMM, "diagonal": DiagonalGMM}


def recipe(
    data,
    components=10,
    covariance="full",
    ridge: Annotated[float, (0.0, math.inf)] = 1e-6,
    start="kmeans++",
    epochs=100,
):
    """EM as in the paper's example of mixtures, with what scikit-learn's `GaussianMixture` adds:
    a `ridge` on the variances, 1e-6, without which a component may shrink to a row, of infinite
    density, and at most 100 steps. The start is k-means++ without k-means after it, whose work EM
    does itself.

    Args:
        components: how many Gaussians.
        covariance: full or diagonal.
        ridge: what is added to the variances.
        start: the first centres, by kmeans++ or random rows.
    """
    check_rows("gmm", data)
    check_choice("covariance", covariance, COVARIANCES)
    check_choice("start", start, ("kmeans++", "random"))
    if components > data.size:
        raise InputError(
            f"gmm: components={components}, but {data.name} has {data.size} rows: take fewer"
        )
    if covariance == "full":
        check_size("gmm", data, components, "take covariance=diagonal or fewer components")
    model = COVARIANCES[covariance](data.element, components, ridge, start)
    yield Stage(model, data, None, data.size, epochs)
