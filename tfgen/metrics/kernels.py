"""Maximum mean discrepancy: KID, with its polynomial kernel, and MMD, with Gaussian ones.

Both are unbiased estimates of the squared distance of two means in the kernel's space (Gretton et
al. 2012, "A kernel two-sample test", lemma 6), and so may lie below 0 where the sets agree.
"""

from typing import NamedTuple

import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import checks

ROWS = 2048  # of a block of a kernel matrix
MEDIAN = 1000  # rows of each set of which the median distance is taken


class KID(NamedTuple):
    """Mean over subsets, and the standard deviation among them (that of the mean is smaller)."""

    mean: float
    deviation: float


def kid(reals, fakes, subsets=100, size=1000, seed=0):
    """Kernel Inception distance, where the features are Inception's; unbiased at any size.

    MMD^2 with the kernel (x y / D + 1)^3, on random subsets without replacement (Binkowski,
    Sutherland, Arbel and Gretton, "Demystifying MMD GANs", ICLR 2018, arXiv:1801.01401, section 4).

    Args:
        reals: `[N, D]`, N at least `size`.
        fakes: `[M, D]`, M at least `size`.
        subsets: how many.
        size: rows of each subset, at least 2.
        seed: an int, of the subsets.

    Returns:
        `KID`.

    Raises:
        InputError: different D, a NaN, or fewer rows than a subset takes.
    """
    reals, fakes = checks.pair(reals, fakes)
    fewest = min(len(reals), len(fakes))
    if not 2 <= size <= fewest:
        raise InputError(
            f"KID takes subsets of {size} rows, but there are {len(reals)} reals and {len(fakes)} "
            f"fakes: give more samples, or a size of 2 to {fewest}."
        )
    # RandomState: NumPy promises that its streams never change (NEP 19).
    random, values = np.random.RandomState(seed), []
    for _ in range(subsets):
        x = reals[random.choice(len(reals), size, replace=False)].astype("float64")
        y = fakes[random.choice(len(fakes), size, replace=False)].astype("float64")
        xx, yy, xy = (_cubic(a, b) for a, b in ((x, x), (y, y), (x, y)))
        own = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (size * (size - 1))
        values.append(own - 2 * xy.mean())
    return KID(float(np.mean(values)), float(np.std(values)))


def _cubic(x, y):
    base = x @ y.T / x.shape[1] + 1
    return base * base * base


def mmd(reals, fakes, bandwidths=None):
    """MMD^2 with the mean of Gaussian kernels exp(-|x - y|^2 / (2 s^2)); unbiased.

    Args:
        reals: `[N, D]`, N at least 2.
        fakes: `[M, D]`, M at least 2.
        bandwidths: each s, in the unit of the features. By default one, the median distance of
            1,000 rows of each set (Gretton et al. 2012, section 8).

    Returns:
        A float, 0 on average where the distributions agree.

    Raises:
        InputError: different D, a NaN, fewer than two rows, or a bandwidth that is not positive.
    """
    reals, fakes = checks.pair(reals, fakes, least=2)
    bandwidths = [median_distance(reals, fakes)] if bandwidths is None else list(bandwidths)
    if not bandwidths or not min(bandwidths) > 0:
        raise InputError(
            f"The bandwidths {bandwidths} must be positive (the median distance is 0 where most "
            "rows are equal): give one on the scale of the distances."
        )
    centre = reals.mean(axis=0, dtype="float64")
    rows, columns = len(reals), len(fakes)
    # The diagonal of a set's own kernel is 1, and does not belong into the mean.
    real = (_sum(reals, reals, centre, bandwidths) - rows) / (rows * (rows - 1))
    fake = (_sum(fakes, fakes, centre, bandwidths) - columns) / (columns * (columns - 1))
    cross = _sum(reals, fakes, centre, bandwidths) / (rows * columns)
    return float(real + fake - 2 * cross)


def median_distance(*sets):
    """The median distance of pairs among the first, spread evenly, 1,000 rows of each set."""
    from scipy.spatial.distance import pdist

    some = [rows[np.linspace(0, len(rows) - 1, min(MEDIAN, len(rows)), dtype=int)] for rows in sets]
    return float(np.median(pdist(np.concatenate(some).astype("float64"))))


def _sum(x, y, centre, bandwidths):
    """The sum of the mean kernel over all pairs, block by block in float64."""
    total = 0.0
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS] - centre
        lengths = np.einsum("nd,nd->n", rows, rows)[:, None]
        for place in range(0, len(y), ROWS):
            columns = y[place : place + ROWS] - centre
            squares = rows @ (-2 * columns.T)
            squares += lengths
            squares += np.einsum("nd,nd->n", columns, columns)
            np.maximum(squares, 0, out=squares)
            if x is y and start == place:
                np.fill_diagonal(squares, 0)  # else rounding would show where bandwidths are small
            for bandwidth in bandwidths:
                total += np.exp(squares / (-2 * bandwidth**2)).sum() / len(bandwidths)
    return total
