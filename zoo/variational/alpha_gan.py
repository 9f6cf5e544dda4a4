"""alpha-GAN: variational approaches for auto-encoding generative adversarial networks.

    encoder:             min  lambda |x - G(E(x))| + R(C(E(x)))
    generator:           min  lambda |x - G(E(x))| + R(D(G(E(x)))) + R(D(G(z))),  z ~ N(0, I)
    discriminator:       min  -log D(x) - log(1 - D(G(E(x)))) - log(1 - D(G(z)))
    code discriminator:  min  -log C(z) - log(1 - C(E(x)))
    R(p) = -log p + log(1 - p), which is minus the logit

The bound of a VAE whose two hard terms are ratios of densities, each found by a discriminator: one
of images stands beside an L1 likelihood, so that reconstructions are sharp, one of codes for the
divergence of the encoder from the prior. The generator is judged by samples, too, so every part of
the prior makes images.

Rosca, Lakshminarayanan, Warde-Farley and Mohamed, "Variational approaches for auto-encoding
generative adversarial networks", 2017, arXiv:1706.04987.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import Element, Endpoint
from tfgen.model import minimize
from tfgen.networks import neutral
from tfgen.networks.initial import narrow
from tfgen.objectives import losses
from tfgen.runs.recipes import Stage, Tiny
from zoo.adversarial.gan import GAN


class AlphaGAN(GAN):
    """A GAN with an encoder and a discriminator of codes.

    Args:
        generator: a `keras.Model` from latents `[N, D]` to samples.
        encoder: a `keras.Model` from samples to latents.
        discriminator: a `keras.Model` from samples to logits `[N, 1]`.
        code_discriminator: a `keras.Model` from latents to logits `[N, 1]`.
        element: the `Element` of the data.
        weight: lambda, of the mean absolute error of a number.
    """

    def __init__(self, generator, encoder, discriminator, code_discriminator, element, weight):
        super().__init__(generator, discriminator, element)
        self.encoder, self.code_discriminator = encoder, code_discriminator
        self.weight = weight

    @property
    def objectives(self):
        return {
            "encoder": minimize(self.encoder_loss, self.encoder),
            "generator": minimize(self.generator_loss, self.generator),
            "discriminator": minimize(self.discriminator_loss, self.discriminator),
            "code_discriminator": minimize(self.code_loss, self.code_discriminator),
        }

    def encoder_loss(self, reals):
        codes = self.encoder(reals)
        return {
            "reconstruction": self.weight * error(reals, self.generator(codes)),
            "prior": -tf.reduce_mean(self.code_discriminator(codes)),
        }

    def generator_loss(self, reals):
        remade, samples = self.fakes(reals)
        return {
            "reconstruction": self.weight * error(reals, remade),
            "remade": -tf.reduce_mean(self.discriminator(remade)),
            "sample": -tf.reduce_mean(self.discriminator(samples)),
        }

    def discriminator_loss(self, reals):
        remade, samples = map(self.discriminator, self.fakes(reals))
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-self.discriminator(reals))),
            "remade": tf.reduce_mean(tf.nn.softplus(remade)),
            "sample": tf.reduce_mean(tf.nn.softplus(samples)),
        }

    def code_loss(self, reals):
        """Draws of the prior are the reals of this game, codes the fakes."""
        prior = self.code_discriminator(self.latents(random.fresh(reals)))
        return losses.non_saturating.discriminator(
            prior, self.code_discriminator(self.encoder(reals))
        )

    def fakes(self, reals):
        """Reconstructions and samples."""
        return self.reconstruct(reals), self.sample(random.fresh(reals))

    def reconstruct(self, rows):
        """Rows through their latents and back."""
        return self.generator(self.encoder(rows))

    @property
    def endpoints(self):
        latents = Element("latents", self.generator.input_shape[1:])
        return super().endpoints | {
            "encode": Endpoint(self.encoder, (self.element,), (latents,)),
            "reconstruct": Endpoint(self.reconstruct, (self.element,), (self.element,)),
        }


def error(rows, remade):
    """The mean absolute difference of all numbers, a float32 scalar."""
    return tf.reduce_mean(tf.abs(rows - remade))


def code_discriminator(latent_dim, width):
    """Two leaky layers without normalization."""
    x = entry = keras.Input([latent_dim])
    for _ in range(2):
        x = keras.layers.LeakyReLU(0.2)(keras.layers.Dense(width, kernel_initializer=narrow())(x))
    x = keras.layers.Dense(1, kernel_initializer=narrow(), dtype="float32")(x)
    return keras.Model(entry, x, name="code_discriminator")


def recipe(
    data,
    weight=10.0,
    latent_dim=64,
    hidden=1024,
    width=64,
    codes_width=750,
    learning_rate=2e-4,
    beta_1=0.5,
    batch_size=64,
    epochs=20,
):
    """A discriminator of codes of two layers of 750 leaky units; Adam with beta_1 0.5.

    The paper tells ranges of its numbers, no choices: lambda, rate, latents and batches are ours.
    Departures: the other networks are the neutral ones, not DCGAN's; lambda multiplies a mean over
    all numbers of a row. What tells codes from the prior calls the prior real, as the text has it;
    algorithm 1 of the first version exchanges the two.

    Args:
        weight: lambda, of the reconstruction
        codes_width: units of a layer of the discriminator of codes
    """
    element = data.element
    model = AlphaGAN(
        neutral.generator(latent_dim, element, hidden, width),
        neutral.discriminator(element, latent_dim, hidden=hidden, width=width),
        neutral.discriminator(element, hidden=hidden, width=width),
        code_discriminator(latent_dim, codes_width),
        element,
        weight,
    )
    yield Stage(model, data, keras.optimizers.Adam(learning_rate, beta_1), batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "codes_width": 16, "batch_size": 16}),)
