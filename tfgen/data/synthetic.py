"""Points of known distributions, small enough to see what a model does: always the same rows.

All are drawn once, from fixed seeds. Labels are the number of the mode.
"""

from typing import NamedTuple

import numpy as np

from tfgen.data.data import of_arrays

TRAIN, TEST = 50_000, 10_000
FOUR = 100  # rows in each split of `four_modes`: so few that a model can learn them by heart


class Mixture(NamedTuple):
    """Equally probable round Gaussians in a space of D dimensions.

    `centres` is float32 `[K, D]`. `basis`, float32 `[M, D]` of orthonormal rows, spans the
    directions in which the Gaussians have their `deviation`; in the others they have none.
    """

    centres: np.ndarray
    deviation: float
    basis: np.ndarray

    def draw(self, count, random):
        """`count` points, float32 `[count, D]`, and their modes, int32 `[count]`."""
        modes = random.randint(len(self.centres), size=count)
        noise = self.deviation * random.randn(count, len(self.basis)) @ self.basis
        return (self.centres[modes] + noise).astype("float32"), modes.astype("int32")


def mixture(name):
    """The `Mixture` that "ring", "grid25" or "four_modes" is drawn from: for counting modes."""
    return {"ring": ring, "grid25": grid25, "four_modes": four_modes}[name]()


def ring():
    """8 modes on a circle of radius 2, deviation 0.02 (Metz et al. 2017, arXiv 1611.02163)."""
    angles = 2 * np.pi * np.arange(8) / 8
    centres = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Mixture(centres.astype("float32"), 0.02, np.eye(2, dtype="float32"))


def grid25():
    """25 modes at {-4, -2, 0, 2, 4}^2, deviation 0.05 (as in VEEGAN, arXiv 1705.07761)."""
    ticks = np.arange(-4, 5, 2, dtype="float32")
    centres = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(25, 2)
    return Mixture(centres, 0.05, np.eye(2, dtype="float32"))


def four_modes():
    """4 modes at (+-1, +-1), deviation 0.1, in a plane that lies askew in 32 dimensions.

    The plane keeps distances. The data fill 2 of 32 dimensions, as images fill few of theirs.
    """
    basis = np.linalg.qr(np.random.RandomState(32).randn(32, 2))[0].T.astype("float32")
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], "float32")
    return Mixture(corners @ basis, 0.1, basis)


def swiss_roll(count, random):
    """A spiral r = angle, from 1.5 pi to 4.5 pi, with noise of 0.25, divided by 7.5.

    So it was used in Gulrajani et al. 2017 (arXiv 1704.00028); it lies in about [-2, 2]^2.

    Returns:
        float32 `[count, 2]`.
    """
    angle = 1.5 * np.pi * (1 + 2 * random.rand(count))
    spiral = np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1)
    return ((spiral + 0.25 * random.randn(count, 2)) / 7.5).astype("float32")


def load(name):
    """The `Data` of a name in `names.POINTS`."""
    # RandomState: NumPy promises that its streams never change (NEP 19).
    train, test = np.random.RandomState(1), np.random.RandomState(2)
    if name == "swiss_roll":
        splits = {
            "train": {"points": swiss_roll(TRAIN, train)},
            "test": {"points": swiss_roll(TEST, test)},
        }
        return of_arrays(name, splits)
    source = mixture(name)
    counts = (FOUR, FOUR) if name == "four_modes" else (TRAIN, TEST)
    splits = {
        split: dict(zip(("points", "labels"), source.draw(count, random), strict=True))
        for split, count, random in zip(("train", "test"), counts, (train, test), strict=True)
    }
    return of_arrays(name, splits, tuple(str(mode) for mode in range(len(source.centres))))
