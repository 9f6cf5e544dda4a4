"""Probabilistic principal component analysis.

    max  sum_n log N(x_n; m, C),  C = W W^T + s^2 I,   attained at
    W = U_q (L_q - s^2 I)^(1/2),  s^2 = mean of the D - q smallest eigenvalues of the covariance

A row is a point of a plane of q dimensions, x = W z + m + noise, z ~ N(0, I), with noise that is
equal in all directions: principal components with a density. The covariance has D q numbers instead
of D^2. The optimum has a closed form; expectation maximization finds it too, without the covariance
of the rows.

Tipping and Bishop, "Probabilistic principal component analysis", Journal of the Royal Statistical
Society B 61, 1999, doi:10.1111/1467-9868.00196.
"""

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.errors import InputError, check_choice
from tfgen.model import mean_over_replicas, update
from tfgen.runs.recipes import Stage, Tiny
from zoo.density._density import (
    Density,
    check_rows,
    check_size,
    identity,
    moments,
    normal_log_prob,
    total,
)


class PPCA(Density):
    """A mean m, weights W `[D, q]` and a deviation s of the noise, in closed form.

    Args:
        element: the `Element` of the rows.
        components: q.
    """

    if_diverged = "the rows lie in no more directions than components: take fewer components"

    def __init__(self, element, components):
        super().__init__(element)
        self.components = components
        self.centre = self.variable([self.size])
        self.weights_ = self.variable([self.size, components])
        self.deviation = self.variable((), "ones")  # s
        self.inverse = self.variable([self.size, components])  # W M^-1, M = W^T W + s^2 I
        self.basis = self.variable([self.size, components])  # of the plane, orthonormal
        self.log_det = self.variable()  # half of log |C|

    @property
    def objectives(self):
        return {"likelihood": update(self.assign_closed_form, self.mean_log_prob)}

    def assign_closed_form(self, rows):
        """The closed form, exact where `rows` are the whole set."""
        centre, covariance = moments(self.vectors(rows))
        values, directions = tf.linalg.eigh(covariance)  # from the smallest
        rest = self.size - self.components
        noise = tf.reduce_mean(values[:rest])
        weights = directions[:, rest:] * tf.sqrt(tf.maximum(values[rest:] - noise, 0.0))
        log_det = self.assign(centre, weights, known(noise, values[-1]))
        # At the optimum the trace of C^-1 S is D.
        return {"log_prob": normal_log_prob(tf.cast(self.size, tf.float64), log_det, self.size)}

    def assign(self, centre, weights, noise):
        """Sets the model to m `[D]`, W `[D, q]` and s^2, float64; gives half of log |C|."""
        # TensorFlow would stop at an inverse of NaN, in words of its own.
        added = tf.where(tf.math.is_nan(noise), tf.ones_like(noise), noise)
        inner = tf.matmul(weights, weights, transpose_a=True) + added * identity(self.components)
        rest = self.size - self.components
        log_det = 0.5 * (tf.linalg.logdet(inner) + rest * tf.math.log(noise))
        for variable, value in (
            (self.centre, centre),
            (self.weights_, weights),
            (self.deviation, tf.sqrt(noise)),
            (self.inverse, tf.matmul(weights, tf.linalg.inv(inner))),
            (self.basis, tf.linalg.qr(weights).q),
            (self.log_det, log_det),
        ):
            variable.assign(tf.cast(value, tf.float32))
        return log_det

    def log_prob(self, rows):
        """log N(x; m, C), float32 `[N]` in nats."""
        offsets = self.vectors(rows) - self.centre
        latents = tf.matmul(offsets, self.inverse.value)
        # (x - m)^T C^-1 (x - m) is the least of |x - m - W z|^2 / s^2 + |z|^2, at E[z | x].
        misses = (offsets - tf.matmul(latents, self.weights_, transpose_b=True)) / self.deviation
        squares = tf.reduce_sum(misses**2, axis=-1) + tf.reduce_sum(latents**2, axis=-1)
        return normal_log_prob(squares, self.log_det, self.size)

    def encode(self, rows):
        """E[z | x] = M^-1 W^T (x - m): float32 `[N, q]`."""
        return tf.matmul(self.vectors(rows) - self.centre, self.inverse.value)

    def decode(self, latents):
        """E[x | z] = m + W z, within the range of the data."""
        return self.rows(self.centre + tf.matmul(latents, self.weights_, transpose_b=True))

    def reconstruct(self, rows):
        """The nearest points of the plane, which `decode(encode(rows))` falls short of."""
        offsets = self.vectors(rows) - self.centre
        shares = tf.matmul(offsets, self.basis.value)
        return self.rows(self.centre + tf.matmul(shares, self.basis, transpose_b=True))

    def latents(self, seeds):
        """z ~ N(0, I): float32 `[N, q]`, from int32 seeds, one a row."""
        return random.normal(seeds, [self.components])

    def sample(self, seeds):
        """Rows with their noise from int32 seeds; images are clipped to their range."""
        plane = tf.matmul(self.latents(seeds), self.weights_, transpose_b=True)
        noise = self.deviation * random.normal(seeds, [self.size], stream=1)
        return self.rows(self.centre + plane + noise)

    @property
    def endpoints(self):
        latents, rows = Element("latents", (self.components,)), self.element
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (rows,)),
            "log_prob": Endpoint(self.log_prob, (rows,), (Element("log_prob"),)),
            "latents": Endpoint(self.latents, (SEEDS,), (latents,)),
            "decode": Endpoint(self.decode, (latents,), (rows,)),
            "encode": Endpoint(self.encode, (rows,), (latents,)),
            "reconstruct": Endpoint(self.reconstruct, (rows,), (rows,)),
        }


class EMPPCA(PPCA):
    """The same model, fitted by expectation maximization: D q N operations a step."""

    def begin(self, data):
        """m is the mean of the rows, s^2 the mean of their variances, W random and as large."""
        rows = data.rows("train").reshape(data.size, -1).astype("float64")
        variance = rows.var(axis=0).mean()
        draw = np.random.RandomState(self._seed % 2**32)
        weights = np.sqrt(variance) * draw.randn(self.size, self.components)
        self.assign(*map(tf.constant, (rows.mean(axis=0), weights, variance)))

    @property
    def objectives(self):
        return {"em": update(self.expect_and_maximize, self.mean_log_prob)}

    def expect_and_maximize(self, rows):
        """A step of EM on rows, best on all of them; the mean log-density before it."""
        centre, weights, noise, log_det = (
            tf.cast(v, tf.float64)
            for v in (self.centre, self.weights_, self.deviation**2, self.log_det)
        )

        def sums(part):
            offsets = part - centre
            latents = tf.matmul(offsets, weights)
            spread = tf.matmul(offsets, latents, transpose_a=True)
            return spread, tf.reduce_sum(offsets**2), tf.cast(tf.shape(part)[0], tf.float64)

        spread, squares, count = mean_over_replicas(total(sums, self.vectors(rows), self.size))
        spread, squares = spread / count, squares / count  # S W and the trace of S
        unit = identity(self.components)
        outer = tf.matmul(weights, spread, transpose_a=True)  # W^T S W
        inverse = tf.linalg.inv(tf.matmul(weights, weights, transpose_a=True) + noise * unit)
        distance = (squares - tf.linalg.trace(tf.matmul(inverse, outer))) / noise
        fitted = tf.matmul(spread, tf.linalg.inv(noise * unit + tf.matmul(inverse, outer)))
        left = squares - tf.linalg.trace(
            tf.matmul(inverse, tf.matmul(fitted, spread, transpose_a=True))
        )
        self.assign(centre, fitted, known(left / self.size, squares))
        return {"log_prob": normal_log_prob(distance, log_det, self.size)}


def known(variance, largest):
    """A variance, or NaN where float32 rows cannot tell it from 0."""
    nan = tf.constant(np.nan, tf.float64)
    return tf.where(variance > 1e-12 * largest, variance, nan)


FITS = {"closed": PPCA, "em": EMPPCA}


def recipe(data, components=10, fit="closed", epochs=100):
    """Section 3.2 of the paper (`closed`: one step) or its EM algorithm (`em`: `epochs` steps).

    Args:
        components: q, the dimensions of the plane.
        fit: by the closed form or by em.
        epochs: steps of EM, each on the whole set.
    """
    check_rows("ppca", data)
    check_choice("fit", fit, FITS)
    size = int(np.prod(data.element.shape))
    if components >= (most := min(data.size, size)):
        raise InputError(
            f"ppca: components={components}, but {data.name} has {data.size} rows of {size} "
            f"numbers: take fewer than {most}"
        )
    if fit == "closed":
        check_size("ppca", data, 1, "take fit=em")
    model = FITS[fit](data.element, components)
    yield Stage(model, data, None, data.size, 1 if fit == "closed" else epochs)


ONLY = {("fit", "em"): ("epochs",)}
TINY = (Tiny({"components": 3}), Tiny({"components": 1, "fit": "em", "epochs": 3}, "ring"))
