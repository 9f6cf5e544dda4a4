"""Bidirectional GAN: a generator, and an encoder that learns to invert it.

    min_G,E max_D  E_x[log D(x, E(x))] + E_z[log(1 - D(G(z), z))],  z ~ U(-1, 1)

The discriminator sees pairs of a row and a latent: data with the latents that the encoder gives
them, and samples with the latents that they were made from. Where it cannot tell them apart the two
joint distributions are one, and encoder and generator are each other's inverse, though neither ever
saw the other's output and nothing compares a row with its reconstruction. So latents become
features of the data, learned without labels.

Generator and encoder are trained on the same loss with the two labels exchanged, -E[log D(G(z), z)]
- E[log(1 - D(x, E(x)))], which has the same fixed point and stronger slopes.

Donahue, Krähenbühl and Darrell, "Adversarial feature learning", ICLR 2017, arXiv:1605.09782.
"""

import math

import keras

from tfgen import random
from tfgen.endpoint import Element, Endpoint
from tfgen.model import minimize
from tfgen.networks import conv
from tfgen.networks.initial import narrow
from tfgen.networks.ranges import squashed
from tfgen.objectives import losses
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import Average, Stage, Tiny
from zoo.adversarial.gan import GAN


class BiGAN(GAN):
    """A GAN of pairs, with an encoder that plays on the generator's side.

    Args:
        generator: a `keras.Model` from latents `[N, D]` to samples `[N, ...]`.
        encoder: a `keras.Model` from samples to latents `[N, D]`.
        discriminator: a `keras.Model` from samples and latents to logits `[N, 1]`.
        element: the `Element` of the data.
    """

    def __init__(self, generator, encoder, discriminator, element):
        super().__init__(generator, discriminator, element)
        self.encoder = encoder

    @property
    def objectives(self):
        return {
            "discriminator": minimize(self.discriminator_loss, self.discriminator),
            "generator": minimize(self.generator_loss, self.generator, self.encoder),
        }

    def discriminator_loss(self, reals):
        return losses.non_saturating.discriminator(*self.scores(reals))

    def generator_loss(self, reals):
        encoded, generated = self.scores(reals)
        return losses.non_saturating.discriminator(generated, encoded)  # the labels exchanged

    def scores(self, reals):
        """Logits of the encoder's pairs and of the generator's, each float32 `[N, 1]`."""
        codes = self.infer(reals, random.fresh(reals))
        latents = self.latents(random.fresh(reals))
        encoded = self.discriminator([reals, codes])
        return encoded, self.discriminator([self.generator(latents), latents])

    def infer(self, rows, seeds):
        """The latents of rows, float32 `[N, D]`; here the seeds have no say."""
        return self.encoder(rows)

    def latents(self, seeds):
        """Draws z: float32 `[N, D]`, uniform in (-1, 1), from int32 seeds."""
        return 2.0 * random.uniform(seeds, self.generator.input_shape[1:]) - 1.0

    def reconstruct(self, rows):
        """Rows through their latents and back."""
        return self.generator(self.encoder(rows))

    def discriminate(self, rows):
        """Logits `[N, 1]`: whether rows are real, of the pairs that the encoder makes of them."""
        return self.discriminator([rows, self.encoder(rows)])

    @property
    def endpoints(self):
        latents = Element("latents", self.generator.input_shape[1:])
        logits = Element("logits", (1,))
        return super().endpoints | {
            "encode": Endpoint(self.encoder, (self.element,), (latents,)),
            "reconstruct": Endpoint(self.reconstruct, (self.element,), (self.element,)),
            "discriminate": Endpoint(self.discriminate, (self.element,), (logits,)),
        }


def normalized(x, widths, slope):
    """Dense layers of `widths` units with batch normalization and leaky ReLU."""
    for units in widths:
        x = keras.layers.Dense(units, use_bias=False, kernel_initializer=narrow())(x)
        x = keras.layers.LeakyReLU(slope)(conv.batch_norm()(x))
    return x


def generator(latent_dim, element, widths):
    """Normalized, rectified layers, then a sigmoid onto the range of the data, if it has one."""
    entry = keras.Input([latent_dim])
    x = normalized(entry, widths, 0.0)
    x = keras.layers.Dense(math.prod(element.shape), kernel_initializer=narrow(), dtype="float32")(
        x
    )
    x = keras.layers.Reshape(element.shape, dtype="float32")(squashed(x, element))
    return keras.Model(entry, x, name="generator")


def encoder(element, outputs, widths, slope=0.2):
    """From rows to `outputs` numbers, `[N, outputs]`, float32, by normalized layers."""
    entry = keras.Input(element.shape)
    x = normalized(keras.layers.Flatten()(entry), widths, slope)
    x = keras.layers.Dense(outputs, kernel_initializer=narrow(), dtype="float32")(x)
    return keras.Model(entry, x, name="encoder")


def discriminator(element, latent_dim, widths):
    """Leaky layers without normalization on a row and its latent, side by side."""
    rows, latents = keras.Input(element.shape), keras.Input([latent_dim])
    x = keras.layers.Concatenate()([keras.layers.Flatten()(rows), latents])
    for units in widths:
        x = keras.layers.Dense(units, kernel_initializer=narrow())(x)
        x = keras.layers.LeakyReLU(0.2)(x)
    x = keras.layers.Dense(1, kernel_initializer=narrow(), dtype="float32")(x)
    return keras.Model([rows, latents], x, name="discriminator")


def recipe(
    data,
    latent_dim=50,
    hidden=1024,
    learning_rate=2e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=128,
    epochs=50,
):
    """The dense networks of the authors' `train_mnist.sh`: two layers of 1,024 units each.

    From there, too: 50 uniform latents, Adam 2e-4 with beta_1 0.5, batches of 128. Departures: it
    plays 400 epochs, over the last 200 of which the rate falls, and has weight decay; the two terms
    of a loss are added up, not averaged, which Adam does not see; the discriminator has no batch
    normalization, and moves before the other two, on the same batch.

    Args:
        hidden: units of each of the two hidden layers of all three networks
    """
    widths = (hidden, hidden)
    model = BiGAN(
        generator(latent_dim, data.element, widths),
        encoder(data.element, latent_dim, widths),
        discriminator(data.element, latent_dim, widths),
        data.element,
    )
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


TINY = (Tiny({"latent_dim": 4, "hidden": 16, "batch_size": 16}),)
