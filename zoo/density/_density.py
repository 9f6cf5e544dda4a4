"""What models with a density share: rows as vectors, sums over rows, Cholesky factors, checks."""

import math

import numpy as np
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.model import GenerativeModel, mean_over_replicas

PORTION = 2**22  # numbers of float64 that a step makes of the rows at once: 32 MiB
MOST = 2**30  # bytes of covariances, as they are kept
ROUNDING = 1e-10  # of the largest variance: what float32 rows cannot tell from 0


class Density(GenerativeModel):
    """What models with a density share: rows as vectors, and `log_prob` as their forward pass.

    They are computed in float32 whatever the policy is, as a log-density is all about its digits,
    and fitted in float64.

    Args:
        element: the `Element` of the rows, images or points.
    """

    def __init__(self, element):
        super().__init__(dtype="float32")
        self.element, self.size = element, math.prod(element.shape)

    def variable(self, shape=(), initializer="zeros", dtype="float32"):
        """A variable that no gradient moves."""
        return self.add_weight(
            shape, initializer, dtype, trainable=False, aggregation="only_first_replica"
        )

    def vectors(self, rows):
        """Rows `[N, *shape]` as vectors `[N, D]`.

        Raises:
            InputError: rows of another shape.
        """
        if tuple(rows.shape[1:]) != tuple(self.element.shape):
            raise InputError(
                f"rows of the shape {list(rows.shape[1:])} are given, but this model is of "
                f"{self.element.name} of the shape {list(self.element.shape)}"
            )
        return tf.reshape(rows, [-1, self.size])

    def rows(self, vectors):
        """Vectors `[N, D]` as rows `[N, *shape]`, within the range of the data."""
        rows = tf.reshape(vectors, [-1, *self.element.shape])
        if math.isinf(self.element.high):
            return rows
        return tf.clip_by_value(rows, self.element.low, self.element.high)

    def mean_log_prob(self, rows):
        """The mean log-density of rows, as a term."""
        return {"log_prob": tf.reduce_mean(self.log_prob(rows))}

    def call(self, rows):
        return self.log_prob(rows)


def normal_log_prob(squares, log_det, size):
    """log N of D numbers, from the squared length of z and the log-determinant of L."""
    return -0.5 * squares - log_det - 0.5 * size * math.log(2.0 * math.pi)


def log_sum(values):
    """log sum exp over the last axis of finite numbers, with operators that LiteRT has."""
    largest = tf.reduce_max(values, axis=-1, keepdims=True)
    return largest[..., 0] + tf.math.log(tf.reduce_sum(tf.exp(values - largest), axis=-1))


def identity(size):
    """The float64 identity `[D, D]`."""
    return tf.eye(size, dtype=tf.float64)


def total(function, vectors, numbers):
    """The sum of `function(part)` over portions of rows: the whole would not fit into memory.

    Args:
        function: from float64 `[n, D]` to a structure of tensors.
        vectors: `[N, D]`.
        numbers: how many numbers `function` makes of a row; `PORTION` are made at once.
    """
    size = max(1, PORTION // numbers)
    first = function(tf.cast(vectors[:size], tf.float64))

    def add(start, sums):
        part = function(tf.cast(vectors[start : start + size], tf.float64))
        return start + size, tf.nest.map_structure(tf.add, sums, part)

    return tf.while_loop(lambda start, _: start < tf.shape(vectors)[0], add, (size, first))[1]


def moments(vectors):
    """Mean `[D]` and covariance `[D, D]`, divided by N, of `[N, D]` on all replicas: float64."""
    size = vectors.shape[1]

    def first(part):
        return tf.cast(tf.shape(part)[0], tf.float64), tf.reduce_sum(part, axis=0)

    # Of sums, as replicas may have unequal numbers of rows.
    count, rows = mean_over_replicas(total(first, vectors, size))
    centre = rows / count

    def second(part):
        return tf.matmul(part - centre, part - centre, transpose_a=True)

    return centre, mean_over_replicas(total(second, vectors, size)) / count


def factored(covariances):
    """Cholesky factors L, their inverses, and their log-determinants.

    Args:
        covariances: float64 `[..., D, D]`.

    Returns:
        float64 `[..., D, D]`, `[..., D, D]` and `[...]`; NaN where a covariance is singular.
    """
    unit = identity(covariances.shape[-1])
    largest = tf.reduce_max(tf.linalg.diag_part(covariances), axis=-1)[..., None, None]
    least = ROUNDING * tf.maximum(largest, 1e-30)
    # Without so small a number TensorFlow stops at a singular matrix, in words of its own.
    factors = tf.linalg.cholesky(covariances + least * unit)
    pivots = tf.linalg.diag_part(factors)
    singular = tf.reduce_min(pivots, axis=-1)[..., None, None] ** 2 < 2.0 * least
    factors = tf.where(singular, tf.constant(math.nan, tf.float64), factors)
    inverses = tf.linalg.triangular_solve(factors, unit + tf.zeros_like(factors))
    return factors, inverses, tf.reduce_sum(tf.math.log(tf.linalg.diag_part(factors)), axis=-1)


def check_spread(data):
    """Checks that the rows spread in all directions.

    Raises:
        InputError: their covariance is singular.
    """
    rows = data.rows("train").reshape(data.size, -1).astype("float64")
    covariance = np.atleast_2d(np.cov(rows, rowvar=False, bias=True))
    if np.isnan(factored(tf.constant(covariance))[2]):
        raise InputError(
            f"the covariance of the {rows.shape[0]} rows of {data.name}, of {rows.shape[1]} "
            "numbers each, is singular: take a ridge above 0, or more rows that vary everywhere"
        )


def check_rows(name, data):
    """Checks that a density can be fitted to the rows of data.

    Raises:
        InputError: they are neither images nor points, or of two domains.
    """
    if data.has_domains or data.element.kind not in ("images", "points"):
        what = "images of two domains" if data.has_domains else data.element.kind
        raise InputError(f"{name} is a density of images or points, but {data.name} has {what}")


def check_size(name, data, components, advice):
    """Checks that full covariances can be kept.

    Raises:
        InputError: they, and the inverses of their factors, take more than `MOST` bytes.
    """
    size = math.prod(data.element.shape)
    if (needed := 8 * components * size**2) > MOST:
        raise InputError(
            f"{name}: full covariances of {size} numbers take {needed / 2**30:.1f} GiB, but at "
            f"most {MOST / 2**30:.0f} may be: {advice}"
        )
