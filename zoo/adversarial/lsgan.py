"""Least squares GAN.

    min_D  1/2 E_x[(D(x) - 1)^2] + 1/2 E_z[D(G(z))^2]
    min_G  1/2 E_z[(D(G(z)) - 1)^2]

A sigmoid hardly tells samples that are on the right side of the boundary but far from the data from
those that are near. Least squares on the plain output D does, and pulls both to where real data
score. (With other targets, 1 and -1 for D and 0 for G, the game minimizes Pearson's chi-square;
the paper found no difference in practice, and uses these.)

Mao, Li, Xie, Lau, Wang and Smolley, "Least squares generative adversarial networks", ICCV 2017,
arXiv:1611.04076.
"""

import keras

from tfgen.networks import players
from tfgen.objectives.losses import least_squares
from tfgen.runs.recipes import Stage, Tiny
from zoo.adversarial.gan import GAN


def recipe(
    data,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    learning_rate=1e-3,
    beta_1=0.5,
    batch_size=64,
    epochs=20,
):
    """Section 4.1: Adam with beta_1 0.5, 1e-3 for scenes (and 2e-4 for Chinese characters).

    `network` is `neutral`, from the comparison of objectives by Lucic et al. (2018), as are 64
    latents, batches of 64 and 20 epochs; or `dcgan`. Without the factor 1/2, to which Adam is
    blind. Departure: their networks for scenes of 112 pixels are not here.
    """
    networks = players(network)
    model = GAN(
        networks.generator(latent_dim, data.element, hidden, width),
        networks.discriminator(data.element, hidden=hidden, width=width),
        data.element,
        least_squares,
    )
    yield Stage(model, data, keras.optimizers.Adam(learning_rate, beta_1), batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
