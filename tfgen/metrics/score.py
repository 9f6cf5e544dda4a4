"""The Inception score, where the probabilities are Inception's."""

from typing import NamedTuple

import numpy as np

from tfgen.metrics import checks


class Score(NamedTuple):
    """Mean over splits, and the standard deviation among them."""

    mean: float
    deviation: float


def inception_score(probabilities, splits=10):
    """exp E KL(p(y|x) | p(y)): high where each sample is sure of its class and classes differ.

    Salimans et al., "Improved techniques for training GANs", 2016, arXiv:1606.03498, section 4. It
    sees neither missing variety within a class nor copies, and never looks at real data.

    Args:
        probabilities: `[N, K]`, rows that add up to 1; their order decides the splits.
        splits: of how many parts the mean and the deviation are taken; the paper's 10.

    Returns:
        `Score`, from 1 to K.

    Raises:
        InputError: no probabilities, a NaN, or fewer rows than splits.
    """
    probabilities = checks.probabilities(probabilities, least=splits)
    scores = []
    for part in np.array_split(probabilities, splits):
        marginal = part.mean(axis=0)
        # p log p is 0 where p is 0, and then p(y) need not be more than 0 either.
        logs = np.log(np.where(part > 0, part, 1)) - np.log(np.where(marginal > 0, marginal, 1))
        scores.append(np.exp((part * logs).sum(axis=1).mean()))
    return Score(float(np.mean(scores)), float(np.std(scores)))
