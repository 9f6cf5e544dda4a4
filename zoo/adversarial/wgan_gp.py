"""Wasserstein GAN with a gradient penalty.

    min_G max_D  E_x[D(x)] - E_z[D(G(z))] - lambda E_y[(|grad D(y)| - 1)^2],
    y on the straight lines between data and samples

Clipped weights make a critic too simple, and its slopes explode or vanish with depth. The best
critic has a slope of 1 almost everywhere between the data and the samples; so that is asked of it
directly, at random points between them.

Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville, "Improved training of Wasserstein GANs",
NeurIPS 2017, arXiv:1704.00028.
"""

import keras

from tfgen import random
from tfgen.networks import players
from tfgen.objectives import losses, penalties
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Range, Stage, Tiny
from zoo.adversarial.gan import GAN


class WGANGP(GAN):
    """A GAN of a critic, without batch normalization, that pays for slopes other than 1.

    Args:
        weight: of the penalty, lambda; the other arguments are those of a GAN.
    """

    def __init__(self, generator, discriminator, element, n_critic, weight):
        penalties.refuse_batch_norm(discriminator)
        super().__init__(generator, discriminator, element, losses.wasserstein, n_critic)
        self.weight = weight

    def discriminator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        scores = self.discriminator(reals), self.discriminator(fakes)
        penalty = penalties.gradient_penalty(self.discriminator, reals, fakes)
        return {
            "wasserstein": self.adversarial.discriminator(*scores),
            "penalty": self.weight * penalty,
        }


def recipe(
    data,
    weight=10.0,
    n_critic=5,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    learning_rate=1e-4,
    beta_1=0.0,
    beta_2=0.9,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """Algorithm 1: lambda 10, 5 updates of the critic a step, Adam 1e-4 with betas 0 and 0.9.

    Batches of 64 are its m; 64 latents and 20 epochs as in Lucic et al. (2018). The critic is
    without any normalization (the paper allows others than of the batch). An epoch takes the data
    once: each update of the critic sees a part of its own.

    Args:
        weight: of the penalty, lambda
        network: `neutral`, on which objectives are compared, or `dcgan`, one of the paper's
    """
    networks = players(network)
    critic = networks.critic(data.element, hidden, width)
    generator = networks.generator(latent_dim, data.element, hidden, width)
    model = WGANGP(generator, critic, data.element, n_critic, weight)
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1, beta_2), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


ONLY = {("network", "neutral"): ("hidden",)}
SEARCHED = (Candidate("wgan_gp", {}, LEARNING_RATE | {"weight": Range(0.1, 10.0)}, "lucic"),)
TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "n_critic": 2, "batch_size": 16}),)
