"""The Fréchet distance of Gaussians fitted to features: FID where these are Inception's.

Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, "GANs trained by a two time-scale update rule
converge to a local Nash equilibrium", NeurIPS 2017, arXiv:1706.08500, section 3 and equation 6.
"""

import numpy as np
from scipy.linalg import eigvalsh, lapack

from tfgen.errors import InputError
from tfgen.metrics import checks

ROWS = 4096  # what is turned to float64 at once


class Moments:
    """Mean and covariance of a stream of features, in float64 and constant memory.

    Each batch is centred by its own mean and then merged (Chan, Golub and LeVeque, "Updating
    formulae and a pairwise algorithm for computing sample variances", 1979, equation 2.1), so that
    nothing cancels however far from zero the features lie.

    Attributes:
        count: rows so far.
        mean: float64 `[D]`; None before the first batch.
    """

    def __init__(self):
        self.count, self.mean, self._scatter = 0, None, None

    def update(self, features):
        """Adds a batch `[n, D]`; returns itself.

        Raises:
            InputError: another shape or D than before, or a NaN.
        """
        features = checks.rows(features, "features", least=0)
        for start in range(0, len(features), ROWS):
            rows = features[start : start + ROWS].astype("float64")
            mean = rows.mean(axis=0)
            rows -= mean
            self._add(len(rows), mean, rows.T @ rows)
        return self

    def merge(self, other):
        """Adds what another `Moments` has seen; returns itself."""
        if other.count:
            self._add(other.count, other.mean, other._scatter)
        return self

    @property
    def covariance(self):
        """float64 `[D, D]`, unbiased (the scatter over N - 1).

        Raises:
            InputError: fewer than two rows, of which there is none.
        """
        if self.count < 2:
            raise InputError(
                f"A covariance takes at least 2 rows, but there are {self.count}: give more."
            )
        return self._scatter / (self.count - 1)

    def _add(self, count, mean, scatter):
        if self.mean is None:
            self.count, self.mean, self._scatter = count, mean.copy(), scatter.copy()
            return
        if len(mean) != len(self.mean):
            raise InputError(
                f"The features have {len(mean)} columns, but those before had {len(self.mean)}."
            )
        total, apart = self.count + count, mean - self.mean
        self._scatter += scatter + np.outer(apart, apart) * (self.count * count / total)
        self.mean += apart * (count / total)
        self.count = total


class FID:
    """`fid` of two streams: `update_reals` and `update_fakes` batch by batch, then `result`.

    Attributes:
        reals, fakes: `Moments`; those of the reals can be kept and given to many.
    """

    def __init__(self, reals=None):
        self.reals, self.fakes = reals or Moments(), Moments()

    def update_reals(self, features):
        self.reals.update(features)

    def update_fakes(self, features):
        self.fakes.update(features)

    def result(self, singular=False):
        """The distance so far, a float; `singular` and errors as in `fid`."""
        return distance(self.reals, self.fakes, singular)


def fid(reals, fakes, singular=False):
    """Fréchet distance between the Gaussians of two sets of features; 0 where they agree.

    |m - n|^2 + tr(A + B - 2 (A B)^1/2) for means m, n and covariances A, B. Its bias falls with
    N: compare only values of equal N, and of equal features.

    Args:
        reals: `[N, D]`, N above D.
        fakes: `[M, D]`, M above D.
        singular: whether N and M may be D or less, but at least 2. Values of so few rows are
            published; they are far too large, and mean something beside others of the same N only.

    Returns:
        A float, not negative.

    Raises:
        InputError: different D, a NaN, or no more rows than columns: then the covariance is
            singular, and the distance tells of the number of rows more than of the samples.
    """
    reals, fakes = checks.pair(reals, fakes)
    return distance(Moments().update(reals), Moments().update(fakes), singular)


def distance(reals, fakes, singular=False):
    """`fid` of two `Moments`."""
    for moments, name in ((reals, "reals"), (fakes, "fakes")):
        width = 0 if moments.mean is None else len(moments.mean)
        if moments.count < 2 or moments.count <= width and not singular:
            raise InputError(
                f"FID takes more rows than columns, at least {max(2, width + 1)} {name}, but there "
                f"are {moments.count}: give more samples, take features of fewer dimensions, or "
                "measure KID, which is unbiased at any size; singular=True allows it."
            )
    if len(reals.mean) != len(fakes.mean):
        raise InputError(
            f"reals have {len(reals.mean)} features a row, but fakes {len(fakes.mean)}: "
            "both must come from the same extractor."
        )
    apart = reals.mean - fakes.mean
    a, b = reals.covariance, fakes.covariance
    value = apart @ apart + np.trace(a) + np.trace(b) - 2 * trace_of_root(a, b)
    return max(float(value), 0.0)


def trace_of_root(a, b):
    """tr (A B)^1/2 of two covariances, float64 `[D, D]`.

    With A = L L^T the product A B has the eigenvalues of L^T B L, which is symmetric: no matrix
    root is needed and no complex number can arise. L comes from Cholesky's method with pivots,
    which ends at the rank of A, so that features that are always 0 do no harm.
    """
    factor, pivots, rank, _ = lapack.dpstrf(a, lower=1)
    factor, order = np.tril(factor)[:, :rank], pivots - 1
    eigenvalues = eigvalsh(factor.T @ b[np.ix_(order, order)] @ factor) if rank else np.zeros(1)
    return np.sqrt(np.maximum(eigenvalues, 0)).sum()
