"""The U-Net of pix2pix (Isola et al., 2017, arXiv:1611.07004; Ronneberger et al., 2015)."""

import keras

from tfgen.errors import InputError
from tfgen.layers.instance_norm import instance_norm
from tfgen.layers.seeded_dropout import SeededDropout
from tfgen.networks.initial import reseeded

DEEPEST = 8  # halvings of their 256 pixels to one


def depth(size):
    """How often an image of `size` pixels is halved: to one pixel, an odd size, or 8 times.

    Raises:
        InputError: less than twice.
    """
    halvings = min((size & -size).bit_length() - 1, DEEPEST)  # factors of two in the size
    if halvings < 2:
        raise InputError(
            f"images of {size} pixels cannot be halved twice: give an image_size that is a "
            "multiple of 4, best a power of two"
        )
    return halvings


def unet(channels, outputs, levels, width=64, initializer="glorot_uniform", name="unet"):
    """Halves the image `levels` times and doubles it again, with a skip at each size.

    At 8 levels and width 64 it is theirs: C64-C128-C256-C512-C512-C512-C512-C512,
    then CD512-CD512-CD512-C512-C256-C128-C64, all of 4x4 kernels, leaky slopes of 0.2 on the way
    down. With fewer levels the inner ones of equal width go, and of the dropouts as many.

    Normalization is by image, what their batch normalization was at batch size 1 in training and in
    use. The innermost layer has none: on one pixel that would give 0, as their erratum says.

    Args:
        channels, outputs: of the images that come and go.
        levels: an int; height and width must be multiples of 2^levels.
        width: channels of the first feature map; a map has 8 times as many at most.
        initializer: of all kernels.

    Returns:
        A `keras.Model` from `[images [N, H, W, channels], seeds int32 [N, 2]]` to
        `[N, H, W, outputs]`, linear in its output and in float32. The seeds draw its dropouts.
    """
    images, seeds = keras.Input([None, None, channels]), keras.Input([2], dtype="int32")
    widths = [width * min(2**level, 8) for level in range(levels)]
    normalized = [0 < level < levels - 1 for level in range(levels)]
    x, skips = images, []
    for level, filters in enumerate(widths):
        if level:
            x = keras.layers.LeakyReLU(0.2)(x)
        x = keras.layers.Conv2D(
            filters,
            4,
            2,
            "same",
            use_bias=not normalized[level],
            kernel_initializer=reseeded(initializer),
        )(x)
        x = instance_norm()(x) if normalized[level] else x
        skips.append(x)
    dropouts = min(3, max(1, levels - 5))
    skips.pop()
    for i, filters in enumerate(reversed(widths[:-1])):
        x = keras.layers.Conv2DTranspose(
            filters, 4, 2, "same", use_bias=False, kernel_initializer=reseeded(initializer)
        )(keras.layers.ReLU()(x))
        x = instance_norm()(x)
        if i < dropouts:
            x = SeededDropout(0.5, stream=i)([x, seeds])
        x = keras.layers.Concatenate()([x, skips.pop()])
    x = keras.layers.Conv2DTranspose(
        outputs, 4, 2, "same", kernel_initializer=reseeded(initializer)
    )(keras.layers.ReLU()(x))
    x = keras.layers.Activation("linear", dtype="float32")(x)
    return keras.Model([images, seeds], x, name=name)
