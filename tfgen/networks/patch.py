"""PatchGAN, a discriminator of patches (Isola et al., 2017, arXiv:1611.07004)."""

import keras

from tfgen.errors import InputError
from tfgen.layers.instance_norm import instance_norm
from tfgen.networks.initial import reseeded

KERNEL = 4


def fitting(size, strided=3):
    """How many strided layers an image of `size` pixels can bear, `strided` at most.

    What they leave must be 8 pixels or more, of which the two last layers take one each.

    Raises:
        InputError: not one.
    """
    strided = min(strided, (size // 8).bit_length() - 1)
    if strided < 1:
        raise InputError(f"images of {size} pixels are too small for patches: 16 or more")
    return strided


def receptive_field(strided):
    """The side of the patch that one logit sees: 16, 34, 70 for 1, 2, 3 strided layers."""
    side = 1
    for stride in (1, 1, *[2] * strided):  # from the output back to the image
        side = (side - 1) * stride + KERNEL
    return side


def patch(channels, strided=3, width=64, initializer="glorot_uniform", name="discriminator"):
    """A logit for each patch of an image: C64-C128-C256-C512 and a last convolution to one.

    The first `strided` layers halve the image, the last hidden one and the output do not. All but
    the first and the last are normalized by image (see `unet`); slopes are leaky, 0.2.

    Args:
        channels: of the image; or a sequence of numbers of channels, for several images that are
            seen together.
        strided: an int; 3 makes the patches 70x70.
        width: channels of the first feature map, doubled from layer to layer up to 8 times.
        initializer: of all kernels.

    Returns:
        A `keras.Model` from `[N, H, W, C]`, or from several, to logits `[N, h, w, 1]` in float32.
    """
    several = not isinstance(channels, int)
    entry = [keras.Input([None, None, c]) for c in (channels if several else [channels])]
    x = keras.layers.Concatenate()(entry) if several else entry[0]
    for i in range(strided + 1):
        x = keras.layers.Conv2D(
            width * min(2**i, 8),
            KERNEL,
            2 if i < strided else 1,
            use_bias=i == 0,
            kernel_initializer=reseeded(initializer),
        )(keras.layers.ZeroPadding2D(1)(x))
        x = keras.layers.LeakyReLU(0.2)(instance_norm()(x) if i else x)
    x = keras.layers.ZeroPadding2D(1)(x)
    x = keras.layers.Conv2D(1, KERNEL, kernel_initializer=reseeded(initializer), dtype="float32")(x)
    return keras.Model(entry if several else entry[0], x, name=name)
