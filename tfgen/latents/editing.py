"""Sums, differences and directions of latents."""

import numpy as np

from tfgen.errors import InputError
from tfgen.latents.decoding import decode, encode


def arithmetic(plus, minus=()):
    """Sums and differences of the means of groups: smiling woman - woman + man.

    Radford et al. (2016, arXiv:1511.06434, section 6.3.2) take three latents a group, because
    single ones were not stable.

    Args:
        plus, minus: lists of groups, each float `[N, D]`.

    Returns:
        float32 `[D]`.
    """
    total = sum(np.mean(group, axis=0) for group in plus)
    return np.float32(total - sum(np.mean(group, axis=0) for group in minus))


def attribute(codes, has):
    """The direction of an attribute: the mean code of those that have it, less that of the others.

    Larsen et al. (2016, arXiv:1512.09300).

    Args:
        codes: float `[N, D]`.
        has: bool `[N]`.

    Returns:
        float32 `[D]`.

    Raises:
        InputError: all have it, or none.
    """
    has = np.asarray(has, bool)
    if has.all() or not has.any():
        raise InputError(
            f"{has.sum()} of {len(has)} images have the attribute: its direction wants both kinds"
        )
    return arithmetic([codes[has]], [codes[~has]])


def edit(model, images, direction, strengths):
    """Images encoded, moved along a direction, and decoded.

    Args:
        model: has endpoints `encode` and `decode`.
        images: float32 `[N, H, W, C]` in [-1, 1].
        direction: float `[D]`, as `attribute` gives it.
        strengths: S floats; 0 is the reconstruction, 1 the whole difference.

    Returns:
        float32 `[N, S, H, W, C]`.
    """
    moves = np.asarray(strengths, "float32")[:, None] * direction  # [S, D]
    return decode(model, encode(model, images)[:, None] + moves)
