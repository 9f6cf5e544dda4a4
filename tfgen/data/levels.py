"""The three scales of a pixel, and the noise that likelihoods ask for.

    images   float32 in [-1, 1]              what data sets and models hand out
    unit     float32 in [0, 1]               (image + 1) / 2; the parameter of a Bernoulli decoder
    levels   uint8 in 0..255                 round((image + 1) * 127.5); what is stored and drawn

Level -> image -> level is exact. An image of one bit is float32 in {0, 1}, see `binarize`.
"""

import tensorflow as tf

from tfgen import random


def from_levels(levels):
    """uint8 of any shape, an array or a tensor -> a tensor of float32 images in [-1, 1]."""
    return tf.cast(levels, tf.float32) / 127.5 - 1.0


def to_levels(images):
    """float32 images -> uint8 levels of the same shape; what is outside of [-1, 1] is clipped."""
    return tf.cast(tf.round(tf.clip_by_value((images + 1.0) * 127.5, 0.0, 255.0)), tf.uint8)


def to_unit(images):
    """Images in [-1, 1] -> [0, 1]: for a Bernoulli decoder, the probability that a pixel is on."""
    return (images + 1.0) / 2.0


def from_unit(probabilities):
    """[0, 1] -> images in [-1, 1]."""
    return probabilities * 2.0 - 1.0


def binarize(images, seeds):
    """Each pixel is on with the probability `to_unit(images)` (Salakhutdinov and Murray 2008).

    Args:
        images: float32 `[N, H, W, C]` in [-1, 1].
        seeds: int32 `[N]` or `[N, 2]`, one a row; fresh ones for each epoch, fixed ones in a test.

    Returns:
        float32 `[N, H, W, C]` in {0, 1}.
    """
    return tf.cast(random.uniform(seeds, images.shape[1:]) < to_unit(images), tf.float32)


def dequantize(images, seeds):
    """Levels plus uniform noise (Theis, van den Oord and Bethge 2016, section 3.1).

    A density p of what this returns has a cell of width 1 for each level, so that
    -log2 p / (H W C) is an upper bound of the bits per dimension; p uniform gives 8.

    Args:
        images: float32 `[N, H, W, C]` in [-1, 1].
        seeds: as in `binarize`.

    Returns:
        float32 `[N, H, W, C]` in (0, 256), whose floor is the level.
    """
    levels = tf.cast(to_levels(images), tf.float32)
    # 8 bits of level and 16 of noise fit a float32, so that no sum is rounded to the next level.
    noise = random.integers(seeds, images.shape[1:], 2**15)
    return levels + (tf.cast(noise, tf.float32) + 0.5) / 2**15
