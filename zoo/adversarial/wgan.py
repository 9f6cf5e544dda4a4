"""Wasserstein GAN, with clipped weights.

    min_G max_D  E_x[D(x)] - E_z[D(G(z))],  |w| <= c for each weight w of D

Where data and samples hardly overlap, as images do, the Jensen-Shannon divergence is flat and
teaches the generator nothing. The earth mover's distance is not: it is the best value of a critic
whose slope is nowhere above 1. Clipped weights bound the slope, by a number that nobody knows, so
the value is the distance up to a factor. The critic can be trained to its optimum, and its value
follows how good the samples are.

Arjovsky, Chintala and Bottou, "Wasserstein GAN", ICML 2017, arXiv:1701.07875.
"""

import keras

from tfgen.networks import players
from tfgen.objectives.losses import wasserstein
from tfgen.objectives.penalties import clipped
from tfgen.runs.recipes import Stage, Tiny
from zoo.adversarial.gan import GAN


def recipe(
    data,
    clip=0.01,
    n_critic=5,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    learning_rate=5e-5,
    batch_size=64,
    epochs=20,
):
    """Algorithm 1: 5 updates of the critic a step, clipped at 0.01, RMSprop at 5e-5, batches of 64.

    `network` is `dcgan` as in the paper, or `neutral` with 64 latents and 20 epochs as in the
    comparison by Lucic et al. (2018). Departure: the critic has no batch normalization, whose
    scales of 1 would be clipped to 0.01 too, and the generator's slopes with them at each layer. An
    epoch takes the data once: each update of the critic sees a part of its own.
    """
    networks = players(network)
    model = GAN(
        networks.generator(latent_dim, data.element, hidden, width),
        clipped(networks.critic(data.element, hidden, width), clip),
        data.element,
        wasserstein,
        n_critic,
    )
    yield Stage(model, data, keras.optimizers.RMSprop(learning_rate), batch_size, epochs)


TINY = (
    Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "n_critic": 2, "batch_size": 16}),
    Tiny({"network": "dcgan", "latent_dim": 4, "width": 8, "n_critic": 2, "batch_size": 16}),
)
