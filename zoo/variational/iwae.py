"""Importance-weighted autoencoder.

    max  E_z1..zK~q(z|x)[log 1/K sum_k w_k],  w_k = p(x, z_k) / q(z_k|x)

A `vae` whose bound on log p(x) takes K latents for each image. It rises with K towards log p(x),
and forgives an encoder that is right only now and then, so the posterior may be less simple and
more latents are used. Its gradient is that of the log-weights, each weighted by its share of their
sum.

Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, arXiv:1509.00519.
"""

import math

import keras
import tensorflow as tf

from tfgen import random
from tfgen.model import minimize
from tfgen.objectives.distributions import diagonal, standard
from tfgen.runs.recipes import Stage, Tiny
from zoo.variational._networks import encoder_and_decoder
from zoo.variational.vae import VAE


class IWAE(VAE):
    """A VAE that is trained by the bound of K samples.

    Args:
        encoder, decoder, element: as of `VAE`.
        samples: K, an int.
    """

    def __init__(self, encoder, decoder, element, samples):
        super().__init__(encoder, decoder, element)
        self.samples = samples

    @property
    def objectives(self):
        return {"iwae": minimize(self.negative_bound, self.encoder, self.decoder)}

    def negative_bound(self, images):
        targets = self.targets(images, random.fresh(images))
        weights = self.log_weights(targets, random.fresh(images))
        bounds = tf.reduce_logsumexp(weights, axis=1) - math.log(self.samples)
        return {"bound": -tf.reduce_mean(bounds)}

    def log_weights(self, targets, seeds):
        """log w_k of all K samples at once, float32 `[N, K]`: each image is decoded K times."""
        outputs = self.encoder(targets)
        size = outputs.shape[1] // 2
        noise = random.normal(seeds, [self.samples, size])
        posterior = diagonal(tf.repeat(outputs, self.samples, axis=0))
        latents = posterior.mean() + posterior.stddev() * tf.reshape(noise, [-1, size])
        repeated = tf.repeat(targets, self.samples, axis=0)
        joint = self.likelihood(latents).log_prob(repeated) + standard(latents).log_prob(latents)
        return tf.reshape(joint - posterior.log_prob(latents), [-1, self.samples])


def recipe(
    data,
    samples=50,
    latent_dim=50,
    hidden=200,
    layers=2,
    learning_rate=1e-3,
    batch_size=20,
    epochs=60,
):
    """The model of one stochastic layer: two hidden layers of 200 tanh units on each side.

    Departures: Keras' Adam, and a cosine decay to nothing over fewer epochs, instead of eight rates
    from 1e-3 to 1e-4 over 3,280 epochs, which take days on two cores; no first bias from the mean
    image.

    Args:
        samples: K, latents for each image; 1 is a vae whose divergence is drawn, too
        hidden: units of a hidden layer
        layers: hidden layers of the encoder and of the decoder
        learning_rate: of Adam, down to 0 by a cosine over the epochs
    """
    networks = encoder_and_decoder(
        "iwae", data, [2 * latent_dim], [latent_dim], [hidden] * layers, "tanh"
    )
    steps = epochs * data.steps_per_epoch(batch_size)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model = IWAE(*networks, data.element, samples)
    optimizer = keras.optimizers.Adam(rate)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


TINY = (Tiny({"samples": 3, "latent_dim": 4, "hidden": 16, "batch_size": 16}),)
