"""Variational autoencoder with categorical latents, by Gumbel-softmax.

    max  E_y[log p(x|y)] - sum_v KL(q(c_v|x) || 1/K),  y_v = softmax((log q(c_v|x) + g_v) / tau)

Each latent is one of K categories. A draw of it has no gradient, but argmax(log q + g) with Gumbel
noise g is such a draw, and a softmax of the same at a temperature tau is near it and has one. With
soft draws the loss is no bound on log p(x), as the authors say; `importance_bound` and `sample`
use hard ones.

Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017,
arXiv:1611.01144.
"""

import math
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.data.levels import to_unit
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.model import minimize
from tfgen.objectives.distributions import importance_bound
from tfgen.runs.recipes import Stage, Tiny
from zoo.variational._networks import encoder_and_decoder
from zoo.variational.vae import VAE


class GumbelVAE(VAE):
    """A VAE whose latents are V variables of K categories each, all in a row: `[N, V K]`.

    Args:
        encoder: a `keras.Model` from images `[N, H, W, C]` to logits `[N, V, K]`.
        decoder: a `keras.Model` from latents `[N, V K]` to logits `[N, H, W, C]`.
        element: the `Element` of the images.
        cooling: how fast tau = exp(-cooling * step) falls, a float.
        coldest: the least tau, a float.
    """

    def __init__(self, encoder, decoder, element, cooling, coldest):
        super().__init__(encoder, decoder, element)
        self.cooling, self.coldest = cooling, coldest

    @property
    def objectives(self):
        return {"gumbel": minimize(self.relaxed_loss, self.encoder, self.decoder)}

    @property
    def size(self):
        """V K, an int."""
        return self.decoder.input_shape[1]

    def relaxed_loss(self, images):
        targets = self.targets(images, random.fresh(images))
        log_q = self.log_posterior(targets)
        soft = tf.nn.softmax(self.perturbed(log_q, random.fresh(images)) / self.temperature())
        return {
            "reconstruction": -tf.reduce_mean(self.likelihood(soft).log_prob(targets)),
            "kl": tf.reduce_mean(self.divergence(log_q)),
        }

    def likelihood(self, latents):
        """p(x|c), from `[N, V, K]` or `[N, V K]`."""
        return super().likelihood(tf.reshape(latents, [-1, self.size]))

    def temperature(self):
        """tau of this step, a float32 scalar."""
        steps = tf.cast(self.step.value, tf.float32)
        return tf.maximum(self.coldest, tf.exp(-self.cooling * steps))

    def log_posterior(self, targets):
        """log q(c|x), float32 `[N, V, K]`, normalized."""
        return tf.nn.log_softmax(self.encoder(targets))

    def perturbed(self, log_q, seeds, stream=0):
        """log q + g, g = -log(-log u), whose largest category is a draw of q: `[N, V, K]`."""
        uniform = random.uniform(seeds, log_q.shape[1:], stream=stream)  # never 0 or 1
        return log_q - tf.math.log(-tf.math.log(uniform))

    def divergence(self, log_q):
        """sum_v KL(q(c_v|x) || 1/K), float32 `[N]`: log K less the entropy."""
        each = tf.reduce_sum(tf.exp(log_q) * log_q, axis=-1) + math.log(log_q.shape[-1])
        return tf.reduce_sum(each, axis=-1)

    def importance_bound(self, targets, seeds, samples):
        """As of `VAE`, with hard draws: a bound on log p(x) whatever tau was."""
        log_q = self.log_posterior(targets)
        variables, categories = log_q.shape[1:]

        def log_weight(k):
            drawn = tf.argmax(self.perturbed(log_q, seeds, stream=k), axis=-1)
            hard = tf.one_hot(drawn, categories)
            log_posterior = tf.reduce_sum(hard * log_q, axis=[1, 2])
            log_prior = -variables * math.log(categories)
            return self.likelihood(hard).log_prob(targets) + log_prior - log_posterior

        return importance_bound(log_weight, samples)

    def encode(self, images):
        """q(c|x), how probable each category is: float32 `[N, V K]`."""
        return tf.reshape(tf.exp(self.log_posterior(to_unit(images))), [-1, self.size])

    def reconstruct(self, images):
        """Images through the mean of the draws, which is how probable each category is, and back.

        Not through the most probable ones: in fewer bits another category would win now and then.
        """
        return self.decode(self.encode(images))

    def latents(self, seeds):
        """Draws of the prior, one-hot: float32 `[N, V K]`, from int32 seeds, one a row."""
        variables, categories = self.encoder.output_shape[1:]
        place = random.uniform(seeds, [variables, 1])
        ends = np.arange(1, categories + 1, dtype="float32") / categories
        below = tf.cast(place < ends, tf.float32)  # 0, ..., 0, 1, ..., 1
        chosen = below - tf.pad(below[..., :-1], [[0, 0], [0, 0], [1, 0]])
        return tf.reshape(chosen, [-1, self.size])

    @property
    def endpoints(self):
        latents = Element("latents", (self.size,), low=0.0, high=1.0)
        images = self.element
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (images,)),
            "latents": Endpoint(self.latents, (SEEDS,), (latents,)),
            "encode": Endpoint(self.encode, (images,), (latents,)),
            "decode": Endpoint(self.decode, (latents,), (images,)),
            "reconstruct": Endpoint(self.reconstruct, (images,), (images,)),
        }


def recipe(
    data,
    variables=20,
    categories: Annotated[int, (2, math.inf)] = 10,
    hidden=200,
    cooling: Annotated[float, (0.0, math.inf)] = 1e-4,
    coldest: Annotated[float, (0.01, 1.0)] = 0.5,
    learning_rate=1e-3,
    batch_size=100,
    epochs=50,
):
    """Section 4: 20 variables of 10 categories, one hidden layer of 200 units, tau at least 0.5.

    Departures: pixels are binarized anew each time, where theirs are binarized once; the prior is
    uniform, theirs was learned; tau falls at each step instead of each 500 or 1,000; Adam, as in
    their later program, instead of SGD with a searched rate; a hidden layer in the encoder, too.

    Args:
        variables: latents of an image
        categories: of each
        hidden: units of the hidden layer of the encoder and of the decoder
        cooling: how fast the temperature falls from 1, exp(-cooling * step)
        coldest: the least temperature
    """
    code, latents = [variables, categories], [variables * categories]
    networks = encoder_and_decoder("gumbel_vae", data, code, latents, [hidden], "tanh")
    model = GumbelVAE(*networks, data.element, cooling, coldest)
    optimizer = keras.optimizers.Adam(learning_rate)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


TINY = (Tiny({"variables": 3, "categories": 4, "hidden": 16, "batch_size": 16}),)
