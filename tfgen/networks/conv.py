"""Strided convolutions up to an image and down from it, as in DCGAN (arXiv:1511.06434)."""

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.networks.initial import reseeded

KERNEL = 5  # of their released code


def heights(image):
    """The sizes from the coarsest feature map to the image, each twice the one before.

    Halving stops at 4, where the paper stops, or where a size is odd: 64 gives (4, 8, 16, 32, 64),
    28 gives (7, 14, 28).

    Args:
        image: `(H, H, C)`.

    Raises:
        InputError: the image is no square, or cannot be halved once.
    """
    size, width = image[:2]
    if size != width:
        raise InputError(
            f"images of {width}x{size} pixels are no squares: give an image_size, to which their "
            "middle squares are scaled"
        )
    sizes = [size]
    while sizes[0] % 2 == 0 and sizes[0] > 4:
        sizes.insert(0, sizes[0] // 2)
    if len(sizes) < 2:
        raise InputError(
            f"images of {size} pixels cannot be built by doubling: "
            "give an even image_size above 4, best 4 times a power of two"
        )
    return tuple(sizes)


def batch_norm():
    """Batch normalization over all replicas, so that two with half a batch each equal one."""
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    # Torch's defaults, which the port of DCGAN by one of its authors has (soumith/dcgan.torch); the
    # paper's own code keeps no moving averages. Keras' 0.99 lags thousands of steps behind.
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=several)


def none():
    """No normalization."""
    return keras.layers.Identity()


def norm(batch):
    """`batch_norm`, or `none` where `batch` is False."""
    return batch_norm if batch else none


def generator(inputs, image, width, initializer="glorot_uniform", name="generator"):
    """A projection, then transposed convolutions with batch normalization and ReLU.

    Args:
        inputs: the shape of a latent, `(D,)`.
        image: `(H, H, C)`.
        width: channels of the last hidden feature map; each coarser one has twice as many.
        initializer: of all kernels.

    Returns:
        A `keras.Model` from `[N, D]` to `[N, H, H, C]`, linear in its output and in float32.
    """
    sizes = heights(image)
    channels = [width * 2**i for i in reversed(range(len(sizes) - 1))]
    x = entry = keras.Input(inputs)
    x = keras.layers.Dense(
        sizes[0] ** 2 * channels[0], use_bias=False, kernel_initializer=reseeded(initializer)
    )(x)
    x = keras.layers.Reshape([sizes[0], sizes[0], channels[0]])(x)
    x = keras.layers.ReLU()(batch_norm()(x))
    for filters in channels[1:]:
        x = keras.layers.Conv2DTranspose(
            filters, KERNEL, 2, "same", use_bias=False, kernel_initializer=reseeded(initializer)
        )(x)
        x = keras.layers.ReLU()(batch_norm()(x))
    x = keras.layers.Conv2DTranspose(
        image[2], KERNEL, 2, "same", kernel_initializer=reseeded(initializer)
    )(x)
    x = keras.layers.Activation("linear", dtype="float32")(x)
    return keras.Model(entry, x, name=name)


def features(image, width, initializer="glorot_uniform", norm=batch_norm):
    """Strided convolutions, normalized but for the first, with leaky ReLU 0.2.

    Args:
        image: `(H, H, C)`.
        width: channels of the first feature map; each coarser one has twice as many.
        initializer: of all kernels.
        norm: a function that makes a normalization layer.

    Returns:
        A `keras.Model` from `[N, H, H, C]` to `[N, F]`.
    """
    x = entry = keras.Input(image)
    for i in range(len(heights(image)) - 1):
        bias = i == 0 or norm is none
        x = keras.layers.Conv2D(
            width * 2**i, KERNEL, 2, "same", use_bias=bias, kernel_initializer=reseeded(initializer)
        )(x)
        x = keras.layers.LeakyReLU(0.2)(x if i == 0 else norm()(x))
    return keras.Model(entry, keras.layers.Flatten()(x), name="features")


def discriminator(
    image,
    outputs,
    width,
    initializer="glorot_uniform",
    name="discriminator",
    norm=batch_norm,
    bias=True,
):
    """The `features`, and a dense layer, with a bias or without.

    Returns:
        A `keras.Model` from `[N, H, H, C]` to `[N, outputs]`, linear in its output and in float32.
    """
    trunk = features(image, width, initializer, norm)
    last = keras.layers.Dense(
        outputs, use_bias=bias, kernel_initializer=reseeded(initializer), dtype="float32"
    )
    return keras.Model(trunk.input, last(trunk.output), name=name)
