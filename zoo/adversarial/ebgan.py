"""Energy-based GAN.

    min_D  E_x[D(x)] + E_z[max(0, m - D(G(z)))],   D(x) = |decode(encode(x)) - x|
    min_G  E_z[D(G(z))] + w E_z,z'[cos(encode(G(z)), encode(G(z')))^2]

The discriminator need not be a probability: it is an energy, low near the data, and here it is the
error of an autoencoder, which learns from each image by as many numbers as it has pixels. It has
to reconstruct data well and samples badly, up to a margin m; the generator makes what
is reconstructed well. The pull-away term makes the codes of different samples orthogonal, so that
they do not all become one.

Zhao, Mathieu and LeCun, "Energy-based generative adversarial network", ICLR 2017, arXiv:1609.03126.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import Element, Endpoint
from tfgen.networks import neutral
from tfgen.objectives import penalties
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Stage, Tiny
from zoo.adversarial.gan import GAN


class EBGAN(GAN):
    """A GAN whose discriminator is an autoencoder.

    Args:
        discriminator: a `keras.Model` from samples to reconstructions `[N, ...]` and codes
            `[N, D]`, such as `neutral.autoencoder` makes.
        margin: m, the energy of samples that is enough.
        weight: w, of the pull-away term.
    """

    def __init__(self, generator, discriminator, element, margin, weight):
        super().__init__(generator, discriminator, element)
        self.margin, self.weight = margin, weight

    def discriminator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        missing = tf.nn.relu(self.margin - self.energy(fakes))
        return {"real": tf.reduce_mean(self.energy(reals)), "fake": tf.reduce_mean(missing)}

    def generator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        reconstructions, codes = self.discriminator(fakes)
        energies = distances(fakes, reconstructions)
        pull_away = self.weight * penalties.pull_away(codes)
        return {"energy": tf.reduce_mean(energies), "pull_away": pull_away}

    def energy(self, rows):
        """How badly rows `[N, ...]` are reconstructed: float32 `[N]`, Euclidean distances."""
        return distances(rows, self.discriminator(rows)[0])

    @property
    def endpoints(self):
        energies = Element("energies", (), low=0.0)
        return super().endpoints | {
            "discriminate": Endpoint(self.energy, (self.element,), (energies,))
        }


def distances(rows, others):
    """The Euclidean distance of each row from the other's, float32 `[N]`."""
    squares = tf.reduce_sum((rows - others) ** 2, axis=range(1, rows.shape.rank))
    return tf.sqrt(squares + 1e-12)  # the root's own slope is infinite at 0


def recipe(
    data,
    margin=10.0,
    weight=0.1,
    latent_dim=64,
    hidden=1024,
    width=64,
    learning_rate=1e-3,
    beta_1=0.5,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """The paper's best on digits: margin 10, weight 0.1 of the pull-away term, Adam 1e-3.

    Departure: its networks there are dense, found by a search over a grid; here the generator is
    the neutral one, and the autoencoder, with as many codes as there are latents, is made of the
    same layers. beta_1 is that of DCGAN; 64 latents, batches of 64 and 20 epochs as in Lucic et al.
    (2018).

    Args:
        margin: the energy of samples that is enough, m
        weight: of the pull-away term, w
    """
    generator = neutral.generator(latent_dim, data.element, hidden, width)
    discriminator = neutral.autoencoder(data.element, latent_dim, hidden, width)
    model = EBGAN(generator, discriminator, data.element, margin, weight)
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


SEARCHED = (Candidate("ebgan", {}, LEARNING_RATE),)
TINY = (Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),)
