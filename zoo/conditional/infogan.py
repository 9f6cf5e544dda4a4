"""InfoGAN: interpretable representations by maximizing information.

    min_G,Q max_D  E_x[log D(x)] + E_z,c[log(1 - D(G(z, c)))] - lambda L_I(G, Q)
    L_I(G, Q) = E_c,x~G(z,c)[log Q(c|x)] + H(c)  <=  I(c; G(z, c))

Without any label, the generator is given codes c beside the noise z, here a category and numbers in
(-1, 1), and must make images that tell them: a recognition network Q, which shares all but its last
layers with the discriminator, bounds the mutual information of codes and images from below. On
digits the category becomes the digit, and the numbers its slant and its width.

The generator is trained on -E[log D(G(z, c))], as in `gan`. The discriminator's objective moves its
trunk and both heads on both terms; the generator's moves the generator alone, on both terms.

Chen, Duan, Houthooft, Schulman, Sutskever and Abbeel, "InfoGAN: Interpretable representation
learning by information maximizing generative adversarial nets", NeurIPS 2016, arXiv:1606.03657.
"""

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import random
from tfgen.endpoint import Element, Endpoint
from tfgen.errors import InputError
from tfgen.latents.traversal import Code, steps
from tfgen.networks import conv, neutral
from tfgen.networks.initial import narrow
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import Average, Stage, Tiny
from zoo.adversarial.gan import GAN

tfd = tfp.distributions


class InfoGAN(GAN):
    """A GAN whose latents hold codes: `[noise, category as one of K, continuous codes]`.

    Args:
        generator: a `keras.Model` from latents `[N, D]` to images.
        discriminator: a `keras.Model` from images to logits `[N, 1]` and what Q gives: logits of
            the category and means of the continuous codes, `[N, categories + continuous]`.
        element: the `Element` of the images.
        categories, continuous: how many there are, ints.
        lambdas: of the category, and of the continuous codes.
    """

    def __init__(
        self, generator, discriminator, element, categories, continuous, lambdas=(1.0, 0.1)
    ):
        super().__init__(generator, discriminator, element)
        self.categories, self.continuous, self.lambdas = categories, continuous, lambdas

    def discriminator_loss(self, reals):
        latents = self.latents(random.fresh(reals))
        logits, codes = self.discriminator(self.generator(latents))
        source = self.adversarial.discriminator(self.discriminator(reals)[0], logits)
        return {"source": source} | self.information_loss(codes, latents)

    def generator_loss(self, reals):
        latents = self.latents(random.fresh(reals))
        logits, codes = self.discriminator(self.generator(latents))
        return {"source": self.adversarial.generator(logits)} | self.information_loss(
            codes, latents
        )

    def information_loss(self, codes, latents):
        """-lambda L_I, its part of each kind of code: -lambda (E[log Q(c|x)] + H(c)).

        Args:
            codes: float32 `[N, categories + continuous]`, what Q gives.
            latents: float32 `[N, D]`, what the images were made from.

        Returns:
            `{"category": scalar, "continuous": scalar}`.
        """
        _, category, continuous = self.split(latents)
        logits, means = tf.split(codes, [self.categories, self.continuous], axis=1)
        known = tfd.OneHotCategorical(logits=logits).log_prob(category)
        # Of deviation 1, as in the released code; so its bound on -H is loose, but not its slope.
        read = tf.reduce_sum(tfd.Normal(means, 1.0).log_prob(continuous), axis=1)
        entropies = math.log(self.categories), self.continuous * math.log(2.0)
        return {
            "category": -self.lambdas[0] * (tf.reduce_mean(known) + entropies[0]),
            "continuous": -self.lambdas[1] * (tf.reduce_mean(read) + entropies[1]),
        }

    def split(self, latents):
        """Noise, category and continuous codes of latents `[N, D]`."""
        noise = self.generator.input_shape[1] - self.categories - self.continuous
        return tf.split(latents, [noise, self.categories, self.continuous], axis=1)

    def latents(self, seeds):
        """Draws latents `[N, D]`, from int32 seeds: noise and numbers from U(-1, 1), a category."""
        size = self.generator.input_shape[1] - self.categories
        numbers = 2.0 * random.uniform(seeds, [size]) - 1.0
        category = random.integers(seeds, [], self.categories, stream=1)
        noise, continuous = tf.split(numbers, [size - self.continuous, self.continuous], axis=1)
        return tf.concat([noise, tf.one_hot(category, self.categories), continuous], axis=1)

    def discriminate(self, images):
        """Logits `[N, 1]`: whether images are real."""
        return self.discriminator(images)[0]

    def recognize(self, images):
        """What Q reads: the probability of each category `[N, K]`, and means `[N, continuous]`."""
        logits, means = tf.split(
            self.discriminator(images)[1], [self.categories, self.continuous], axis=1
        )
        return tf.nn.softmax(logits), means

    @property
    def codes(self):
        """The category, then the numbers, each from -2 to 2 as in the paper's figure."""
        start = self.generator.input_shape[1] - self.categories - self.continuous
        end = start + self.categories
        category = Code(
            "category", slice(start, end), np.eye(self.categories, dtype="float32"), in_turn=True
        )
        return [category] + [
            Code(f"continuous code {i}", slice(end + i, end + i + 1), steps(-2.0, 2.0))
            for i in range(self.continuous)
        ]

    @property
    def endpoints(self):
        probabilities = Element("probabilities", (self.categories,), "float32", 0.0, 1.0)
        means, logits = Element("means", (self.continuous,)), Element("logits", (1,))
        return super().endpoints | {
            "discriminate": Endpoint(self.discriminate, (self.element,), (logits,)),
            "recognize": Endpoint(self.recognize, (self.element,), (probabilities, means)),
        }


def discriminator(element, codes, hidden, width):
    """A logit and, by a dense layer of their own, the codes from the same features."""
    trunk = neutral.features(element, hidden, width, slope=0.1)

    def dense(units, **kwargs):
        return keras.layers.Dense(units, kernel_initializer=narrow(), **kwargs)

    logits = dense(1, dtype="float32")(trunk.output)
    read = conv.batch_norm()(dense(max(1, hidden // 8), use_bias=False)(trunk.output))
    codes = dense(codes, dtype="float32")(keras.layers.LeakyReLU(0.1)(read))
    return keras.Model(trunk.input, [logits, codes], name="discriminator")


def recipe(
    data,
    categories=10,
    continuous=2,
    latent_dim=62,
    hidden=1024,
    width=64,
    weight=1.0,
    continuous_weight=0.1,
    discriminator_rate=2e-4,
    generator_rate=1e-3,
    beta_1=0.5,
    ema: Average = None,
    batch_size=128,
    epochs=11,
):
    """The paper's for MNIST: a category of 10, two continuous codes and 62 numbers of noise.

    Lambda is 1 for the category and smaller for continuous codes, as the paper asks without a
    number; 0.1 is ours. (With 1, as in the released code, a continuous code takes over what should
    tell some digits apart.)

    Adam with beta_1 0.5, 2e-4 for the discriminator and 1e-3 for the generator; slopes of 0.1. From
    the released code: U(-1, 1) for the noise, batches of 128 (11 epochs are its 5,000 steps),
    weights from N(0, 0.02), and deviation 1 for the continuous codes. Departure: images are in
    [-1, 1], by a tanh.

    Args:
        categories: values of the category
        continuous: how many continuous codes there are
        latent_dim: numbers of noise, beside the codes
        weight: lambda of the category
        continuous_weight: lambda of the continuous codes
        discriminator_rate: learning rate of the discriminator
        generator_rate: learning rate of the generator
    """
    shape = data.element.shape
    if len(shape) != 3 or shape[0] % 4:
        raise InputError(
            f"infogan makes images of a multiple of 4 pixels, but {data.name} has rows of {shape}: "
            "give an image_size"
        )
    codes = categories + continuous
    model = InfoGAN(
        neutral.generator(latent_dim + codes, data.element, hidden, width),
        discriminator(data.element, codes, hidden, width),
        data.element,
        categories,
        continuous,
        (weight, continuous_weight),
    )
    optimizers = {
        "discriminator": keras.optimizers.Adam(discriminator_rate, beta_1),
        "generator": keras.optimizers.Adam(generator_rate, beta_1),
    }
    yield Stage(model, data, averaged(optimizers, ema), batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
