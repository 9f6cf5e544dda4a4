"""Boundary-seeking GAN, for continuous data.

    max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))]
    min_G  1/2 E_z[(log D(G(z)) - log(1 - D(G(z))))^2]

The best discriminator of given samples tells the ratio of the densities, D / (1 - D); the data
are matched where it is 1 everywhere. So the generator does not run away from the data's side of the
boundary D = 1/2, nor beyond it, but seeks it: half the square of the logit.

Hjelm, Jacob, Che, Trischler, Cho and Bengio, "Boundary-seeking generative adversarial networks",
ICLR 2018, arXiv:1702.08431.
"""

import keras

from tfgen.networks import players
from tfgen.networks.conv import none
from tfgen.objectives import losses
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Stage, Tiny
from zoo.adversarial.gan import GAN


def recipe(
    data,
    beta_1=0.5,
    learning_rate=2e-4,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """Adam as in DCGAN, 2e-4 with beta_1 0.5; the choice is ours.

    64 latents, batches of 64 and 20 epochs as in Lucic et al. (2018). The discriminator is without
    batch normalization, which gives a batch of samples the same mean features as one of data:
    logits near 0, all that this generator asks for, whatever it makes.

    Args:
        network: `neutral`, on which objectives are compared, or `dcgan` as in the paper
    """
    networks = players(network)
    model = GAN(
        networks.generator(latent_dim, data.element, hidden, width),
        networks.discriminator(data.element, hidden=hidden, width=width, norm=none),
        data.element,
        losses.boundary_seeking,
    )
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


ONLY = {("network", "neutral"): ("hidden",)}
SEARCHED = (Candidate("bgan", {}, LEARNING_RATE),)
TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
