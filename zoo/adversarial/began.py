"""Boundary equilibrium GAN.

    min_D  L(x) - k L(G(z)),   L(v) = |v - D(v)|, the mean over all pixels
    min_G  L(G(z))
    k <- k + lambda (gamma L(x) - L(G(z))),  within [0, 1]

D is an autoencoder, and it is the distributions of its errors on data and on samples that are
matched, by a bound on their Wasserstein distance. The weight k keeps the two players in balance,
E[L(G(z))] = gamma E[L(x)]: a smaller gamma gives better and less diverse samples. How far training
has come is told by M = L(x) + |gamma L(x) - L(G(z))|.

Berthelot, Schumm and Metz, "BEGAN: Boundary equilibrium generative adversarial networks", 2017,
arXiv:1703.10717.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import Element, Endpoint
from tfgen.networks import conv, neutral
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Range, Stage, Tiny
from zoo.adversarial.gan import GAN


class BEGAN(GAN):
    """A GAN whose discriminator is an autoencoder, balanced by `k`.

    Args:
        discriminator: as that of `EBGAN`.
        gamma: the diversity ratio.
        rate: lambda, of k.

    Attributes:
        k: float32 scalar variable in [0, 1].
    """

    def __init__(self, generator, discriminator, element, gamma, rate):
        super().__init__(generator, discriminator, element)
        self.gamma, self.rate = gamma, rate
        # All replicas assign the same value.
        self.k = keras.Variable(
            0.0, trainable=False, name="k", dtype="float32", aggregation="only_first_replica"
        )

    def discriminator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        errors = tf.reduce_mean(self.error(reals)), tf.reduce_mean(self.error(fakes))
        return {"real": errors[0], "fake": -self.k * errors[1]}

    def generator_loss(self, reals):
        return tf.reduce_mean(self.error(self.sample(random.fresh(reals))))

    def after_step(self, terms):
        errors = terms["discriminator/real"], terms["generator/loss"]
        real, fake = tf.distribute.get_replica_context().all_reduce("MEAN", errors)
        balance = self.gamma * real - fake
        self.k.assign(tf.clip_by_value(self.k + self.rate * balance, 0.0, 1.0))
        terms |= {"balance/k": self.k.value, "balance/M": real + tf.abs(balance)}

    def error(self, rows):
        """How badly rows `[N, ...]` are reconstructed: float32 `[N]`, means over their numbers."""
        differences = tf.abs(rows - self.discriminator(rows)[0])
        return tf.reduce_mean(differences, axis=range(1, rows.shape.rank))

    @property
    def endpoints(self):
        errors = Element("errors", (), low=0.0)
        return super().endpoints | {
            "discriminate": Endpoint(self.error, (self.element,), (errors,))
        }


def recipe(
    data,
    gamma=0.5,
    rate=1e-3,
    latent_dim=64,
    hidden=1024,
    width=64,
    batch_norm=True,
    learning_rate=1e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=16,
    epochs=20,
):
    """64 latents and codes, Adam 1e-4, batches of 16, lambda 1e-3, gamma 0.5.

    Departures: the networks are the neutral ones, not the paper's, which have convolutions of
    stride 1 between changes of size, exponential linear units and no batch normalization. Without
    it, these reconstruct nothing but black at first, and stay there. Latents are normal instead of
    uniform. The rate is not halved where M stalls. beta_1 is that of the comparison's code
    (google/compare_gan); the paper names none.

    Args:
        gamma: the diversity ratio, E[L(G(z))] / E[L(x)]
        rate: of k, lambda
        batch_norm: batch normalization in the autoencoder: true or false
    """
    norm = conv.norm(batch_norm)
    generator = neutral.generator(latent_dim, data.element, hidden, width)
    discriminator = neutral.autoencoder(data.element, latent_dim, hidden, width, norm)
    model = BEGAN(generator, discriminator, data.element, gamma, rate)
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


SEARCHED = (
    Candidate(
        "began",
        {},
        LEARNING_RATE | {"gamma": Range(0.6, 0.9, logarithmic=False), "batch_norm": (True, False)},
        "lucic",
    ),
)
TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
