"""Adversarial variational Bayes.

    min_E,G  E_x E_q(z|x)[T(x, z) - log p(x|z)],  p(z) = N(0, I)
    max_T    E_x E_q(z|x)[log s(T(x, z))] + E_x E_p(z)[log(1 - s(T(x, z)))],  s the sigmoid

A VAE whose posterior need have no density: the encoder is a network of the image and of noise, and
gives a latent. What the bound asks for, its divergence from the prior, comes of a discriminator of
pairs, which at its best is T = log q(z|x) - log p(z). No slope goes into T itself when encoder and
decoder learn. As long as T is not at its best, what is printed for the bound is none.

Mescheder, Nowozin and Geiger, "Adversarial variational Bayes: Unifying variational autoencoders and
generative adversarial networks", ICML 2017, arXiv:1701.04722.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.data.levels import binarize, from_unit, to_unit
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.errors import InputError
from tfgen.model import GenerativeModel, minimize
from tfgen.networks.mlp import mlp
from tfgen.objectives import losses
from tfgen.objectives.distributions import bernoulli
from tfgen.runs.recipes import Stage, Tiny
from zoo.variational.vae import note_of_gray


class AVB(GenerativeModel):
    """An encoder with noise at its input, a decoder, and a discriminator of pairs.

    Args:
        encoder: a `keras.Model` from images `[N, H, W, C]` and noise `[N, K]` to latents `[N, D]`.
        decoder: a `keras.Model` from latents to logits `[N, H, W, C]`.
        discriminator: a `keras.Model` from images and latents to T, `[N, 1]`.
        element: the `Element` of the images.
    """

    def __init__(self, encoder, decoder, discriminator, element):
        super().__init__()
        self.encoder, self.decoder, self.discriminator = encoder, decoder, discriminator
        self.element = element

    @property
    def objectives(self):
        return {
            "bound": minimize(self.negative_bound, self.encoder, self.decoder),
            "discriminator": minimize(self.discriminator_loss, self.discriminator),
        }

    def begin(self, data):
        note_of_gray(data)

    def negative_bound(self, images):
        targets = binarize(images, random.fresh(images))
        latents = self.infer(targets, random.fresh(images))
        likelihood = bernoulli(self.decoder(latents)).log_prob(targets)
        ratios = self.discriminator([targets, latents])
        return {
            "reconstruction": -tf.reduce_mean(likelihood),
            "kl": tf.reduce_mean(tf.cast(ratios, tf.float32)),
        }

    def discriminator_loss(self, images):
        targets = binarize(images, random.fresh(images))
        inferred = self.discriminator([targets, self.infer(targets, random.fresh(images))])
        prior = self.discriminator([targets, self.latents(random.fresh(images))])
        return losses.non_saturating.discriminator(inferred, prior)

    def infer(self, targets, seeds):
        """A draw of q(z|x): float32 `[N, D]`, from pixels in [0, 1] and int32 seeds."""
        return self.encoder([targets, random.normal(seeds, self.encoder.input_shape[1][1:])])

    def encode(self, images):
        """The latent of each image whose noise is 0: float32 `[N, D]`."""
        pixels = to_unit(images)
        noise = tf.zeros([tf.shape(images)[0], self.encoder.input_shape[1][1]])
        return self.encoder([pixels, noise])

    def decode(self, latents):
        """The mean image of p(x|z): float32 `[N, H, W, C]` in [-1, 1]."""
        return from_unit(bernoulli(self.decoder(latents)).mean())

    def reconstruct(self, images):
        """Images through the latent without noise and back."""
        return self.decode(self.encode(images))

    def latents(self, seeds):
        """Draws z from the prior: float32 `[N, D]`, from int32 seeds."""
        return random.normal(seeds, self.decoder.input_shape[1:])

    def sample(self, seeds):
        """Mean images of latents from the prior, from int32 seeds."""
        return self.decode(self.latents(seeds))

    def call(self, images):
        return self.reconstruct(images)

    @property
    def endpoints(self):
        latents, images = Element("latents", self.decoder.input_shape[1:]), self.element
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (images,)),
            "latents": Endpoint(self.latents, (SEEDS,), (latents,)),
            "encode": Endpoint(self.encode, (images,), (latents,)),
            "decode": Endpoint(self.decode, (latents,), (images,)),
            "reconstruct": Endpoint(self.reconstruct, (images,), (images,)),
        }


def of_pairs(shape, numbers, outputs, widths, name):
    """Dense layers on an image and numbers, side by side: to `[N, outputs]`, float32."""
    images, others = keras.Input(shape), keras.Input([numbers])
    x = keras.layers.Concatenate()([keras.layers.Flatten()(images), others])
    x = mlp(x.shape[1:], [outputs], widths, "elu", name=f"{name}_layers")(x)
    return keras.Model([images, others], x, name=name)


def discriminator(shape, latent_dim, hidden):
    """T: the product of what two networks see, numbers of the image and of the latent alone added.

    |z|^2 / 2 is added, too: what -log p(z) is, so that there is log q(z|x) left to learn.
    """
    images, latents = keras.Input(shape), keras.Input([latent_dim])
    seen = mlp(shape, [hidden + 1], [hidden, hidden], "elu", name="of_images")(images)
    told = mlp([latent_dim], [hidden + 1], [hidden, hidden], "elu", name="of_latents")(latents)
    product = keras.layers.Dot(1, dtype="float32")([seen[:, :-1], told[:, :-1]])
    square = keras.layers.Dot(1, dtype="float32")([latents, latents])
    half = keras.layers.Rescaling(0.5, dtype="float32")(square)
    x = keras.layers.Add(dtype="float32")([product, seen[:, -1:], told[:, -1:], half])
    return keras.Model([images, latents], x, name="discriminator")


def recipe(
    data,
    latent_dim=32,
    noise=32,
    hidden=512,
    learning_rate=1e-4,
    discriminator_rate=2e-4,
    beta_1=0.5,
    batch_size=128,
    epochs=50,
):
    """Adam with beta_1 0.5, batches of 128, and twice the rate for T, as in the authors' code.

    T has its form from there, too: the inner product of two networks, numbers of each alone, and
    |z|^2 / 2. Departures: its rates are 5e-5 and 1e-4, for 2.5 million steps; twice that here; all
    networks are dense, of two ELU layers each, and smaller; there is no adaptive contrast, so that
    T has to be as large as the whole divergence; encoder and decoder move before T, on the same
    batch.

    Args:
        noise: how many numbers of noise the encoder takes
        hidden: units of each of two hidden layers of all networks, and of T's product
        learning_rate: of encoder and decoder
        discriminator_rate: of T
    """
    shape = data.element.shape
    if len(shape) != 3:
        raise InputError(f"avb makes images, but {data.name} has rows of {shape}")
    widths = (hidden, hidden)
    model = AVB(
        of_pairs(shape, noise, latent_dim, widths, "encoder"),
        mlp([latent_dim], shape, widths, "elu", name="decoder"),
        discriminator(shape, latent_dim, hidden),
        data.element,
    )
    optimizers = {
        "bound": keras.optimizers.Adam(learning_rate, beta_1),
        "discriminator": keras.optimizers.Adam(discriminator_rate, beta_1),
    }
    yield Stage(model, data, optimizers, batch_size, epochs, steps_per_execution=10)


TINY = (Tiny({"latent_dim": 4, "noise": 4, "hidden": 16, "batch_size": 16}),)
