"""Metrics that compare images pixel by pixel: PSNR, SSIM, and MS-SSIM as a measure of diversity."""

import numpy as np
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.metrics import checks

WINDOW = 11  # pixels: the Gaussian window of SSIM
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, Wang et al. 2003, section 3.2
PORTION = 256  # images at once


def l1(a, b, low=-1.0, high=1.0):
    """Mean absolute error of images.

    Args:
        a, b: float `[N, H, W, C]` in [low, high].
        low, high: the range.

    Returns:
        float64 `[N]`.

    Raises:
        InputError: different shapes, a NaN, or values outside of the range.
    """
    a, b = checks.image_pair(a, b, low, high)
    return abs(a.astype("float64") - b).mean(axis=(1, 2, 3))


def psnr(a, b, low=-1.0, high=1.0):
    """Peak signal-to-noise ratio of images, 10 log10(peak^2 / mean square error), in decibels.

    Args:
        a, b: float `[N, H, W, C]` in [low, high].
        low, high: the range, whose width is the peak.

    Returns:
        float64 `[N]`; infinite where the images are equal.

    Raises:
        InputError: different shapes, a NaN, or values outside of the range.
    """
    a, b = checks.image_pair(a, b, low, high)
    errors = np.square(a.astype("float64") - b).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10((high - low) ** 2 / errors)


def ssim(a, b, low=-1.0, high=1.0):
    """Structural similarity of images (Wang, Bovik, Sheikh and Simoncelli 2004, section III.B).

    With the paper's Gaussian window of 11 pixels and deviation 1.5, K1 = 0.01 and K2 = 0.03; the
    mean over the places where the window fits, and over the channels. Brightness is counted from
    `low`, as it is for 8-bit images.

    Args:
        a, b: float `[N, H, W, C]` in [low, high], of at least 11 x 11 pixels.
        low, high: the range.

    Returns:
        float64 `[N]`, at most 1.

    Raises:
        InputError: different shapes, smaller images, a NaN, or values outside of the range.
    """
    a, b = checks.image_pair(a, b, low, high)
    _check_size(a)

    def of(a, b):
        return tf.image.ssim(a, b, max_val=1.0)

    return _in_portions(of, a, b, low, high)


def ms_ssim_diversity(images, pairs=1000, seed=0, low=-1.0, high=1.0):
    """Mean MS-SSIM of random pairs of images: the lower, the more the images differ.

    Odena, Olah and Shlens, "Conditional image synthesis with auxiliary classifier GANs", 2017,
    arXiv:1610.09585, section 4.2, within a class; compare with the value of real images. MS-SSIM is
    that of Wang, Simoncelli and Bovik 2003 with its five scales where the image has 176 pixels or
    more; smaller images have as many as the window of 11 pixels fits in (28: two, 128: four), with
    the weights of the first scales divided by their sum.

    Args:
        images: float `[N, H, W, C]` in [low, high], N at least 2, of at least 11 x 11 pixels.
        pairs: how many.
        seed: an int, of the pairs.
        low, high: the range.

    Returns:
        A float in [0, 1].

    Raises:
        InputError: fewer than two images, smaller ones, a NaN, or values outside of the range.
    """
    images = checks.images(images, "images", low, high)
    if len(images) < 2:
        raise InputError("Diversity takes at least 2 images, but there is 1: give more samples.")
    _check_size(images)
    weights = np.array(WEIGHTS[: scales(images.shape)])
    weights = tuple(weights / weights.sum())
    random = np.random.RandomState(seed)
    first = random.randint(len(images), size=pairs)
    second = (first + random.randint(1, len(images), size=pairs)) % len(images)  # never itself

    def of(a, b):
        return tf.image.ssim_multiscale(a, b, max_val=1.0, power_factors=weights)

    return float(_in_portions(of, images[first], images[second], low, high).mean())


def scales(shape):
    """How often images `[N, H, W, C]` can be halved and still hold the window, at most five."""
    return min(len(WEIGHTS), int(np.log2(min(shape[1:3]) / WINDOW)) + 1)


def _check_size(images):
    if min(images.shape[1:3]) < WINDOW:
        raise InputError(
            f"SSIM has a window of {WINDOW} x {WINDOW} pixels, but the images have "
            f"{images.shape[1]} x {images.shape[2]}: take larger ones, or PSNR."
        )


def _in_portions(function, a, b, low, high):
    values = []
    for start in range(0, len(a), PORTION):
        part = (rows[start : start + PORTION] for rows in (a, b))
        # In [-1, 1] gray would be 0, and the term of brightness would mean nothing.
        units = ((rows.astype("float32") - low) / (high - low) for rows in part)
        values.append(function(*(tf.constant(rows, tf.float32) for rows in units)).numpy())
    return np.concatenate(values).astype("float64")
