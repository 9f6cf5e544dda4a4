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
from tfgen.runs.recipes import Stage, Tiny
from zoo.adversarial.gan import GAN


def recipe(
    data,
    learning_rate=2e-4,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    batch_size=64,
    epochs=20,
):
    """RMSprop at 2e-4, as for their faces and scenes.

    Departure: one update of the generator a step, where they make ten. `network` is `dcgan` as in
    the paper, or `neutral` as are latents, batches and epochs: of the comparison by Lucic et al.
    (2018).
    """
    networks = players(network)
    model = GAN(
        networks.generator(latent_dim, data.element, hidden, width),
        networks.discriminator(data.element, hidden=hidden, width=width),
        data.element,
        hinge,
    )
    yield Stage(model, data, keras.optimizers.RMSprop(learning_rate), batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
