"""Conditional GAN with a projection discriminator.

    max_D  E_x,y[min(0, D(x, y) - 1)] + E_z,y[min(0, -1 - D(G(z, y), y))]
    max_G  E_z,y[D(G(z, y), y)],   D(x, y) = v_y . f(x) + w . f(x)

The best discriminator is a sum of log p(y|x) / q(y|x) and log p(x) / q(x); where the first is
log-linear, so is the label's part of D: the inner product of features of the image with a vector
of the class, instead of a label somewhere among the inputs. The generator is told the class by
conditional batch normalization, a scale and a shift per class.

Miyato and Koyama, "cGANs with projection discriminator", ICLR 2018, arXiv:1802.05637.
"""

import keras

from tfgen import random
from tfgen.errors import InputError
from tfgen.layers.conditional_norm import ConditionalBatchNorm
from tfgen.layers.spectral_norm import SpectralConv2D, SpectralDense
from tfgen.networks import conv
from tfgen.networks.conditional import one_hot
from tfgen.objectives.losses import hinge
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import Average, Stage, Tiny
from zoo.conditional.cgan import CGAN


class ProjectionGAN(CGAN):
    """A CGAN with the hinge loss, whose discriminator sees a fresh part of the batch each time.

    Args:
        n_critic: updates of the discriminator a step; the other arguments are those of a CGAN.
    """

    def __init__(self, generator, discriminator, element, classes, n_critic):
        super().__init__(generator, discriminator, element, classes, hinge, n_critic)

    def latents(self, seeds):
        """Draws z: float32 `[N, D]`, standard normal, from int32 seeds."""
        return random.normal(seeds, self.generator.input_shape[0][1:])


def generator(latent_dim, classes, element, width):
    """A projection and transposed convolutions, each normalized by class, then tanh."""
    latents, labels = keras.Input([latent_dim]), keras.Input([], dtype="int32")
    sizes = conv.heights(element.shape)
    channels = [width * 2**i for i in reversed(range(len(sizes) - 1))]
    x = keras.layers.Dense(sizes[0] ** 2 * channels[0], use_bias=False)(latents)
    x = keras.layers.Reshape([sizes[0], sizes[0], channels[0]])(x)
    x = keras.layers.ReLU()(ConditionalBatchNorm(classes)([x, labels]))
    for filters in channels[1:]:
        x = keras.layers.Conv2DTranspose(filters, conv.KERNEL, 2, "same", use_bias=False)(x)
        x = keras.layers.ReLU()(ConditionalBatchNorm(classes)([x, labels]))
    x = keras.layers.Conv2DTranspose(element.shape[2], conv.KERNEL, 2, "same")(x)
    images = keras.layers.Activation("tanh", dtype="float32")(x)
    return keras.Model([latents, labels], images, name="generator")


def discriminator(classes, element, width):
    """Strided convolutions to features, one a channel; a logit of them, and their projection.

    All kernels are normalized by their spectral norm.
    """
    images, (labels, y) = keras.Input(element.shape), one_hot(classes)
    x = images
    for i in range(len(conv.heights(element.shape)) - 1):
        x = SpectralConv2D(width * 2**i, conv.KERNEL, 2, "same")(x)
        x = keras.layers.LeakyReLU(0.2)(x)
    places = x.shape[1] * x.shape[2]
    features = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    features = keras.layers.Rescaling(places, dtype="float32", name="features")(features)  # the sum
    vectors = SpectralDense(features.shape[1], use_bias=False, dtype="float32", name="v")(y)
    projection = keras.layers.Dot(1, dtype="float32")([vectors, features])
    logits = SpectralDense(1, use_bias=False, dtype="float32", name="w")(features)
    logits = keras.layers.Add(dtype="float32")([logits, projection])
    return keras.Model([images, labels], logits, name="discriminator")


def recipe(
    data,
    latent_dim=128,
    width=64,
    n_critic=5,
    learning_rate=2e-4,
    beta_1=0.0,
    beta_2=0.9,
    ema: Average = None,
    batch_size=64,
    epochs=50,
):
    """Section 5: Adam 2e-4 with betas 0 and 0.9, 5 updates of the discriminator a step, hinge loss.

    128 latents and batches of 64 are those of the released code (pfnet-research/sngan_projection),
    as are the sum of the features over all places and the spectral normalization of the class
    vectors and the last layer too. Departures, for small images on small machines: the networks are
    those of `dcgan` instead of residual ones, with `width` channels at the largest size; the rate
    stays what it is. The number of epochs is ours. An epoch takes the data once: each update of the
    discriminator sees a part of its own.
    """
    data = data.labelled
    shape = data.element.shape
    if len(shape) != 3:
        raise InputError(f"projection_gan makes images, but {data.name} has rows of {shape}")
    classes = len(data.classes)
    model = ProjectionGAN(
        generator(latent_dim, classes, data.element, width),
        discriminator(classes, data.element, width),
        data.element,
        classes,
        n_critic,
    )
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1, beta_2), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "width": 8, "n_critic": 2, "batch_size": 16}),)
