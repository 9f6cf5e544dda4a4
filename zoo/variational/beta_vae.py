"""beta-VAE.

    max  E_q(z|x)[log p(x|z)] - beta sum_j max(free, E_x[KL(q(z_j|x) || p(z_j))])

A `vae` whose divergence weighs beta times as much, so that it tells little by its latents, and
tells it by few of them that do not depend on each other: on images of known factors often one
latent a factor. Free bits are the opposite help, against latents that tell nothing: up to so many
nats a latent costs nothing.

Higgins, Matthey, Pal, Burgess, Glorot, Botvinick, Mohamed and Lerchner, "beta-VAE: learning basic
visual concepts with a constrained variational framework", ICLR 2017; free bits: Kingma, Salimans,
Jozefowicz, Chen, Sutskever and Welling, NeurIPS 2016, arXiv:1606.04934.
"""

import math
from typing import Annotated

import keras
import tensorflow as tf

from tfgen import random
from tfgen.model import mean_over_replicas
from tfgen.runs.recipes import Stage, Tiny
from zoo.variational._networks import encoder_and_decoder
from zoo.variational.vae import VAE


class BetaVAE(VAE):
    """A VAE with a weight and free nats on its divergence.

    Args:
        encoder, decoder, element: as of `VAE`.
        beta: the weight, a float; 1 is the VAE.
        free: nats that each latent tells for nothing, a float; 0 is the VAE.
    """

    def __init__(self, encoder, decoder, element, beta, free):
        super().__init__(encoder, decoder, element)
        self.beta, self.free = beta, free

    def negative_elbo(self, images):
        """The loss in three terms: the first two are the negative ELBO, `excess` what is added."""
        targets = self.targets(images, random.fresh(images))
        posterior = self.posterior(targets)
        latents = self.draw(posterior, random.fresh(images))
        divergences = tf.reduce_mean(self.divergences(posterior), axis=0)
        # The mean of all replicas decides, as one of a part of the batch would decide otherwise.
        dear = mean_over_replicas(tf.stop_gradient(divergences)) > self.free
        charged = tf.reduce_sum(tf.where(dear, divergences, self.free))
        kl = tf.reduce_sum(divergences)
        return {
            "reconstruction": -tf.reduce_mean(self.likelihood(latents).log_prob(targets)),
            "kl": kl,
            "excess": self.beta * charged - kl,
        }

    def divergences(self, posterior):
        """KL(q(z_j|x) || N(0, 1)) of each latent: float32 `[N, D]`, in nats."""
        mean, scale = posterior.mean(), posterior.stddev()
        return 0.5 * (mean**2 + scale**2 - 1.0) - tf.math.log(scale)


def recipe(
    data,
    beta: Annotated[float, (0.0, math.inf)] = 4.0,
    free: Annotated[float, (0.0, math.inf)] = 0.0,
    latent_dim=10,
    hidden=1200,
    layers=2,
    learning_rate=1e-4,
    batch_size=64,
    epochs=50,
):
    """The fully connected networks for dSprites: hidden layers of 1,200 units, and 10 latents.

    Departures: tanh units and as many layers on both sides, where the paper has two of rectifiers
    and three of tanh; Adam at 1e-4, as in the comparison by Locatello et al. (2019,
    arXiv:1811.12359), where the paper used Adagrad.

    Args:
        beta: weight of the divergence; 1 is a vae, and 0 an autoencoder with noise
        free: nats that each latent may tell for nothing, on the mean of a batch
        hidden: units of a hidden layer
        layers: hidden layers of the encoder and of the decoder
    """
    networks = encoder_and_decoder(
        "beta_vae", data, [2 * latent_dim], [latent_dim], [hidden] * layers, "tanh"
    )
    model = BetaVAE(*networks, data.element, beta, free)
    optimizer = keras.optimizers.Adam(learning_rate)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


TINY = (Tiny({"free": 0.05, "latent_dim": 4, "hidden": 16, "batch_size": 16}),)
