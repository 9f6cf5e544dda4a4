"""Adversarially learned inference.

    min_G,E max_D  E_q(x)q(z|x)[log D(x, z)] + E_p(z)p(x|z)[log(1 - D(x, z))],  p(z) = N(0, I)

The game of `bigan` with an encoder that is a distribution, q(z|x) = N(mean, scale^2), drawn from by
z = mean + scale * noise: a discriminator of pairs matches the joint distribution of data and their
inferred latents with that of latents and their samples. Inference then covers what the prior
covers, without a bound and without a likelihood of pixels. Reconstructions keep what a row is about
and need not keep its details: no term asks for them.

Dumoulin, Belghazi, Poole, Mastropietro, Lamb, Arjovsky and Courville, "Adversarially learned
inference", ICLR 2017, arXiv:1606.00704.
"""

import keras

from tfgen import random
from tfgen.endpoint import Element, Endpoint
from tfgen.layers.dropout import Dropout
from tfgen.layers.maxout import Maxout
from tfgen.networks import neutral
from tfgen.networks.initial import narrow
from tfgen.objectives.distributions import diagonal
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import Average, Stage, Tiny
from zoo.adversarial.gan import GAN
from zoo.inference import bigan
from zoo.inference.bigan import BiGAN


class ALI(BiGAN):
    """A BiGAN whose encoder gives the mean and the log-variance of a Gaussian, `[N, 2 D]`."""

    latents = GAN.latents  # normal

    def infer(self, rows, seeds):
        """A draw of q(z|x): float32 `[N, D]`, from int32 seeds."""
        mean, scale = self.encode(rows)
        return mean + scale * random.normal(seeds, mean.shape[1:])

    def encode(self, rows):
        """Mean and scale of q(z|x): two float32 `[N, D]`."""
        posterior = diagonal(self.encoder(rows))
        return posterior.mean(), posterior.stddev()

    def reconstruct(self, rows):
        """Rows through the mean latent and back."""
        return self.generator(self.encode(rows)[0])

    def discriminate(self, rows):
        """Logits `[N, 1]`: whether rows are real, of the pairs with their mean latents."""
        return self.discriminator([rows, self.encode(rows)[0]])

    @property
    def endpoints(self):
        latents = Element("latents", self.generator.input_shape[1:])
        scales = latents._replace(name="scales", low=0.0)
        return super().endpoints | {
            "encode": Endpoint(self.encode, (self.element,), (latents, scales))
        }


def discriminator(element, latent_dim, hidden, width, maxout):
    """Of images a network of its own, then with the latents' two joint layers; dropout throughout.

    Of points three maxout layers on the pair.
    """
    rows, latents = keras.Input(element.shape), keras.Input([latent_dim])
    if len(element.shape) == 1:
        x = keras.layers.Concatenate()([rows, latents])
        for _ in range(3):
            x = Maxout(maxout, 5, kernel_initializer=narrow())(x)
    else:
        seen = neutral.features(element, hidden, width, slope=0.1, norm=neutral.none)
        z = latents
        for units in (hidden // 2, hidden // 2):
            z = Dropout(0.2)(z)
            z = keras.layers.Dense(units, kernel_initializer=narrow())(z)
            z = keras.layers.LeakyReLU(0.1)(z)
        x = keras.layers.Concatenate()([seen(Dropout(0.2)(rows)), z])
        for units in (hidden, hidden):
            x = Dropout(0.5)(x)
            x = keras.layers.Dense(units, kernel_initializer=narrow())(x)
            x = keras.layers.LeakyReLU(0.1)(x)
        x = Dropout(0.5)(x)
    x = keras.layers.Dense(1, kernel_initializer=narrow(), dtype="float32")(x)
    return keras.Model([rows, latents], x, name="discriminator")


def recipe(
    data,
    latent_dim=64,
    hidden=1024,
    width=64,
    points_width=400,
    points_maxout=200,
    learning_rate=1e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=100,
    epochs=50,
):
    """Adam 1e-4 with beta_1 0.5, batches of 100, 64 latents: those of CIFAR-10 in the appendix.

    On points the networks are those of the authors' `ali_mixture.py`: normalized layers of 400
    units, two in the encoder and four in the generator, and three maxout layers of 200 units in 5
    pieces. (Its beta_1 is 0.8, and it has 2 latents.) Departures: on images the convolutions are
    the neutral networks', with the paper's dense layers for latents and pairs and its dropout, 0.2
    of what comes in and 0.5 before the joint layers; weights from N(0, 0.02); the discriminator
    moves before the other two, on the same batch; the number of epochs is ours, where the paper
    plays 6,475 on CIFAR-10.

    Args:
        hidden: units of the joint layers, and of the dense layer of the other networks, for images
        points_width: units of a layer of encoder and generator, for points
        points_maxout: maxout units of a layer of the discriminator, for points
    """
    element = data.element
    if len(element.shape) == 1:
        generator = bigan.generator(latent_dim, element, [points_width] * 4)
        encoder = bigan.encoder(element, 2 * latent_dim, [points_width] * 2, slope=0.0)
    else:
        generator = neutral.generator(latent_dim, element, hidden, width)
        encoder = neutral.discriminator(
            element, 2 * latent_dim, hidden=hidden, width=width, slope=0.1
        )
    judge = discriminator(element, latent_dim, hidden, width, points_maxout)
    model = ALI(generator, encoder, judge, element)
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


TINY = (
    Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),
    Tiny({"latent_dim": 2, "points_width": 16, "points_maxout": 8, "batch_size": 16}, data="ring"),
)
