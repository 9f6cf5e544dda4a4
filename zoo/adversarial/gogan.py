"""Gang of GANs.

    min_D_i  E[max(0, m + D_i(G_i(z)) - D_i(x))] + w E[max(0, 2 m + D_j(G_j(z)) - D_i(x))],  j = i-1
    min_G_i  -E_z[D_i(G_i(z))]

WGAN's critic separates data from samples without end; with a margin it stops where a pair is well
apart, and looks at those that are not. Then GANs are trained one after the other: the critic of
the next scores the data above what the one before gave its own samples, by twice the
margin, so that the data are ranked before the new samples and these before the old.

Juefei-Xu, Boddeti and Savvides, "Gang of GANs: Generative adversarial networks with maximum margin
ranking", 2017, arXiv:1704.04865.
"""

import functools

import keras

from tfgen import random
from tfgen.networks import players
from tfgen.objectives import losses
from tfgen.objectives.penalties import clipped
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Range, Stage, Tiny
from zoo.adversarial.gan import GAN


class GoGAN(GAN):
    """A GAN of the gang, after the first.

    Args:
        loss, n_critic: as in a GAN.
        rival: its predecessor, a trained GAN, which stays as it is.
        margin: what the data score above the rival's samples.
        weight: of the ranking.
    """

    def __init__(self, generator, discriminator, element, loss, n_critic, rival, margin, weight):
        super().__init__(generator, discriminator, element, loss, n_critic)
        self.rivals = [rival.generator, rival.discriminator]
        self.ranking, self.weight = losses.margin(margin), weight

    def discriminator_loss(self, reals):
        rows = self.latents(random.fresh(reals))
        for network in self.rivals:
            rows = network(rows, training=False)
        fakes = self.sample(random.fresh(reals))
        reals = self.discriminator(reals)
        return {
            "margin": self.adversarial.discriminator(reals, self.discriminator(fakes)),
            "ranking": self.weight * self.ranking.discriminator(reals, rows),
        }


def recipe(
    data,
    members=2,
    margin=1.0,
    weight=0.5,
    clip=0.01,
    n_critic=5,
    network="neutral",
    latent_dim=64,
    hidden=1024,
    width=64,
    learning_rate=5e-5,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """A stage a member, of so many epochs each; the next starts from the weights of the last.

    Clipping, optimizer, updates a step and batches are those of WGAN, which the paper builds on; 64
    latents and 20 epochs as in Lucic et al. (2018). Margin and weight are ours.

    Args:
        members: of the gang, trained one after the other
        margin: between the scores of a pair; twice that above the samples of the one before
        weight: of the ranking against the one before
        clip: no weight of a critic is larger
        network: `neutral`, on which objectives are compared, or `dcgan` as in the paper
        epochs: how often each member sees all data
    """
    networks = players(network)

    def member(number, before):
        generator = networks.generator(latent_dim, data.element, hidden, width)
        critic = clipped(networks.critic(data.element, hidden, width), clip)
        parts = generator, critic, data.element, losses.margin(margin), n_critic
        if not number:
            return GAN(*parts)
        rival = before or member(0, None)  # where it is opened, its weights come from a checkpoint
        generator.set_weights(rival.generator.get_weights())
        critic.set_weights(rival.discriminator.get_weights())
        return GoGAN(*parts, rival, 2.0 * margin, weight)

    for number in range(members):
        optimizer = averaged(keras.optimizers.RMSprop(learning_rate), ema)
        model = functools.partial(member, number)
        yield Stage(model, data, optimizer, batch_size, epochs)


ONLY = {("network", "neutral"): ("hidden",)}
SEARCHED = (Candidate("gogan", {}, LEARNING_RATE | {"clip": Range(1e-2, 1.0)}),)
TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "n_critic": 2, "batch_size": 16}),)
