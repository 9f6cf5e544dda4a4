"""The networks on which objectives are compared: they favour none of them.

On images, the layers of InfoGAN for MNIST (Chen et al., 2016, arXiv:1606.03657): two strided
convolutions and a dense layer, or the reverse. Lucic, Kurach, Michalski, Gelly and Bousquet compare
objectives on the same layers ("Are GANs created equal?", NeurIPS 2018, arXiv:1711.10337). What else
their code has (google/compare_gan, its first version) is not followed: leaky ReLU and a sigmoid in
the generators of GANs, latents from U(-1, 1), and for BEGAN an autoencoder of its own, without the
dense layer of 1,024 units. Here generators have ReLU and tanh, and latents are normal.

On points, two dense layers.
"""

import keras

from tfgen.errors import InputError
from tfgen.networks.conv import batch_norm, none
from tfgen.networks.initial import narrow
from tfgen.networks.mlp import mlp

POINTS = (128, 128)  # hidden units for points


def generator(latents, element, hidden=1024, width=64, norm=batch_norm, activation="tanh"):
    """From latents to samples.

    Args:
        latents: how many numbers a latent has, an int.
        element: the `Element` of the samples: images `(H, W, C)`, H and W multiples of 4, or
            points `(D,)`.
        hidden: units of the dense layer.
        width: channels of the last hidden feature map.
        norm: a function that makes a normalization layer.
        activation: of the images: by tanh they are in (-1, 1).

    Returns:
        A `keras.Model` from `[N, latents]` to float32 `[N, H, W, C]`, or to `[N, D]`.

    Raises:
        InputError: the sizes of the images are no multiples of 4.
    """
    if len(element.shape) == 1:
        return mlp([latents], element.shape, POINTS, name="generator")
    _check(element)
    height, breadth, channels = element.shape
    x = entry = keras.Input([latents])
    for units in (hidden, (height // 4) * (breadth // 4) * 2 * width):
        x = keras.layers.Dense(units, **_inner(norm))(x)
        x = keras.layers.ReLU()(norm()(x))
    x = keras.layers.Reshape([height // 4, breadth // 4, 2 * width])(x)
    x = keras.layers.Conv2DTranspose(width, 4, 2, "same", **_inner(norm))(x)
    x = keras.layers.ReLU()(norm()(x))
    x = keras.layers.Conv2DTranspose(channels, 4, 2, "same", kernel_initializer=narrow())(x)
    images = keras.layers.Activation(activation, dtype="float32")(x)
    return keras.Model(entry, images, name="generator")


def features(
    element,
    hidden=1024,
    width=64,
    norm=batch_norm,
    slope=0.2,
    convolution=keras.layers.Conv2D,
    dense=keras.layers.Dense,
):
    """From samples to what a discriminator's last layer sees.

    Args:
        element, hidden, width, norm: as in `generator`.
        slope: of the leaky ReLU.
        convolution, dense: the classes of the layers, such as ones that normalize their kernels.

    Returns:
        A `keras.Model` from `[N, H, W, C]` to `[N, hidden]`, or from `[N, D]` to `[N, 128]`.

    Raises:
        InputError: the sizes of the images are no multiples of 4.
    """
    x = entry = keras.Input(element.shape)
    if len(element.shape) == 1:
        for units in POINTS:
            x = keras.layers.LeakyReLU(slope)(dense(units)(x))
        return keras.Model(entry, x, name="features")
    _check(element)
    x = convolution(width, 4, 2, "same", kernel_initializer=narrow())(x)
    x = keras.layers.LeakyReLU(slope)(x)
    x = convolution(2 * width, 4, 2, "same", **_inner(norm))(x)
    x = keras.layers.Flatten()(keras.layers.LeakyReLU(slope)(norm()(x)))
    x = dense(hidden, **_inner(norm))(x)
    x = keras.layers.LeakyReLU(slope)(norm()(x))
    return keras.Model(entry, x, name="features")


def discriminator(element, outputs=1, dense=keras.layers.Dense, **options):
    """From samples to `outputs` numbers, `[N, outputs]`, float32; `options` as in `features`."""
    trunk = features(element, dense=dense, **options)
    last = dense(outputs, kernel_initializer=narrow(), dtype="float32")
    return keras.Model(trunk.input, last(trunk.output), name="discriminator")


def critic(element, hidden=1024, width=64, norm=none):
    """From samples to scores `[N, 1]`, float32, of which only differences count.

    So there is no bias at the end, as nothing would move it; and by default no normalization, so
    that each score depends on its own row alone. Arguments as in `features`.
    """
    trunk = features(element, hidden, width, norm)
    last = keras.layers.Dense(1, use_bias=False, kernel_initializer=narrow(), dtype="float32")
    return keras.Model(trunk.input, last(trunk.output), name="discriminator")


def autoencoder(element, codes, hidden=1024, width=64, norm=batch_norm):
    """The discriminator to `codes` numbers, and the generator back from them.

    Returns:
        A `keras.Model` from samples to reconstructions `[N, ...]` and codes `[N, codes]`; the other
        arguments are those of `generator`.
    """
    encoder = discriminator(element, codes, hidden=hidden, width=width, norm=norm)
    decoder = generator(codes, element, hidden, width, norm)
    outputs = [decoder(encoder.output), encoder.output]
    return keras.Model(encoder.input, outputs, name="discriminator")


def _inner(norm):
    """Of a layer before a normalization, which has a bias of its own."""
    return {"use_bias": norm is none, "kernel_initializer": narrow()}


def _check(element):
    if element.shape[0] % 4 or element.shape[1] % 4:
        raise InputError(
            f"images of {element.shape} cannot be halved twice: "
            "give an image_size that is a multiple of 4"
        )
