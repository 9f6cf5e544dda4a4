"""What training does to images at random."""

import tensorflow as tf

from tfgen import random

AUGMENTATION = 1023  # calls within a step never get so far, so nothing shares this noise


def jittered(images, seeds, factor, stream=0):
    """Enlarges images, crops them to their size anywhere, and mirrors half of them.

    Args:
        images: float32 `[N, H, W, C]` in [-1, 1], of static H and W.
        seeds: int32 `[N, 2]`, one a row; the same seeds do the same to other images.
        factor: of enlargement, above 1.
        stream: an int; other streams of the same seeds are independent.

    Returns:
        float32 `[N, H, W, C]` in [-1, 1].
    """
    height, width = images.shape[1:3]
    large = [round(height * factor), round(width * factor)]
    images = tf.clip_by_value(tf.image.resize(images, large, "bicubic"), -1.0, 1.0)
    draws = random.uniform(seeds, [3], stream)  # [N, 3]: a row, a column, a side
    for axis, size in (1, height), (2, width):
        room = large[axis - 1] - size + 1
        first = tf.minimum(tf.cast(draws[:, axis - 1] * room, tf.int32), room - 1)
        places = first[:, None] + tf.range(size)  # [N, size]
        if axis == 2:
            places = tf.where(draws[:, 2:] < 0.5, places[:, ::-1], places)
        images = tf.gather(images, places, axis=axis, batch_dims=1)
    return images


def mirrored(images, seeds, stream=0):
    """Mirrors half of the images, left to right.

    Args:
        images: `[N, ..., H, W, C]`, images, masks or videos.
        seeds: int32 `[N, 2]`, as in `jittered`.
        stream: an int; other streams of the same seeds are independent.

    Returns:
        What came, of the same shape.
    """
    draws = random.uniform(seeds, [1] * (len(images.shape) - 1), stream)
    return tf.where(draws < 0.5, images[..., ::-1, :], images)
