"""Fisher GAN.

    min_G max_D  E_x[D(x)] - E_z[D(G(z))],   M(D) = 1/2 E_x[D(x)^2] + 1/2 E_z[D(G(z))^2] = 1

The distance of WGAN, among critics bounded by their second moment on the data and the samples
instead of by their slope: what is measured is the difference of means in units of the deviation, as
Fisher's discriminant does, and its best value is a chi-square distance. Neither clipped weights nor
slopes are needed, but a multiplier l of the constraint, learned beside the critic:

    max_D min_l  E_x[D(x)] - E_z[D(G(z))] + l (1 - M(D)) - rho/2 (1 - M(D))^2

Mroueh and Sercu, "Fisher GAN", NeurIPS 2017, arXiv:1705.09675.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.networks import players
from tfgen.objectives import losses
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Range, Stage, Tiny
from zoo.adversarial.gan import GAN


class Multiplier(keras.layers.Layer):
    """Holds l, and moves it by rho (M - 1) whenever a critic in training is asked for M."""

    def __init__(self, rho):
        super().__init__(dtype="float32")
        self.rho = rho
        # All replicas assign the same value.
        self.value = self.add_weight((), "zeros", trainable=False, aggregation="only_first_replica")
        self.built = True

    def call(self, moment, training=False):
        """What the constraint costs a critic of the second moment M, a scalar."""
        excess = tf.distribute.get_replica_context().all_reduce("MEAN", moment) - 1.0
        cost = self.value * excess + self.rho / 2.0 * excess**2
        if training:
            self.value.assign_add(self.rho * tf.stop_gradient(excess))
        return cost


class FisherGAN(GAN):
    """A GAN of a critic with a second moment of 1.

    Args:
        rho: the weight of the penalty, and the rate of the multiplier.
    """

    def __init__(self, generator, discriminator, element, n_critic, rho):
        super().__init__(generator, discriminator, element, losses.wasserstein, n_critic)
        self.multiplier = Multiplier(rho)

    def discriminator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        reals, fakes = self.discriminator(reals), self.discriminator(fakes)
        moment = (tf.reduce_mean(reals**2) + tf.reduce_mean(fakes**2)) / 2.0
        return {
            "distance": self.adversarial.discriminator(reals, fakes),
            "constraint": self.multiplier(moment),
        }


def recipe(
    data,
    rho=1e-6,
    n_critic=2,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    learning_rate=2e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """Of the paper and its released code: rho 1e-6, 2 updates of the critic a step, Adam 2e-4.

    64 latents and 20 epochs as in Lucic et al. (2018).

    Args:
        rho: weight of the penalty on the second moment, and rate of the multiplier
        network: `neutral`, on which objectives are compared, or `dcgan`, close to the paper's,
            which have more layers
    """
    networks = players(network)
    generator = networks.generator(latent_dim, data.element, hidden, width)
    critic = networks.discriminator(data.element, hidden=hidden, width=width)
    model = FisherGAN(generator, critic, data.element, n_critic, rho)
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


ONLY = {("network", "neutral"): ("hidden",)}
SEARCHED = (Candidate("fisher_gan", {}, LEARNING_RATE | {"rho": Range(1e-6, 1e-1)}),)
TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
