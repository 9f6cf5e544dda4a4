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

from tfgen.networks import conv, players
from tfgen.objectives.losses import least_squares
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Stage, Tiny
from zoo.adversarial.gan import GAN


def recipe(
    data,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    batch_norm=True,
    learning_rate=1e-3,
    beta_1=0.5,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """Adam with beta_1 0.5 and 1e-3, as for scenes (for Chinese characters they take 2e-4).

    64 latents, batches of 64 and 20 epochs as in Lucic et al. (2018). Without the factor 1/2, to
    which Adam is blind. Departure: the networks, instead of theirs for scenes of 112 pixels.

    Args:
        network: `neutral`, on which objectives are compared, or `dcgan`
    """
    networks, norm = players(network), conv.norm(batch_norm)
    model = GAN(
        networks.generator(latent_dim, data.element, hidden, width),
        networks.discriminator(data.element, hidden=hidden, width=width, norm=norm),
        data.element,
        least_squares,
    )
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


ONLY = {("network", "neutral"): ("hidden",)}
SEARCHED = (Candidate("lsgan", {}, LEARNING_RATE | {"batch_norm": (True, False)}, "lucic"),)
TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
