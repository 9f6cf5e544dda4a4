"""DRAGAN: deep regret analytic GAN.

    max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))] - lambda E_x,d[(|grad D(x + d)| - 1)^2],  d noise
    min_G  -E_z[log D(G(z))]

Seen as a game of two players who regret, gradient play converges where values are convex, but has
local equilibria where it gets stuck: there modes collapse, and around some real rows the
discriminator is very steep. The penalty keeps it from being so, near the data alone, while the
game stays that of `gan`.

Kodali, Abernethy, Hays and Kira, "On convergence and stability of GANs", 2017, arXiv:1705.07215.
"""

import keras

from tfgen.networks import players
from tfgen.networks.conv import none
from tfgen.objectives import penalties
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Range, Stage, Tiny
from zoo.adversarial.gan import GAN


class DRAGAN(GAN):
    """A GAN whose discriminator, without batch normalization, has slopes of 1 around the data.

    Args:
        weight: of the penalty, lambda; the other arguments are those of a GAN.
    """

    def __init__(self, generator, discriminator, element, weight):
        penalties.refuse_batch_norm(discriminator)
        super().__init__(generator, discriminator, element)
        self.weight = weight

    def discriminator_loss(self, reals):
        penalty = self.weight * penalties.dragan(self.discriminator, reals)
        return {"source": super().discriminator_loss(reals), "penalty": penalty}


def recipe(
    data,
    weight=10.0,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    learning_rate=1e-4,
    beta_1=0.5,
    beta_2=0.9,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """Of the authors' notebook (kodalinaveen3/DRAGAN): lambda 10, Adam 1e-4 with betas 0.5 and 0.9.

    The noise and the slope, of the logit, are those of that notebook too: see
    `tfgen.objectives.penalties.dragan`. The discriminator is without normalization; 64 latents,
    batches of 64 and 20 epochs as in Lucic et al. (2018).

    Args:
        weight: of the penalty, lambda
        network: `neutral`, on which objectives are compared, or `dcgan` as in the paper
    """
    networks = players(network)
    critic = networks.discriminator(data.element, hidden=hidden, width=width, norm=none)
    generator = networks.generator(latent_dim, data.element, hidden, width)
    model = DRAGAN(generator, critic, data.element, weight)
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1, beta_2), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


ONLY = {("network", "neutral"): ("hidden",)}
SEARCHED = (Candidate("dragan", {}, LEARNING_RATE | {"weight": Range(0.1, 10.0)}, "lucic"),)
TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
