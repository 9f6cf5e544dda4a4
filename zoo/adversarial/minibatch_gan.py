"""Minibatch discrimination GAN.

    min_G max_D  E_x[log D(x | batch)] + E_z[log(1 - D(G(z) | batch))]
    D sees f(x_i) and o(x_i)_b = sum_j exp(-|M_ib - M_jb|_1),  M_i = f(x_i) T

A generator that always makes the same point is not found out by a discriminator that looks at one
row at a time. Here a row is judged together with how close it is to the others of its batch, so
that reals and fakes are told apart by their variety, too.

With `history` above 0, both players are also drawn to the mean of their weights over time
(historical averaging), which damps circling. The generator is trained on
-E[log D(G(z))], as in `gan`.

Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen, "Improved techniques for training GANs",
NeurIPS 2016, arXiv:1606.03498.
"""

import keras

from tfgen.layers.minibatch import MinibatchDiscrimination
from tfgen.networks import neutral
from tfgen.objectives.stabilisation import HistoricalAveraging, averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Stage, Tiny
from zoo.adversarial.gan import GAN


class MinibatchGAN(GAN):
    """A GAN whose discriminator judges a batch as a whole.

    So `discriminate` is no endpoint: there is no answer for a row alone.

    Args:
        history: the weight of historical averaging; the others are those of a GAN.
    """

    def __init__(self, generator, discriminator, element, history=0.0):
        super().__init__(generator, discriminator, element)
        self.weight = history
        self.histories = (
            [HistoricalAveraging(network) for network in self.players] if history else []
        )

    @property
    def players(self):
        return self.discriminator, self.generator

    def discriminator_loss(self, reals):
        return {"source": super().discriminator_loss(reals)} | self.pull(0)

    def generator_loss(self, reals):
        return {"source": super().generator_loss(reals)} | self.pull(1)

    def pull(self, player):
        """The term of historical averaging, where it has a weight."""
        if not self.histories:
            return {}
        return {"history": self.weight * self.histories[player].distance(self.players[player])}

    def after_step(self, terms):
        for history, player in zip(self.histories, self.players, strict=False):
            history.update(player, self.step.value)

    @property
    def endpoints(self):
        return {name: e for name, e in super().endpoints.items() if name != "discriminate"}


def discriminator(element, hidden, width, kernels, dimensions):
    """The neutral one, with minibatch discrimination between its features and the logit.

    Without batch normalization, which would hide how close the rows are.
    """
    trunk = neutral.features(element, hidden, width, neutral.none)
    x = MinibatchDiscrimination(kernels, dimensions, dtype="float32")(trunk.output)
    logits = keras.layers.Dense(1, dtype="float32")(x)
    return keras.Model(trunk.input, logits, name="discriminator")


def recipe(
    data,
    kernels=100,
    dimensions=5,
    history=0.0,
    latent_dim=100,
    hidden=1024,
    width=64,
    learning_rate=3e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """Of the authors' code: B=100, C=5, z of 100, Adam 3e-4 with beta_1 0.5.

    Departures: the neutral networks, in the discriminator without any normalization where they
    normalize weights; normal noise instead of uniform; T is a plain matrix that
    starts with columns of about length 1, without their scaling by the first batch; batches and
    epochs are ours. The paper gives no weight for historical averaging.

    Args:
        kernels: closenesses that a row is told, B
        dimensions: numbers that are compared for each, C
        history: weight of historical averaging; 0 for none
    """
    model = MinibatchGAN(
        neutral.generator(latent_dim, data.element, hidden, width),
        discriminator(data.element, hidden, width, kernels, dimensions),
        data.element,
        history,
    )
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


SEARCHED = (Candidate("minibatch_gan", {}, LEARNING_RATE),)
TINY = (Tiny({"history": 0.1, "latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
