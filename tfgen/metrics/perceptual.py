"""LPIPS: how different two images look, by the features of a network.

Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features as a
perceptual metric", CVPR 2018, arXiv:1801.03924, section 3.
"""

import functools

import numpy as np
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.metrics import checks, squeezenet, weights

LINEAR_FILE = "lpips_squeeze_lin.npz"
LINEAR_REMEDY = (
    "It holds the calibrated layers of LPIPS 0.1, lin0.model.1.weight to lin6.model.1.weight, as "
    "the package lpips has them in weights/v0.1/squeeze.pth."
)
# What LPIPS does to images in [-1, 1]: the means and deviations of ImageNet, on that scale.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
SMALLEST = 33  # pixels: below it the last maps are empty
PORTION = 64  # images at once


def lpips(a, b, calibrated=True):
    """Learned perceptual image patch similarity of images, on SqueezeNet; 0 where they are equal.

    Maps of seven layers are divided by their length at each place; the squared differences are
    weighted by channel, summed, averaged over places, and added (equation 1).

    Args:
        a, b: float `[N, H, W, C]` in [-1, 1], C 1 or 3, of at least 33 x 33 pixels.
        calibrated: True for LPIPS 0.1, whose weights were fitted to people's judgement on
            PyTorch's SqueezeNet; False for weights of 1 on the authors' own SqueezeNet, which the
            paper has as "Net". The values of the two are on other scales.

    Returns:
        float64 `[N]`.

    Raises:
        InputError: different shapes, smaller images, a NaN, values outside of [-1, 1], or weights
            that cannot be had (the two networks' channels differ, so neither stands in for the
            other: with the calibrated layers the wrong one gives 0.158 for 0.101).
    """
    a, b = checks.image_pair(a, b)
    if min(a.shape[1:3]) < SMALLEST or a.shape[-1] not in (1, 3):
        raise InputError(
            f"LPIPS takes images of at least {SMALLEST} x {SMALLEST} pixels with 1 or 3 channels, "
            f"not {list(a.shape[1:])}: enlarge them, or take SSIM."
        )
    distance = _distance(calibrated)
    values = []
    for start in range(0, len(a), PORTION):
        x, y = (tf.constant(rows[start : start + PORTION], tf.float32) for rows in (a, b))
        if a.shape[-1] == 1:
            x, y = tf.image.grayscale_to_rgb(x), tf.image.grayscale_to_rgb(y)
        values.append(distance(x, y).numpy())
    return np.concatenate(values).astype("float64")


def _unit(maps):
    return maps / (tf.norm(maps, axis=-1, keepdims=True) + 1e-10)


@functools.cache
def _distance(calibrated):
    """A function of two tensors of images `[n, H, W, 3]` to their distances `[n]`."""
    if calibrated:
        with np.load(weights.find(LINEAR_FILE, remedy=LINEAR_REMEDY)) as stored:
            channels = [stored[f"lin{i}.model.1.weight"].ravel() for i in range(7)]
        network = squeezenet.torch()
    else:
        channels, network = [1.0] * 7, squeezenet.caffe()

    @tf.function(autograph=False)
    def distance(a, b):
        if calibrated:
            a, b = (a - SHIFT) / SCALE, (b - SHIFT) / SCALE
        total = 0.0
        for x, y, weight in zip(network(a), network(b), channels, strict=True):
            difference = tf.square(_unit(x) - _unit(y))  # [n, h, w, channels]
            total += tf.reduce_mean(tf.reduce_sum(difference * weight, axis=-1), axis=(1, 2))
        return total

    return distance
