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
from tfgen.runs.recipes import Stage, Tiny
from zoo.adversarial.gan import GAN


class Divergence(NamedTuple):
    """Functions of V: `activation` is g_f(V), `conjugate` is f*(g_f(V)), simplified."""

    activation: Callable
    conjugate: Callable


LOG_2 = math.log(2.0)

# Table 6, columns of g_f and f*, which table 2 has in part. By its f, Jensen-Shannon is here twice
# the divergence of that name, and GAN is that less log 4.
DIVERGENCES = {
    "kl": Divergence(lambda v: v, lambda v: tf.exp(v - 1.0)),
    "reverse_kl": Divergence(lambda v: -tf.exp(-v), lambda v: v - 1.0),
    "pearson": Divergence(lambda v: v, lambda v: v**2 / 4.0 + v),
    "squared_hellinger": Divergence(lambda v: 1.0 - tf.exp(-v), lambda v: tf.exp(v) - 1.0),
    "jensen_shannon": Divergence(
        lambda v: LOG_2 - tf.nn.softplus(-v), lambda v: tf.nn.softplus(v) - LOG_2
    ),
    "gan": Divergence(lambda v: -tf.nn.softplus(-v), tf.nn.softplus),
}


def loss(divergence):
    """The `AdversarialLoss` of a `Divergence`; the generator maximizes E[g_f(V)] (section 3.2)."""
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
    batch_size=64,
    epochs=20,
):
    """Section 4.2: Adam 2e-4 with beta_1 0.5. `divergence` is a key of `DIVERGENCES`.

    Networks, latents, batches and epochs are those of the comparison by Lucic et al. (2018); the
    paper's own for digits are dense, with batches of 4,096.
    """
    check_choice("divergence", divergence, DIVERGENCES)
    generator = neutral.generator(latent_dim, data.element, hidden, width)
    discriminator = neutral.discriminator(data.element, hidden=hidden, width=width)
    model = GAN(generator, discriminator, data.element, loss(DIVERGENCES[divergence]))
    yield Stage(model, data, keras.optimizers.Adam(learning_rate, beta_1), batch_size, epochs)


TINY = (
    Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),
    Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16, "divergence": "pearson"}),
)
