"""Generative adversarial networks.

    min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))],  z ~ N(0, I)

The discriminator learns to tell data from samples, the generator to fool it; where both have
enough capacity the samples end up distributed as the data. The generator of this `minimax` value
hardly learns while the discriminator is sure of itself, so the paper trains it on the
`non_saturating` loss, -E_z[log D(G(z))], which has the same fixed point.

Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville and Bengio, "Generative
adversarial nets", NeurIPS 2014, arXiv:1406.2661.
"""

import math

import keras

from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.errors import check_choice
from tfgen.layers.dropout import Dropout
from tfgen.layers.maxout import Maxout
from tfgen.model import GenerativeModel, minimize
from tfgen.networks import conv, neutral
from tfgen.networks.initial import uniform
from tfgen.networks.ranges import squashed, to_unit
from tfgen.objectives import losses
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Rate, Stage, Tiny


class GAN(GenerativeModel):
    """A generator and a discriminator that play against each other.

    The discriminator's loss need not hold the samples fixed: `minimize` takes the slopes by the
    weights of its own networks alone.

    Args:
        generator: a `keras.Model` from latents `[N, D]` to samples `[N, ...]` as `element` says.
        discriminator: a `keras.Model` from samples to logits `[N, 1]`.
        element: the `Element` of the data.
        loss: a `tfgen.objectives.losses.AdversarialLoss`.
        n_critic: updates of the discriminator a step, k of algorithm 1.
    """

    def __init__(self, generator, discriminator, element, loss=losses.non_saturating, n_critic=1):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.element, self.adversarial, self.n_critic = element, loss, n_critic

    @property
    def objectives(self):
        return {
            "discriminator": minimize(
                self.discriminator_loss, self.discriminator, updates=self.n_critic
            ),
            "generator": minimize(self.generator_loss, self.generator),
        }

    def discriminator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        return self.adversarial.discriminator(self.discriminator(reals), self.discriminator(fakes))

    def generator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        return self.adversarial.generator(self.discriminator(fakes))

    def latents(self, seeds):
        """Draws z: float32 `[N, D]`, from int32 seeds, one a row."""
        return random.normal(seeds, self.generator.input_shape[1:])

    def sample(self, seeds):
        """Draws samples `[N, ...]`, in the range of the data, from int32 seeds, one a row."""
        return self.generator(self.latents(seeds))

    def call(self, latents):
        return self.generator(latents)

    @property
    def endpoints(self):
        latents = Element("latents", self.generator.input_shape[1:])
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (self.element,)),
            "latents": Endpoint(self.latents, (SEEDS,), (latents,)),
            "decode": Endpoint(self.generator, (latents,), (self.element,)),
            "discriminate": Endpoint(
                self.discriminator, (self.element,), (Element("logits", (1,)),)
            ),
        }


def generator(latent_dim, element, width):
    """Two rectified layers, then a sigmoid onto the range of the data, if it has one."""
    x = entry = keras.Input([latent_dim])
    for _ in range(2):
        x = keras.layers.Dense(width, activation="relu", kernel_initializer=uniform(0.05))(x)
    x = keras.layers.Dense(math.prod(element.shape), kernel_initializer=uniform(0.05))(x)
    x = keras.layers.Reshape(element.shape, dtype="float32")(x)
    return keras.Model(entry, squashed(x, element), name="generator")


def discriminator(element, width, pieces=5):
    """Two maxout layers, with dropout of 0.2 before the first and 0.5 before the others."""
    entry = keras.Input(element.shape)
    x = keras.layers.Flatten()(to_unit(entry, element))
    for rate in (0.2, 0.5):
        x = Dropout(rate)(x)
        x = Maxout(width, pieces, kernel_initializer=uniform(0.005))(x)
    x = Dropout(0.5)(x)
    x = keras.layers.Dense(1, kernel_initializer=uniform(0.005), dtype="float32")(x)
    return keras.Model(entry, x, name="discriminator")


LOSSES = {"non_saturating": losses.non_saturating, "minimax": losses.minimax}
NETWORKS = ("maxout", "neutral")


def recipe(
    data,
    loss="non_saturating",
    network="maxout",
    latent_dim=100,
    generator_width=1200,
    discriminator_width=240,
    hidden=1024,
    width=64,
    batch_norm=True,
    learning_rate: Rate = None,
    momentum=0.5,
    beta_1=0.5,
    ema: Average = None,
    batch_size=100,
    epochs=50,
):
    """The networks and numbers of the authors' `mnist.yaml`.

    Left out: the momentum's rise to 0.7 over 250 epochs, and the generator's first biases from the
    mean digit; neither is in the paper's text. The file does not say how many epochs; 50 is ours.
    The neutral networks, on which objectives are compared, play with Adam.

    Args:
        loss: `non_saturating`, or `minimax`, the value of both players
        network: `maxout`, the paper's, or `neutral`
        generator_width: units of a layer of the generator of `maxout`
        discriminator_width: units of a layer of the discriminator of `maxout`
        learning_rate: none for 0.1 with `maxout`, divided by 1.000004 at each step as in that file,
            and 2e-4 with `neutral`
    """
    check_choice("loss", loss, LOSSES)
    check_choice("network", network, NETWORKS)
    if network == "maxout":
        players = (
            generator(latent_dim, data.element, generator_width),
            discriminator(data.element, discriminator_width),
        )
        rate = 0.1 if learning_rate is None else learning_rate
        decay = keras.optimizers.schedules.ExponentialDecay(rate, 1, 1 / 1.000004)
        optimizer = keras.optimizers.SGD(decay, momentum)
    else:
        norm = conv.norm(batch_norm)
        players = (
            neutral.generator(latent_dim, data.element, hidden, width),
            neutral.discriminator(data.element, hidden=hidden, width=width, norm=norm),
        )
        rate = 2e-4 if learning_rate is None else learning_rate
        optimizer = keras.optimizers.Adam(rate, beta_1)
    model = GAN(*players, data.element, LOSSES[loss])
    optimizer = averaged(optimizer, ema)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


ONLY = {
    ("network", "maxout"): ("generator_width", "discriminator_width", "momentum"),
    ("network", "neutral"): ("hidden", "width", "batch_norm", "beta_1"),
}
SEARCHED = tuple(
    Candidate(
        f"{loss}_gan",
        {"network": "neutral", "loss": loss},
        LEARNING_RATE | {"batch_norm": (True, False)},
        "lucic",
    )
    for loss in ("minimax", "non_saturating")
)
TINY = (
    Tiny({"latent_dim": 4, "generator_width": 16, "discriminator_width": 8, "batch_size": 16}),
    Tiny(
        {
            "network": "neutral",
            "loss": "minimax",
            "latent_dim": 4,
            "hidden": 16,
            "width": 8,
            "batch_size": 16,
        }
    ),
)
