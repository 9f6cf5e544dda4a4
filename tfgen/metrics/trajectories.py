"""Errors of predicted trajectories, in the unit of the data (metres)."""

import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import checks


def ade(predicted, truth, scenes=None):
    """Average displacement error: the mean distance over all time steps.

    Pellegrini et al. 2009, "You'll never walk alone". Of K predictions the best counts: that of
    each scene, the least of the sums over all who walk there, as the authors of Social GAN measure
    (Gupta et al. 2018, arXiv:1803.10892; their scripts/evaluate_model.py), and not that of each
    trajectory, which is never larger and often half as large. Tables in the literature mix both.

    Args:
        predicted: `[N, T, 2]`, or `[K, N, T, 2]`.
        truth: `[N, T, 2]`.
        scenes: int `[N]`, the scene of each trajectory; None for a scene each.

    Returns:
        A float.

    Raises:
        InputError: other shapes, or a NaN.
    """
    return _best(_displacements(predicted, truth).mean(axis=-1), scenes)


def fde(predicted, truth, scenes=None):
    """Final displacement error: the distance at the last step; otherwise as `ade`.

    The best prediction of a scene is another one than for `ade`, as with its authors.
    """
    return _best(_displacements(predicted, truth)[..., -1], scenes)


def _best(errors, scenes):
    """The mean of errors `[K, N]`, of each scene those of the prediction whose sum is least."""
    scenes = np.arange(errors.shape[1]) if scenes is None else np.asarray(scenes)
    if scenes.shape != errors.shape[1:]:
        raise InputError(
            f"scenes are {list(scenes.shape)}, but there are {errors.shape[1]} trajectories: give "
            "an int to each."
        )
    places = np.unique(scenes, return_inverse=True)[1]
    sums = np.stack([np.bincount(places, row) for row in errors])  # [K, scenes]
    return float(sums.min(axis=0).sum() / errors.shape[1])


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
