"""Unrolled generative adversarial networks.

    min_G  f(G, D_k(G)),   max_D  f(G, D),   f = E_x[log D(x)] + E_z[log(1 - D(G(z)))]
    D_0 = D,   D_(i+1) = D_i + eta df(G, D_i)/dD_i

The generator should meet the discriminator's best answer, and meets only its present one; so it
runs to the one mode that is now underrated, and the discriminator after it. Here the generator
looks k answers ahead, and its slope goes through them: it feels that a crowded mode would be found
out. The discriminator itself plays as ever. With k = 0 this is the minimax GAN.

Metz, Poole, Pfau and Sohl-Dickstein, "Unrolled generative adversarial networks", ICLR 2017,
arXiv:1611.02163.
"""

from typing import Annotated

import keras

from tfgen import random
from tfgen.networks import neutral
from tfgen.objectives import losses
from tfgen.objectives.stabilisation import averaged
from tfgen.objectives.unrolling import unroll
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Range, Stage, Tiny
from zoo.adversarial.gan import GAN


class UnrolledGAN(GAN):
    """A GAN whose generator foresees k updates of the discriminator.

    The foreseen updates are those of the discriminator's own optimizer, Adam or plain SGD, from
    where it stands, all on one batch.

    Args:
        k: how many; the other arguments are those of a GAN.
    """

    def __init__(self, generator, discriminator, element, k):
        super().__init__(generator, discriminator, element, losses.minimax)
        self.k = k

    def generator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        weights = unroll(
            self.optimizers["discriminator"],
            lambda weights: self.answer_loss(weights, reals, fakes),
            [v.value for v in self.discriminator.trainable_variables],
            self.k,
        )
        return -self.answer_loss(weights, reals, fakes)

    def answer_loss(self, weights, reals, fakes):
        """-f of a discriminator with these weights: what it minimizes."""
        state = [v.value for v in self.discriminator.non_trainable_variables]
        logits = [self.discriminator.stateless_call(weights, state, x)[0] for x in (reals, fakes)]
        return self.adversarial.discriminator(*logits)


def recipe(
    data,
    k: Annotated[int, (0, 1000)] = 5,
    latent_dim=256,
    hidden=1024,
    width=64,
    learning_rate=1e-3,
    discriminator_rate=1e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=512,
    epochs=250,
):
    """The authors' released code for points on a ring: k = 5, batches of 512, z of 256.

    Adam with beta_1 0.5, 1e-3 for the generator and 1e-4 for the discriminator, so that a generator
    that does not look ahead runs away from it. 250 epochs of the ring are about their 25,000 steps.
    Departure: the neutral networks.

    Args:
        k: updates of the discriminator that the generator looks ahead
        learning_rate: of the generator
        discriminator_rate: of the discriminator
    """
    model = UnrolledGAN(
        neutral.generator(latent_dim, data.element, hidden, width),
        neutral.discriminator(data.element, hidden=hidden, width=width),
        data.element,
        k,
    )
    optimizers = {
        "discriminator": keras.optimizers.Adam(discriminator_rate, beta_1),
        "generator": keras.optimizers.Adam(learning_rate, beta_1),
    }
    optimizers = averaged(optimizers, ema)
    yield Stage(model, data, optimizers, batch_size, epochs, steps_per_execution=10)


SEARCHED = (
    Candidate("unrolled_gan", {}, LEARNING_RATE | {"discriminator_rate": Range(1e-4, 1e-3)}),
)
TINY = (Tiny({"k": "1", "latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
