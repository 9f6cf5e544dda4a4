"""Conditional generative adversarial networks.

    min_G max_D  E_x,y[log D(x, y)] + E_z,y[log(1 - D(G(z, y), y))],  z ~ U(0, 1)

The game of `gan` with a label y that both players see. So the discriminator asks not only whether
an image looks real but whether it looks like its label, and the generator makes the class that it
is asked for. The generator is trained on -E[log D(G(z, y), y)], as in `gan`.

Mirza and Osindero, "Conditional generative adversarial nets", 2014, arXiv:1411.1784.
"""

import math

import keras

from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint, labels
from tfgen.errors import InputError, check_choice
from tfgen.layers.dropout import Dropout
from tfgen.layers.maxout import Maxout
from tfgen.networks import conditional
from tfgen.networks.conditional import one_hot
from tfgen.networks.initial import uniform
from tfgen.networks.ranges import squashed, to_unit
from tfgen.objectives import losses
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import Average, Rate, Stage, Tiny
from zoo.adversarial.gan import GAN


class CGAN(GAN):
    """A generator and a discriminator that both see the label.

    Args:
        generator: a `keras.Model` from `[latents [N, D], labels int32 [N]]` to samples `[N, ...]`.
        discriminator: a `keras.Model` from `[samples, labels]` to logits `[N, 1]`.
        element: the `Element` of the data.
        classes: how many there are, an int.
        loss: a `tfgen.objectives.losses.AdversarialLoss`.
        n_critic: updates of the discriminator a step.
    """

    def __init__(
        self, generator, discriminator, element, classes, loss=losses.non_saturating, n_critic=1
    ):
        super().__init__(generator, discriminator, element, loss, n_critic)
        self.classes = classes

    def discriminator_loss(self, batch):
        reals, labels = batch
        fakes = self.sample(random.fresh(reals), labels)
        logits = (self.discriminator([rows, labels]) for rows in (reals, fakes))
        return self.adversarial.discriminator(*logits)

    def generator_loss(self, batch):
        reals, labels = batch
        fakes = self.sample(random.fresh(reals), labels)
        return self.adversarial.generator(self.discriminator([fakes, labels]))

    def latents(self, seeds):
        """Draws z: float32 `[N, D]`, uniform in the unit cube, from int32 seeds."""
        return random.uniform(seeds, self.generator.input_shape[0][1:])

    def sample(self, seeds, labels):
        """Draws samples `[N, ...]` of the classes int32 `[N]`, from int32 seeds, one a row."""
        return self.decode(self.latents(seeds), labels)

    def decode(self, latents, labels):
        """Samples `[N, ...]` of latents float32 `[N, D]` and classes int32 `[N]`."""
        return self.generator([latents, labels])

    def discriminate(self, rows, labels):
        """Logits `[N, 1]`: whether rows are real and of their class."""
        return self.discriminator([rows, labels])

    def call(self, latents, labels):
        return self.decode(latents, labels)

    @property
    def endpoints(self):
        latents = Element("latents", self.generator.input_shape[0][1:])
        classes, logits = labels(self.classes), Element("logits", (1,))
        return {
            "sample": Endpoint(self.sample, (SEEDS, classes), (self.element,)),
            "latents": Endpoint(self.latents, (SEEDS,), (latents,)),
            "decode": Endpoint(self.decode, (latents, classes), (self.element,)),
            "discriminate": Endpoint(self.discriminate, (self.element, classes), (logits,)),
        }


class DeepCGAN(CGAN):
    """The game between the networks of `dcgan`, with its noise.

    That of the unit cube has a mean; batch normalization takes it away, but the generator's first
    layer still turns towards it, and all samples become alike.
    """

    def latents(self, seeds):
        """Draws z: float32 `[N, D]`, uniform in (-1, 1), from int32 seeds."""
        return 2.0 * super().latents(seeds) - 1.0


def generator(latent_dim, classes, element, width):
    """Noise and label to rectified layers (a sixth and the rest), a joint one, then a sigmoid."""
    latents, (labels, y) = keras.Input([latent_dim]), one_hot(classes)

    def dense(units, **kwargs):
        return keras.layers.Dense(units, kernel_initializer=uniform(0.05), **kwargs)

    z = dense(width // 6, activation="relu")(latents)
    y = dense(width - width // 6, activation="relu")(y)
    x = Dropout(0.5)(keras.layers.Concatenate()([z, y]))
    x = Dropout(0.5)(dense(width, activation="relu")(x))
    x = keras.layers.Reshape(element.shape, dtype="float32")(dense(math.prod(element.shape))(x))
    return keras.Model([latents, labels], squashed(x, element), name="generator")


def discriminator(classes, element, width):
    """Image and label to maxout layers of 5 pieces, a joint one of 4, then a logit."""
    rows, (labels, y) = keras.Input(element.shape), one_hot(classes)
    x = keras.layers.Flatten()(to_unit(rows, element))
    x = Maxout(width, 5, kernel_initializer=uniform(0.005))(x)
    y = Maxout(max(1, width * 5 // 24), 5, kernel_initializer=uniform(0.05))(y)
    x = Dropout(0.5)(keras.layers.Concatenate()([x, y]))
    x = Dropout(0.5)(Maxout(width, 4, kernel_initializer=uniform(0.05))(x))
    x = keras.layers.Dense(1, kernel_initializer=uniform(0.05), dtype="float32")(x)
    return keras.Model([rows, labels], x, name="discriminator")


def recipe(
    data,
    network="mlp",
    latent_dim=100,
    generator_width=1200,
    discriminator_width=240,
    width=64,
    learning_rate: Rate = None,
    momentum=0.5,
    beta_1=0.5,
    ema: Average = None,
    batch_size=100,
    epochs=50,
):
    """The paper's layers and rates for MNIST, with dropout of 0.5 in both players.

    Left out: the momentum's rise to 0.7, whose time the paper does not tell. The weights start as
    those of the net without labels in `gan` do; 50 epochs are ours. The networks of `dcgan`, with
    its noise and its Adam, get there sooner.

    Args:
        network: `mlp`, the paper's, or `conv`, ours
        generator_width: units of the generator's joint layer in `mlp`
        discriminator_width: units of the discriminator's joint layer in `mlp`
        width: channels of the largest feature map in `conv`
        learning_rate: none for 0.1 with `mlp`, divided by 1.00004 at each step, and 2e-4 with
            `conv`
    """
    check_choice("network", network, ("mlp", "conv"))
    data = data.labelled
    element, classes = data.element, len(data.classes)
    if network == "mlp":
        players = (
            generator(latent_dim, classes, element, generator_width),
            discriminator(classes, element, discriminator_width),
        )
        # To 1e-6, says the paper: it takes 288,000 steps to get there.
        rate = 0.1 if learning_rate is None else learning_rate
        decay = keras.optimizers.schedules.ExponentialDecay(rate, 1, 1 / 1.00004)
        model, optimizer = CGAN, keras.optimizers.SGD(decay, momentum)
    else:
        if len(element.shape) != 3:
            raise InputError(f"network=conv makes images, but {data.name} has {element.shape}")
        players = (
            conditional.generator(latent_dim, classes, element, width),
            conditional.discriminator(classes, element, width),
        )
        rate = 2e-4 if learning_rate is None else learning_rate
        model, optimizer = DeepCGAN, keras.optimizers.Adam(rate, beta_1)
    model, optimizer = model(*players, element, classes), averaged(optimizer, ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


ONLY = {
    ("network", "mlp"): ("generator_width", "discriminator_width", "momentum"),
    ("network", "conv"): ("width", "beta_1"),
}
TINY = (
    Tiny({"latent_dim": 4, "generator_width": 16, "discriminator_width": 8, "batch_size": 16}),
    Tiny({"network": "conv", "latent_dim": 4, "width": 8, "batch_size": 16}),
)
