"""Sliced Wasserstein distance: optimal transport along random lines."""

import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import checks

LINES = 64  # directions that are projected on at once


def sliced_wasserstein(reals, fakes, projections=512, seed=0):
    """Sliced 2-Wasserstein distance (Bonneel, Rabin, Peyre and Pfister 2015, section 3).

    The root of the mean, over random directions, of the squared 2-Wasserstein distance of the
    projections, which sorting solves. In the unit of the features.

    Args:
        reals: `[N, D]`.
        fakes: `[M, D]`.
        projections: how many directions.
        seed: an int, of the directions.

    Returns:
        A float, not negative; 0 where the sets agree.

    Raises:
        InputError: different D, a NaN, no row, or no projection.
    """
    reals, fakes = checks.pair(reals, fakes, least=1)
    if projections < 1:
        raise InputError(f"projections {projections}: take 1 or more; some 500 give two digits.")
    lines = np.random.RandomState(seed).randn(reals.shape[1], projections)
    lines /= np.linalg.norm(lines, axis=0)
    weights, i, j = _coupling(len(reals), len(fakes))
    total = 0.0
    for start in range(0, projections, LINES):
        part = lines[:, start : start + LINES]
        ours, theirs = np.sort(reals @ part, axis=0), np.sort(fakes @ part, axis=0)
        total += (weights @ np.square(ours[i] - theirs[j])).sum()
    return float(np.sqrt(total / projections))


def _coupling(rows, columns):
    """How sorted points of two sets are matched: shares of the mass, and the places it joins.

    Exact for unequal sizes: the shares end where a point of either set is used up.
    """
    # In units of 1 / (rows * columns) all ends are whole numbers.
    ends = np.union1d(np.arange(1, rows + 1) * columns, np.arange(1, columns + 1) * rows)
    starts = np.concatenate([[0], ends[:-1]])
    return (ends - starts) / (rows * columns), starts // columns, starts // rows
