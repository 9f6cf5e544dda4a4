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

from tfgen.networks import conv, players
from tfgen.objectives.losses import wasserstein
from tfgen.objectives.penalties import clipped
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Range, Stage, Tiny
from zoo.adversarial.gan import GAN


def recipe(
    data,
    clip=0.01,
    n_critic=5,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    batch_norm=False,
    learning_rate=5e-5,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """Algorithm 1: 5 updates of the critic a step, clipped at 0.01, RMSprop at 5e-5, batches of 64.

    64 latents and 20 epochs as in Lucic et al. (2018). Departure: the critic has no batch
    normalization, whose scales of 1 would be clipped to 0.01 too, and the generator's slopes with
    them at each layer; `batch_norm=true` gives it one. An epoch takes the data once: each update of
    the critic sees a part of its own.

    Args:
        clip: no weight of the critic is larger
        network: `neutral`, on which objectives are compared, or `dcgan` as in the paper
    """
    networks, norm = players(network), conv.norm(batch_norm)
    model = GAN(
        networks.generator(latent_dim, data.element, hidden, width),
        clipped(networks.critic(data.element, hidden, width, norm), clip),
        data.element,
        wasserstein,
        n_critic,
    )
    optimizer = averaged(keras.optimizers.RMSprop(learning_rate), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


ONLY = {("network", "neutral"): ("hidden",)}
SEARCHED = (
    Candidate(
        "wgan", {}, LEARNING_RATE | {"clip": Range(1e-2, 1.0), "batch_norm": (True, False)}, "lucic"
    ),
)
TINY = (
    Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "n_critic": 2, "batch_size": 16}),
    Tiny({"network": "dcgan", "latent_dim": 4, "width": 8, "n_critic": 2, "batch_size": 16}),
)
