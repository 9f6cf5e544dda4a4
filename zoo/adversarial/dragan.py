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
from tfgen.runs.recipes import Stage, Tiny
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
    learning_rate=2e-4,
    beta_1=0.5,
    batch_size=64,
    epochs=20,
):
    """Section 2.3: lambda 10 and slope 1; the noise as `tfgen.objectives.penalties.dragan` says.

    Adam is DCGAN's, whose networks the paper takes: `network` is `dcgan`, or `neutral`, as are
    latents, batches and epochs: of the comparison by Lucic et al. (2018). The discriminator's is
    without normalization, and the penalty is on the slope of the logit, as there.
    """
    networks = players(network)
    critic = networks.discriminator(data.element, hidden=hidden, width=width, norm=none)
    generator = networks.generator(latent_dim, data.element, hidden, width)
    model = DRAGAN(generator, critic, data.element, weight)
    yield Stage(model, data, keras.optimizers.Adam(learning_rate, beta_1), batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
