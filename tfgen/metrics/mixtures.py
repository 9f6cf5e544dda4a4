"""Modes found, for samples of a mixture whose modes are known."""

from typing import NamedTuple

import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import checks


class Modes(NamedTuple):
    """How many modes have a sample of high quality, and the share of such samples."""

    found: int
    high_quality: float


def modes(points, mixture):
    """Counts modes as VEEGAN does (Srivastava et al. 2017, arXiv:1705.07761, section 4.1).

    A point is of high quality within three standard deviations of the nearest mode; a mode is found
    that has one.

    Args:
        points: `[N, D]`.
        mixture: a `tfgen.data.synthetic.Mixture`, as `tfgen.data.synthetic.mixture("ring")`.

    Returns:
        `Modes`; `found` is 0 to K, `high_quality` in [0, 1].

    Raises:
        InputError: no point, a NaN, or points of another space.
    """
    points, centres = checks.rows(points, "points", least=1), mixture.centres
    if points.shape[1] != centres.shape[1]:
        raise InputError(
            f"The points have {points.shape[1]} dimensions, but the mixture {centres.shape[1]}."
        )
    distances = np.linalg.norm(points[:, None].astype("float64") - centres, axis=2)  # [N, K]
    good = distances.min(axis=1) <= 3 * mixture.deviation
    return Modes(len(np.unique(distances.argmin(axis=1)[good])), float(good.mean()))
