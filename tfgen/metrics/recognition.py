"""What a classifier makes of samples: whether it knows them, and takes them for what was asked."""

from typing import NamedTuple

import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import checks


class Recognised(NamedTuple):
    """The share of rows that a classifier is sure of, and how even the classes are, in [0, 1]."""

    share: float
    entropy: float


def recognised(probabilities, sure=0.9):
    """How many samples a classifier of the set knows, and whether they are of all classes.

    The entropy is that of the shares of the most probable classes, over the logarithm of their
    number: 1 where all are as frequent, 0 where there is one. Compare both with those of real rows
    that the classifier has not seen. Whether samples vary within a class it does not see.

    Args:
        probabilities: `[N, K]`, rows that add up to 1, K at least 2.
        sure: how probable the most probable class has to be.

    Returns:
        `Recognised`.

    Raises:
        InputError: no probabilities, a NaN, or no row.
    """
    probabilities = checks.probabilities(probabilities, least=1)
    shares = np.bincount(probabilities.argmax(axis=1)) / len(probabilities)
    shares = shares[shares > 0]
    entropy = -(shares * np.log(shares)).sum() / np.log(probabilities.shape[1])
    return Recognised(float((probabilities.max(axis=1) >= sure).mean()), float(abs(entropy)))


def accuracy(probabilities, labels):
    """The share of rows whose most probable class is their label.

    Args:
        probabilities: `[N, K]`.
        labels: int `[N]`, 0 to K - 1.

    Returns:
        A float in [0, 1].

    Raises:
        InputError: no probabilities, a NaN, or another number of labels.
    """
    probabilities, labels = _labelled(probabilities, labels)
    return float((probabilities.argmax(axis=1) == labels).mean())


def matched_accuracy(probabilities, labels):
    """`accuracy` of classes that were found without labels, each matched with one label.

    One to one, so that most rows agree (the Hungarian algorithm).

    Args:
        probabilities: `[N, K]`, of components, categories or clusters.
        labels: int `[N]`.

    Returns:
        A float in [0, 1].

    Raises:
        InputError: as `accuracy`.
    """
    from scipy.optimize import linear_sum_assignment

    probabilities, labels = _labelled(probabilities, labels)
    table = np.zeros([probabilities.shape[1], labels.max() + 1], int)
    np.add.at(table, (probabilities.argmax(axis=1), labels), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(labels))


def _labelled(probabilities, labels):
    probabilities, labels = checks.probabilities(probabilities, least=1), np.asarray(labels)
    if labels.shape != (len(probabilities),):
        raise InputError(
            f"labels are {list(labels.shape)}, but there are {len(probabilities)} rows of "
            "probabilities: give one to each."
        )
    return probabilities, labels
