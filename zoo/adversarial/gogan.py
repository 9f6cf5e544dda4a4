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
from tfgen.runs.recipes import Stage, Tiny
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
        ranking = self.ranking.discriminator(self.discriminator(reals), rows)
        return {"margin": super().discriminator_loss(reals), "ranking": self.weight * ranking}


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
    batch_size=64,
    epochs=20,
):
    """A stage a member, of so many epochs each; the next starts from the weights of the last.

    Clipping, optimizer, updates a step and batches are those of WGAN, which the paper builds on;
    `network` is `dcgan` as there, or `neutral` as in the comparison by Lucic et al. (2018). Margin
    and weight are ours.
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
        optimizer = keras.optimizers.RMSprop(learning_rate)
        model = functools.partial(member, number)
        yield Stage(model, data, optimizer, batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "n_critic": 2, "batch_size": 16}),)
