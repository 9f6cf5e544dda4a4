"""Memorisation: whether samples lie nearer to the training data than unseen real data do."""

from typing import NamedTuple

import numpy as np

from tfgen import figures
from tfgen.data.levels import from_levels
from tfgen.errors import InputError
from tfgen.metrics import checks, neighbours


class Memorisation(NamedTuple):
    """What `memorisation` returns.

    Attributes:
        share: how probably a sample lies nearer to the training data than a held-out row does; 0.5
            where they lie alike, 1 for copies, towards 0 for samples off the data.
        ratio: the median distance of samples over that of held-out rows; 1 is ideal, 0 copies.
        distances: float64 `[N, k]`, of each sample to its nearest training rows, ascending.
        neighbours: int `[N, k]`, which rows these are.
    """

    share: float
    ratio: float
    distances: np.ndarray
    neighbours: np.ndarray


def memorisation(samples_features, train_features, heldout_features, k=3):
    """Distances of samples to their nearest training rows, against those of held-out rows.

    The share is the Mann-Whitney statistic of the two sets of distances, a tie counting half, as
    in Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative
    models", 2020, arXiv:2004.05675, section 3 (here on the whole space, in one cell). A model that
    collapsed off the data hides copies from it: read it beside precision and coverage.

    Args:
        samples_features: `[N, D]`.
        train_features: `[M, D]`, M at least k.
        heldout_features: `[L, D]`, real rows that training has not seen.
        k: how many neighbours to tell; the share and the ratio are of the nearest.

    Returns:
        `Memorisation`.

    Raises:
        InputError: different D, a NaN, or no row.
    """
    samples, train = checks.pair(samples_features, train_features, least=1)
    heldout, _ = checks.pair(heldout_features, train, least=1)
    checks.rows(train, "train_features", least=k)
    distances, found = neighbours.nearest(samples, train, k)
    own = distances[:, 0]
    normal = np.sort(neighbours.nearest(heldout, train)[0][:, 0])
    farther = len(normal) - np.searchsorted(normal, own, "right")
    equal = np.searchsorted(normal, own, "right") - np.searchsorted(normal, own, "left")
    share = (farther + equal / 2).mean() / len(normal)
    middle = np.median(normal)
    if middle == 0:
        raise InputError(
            "Half of the held-out rows are in the training data themselves, so that nothing can be "
            "told of copies: hold out other rows."
        )
    return Memorisation(float(share), float(np.median(own) / middle), distances, found)


def picture(samples, train, found, count=8):
    """Samples, from nearest to the training data to farthest, their neighbours to the right.

    Args:
        samples: float `[N, H, W, C]` in [-1, 1].
        train: float `[M, H, W, C]` in [-1, 1], or the uint8 rows of a `Split`.
        found: the `Memorisation` of their features.
        count: how many samples, at even ranks.

    Returns:
        `PIL.Image`: a row a sample.
    """
    order = np.argsort(found.distances[:, 0], kind="stable")
    rows = []
    for i in order[np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]:
        near = np.asarray(train)[found.neighbours[i]]
        near = from_levels(near) if near.dtype == np.uint8 else near
        rows += [np.asarray(samples[i])[None], near]
    return figures.grid(np.concatenate(rows), columns=1 + found.neighbours.shape[1])
