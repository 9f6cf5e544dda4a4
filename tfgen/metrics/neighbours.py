"""Metrics by nearest neighbours: 1-NN two-sample score, precision, recall, density, coverage.

Distances are Euclidean. Squares of them are computed block by block as |x|^2 + |y|^2 - 2 x y, a
product of matrices, in float32. That cancels where points lie close together, so it only proposes:
less a bound of its rounding error it is a lower bound, of which a few more neighbours are kept than
asked for. Their true distances come from differences in float64, and where the bound does not prove
that all others are farther, the row is searched again in float64. A comparison with a radius is
decided in the same way. So the results are those of float64, at about the speed of float32, and
beside the features a few blocks are all that is held in memory.
"""

from typing import NamedTuple

import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import checks

QUERIES, POINTS = 2048, 4096  # of a block: 32 MiB of distances in float32
SPARE = 4  # neighbours that are kept beyond those asked for
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
    others = len(points) - (not itself)
    keep = min(k + SPARE, others)
    distances, indices = np.empty([len(queries), k]), np.empty([len(queries), k], int)
    centre = points.mean(axis=0, dtype="float64")
    for start in range(0, len(queries), QUERIES):
        places = np.arange(start, min(start + QUERIES, len(queries)))
        own = None if itself else places
        proposal = _propose(queries[places], points, own, keep, centre, "float32")
        limits, distances[places], indices[places] = _settle(queries[places], points, *proposal, k)
        if keep < others:
            few = places[distances[places, -1] ** 2 > limits]
            if len(few):
                own = None if itself else few
                proposal = _propose(queries[few], points, own, keep, centre, "float64")
                _, distances[few], indices[few] = _settle(queries[few], points, *proposal, k)
    return distances, indices


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
    centre = points.mean(axis=0, dtype="float64")
    for start in range(0, len(queries), QUERIES):
        rows = queries[start : start + QUERIES]
        for place, lower, error in _lower_bounds(rows, points, centre, "float32"):
            squares = np.square(sizes[place : place + lower.shape[1]])
            i, j = np.nonzero(lower <= np.nextafter(squares.astype("float32"), np.float32(np.inf)))
            sure = lower[i, j] + error(i, j) < squares[j] * (1 - 1e-6)  # the upper bound is inside
            found = i[sure]
            i, j = i[~sure], j[~sure] + place
            true = _apart(rows, points, i, j)
            hit = true <= sizes[j] if closed else true < sizes[j]
            found = np.concatenate([found, i[hit]])
            counts[start : start + len(rows)] += np.bincount(found, minlength=len(rows))
    return counts


def _lower_bounds(queries, points, centre, dtype):
    """Lower bounds of squared distances, block by block.

    Yields:
        The place of the block's first point, the bounds `[N, m]`, and a function of row and column
        numbers of the block that tells how far above the bound the square may lie.
    """
    # The rounding errors of a sum of D products grow as sqrt(D), but for a probability that
    # vanishes with the constant (Higham and Mary 2019, "A new approach to probabilistic rounding
    # error analysis"). They are relative to |x|^2 + |y|^2, which is why the centre is taken off.
    share = float(8 * np.finfo(dtype).eps * np.sqrt(points.shape[1] + 4))
    centre = centre.astype(np.result_type(points, dtype))  # so that float32 stays float32
    queries = (queries - centre).astype(dtype)
    ours = np.einsum("nd,nd->n", queries, queries)
    queries *= -2
    for place in range(0, len(points), POINTS):
        part = (points[place : place + POINTS] - centre).astype(dtype)
        theirs = np.einsum("nd,nd->n", part, part)
        block = queries @ part.T
        block += (1 - share) * ours[:, None]
        block += (1 - share) * theirs
        yield place, block, lambda i, j, theirs=theirs: 2 * share * (ours[i] + theirs[j])


def _propose(queries, points, own, keep, centre, dtype):
    """The `keep` lowest bounds of each query and the points they belong to, both `[N, keep]`.

    `own` are the places of the queries among the points, which do not count; None where all do.
    """
    lowest = found = None
    for place, block, _ in _lower_bounds(queries, points, centre, dtype):
        if own is not None:
            here = np.flatnonzero((own >= place) & (own < place + block.shape[1]))
            block[here, own[here] - place] = np.inf
        if lowest is None:
            found = np.argpartition(block, keep - 1, axis=1)[:, :keep]
            lowest = np.take_along_axis(block, found, axis=1)
            continue
        # After the first block few are lower than what is kept: only these are sorted.
        rows, columns = np.nonzero(block < lowest.max(axis=1)[:, None])
        lowest, found = _merge(lowest, found, rows, columns + place, block[rows, columns])
    return lowest, found


def _merge(lowest, found, rows, columns, values):
    """The lowest of each row of those kept and of new ones, which come with their row numbers."""
    count, keep = lowest.shape
    rows = np.concatenate([np.repeat(np.arange(count), keep), rows])
    columns = np.concatenate([found.ravel(), columns])
    values = np.concatenate([lowest.ravel(), values])
    order = np.lexsort([values, rows])
    firsts = np.searchsorted(rows[order], np.arange(count))
    order = order[firsts[:, None] + np.arange(keep)]
    return values[order], columns[order]


def _settle(queries, points, lowest, found, k):
    """The limit below which no other point lies, and the k nearest of those found."""
    rows = np.repeat(np.arange(len(queries)), found.shape[1])
    true = _apart(queries, points, rows, found.ravel()).reshape(found.shape)
    order = np.lexsort([found, true])[:, :k]
    nearest_of = [np.take_along_axis(each, order, axis=1) for each in (true, found)]
    return lowest.max(axis=1), *nearest_of


def _apart(queries, points, rows, columns):
    """Distances of pairs, by differences in float64."""
    result, portion = np.empty(len(rows)), max(1, PAIRS // points.shape[1])
    for start in range(0, len(rows), portion):
        part = slice(start, start + portion)
        difference = queries[rows[part]].astype("float64") - points[columns[part]]
        result[part] = np.sqrt(np.einsum("nd,nd->n", difference, difference))
    return result
