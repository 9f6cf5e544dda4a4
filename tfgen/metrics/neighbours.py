"""Metrics by nearest neighbours: 1-NN two-sample score, precision, recall, density, coverage.

Distances are Euclidean. Candidates come from scikit-learn's search in float64, a few more than are
asked for; their distances are then taken from differences, so that copies are at distance 0, which
a product of matrices does not give. A comparison with a radius is decided so, too, where the two
are close. Beside the features a few blocks are all that is held in memory.
"""

from typing import NamedTuple

import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import checks

ROWS, POINTS = 1024, 4096  # of a block: 32 MiB of distances in float64
SPARE = 4  # candidates beyond those asked for
PAIRS = 1 << 22  # numbers that are subtracted at once, 32 MiB


class KNN(NamedTuple):
    """Leave-one-out accuracy of the 1-NN classifier: of all, of the real, of the generated."""

    accuracy: float
    real: float
    generated: float


class PrecisionRecall(NamedTuple):
    """The share of fakes near reals, and of reals near fakes."""

    precision: float
    recall: float


class Coverage(NamedTuple):
    """How densely fakes lie where reals are (1 is as dense as reals), and which share of reals."""

    density: float
    coverage: float


def knn(reals, fakes):
    """1-nearest-neighbour two-sample score (Lopez-Paz and Oquab 2017, arXiv:1610.06545).

    Each sample is called real or generated as its nearest neighbour among all others is. 0.5 says
    that the two cannot be told apart; towards 1 they lie apart; towards 0 the fakes are copies: the
    nearest of each real is then its copy. Reals and fakes are also told separately (Xu et al. 2018,
    arXiv:1806.07755): where modes are missing, a real's neighbour is real, and a
    generated sample's still is real too. A tie counts half.

    Args:
        reals: `[N, D]`, N at least 2.
        fakes: `[N, D]`, as many: else the larger set is the likelier neighbour.

    Returns:
        `KNN`, in [0, 1].

    Raises:
        InputError: different N or D, a NaN, or fewer than two rows.
    """
    reals, fakes = checks.pair(reals, fakes, least=2)
    if len(reals) != len(fakes):
        raise InputError(
            f"1-NN compares sets of equal size, but there are {len(reals)} reals and {len(fakes)} "
            f"fakes: take {min(len(reals), len(fakes))} of each."
        )
    shares = []
    for own, other in ((reals, fakes), (fakes, reals)):
        near = nearest(own, own, itself=False)[0][:, 0]
        far = nearest(own, other)[0][:, 0]
        shares.append(float((near < far).mean() + (near == far).mean() / 2))
    return KNN(sum(shares) / 2, *shares)


def precision_recall(reals, fakes, k=3):
    """Improved precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991, section 2).

    A set is taken for the union of balls around its points, each as large as the distance to the
    point's k-th neighbour in the set. Precision is the share of fakes inside the reals' balls,
    recall the share of reals inside the fakes'.

    Args:
        reals: `[N, D]`, N above k.
        fakes: `[M, D]`, M above k.
        k: which neighbour; the paper's 3.

    Returns:
        `PrecisionRecall`, in [0, 1].

    Raises:
        InputError: different D, a NaN, or too few rows.
    """
    reals, fakes = checks.pair(reals, fakes, least=k + 1)
    precise = within(fakes, reals, radii(reals, k), closed=True) > 0
    recalled = within(reals, fakes, radii(fakes, k), closed=True) > 0
    return PrecisionRecall(float(precise.mean()), float(recalled.mean()))


def density_coverage(reals, fakes, k=5):
    """Density and coverage (Naeem et al. 2020, arXiv:2002.09797, section 3).

    Density counts in how many of the reals' balls a fake lies, over k: an outlier among the reals,
    whose ball is large, does no harm as it does to precision. Coverage is the share of reals that
    have a fake in their ball. Equal distributions give 1 and, for large N, 1 - 2^-k.

    Args:
        reals: `[N, D]`, N above k.
        fakes: `[M, D]`.
        k: which neighbour; the paper's 5.

    Returns:
        `Coverage`; density may exceed 1.

    Raises:
        InputError: different D, a NaN, or too few rows.
    """
    reals, fakes = checks.pair(reals, fakes)
    checks.rows(reals, "reals", least=k + 1)
    sizes = radii(reals, k)
    density = within(fakes, reals, sizes, closed=False).mean() / k
    covered = nearest(reals, fakes)[0][:, 0] < sizes
    return Coverage(float(density), float(covered.mean()))


def radii(points, k):
    """The distance of each point to its k-th neighbour in the same set, float64 `[N]`."""
    return nearest(points, points, k, itself=False)[0][:, -1]


def nearest(queries, points, k=1, itself=True):
    """The k nearest of `points` to each query.

    Args:
        queries: `[N, D]`.
        points: `[M, D]`, M at least k; k + 1 where `itself` is False.
        k: how many.
        itself: False where both are the same set, and a point is no neighbour of its own.

    Returns:
        Distances float64 `[N, k]`, ascending, and indices int `[N, k]` into `points`.
    """
    from sklearn.neighbors import NearestNeighbors

    keep = min(k + SPARE, len(points) - (not itself))
    # Products lose digits with the distance from zero, so the mean is taken off.
    centre = points.mean(axis=0, dtype="float64").astype(np.result_type(points, "float32"))
    search = NearestNeighbors(n_neighbors=keep, algorithm="brute").fit(points - centre)
    found = search.kneighbors(queries - centre if itself else None, return_distance=False)
    rows = np.repeat(np.arange(len(queries)), keep)
    true = _apart(queries, points, rows, found.ravel()).reshape(found.shape)
    order = np.lexsort([found, true])[:, :k]
    return np.take_along_axis(true, order, 1), np.take_along_axis(found, order, 1)


def within(queries, points, sizes, closed):
    """In how many of the balls around `points` each query lies.

    Args:
        queries: `[N, D]`.
        points: `[M, D]`.
        sizes: float64 `[M]`, the radii.
        closed: whether the surface belongs to a ball.

    Returns:
        int `[N]`.
    """
    counts = np.zeros(len(queries), int)
    centre, limits = points.mean(axis=0, dtype="float64"), np.square(sizes)
    for start in range(0, len(queries), ROWS):
        rows = queries[start : start + ROWS] - centre
        ours = np.einsum("nd,nd->n", rows, rows)[:, None]
        for place in range(0, len(points), POINTS):
            part = points[place : place + POINTS] - centre
            theirs, limit = np.einsum("nd,nd->n", part, part), limits[place : place + POINTS]
            squares = rows @ (-2 * part.T)
            squares += ours + theirs
            # What rounding may have moved over the surface is decided by differences.
            i, j = np.nonzero(np.abs(squares - limit) <= 1e-10 * (ours + theirs))
            true = _apart(queries, points, start + i, place + j)
            near = sizes[place + j]
            squares[i, j] = np.where(true <= near if closed else true < near, -np.inf, np.inf)
            counts[start : start + len(rows)] += (squares < limit).sum(axis=1)
    return counts


def _apart(queries, points, rows, columns):
    """Distances of pairs, by differences in float64."""
    result, portion = np.empty(len(rows)), max(1, PAIRS // points.shape[1])
    for start in range(0, len(rows), portion):
        part = slice(start, start + portion)
        difference = queries[rows[part]].astype("float64") - points[columns[part]]
        result[part] = np.sqrt(np.einsum("nd,nd->n", difference, difference))
    return result
