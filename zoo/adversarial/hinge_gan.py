"""Hinge GAN, or geometric GAN.

    min_D  E_x[max(0, 1 - D(x))] + E_z[max(0, 1 + D(G(z)))]
    min_G  -E_z[D(G(z))]

The last layer of a discriminator is a linear classifier of features: here it is trained as a
support vector machine, which only looks at rows within the margin, and the generator moves its
samples along the normal of the separating plane. It is the loss of SNGAN, SAGAN and BigGAN. (Tran,
Ranganath and Blei, arXiv:1702.08896, found it in the same year.)

Lim and Ye, "Geometric GAN", 2017, arXiv:1705.02894.
"""

import keras

from tfgen.networks import players
from tfgen.objectives.losses import hinge
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Stage, Tiny
from zoo.adversarial.gan import GAN


class HingeGAN(GAN):
    """A GAN with the hinge loss, whose generator may be updated more often.

    Args:
        n_generator: updates of the generator a step; the other arguments are those of a GAN.
    """

    def __init__(self, generator, discriminator, element, n_generator):
        super().__init__(generator, discriminator, element, hinge)
        self.n_generator = n_generator

    @property
    def objectives(self):
        found = super().objectives
        return found | {"generator": found["generator"]._replace(updates=self.n_generator)}


def recipe(
    data,
    learning_rate=2e-4,
    n_generator=1,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """RMSprop at 2e-4, as in the authors' scripts (lim0606/pytorch-geometric-gan).

    64 latents, batches of 64 and 20 epochs as in Lucic et al. (2018). Departure: those scripts
    update the generator ten times a step (`n_generator=10`); here both players are updated once, as
    in the other games of this family, so that a step takes one batch and not ten.

    Args:
        n_generator: updates of the generator a step, each a batch
        network: `neutral`, on which objectives are compared, or `dcgan` as in the paper
    """
    networks = players(network)
    model = HingeGAN(
        networks.generator(latent_dim, data.element, hidden, width),
        networks.discriminator(data.element, hidden=hidden, width=width),
        data.element,
        n_generator,
    )
    optimizer = averaged(keras.optimizers.RMSprop(learning_rate), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


ONLY = {("network", "neutral"): ("hidden",)}
SEARCHED = (Candidate("hinge_gan", {}, LEARNING_RATE),)
TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
