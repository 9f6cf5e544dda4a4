"""How different samples are from each other, and whether a model has collapsed."""

import numpy as np

from tfgen.metrics import checks

ROWS = 500  # of either side, of which distances are taken
COLUMNS = 4096  # of a row, at most: of more, every second, third, … value counts
WIDTH = 0.25  # of the kernel, in units of the distance of two data rows
ALIKE = 0.15  # of the data's diversity: below it samples are alike
REGIONS, RADIUS = 20, 1.25  # of the data; how far a region reaches, in units of its own rows
PART = 1 / 3  # of the data's regions: below it samples are of a part of the data only


def diversity(samples, reals):
    """How many different samples there are, over how many different data rows: 1 is ideal.

    Both are Vendi scores, exp of the entropy of the eigenvalues of a kernel matrix over N, 1 where
    all rows are equal and N where none is like another (Friedman and Dieng, "The Vendi score: a
    diversity evaluation metric for machine learning", 2023, arXiv:2210.02410). The kernel is
    exp(-d^2 / 2 s^2) with s a quarter of the root mean square distance of two data rows; of tokens,
    d^2 is the number of places that differ. It does not see whether samples lie where data do.

    Args:
        samples: `[N, ...]`, numbers, or tokens as ints.
        reals: `[M, ...]`, rows of the same shape. As many rows of either count, at most 500.

    Returns:
        A float: 0 where all are alike, above 1 where samples differ more than data do.

    Raises:
        InputError: other shapes, fewer than two rows, or a NaN.
    """
    ours, theirs = _scores(*_rows(samples, reals, ROWS))
    return ours / theirs


def collapse(samples, reals):
    """Says in a sentence that a model has collapsed, or None.

    It has if its samples are alike (`diversity` below 0.15: one blot for all seeds, ten pictures),
    or if they are good but of a part of the data only: k-means divides the data into 20 regions,
    and those that samples lie in, counted by exp of the entropy of their shares, are below a third
    of the data's. The second is asked where there are 60 rows or more and half of the samples lie
    within a region. Neither asks for labels or for a trained network.

    Args:
        samples: `[N, ...]`.
        reals: `[M, ...]`, rows of the data; best some hundred or more.

    Returns:
        A sentence or None; of 10 rows or fewer always None.

    Raises:
        InputError: as `diversity`.
    """
    samples, reals = _rows(samples, reals, 2 * ROWS)
    count = len(samples)
    if count <= 10:
        return None
    ours, theirs = _scores(*_rows(samples, reals, ROWS))
    if ours < ALIKE * theirs:
        return (
            f"samples of different seeds are alike: {min(count, ROWS)} of them are worth "
            f"{ours:.1f} different ones, as many rows of the data {theirs:.1f}"
        )
    if reals.dtype.kind == "i" or count < 3 * REGIONS:
        return None
    ours, theirs = _regions(samples, reals)
    if ours < PART * theirs:
        return (
            "samples are of a part of the data only: they lie in "
            f"{ours:.1f} regions where the data lie in {theirs:.1f}"
        )
    return None


def _rows(samples, reals, count):
    """As many rows of either, `[n, D]`, spread evenly."""
    flat = []
    for rows, name in ((samples, "samples"), (reals, "reals")):
        rows = np.reshape(rows, [len(rows), -1])
        flat.append(checks.rows(rows[:, :: -(-rows.shape[1] // COLUMNS)], name, least=2))
    count = min(count, *map(len, flat))
    checks.pair(*flat)
    return [rows[np.arange(count) * len(rows) // count] for rows in flat]


def _scores(samples, reals):
    """The Vendi scores of both."""
    from scipy.spatial.distance import cdist

    squares = []
    for rows in (samples, reals):
        if reals.dtype.kind == "i":
            squares.append(rows.shape[1] * cdist(rows, rows, "hamming"))
        else:
            squares.append(cdist(rows, rows, "sqeuclidean"))
    width = WIDTH**2 * squares[1].mean() or 1.0
    scores = []
    for each in squares:
        shares = np.linalg.eigvalsh(np.exp(-each / (2 * width)) / len(each))
        scores.append(_perplexity(np.maximum(shares, 0)))
    return scores


def _regions(samples, reals):
    """How many regions of the data both lie in; of samples off the data as many as data."""
    from sklearn.cluster import KMeans

    regions = KMeans(REGIONS, n_init=3, random_state=0).fit(reals.astype("float64"))
    here, there = (regions.transform(rows.astype("float64")) for rows in (reals, samples))
    own, found = here.argmin(axis=1), there.argmin(axis=1)
    radii = np.zeros(REGIONS)
    for region in np.unique(own):  # some have no row, where rows are repeated
        radii[region] = np.quantile(here[own == region, region], 0.95)
    within = there.min(axis=1) <= RADIUS * radii[found]
    theirs = _perplexity(np.bincount(own) / len(own))
    if within.mean() < 0.5:
        return theirs, theirs
    return _perplexity(np.bincount(found[within]) / within.sum()), theirs


def _perplexity(shares):
    """exp of the entropy: how many there are, where all are as large."""
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
