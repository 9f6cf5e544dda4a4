"""Kernel density estimate, its bandwidth found by cross-validation.

    p(x) = 1/N sum_n N(x; x_n, h^2 I),   max over h  sum_n log p_(without the fold of n)(x_n)

Each row is the centre of a small Gaussian. All that is learnt is its width h: with the row itself
among the centres the best h would be 0, so each row is judged by the rows of other folds. In many
dimensions all rows are far from each other; images are projected on their principal components
before, and the density is one of the projections.

Parzen, "On estimation of a probability density function and mode", Annals of Mathematical
Statistics 33, 1962, doi:10.1214/aoms/1177704472.
"""

import math

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.errors import InputError
from tfgen.model import update
from tfgen.runs.recipes import Stage, Tiny
from zoo.density._density import MOST, Density, check_rows, log_sum, total


class KDE(Density):
    """A Gaussian of deviation h around each row.

    Args:
        element: the `Element` of the rows.
        count: N, how many rows are kept.
        bandwidths: what h is chosen from, floats.
        folds: in how many parts of neighbouring rows the set is cut.
        judged: how many rows a bandwidth is judged by, at most.
        numbers: of a centre, by default as many as a row has.
    """

    def __init__(self, element, count, bandwidths, folds, judged, numbers=None):
        super().__init__(element)
        self.bandwidths, self.folds, self.judged = tuple(bandwidths), folds, judged
        self.centres = self.variable([count, numbers or self.size])
        self.bandwidth = self.variable((), "ones")

    def begin(self, data):
        """Keeps the rows."""
        self.centres.assign(data.rows("train").reshape(data.size, -1))

    @property
    def objectives(self):
        return {"search": update(self.search, self.mean_log_prob)}

    def search(self, rows):
        """Chooses h by the rows that are kept, whatever `rows` are.

        The terms: the mean log-density of rows under those of other folds, and h.
        """
        candidates = tf.constant(self.bandwidths, tf.float64)
        centres = tf.cast(self.centres, tf.float64)
        count, numbers = centres.shape
        ends = np.cumsum([len(part) for part in np.array_split(np.arange(count), self.folds)])
        own = tf.constant(np.searchsorted(ends, np.arange(count), side="right"), tf.float64)
        others = tf.constant(np.diff(ends, prepend=0), tf.float64)
        others = tf.math.log(tf.cast(count, tf.float64) - others)

        @tf.function(jit_compile=True, autograph=False)
        def scores(part):
            places, vectors = part[:, :1], part[:, 1:]
            squares = squared_distances(vectors, centres)
            squares = tf.where(places == own, tf.constant(math.inf, tf.float64), squares)
            least = tf.reduce_min(squares, axis=-1)
            fold = tf.gather(others, tf.cast(places[:, 0], tf.int32))

            def score(h):
                sums = tf.reduce_sum(tf.exp(-0.5 * (squares - least[:, None]) / h**2), axis=-1)
                return tf.reduce_sum(tf.math.log(sums) - 0.5 * least / h**2 - fold)

            return tf.stack([score(h) for h in self.bandwidths])

        chosen = np.linspace(0, count - 1, min(self.judged, count)).round().astype("int32")
        rows = tf.gather(tf.concat([own[:, None], centres], axis=1), chosen)
        means = total(scores, rows, 4 * count) / len(chosen)
        means -= numbers * (tf.math.log(candidates) + 0.5 * math.log(2 * math.pi))
        best = tf.argmax(means)
        self.bandwidth.assign(tf.cast(candidates[best], tf.float32))
        return {"log_prob": means[best], "bandwidth": candidates[best]}

    def project(self, rows):
        """Rows as vectors of the space of the density: float32 `[N, numbers]`."""
        return self.vectors(rows)

    def restore(self, vectors):
        """Vectors of the space of the density as rows."""
        return self.rows(vectors)

    def log_prob(self, rows):
        """log p of the projected rows, float32 `[N]` in nats."""
        count, numbers = self.centres.shape
        scaled = self.project(rows) / self.bandwidth, self.centres / self.bandwidth
        sums = log_sum(-0.5 * squared_distances(*scaled))
        log_scale = tf.math.log(self.bandwidth) + 0.5 * math.log(2.0 * math.pi)
        return sums - math.log(count) - numbers * log_scale

    def sample(self, seeds):
        """Rows from int32 seeds: one that was seen, and noise; images are clipped."""
        count, numbers = self.centres.shape
        centres = tf.gather(self.centres.value, random.integers(seeds, [], count, stream=1))
        return self.restore(centres + self.bandwidth * random.normal(seeds, [numbers]))

    @property
    def endpoints(self):
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (self.element,)),
            "log_prob": Endpoint(self.log_prob, (self.element,), (Element("log_prob"),)),
        }


class PrincipalKDE(KDE):
    """A kernel density estimate of the first principal components of rows.

    Args:
        components: how many.
        others: as in `KDE`.
    """

    def __init__(self, element, count, bandwidths, folds, judged, components):
        super().__init__(element, count, bandwidths, folds, judged, components)
        self.centre = self.variable([self.size])
        self.basis = self.variable([self.size, components])

    def begin(self, data):
        rows = data.rows("train").reshape(data.size, -1).astype("float64")
        mean = rows.mean(axis=0)
        _, directions = np.linalg.eigh((rows - mean).T @ (rows - mean))  # from the smallest
        basis = directions[:, ::-1][:, : self.basis.shape[1]]
        self.centre.assign(mean)
        self.basis.assign(basis)
        self.centres.assign((rows - mean) @ basis)

    def project(self, rows):
        return tf.matmul(self.vectors(rows) - self.centre, self.basis.value)

    def restore(self, vectors):
        return self.rows(self.centre + tf.matmul(vectors, self.basis, transpose_b=True))


def squared_distances(vectors, centres):
    """|x_i - c_j|^2: `[N, M]`, from `[N, D]` and `[M, D]`."""
    products = tf.matmul(vectors, centres, transpose_b=True)
    norms = tf.reduce_sum(centres**2, axis=-1)
    return tf.maximum(tf.reduce_sum(vectors**2, axis=-1)[:, None] + norms - 2.0 * products, 0.0)


def recipe(
    data,
    components: int | None = None,
    bandwidth: float | None = None,
    lowest=0.0125,
    highest=1.25,
    candidates=20,
    folds=5,
    judged=2000,
):
    """The bandwidth is searched as in scikit-learn's example of digits: 20 candidates in equal
    ratios, 5 folds, of the projections on `components` principal components, there 15. Its range,
    0.1 to 10 for pixels of 0 to 16, is 0.0125 to 1.25 for pixels of -1 to 1. A departure: of a set
    of more than `judged` rows only so many are judged, by all others: the time would be that of
    its square.

    Args:
        components: how many principal components of the rows the density is one of; none for the
            rows as they are.
        bandwidth: h; none for the best of the candidates.
        lowest: the least candidate.
        highest: the largest candidate.
        candidates: how many bandwidths are tried.
        folds: parts of the set; a row is judged by the rows of the other parts.
        judged: how many rows the bandwidths are judged by; of more, every so many.
    """
    check_rows("kde", data)
    size = math.prod(data.element.shape)
    if bandwidth is not None and not bandwidth > 0:
        raise InputError(f"kde: bandwidth={bandwidth:g}: it is a deviation and has to be above 0")
    if lowest > highest:
        raise InputError(f"kde: lowest={lowest:g} is above highest={highest:g}: exchange them")
    if not 2 <= folds <= data.size:
        raise InputError(
            f"kde: folds={folds}, but {data.name} has {data.size} rows: take 2 to {data.size}"
        )
    if components is not None and not 1 <= components <= min(data.size, size):
        raise InputError(
            f"kde: components={components}, but {data.name} has {data.size} rows of {size} "
            f"numbers: take 1 to {min(data.size, size)}"
        )
    if (needed := 4 * data.size * (components or size)) > MOST:
        raise InputError(
            f"kde: {data.size} rows of {components or size} numbers take {needed / 2**30:.1f} GiB, "
            f"but at most {MOST / 2**30:.0f} may be: take components"
        )
    tried = (bandwidth,) if bandwidth else np.geomspace(lowest, highest, candidates).tolist()
    if components:
        model = PrincipalKDE(data.element, data.size, tried, folds, judged, components)
    else:
        model = KDE(data.element, data.size, tried, folds, judged)
    yield Stage(model, data, None, data.size, 1)


TINY = (Tiny({"bandwidth": 0.3}), Tiny({"components": 5, "candidates": 3}))
