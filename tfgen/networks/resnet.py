"""Residual networks between images of one size, as in CycleGAN (arXiv:1703.10593)."""

import keras

from tfgen.layers.instance_norm import instance_norm
from tfgen.layers.reflection import ReflectionPadding
from tfgen.networks.initial import reseeded

MULTIPLE = 4  # of which height and width must be multiples: two halvings
LEAST = 8  # pixels of a side: at a quarter of it a border of 1 is mirrored, which takes 2


def translator(channels, outputs, blocks=9, width=64, initializer="glorot_uniform", name="resnet"):
    """c7s1-64, d128, d256, R256 (`blocks` times), u128, u64, c7s1-3, at width 64.

    Convolutions of stride 1 see a mirrored border. All but the last layer are normalized by image
    and rectified; the last of a residual block is not rectified.

    Args:
        channels, outputs: of the images that come and go.
        blocks: residual blocks, an int.
        width: channels of the first feature map.
        initializer: of all kernels.

    Returns:
        A `keras.Model` from `[N, H, W, channels]` to `[N, H, W, outputs]`, H and W multiples of 4,
        linear in its output and in float32.
    """

    def conv(layer, filters, kernel, *args, **kwargs):
        return layer(filters, kernel, *args, kernel_initializer=reseeded(initializer), **kwargs)

    def same(x, filters, kernel, use_bias=False):
        x = ReflectionPadding(kernel // 2)(x)
        return conv(keras.layers.Conv2D, filters, kernel, use_bias=use_bias)(x)

    def active(x):
        return keras.layers.ReLU()(instance_norm()(x))

    x = entry = keras.Input([None, None, channels])
    x = active(same(x, width, 7))
    for filters in (2 * width, 4 * width):
        x = active(conv(keras.layers.Conv2D, filters, 3, 2, "same", use_bias=False)(x))
    for _ in range(blocks):
        inner = active(same(x, 4 * width, 3))
        x = keras.layers.Add()([x, instance_norm()(same(inner, 4 * width, 3))])
    for filters in (2 * width, width):
        x = active(conv(keras.layers.Conv2DTranspose, filters, 3, 2, "same", use_bias=False)(x))
    x = same(x, outputs, 7, use_bias=True)
    x = keras.layers.Activation("linear", dtype="float32")(x)
    return keras.Model(entry, x, name=name)
