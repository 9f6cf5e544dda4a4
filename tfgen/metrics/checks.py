"""What the metrics ask of their input, in words."""

import numpy as np

from tfgen.errors import InputError


def rows(features, name, least=1):
    """Features as an array `[N, D]` of finite numbers; not copied where it is one.

    Raises:
        InputError: another shape, no numbers, fewer than `least` rows, or a NaN or an infinity.
    """
    features = np.asarray(features)
    if features.ndim != 2 or not features.shape[1] or features.dtype.kind not in "fiu":
        raise InputError(
            f"{name} is {features.dtype} {list(features.shape)}, but features are numbers [N, D]: "
            "make them of images with tfgen.metrics.features."
        )
    if len(features) < least:
        raise InputError(
            f"{name} has {len(features)} rows, but this takes at least {least}: give more samples."
        )
    check_finite(features, name)
    return features


def pair(reals, fakes, least=1):
    """`rows` of both, of the same D.

    Raises:
        InputError: as `rows`, or the two differ in D.
    """
    reals, fakes = rows(reals, "reals", least), rows(fakes, "fakes", least)
    if reals.shape[1] != fakes.shape[1]:
        raise InputError(
            f"reals have {reals.shape[1]} features a row, but fakes {fakes.shape[1]}: "
            "both must come from the same extractor."
        )
    return reals, fakes


def probabilities(values, least):
    """`rows` as float64 that are not negative and add up to 1.

    Raises:
        InputError: as `rows`, or they are no probabilities.
    """
    values = rows(values, "probabilities", least).astype("float64")
    if values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > 1e-3:
        raise InputError(
            "This takes probabilities, whose rows are not negative and add up to 1: apply softmax "
            "to logits first."
        )
    return values


def images(batch, name, low=-1.0, high=1.0):
    """Images as an array `[N, H, W, C]` in [low, high]; not copied where it is one.

    Raises:
        InputError: another shape, no image, a NaN, or a value outside of the range.
    """
    batch = np.asarray(batch)
    if batch.ndim != 4 or not batch.size or batch.dtype.kind != "f":
        raise InputError(
            f"{name} is {batch.dtype} {list(batch.shape)}, but images are floats [N, H, W, C], "
            "N at least 1."
        )
    check_finite(batch, name)
    slack = 1e-3 * (high - low)  # what a float16 network rounds beyond its tanh
    least, most = batch.min(), batch.max()
    if least < low - slack or most > high + slack:
        raise InputError(
            f"{name} has values from {least:.4g} to {most:.4g}, but its range is stated as "
            f"[{low:g}, {high:g}]: scale the images, or state their own range."
        )
    return batch


def image_pair(a, b, low=-1.0, high=1.0):
    """`images` of both, of the same shape.

    Raises:
        InputError: as `images`, or the shapes differ.
    """
    a, b = images(a, "a", low, high), images(b, "b", low, high)
    if a.shape != b.shape:
        raise InputError(
            f"a is {list(a.shape)}, but b {list(b.shape)}: this compares images one by one, so "
            "both must have the same shape."
        )
    return a, b


def check_finite(values, name):
    """Raises an `InputError` where a value is NaN or infinite."""
    # The sum is not finite if a value is not; only then is it worth looking for which.
    with np.errstate(all="ignore"):
        if values.dtype.kind != "f" or np.isfinite(values.sum(dtype="float64")):
            return
    bad = (~np.isfinite(values.reshape(len(values), -1))).any(axis=1).sum()
    if bad:
        raise InputError(
            f"{bad} of {len(values)} rows of {name} have values that are not finite (NaN): "
            "has the model diverged?"
        )
