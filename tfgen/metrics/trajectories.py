"""Errors of predicted trajectories, in the unit of the data (metres)."""

import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import checks


def ade(predicted, truth):
    """Average displacement error: the mean distance over all time steps.

    Pellegrini et al. 2009, "You'll never walk alone". Of K predictions the best counts, chosen for
    each trajectory (Gupta et al. 2018, "Social GAN", arXiv:1803.10892, section 4).

    Args:
        predicted: `[N, T, 2]`, or `[K, N, T, 2]`.
        truth: `[N, T, 2]`.

    Returns:
        A float.

    Raises:
        InputError: other shapes, or a NaN.
    """
    return float(_displacements(predicted, truth).mean(axis=-1).min(axis=0).mean())


def fde(predicted, truth):
    """Final displacement error: the distance at the last step; otherwise as `ade`."""
    return float(_displacements(predicted, truth)[..., -1].min(axis=0).mean())


def _displacements(predicted, truth):
    """float64 `[K, N, T]`."""
    predicted, truth = np.asarray(predicted, "float64"), np.asarray(truth, "float64")
    if predicted.ndim == 3:
        predicted = predicted[None]
    fits = predicted.ndim == 4 and predicted.size and predicted.shape[1:] == truth.shape
    if not fits or truth.shape[-1] != 2:
        raise InputError(
            f"Trajectories are [N, T, 2], or [K, N, T, 2] for K predictions, of equal N and T; "
            f"these are predicted {list(predicted.shape)} and true {list(truth.shape)}."
        )
    for values, name in ((predicted, "predicted"), (truth, "truth")):
        checks.check_finite(values, name)
    return np.linalg.norm(predicted - truth, axis=-1)
