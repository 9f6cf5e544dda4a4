"""Adversarial autoencoder.

    reconstruction:  min_E,G  E_x[|x - G(E(x))|^2]
    discriminator:   max_D    E_z[log D(z)] + E_x[log(1 - D(E(x)))],  z ~ N(0, s^2 I)
    regularization:  max_E    E_x[log D(E(x))]

An autoencoder whose codes, all together, are distributed as a prior: a small discriminator tells
draws of the prior from codes, and the encoder learns to fool it. What is matched is the aggregated
posterior, not that of each row as in a VAE, and any prior that can be drawn from will do, as no
density is needed. Then the decoder makes data of draws of the prior.

Makhzani, Shlens, Jaitly, Goodfellow and Frey, "Adversarial autoencoders", 2016, arXiv:1511.05644.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.model import GenerativeModel, minimize
from tfgen.networks.mlp import mlp
from tfgen.networks.ranges import squashed
from tfgen.objectives import losses
from tfgen.runs.recipes import Stage, Tiny


class AAE(GenerativeModel):
    """A deterministic encoder, a decoder, and a discriminator of latents.

    Args:
        encoder: a `keras.Model` from rows to latents `[N, D]`.
        decoder: a `keras.Model` from latents to rows.
        discriminator: a `keras.Model` from latents to logits `[N, 1]`.
        element: the `Element` of the rows.
        scale: s, the deviation of the prior.
    """

    def __init__(self, encoder, decoder, discriminator, element, scale):
        super().__init__()
        self.encoder, self.decoder, self.discriminator = encoder, decoder, discriminator
        self.element, self.scale = element, scale

    @property
    def objectives(self):
        return {
            "reconstruction": minimize(self.error, self.encoder, self.decoder),
            "discriminator": minimize(self.discriminator_loss, self.discriminator),
            "regularization": minimize(self.encoder_loss, self.encoder),
        }

    def error(self, rows):
        """The mean over rows of the squared distance from what comes back, over all numbers."""
        squares = (rows - self.reconstruct(rows)) ** 2
        return tf.reduce_mean(tf.reduce_sum(squares, axis=range(1, rows.shape.rank)))

    def discriminator_loss(self, rows):
        prior = self.discriminator(self.latents(random.fresh(rows)))  # the reals of this game
        codes = self.discriminator(self.encoder(rows))
        return losses.non_saturating.discriminator(prior, codes)

    def encoder_loss(self, rows):
        return losses.non_saturating.generator(self.discriminator(self.encoder(rows)))

    def latents(self, seeds):
        """Draws z from the prior: float32 `[N, D]`, from int32 seeds."""
        return self.scale * random.normal(seeds, self.decoder.input_shape[1:])

    def sample(self, seeds):
        """Rows made of draws of the prior, from int32 seeds."""
        return self.decoder(self.latents(seeds))

    def reconstruct(self, rows):
        """Rows through their latents and back."""
        return self.decoder(self.encoder(rows))

    def call(self, rows):
        return self.reconstruct(rows)

    @property
    def endpoints(self):
        latents, rows = Element("latents", self.decoder.input_shape[1:]), self.element
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (rows,)),
            "latents": Endpoint(self.latents, (SEEDS,), (latents,)),
            "encode": Endpoint(self.encoder, (rows,), (latents,)),
            "decode": Endpoint(self.decoder, (latents,), (rows,)),
            "reconstruct": Endpoint(self.reconstruct, (rows,), (rows,)),
        }


def recipe(
    data,
    latent_dim=8,
    hidden=1000,
    scale=1.0,
    learning_rate=1e-4,
    adversarial_rate=1e-4,
    beta_1=0.5,
    batch_size=100,
    epochs=50,
):
    """Two rectified layers of 1,000 units in each network, 8 latents, batches of 100.

    Departures: Adam at 1e-4 instead of gradient descent with momentum, whose rates depend on the
    scale of the error; Keras' first weights; the prior's deviation is 1. The encoder is the
    deterministic one of the three that the paper names.

    Args:
        hidden: units of each of the two hidden layers of all three networks
        scale: deviation of the prior, s
        learning_rate: of the reconstruction, by Adam
        adversarial_rate: of the discriminator and of the encoder that fools it, by Adam
    """
    element, widths = data.element, (hidden, hidden)
    decoder = mlp([latent_dim], element.shape, widths, name="decoder")
    model = AAE(
        mlp(element.shape, [latent_dim], widths, name="encoder"),
        keras.Model(decoder.input, squashed(decoder.output, element), name="decoder"),
        mlp([latent_dim], [1], widths, name="discriminator"),
        element,
        scale,
    )
    rates = {
        "reconstruction": learning_rate,
        "discriminator": adversarial_rate,
        "regularization": adversarial_rate,
    }
    optimizers = {name: keras.optimizers.Adam(rate, beta_1) for name, rate in rates.items()}
    yield Stage(model, data, optimizers, batch_size, epochs, steps_per_execution=10)


TINY = (Tiny({"latent_dim": 4, "hidden": 16, "batch_size": 16}),)
