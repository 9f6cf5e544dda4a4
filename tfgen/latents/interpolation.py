"""Between latents: straight and spherical interpolation, and the map of a plane of them."""

import numpy as np
import tensorflow as tf

from tfgen.endpoint import seeds_from
from tfgen.errors import InputError
from tfgen.latents.decoding import PRIOR, class_count, decode, latents


def lerp(first, last, count=10):
    """Straight ways: (1 - a) first + a last, with a from 0 to 1.

    Args:
        first, last: float `[..., D]`.
        count: points of each way, both ends included.

    Returns:
        float32 `[..., count, D]`.
    """
    first, last, a = _ends(first, last, count)
    return ((1 - a) * first + a * last).astype("float32")


def slerp(first, last, count=10):
    """Ways along the great circle, at an even pace (Shoemake, SIGGRAPH 1985).

    A Gaussian of many dimensions has its mass on a sphere, and a straight way leaves it: in the
    middle it is nearer to 0, by sqrt(2), than samples ever are (White, 2016, arXiv:1609.04468). The
    formula is taken for ends of any length, as there. Two that point in the same or in opposite
    directions have no one great circle, and get the straight way.

    Args and what is returned: as `lerp`.
    """
    first, last, a = _ends(first, last, count)
    lengths = (np.linalg.norm(end, axis=-1, keepdims=True) for end in (first, last))
    first_length, last_length = (np.maximum(length, 1e-12) for length in lengths)
    cosine = np.sum(first / first_length * last / last_length, axis=-1, keepdims=True)
    angle = np.arccos(np.clip(cosine, -1, 1))
    straight = np.sin(angle) < 1e-6
    sine = np.where(straight, 1.0, np.sin(angle))
    way = (np.sin((1 - a) * angle) * first + np.sin(a * angle) * last) / sine
    return np.where(straight, (1 - a) * first + a * last, way).astype("float32")


PATHS = {"spherical": slerp, "linear": lerp}


def _ends(first, last, count):
    """The ends as float64 `[..., 1, D]`, and the shares of the second one, `[count, 1]`."""
    first, last = (np.asarray(end, "float64")[..., None, :] for end in (first, last))
    return first, last, np.linspace(0.0, 1.0, count)[:, None]


def interpolations(model, first, last, rows=1, columns=10, path="spherical", label=None):
    """Images on the way from the latents of some seeds to those of others.

    Args:
        model: see `decode`.
        first, last: ints; row k goes from seed `first + k` to seed `last + k`.
        rows, columns: how many.
        path: a name of `PATHS`.
        label: an int, the class of all; None for the classes in turn, where there are some.

    Returns:
        float32 `[rows, columns, H, W, C]`.

    Raises:
        InputError: as `latents` and `decode` do.
    """
    ends = (latents(model, seeds_from(seed, rows)) for seed in (first, last))
    known = class_count(model)
    labels = np.arange(rows) % known if label is None and known else label or 0
    return decode(model, PATHS[path](*ends, columns), np.broadcast_to(labels, [columns, rows]).T)


def manifold(model, count=20, label=0):
    """The map of a plane of latents: even steps of probability, through the inverse Gaussian CDF.

    As in figure 4 of Kingma and Welling (2014, arXiv:1312.6114). The share of latents between two
    neighbours is the same everywhere, so that the map shows what samples look like.

    Args:
        model: its latents have two dimensions, and are standard normal.
        count: points of a side; the first is at the CDF's value 1 / (2 count).
        label: an int, for models that are told a class.

    Returns:
        float32 `[count, count, H, W, C]`: the first latent grows to the right, the second upwards.

    Raises:
        InputError: other latents.
    """
    prior = latents(model, range(PRIOR))
    if prior.shape[1] != 2:
        raise InputError(
            f"a map has two dimensions, but the latents of this model have {prior.shape[1]}: "
            "train with latent_dim=2, or look at single dimensions with tfgen traverse"
        )
    tenths = tf.math.ndtri(np.linspace(0.1, 0.9, 9)).numpy()
    if np.abs(np.quantile(prior, np.linspace(0.1, 0.9, 9), axis=0).T - tenths).max() > 0.25:
        raise InputError(
            "the latents of this model are not standard normal, so this is no map of them: "
            "look at single dimensions with tfgen traverse"
        )
    steps = tf.math.ndtri((np.arange(count) + 0.5) / count).numpy()
    return decode(model, np.stack(np.meshgrid(steps, steps[::-1]), axis=-1), label)
