"""f-GAN: any f-divergence as a game.

    min_G max_V  E_x[T(x)] - E_z[f*(T(G(z)))]  <=  D_f(P | Q) = E_q[f(p(x) / q(x))],  T = g_f(V)

Each convex f with f(1) = 0 measures how two densities differ, and its conjugate f* bounds that from
below by samples alone; the bound is tight where T = f'(p / q). The last layer of the discriminator
V is linear, and g_f takes it to where f* is finite. GAN is one of these games.

Nowozin, Cseke and Tomioka, "f-GAN: Training generative neural samplers using variational divergence
minimization", NeurIPS 2016, arXiv:1606.00709.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen.errors import check_choice
from tfgen.networks import neutral
from tfgen.objectives.losses import AdversarialLoss
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Stage, Tiny
from zoo.adversarial.gan import GAN


class Divergence(NamedTuple):
    """Functions of V: `activation` is g_f(V), `conjugate` is f*(g_f(V)), simplified."""

    activation: Callable
    conjugate: Callable


LOG_2 = math.log(2.0)
BEND = 3.0  # beyond it an exponential goes on as its tangent, of slope 20


def growth(v):
    """exp(v), but beyond 3 its tangent, and the reciprocal of that below -3."""
    beyond = tf.nn.relu(tf.abs(v) - BEND)
    within = tf.clip_by_value(v, -BEND, BEND)
    return tf.exp(within) * tf.where(v > 0.0, 1.0 + beyond, 1.0 / (1.0 + beyond))


def log_growth(v):
    """The logarithm of `growth`: v, and beyond 3 to either side as slow as a logarithm."""
    beyond = tf.nn.relu(tf.abs(v) - BEND)
    return tf.clip_by_value(v, -BEND, BEND) + tf.sign(v) * tf.math.log1p(beyond)


# The paper's table of g_f and f*. By its f, Jensen-Shannon is here twice the divergence of that
# name, and GAN is that less log 4.
#
# Departure: where the table has an exponential of V this is `growth`, as exponentials overflow at
# usual rates. A game stays what it is, for g_f need only map onto where f* is finite, and the
# conjugate is that of the g_f here.
DIVERGENCES = {
    "kl": Divergence(lambda v: 1.0 + log_growth(v - 1.0), lambda v: growth(v - 1.0)),
    "reverse_kl": Divergence(lambda v: -growth(-v), lambda v: log_growth(v) - 1.0),
    "pearson": Divergence(lambda v: v, lambda v: v**2 / 4.0 + v),
    "squared_hellinger": Divergence(lambda v: 1.0 - growth(-v), lambda v: growth(v) - 1.0),
    "jensen_shannon": Divergence(
        lambda v: LOG_2 - tf.nn.softplus(-v), lambda v: tf.nn.softplus(v) - LOG_2
    ),
    "gan": Divergence(lambda v: -tf.nn.softplus(-v), tf.nn.softplus),
}


def loss(divergence):
    """The `AdversarialLoss` of a `Divergence`.

    The generator maximizes E[g_f(V)], as the paper advises, instead of the conjugate.
    """
    return AdversarialLoss(
        lambda reals, fakes: (
            tf.reduce_mean(divergence.conjugate(fakes))
            - tf.reduce_mean(divergence.activation(reals))
        ),
        lambda fakes: -tf.reduce_mean(divergence.activation(fakes)),
    )


def recipe(
    data,
    divergence="jensen_shannon",
    latent_dim=64,
    hidden=1024,
    width=64,
    learning_rate=2e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=64,
    epochs=20,
):
    """Adam 2e-4 with beta_1 0.5, on the neutral networks.

    64 latents, batches of 64 and 20 epochs as in Lucic et al. (2018); the paper's own networks for
    digits are dense, with batches of 4,096.

    Args:
        divergence: `kl`, `reverse_kl`, `pearson`, `squared_hellinger`, `jensen_shannon` or `gan`
    """
    check_choice("divergence", divergence, DIVERGENCES)
    generator = neutral.generator(latent_dim, data.element, hidden, width)
    discriminator = neutral.discriminator(data.element, hidden=hidden, width=width)
    model = GAN(generator, discriminator, data.element, loss(DIVERGENCES[divergence]))
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


# "gan" is the game that does not saturate, a row of its own.
SEARCHED = tuple(
    Candidate(f"f_gan_{divergence}", {"divergence": divergence}, LEARNING_RATE)
    for divergence in DIVERGENCES
    if divergence != "gan"
)
TINY = (
    Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),
    Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16, "divergence": "pearson"}),
)
