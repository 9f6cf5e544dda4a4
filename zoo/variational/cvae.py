"""Conditional variational autoencoder.

    max  E_q(z|x,y)[log p(x|y, z)] - KL(q(z|x, y) || p(z|y))

A `vae` that is told y: its encoder, its decoder, and the prior, a Gaussian whose mean and scale are
functions of y. What y does not say is left to the noise e of z = mean(y) + scale(y) e: of digits,
the handwriting. The condition y is a class and numbers, of which each can go gradually,
y = (1 - a) y_min + a y_max, while e, and with it all else in the image, stays (Yan et al.,
"Attribute2Image", 2016, arXiv:1512.00570).

Sohn, Lee and Yan, "Learning structured output representation using deep conditional generative
models", NeurIPS 2015; with the networks of model M2 of Kingma, Rezende, Mohamed and Welling,
"Semi-supervised learning with deep generative models", NeurIPS 2014, arXiv:1406.5298.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.data.attributes import STROKE, stroke
from tfgen.data.levels import binarize, from_unit, to_unit
from tfgen.endpoint import SEEDS, Element, Endpoint, labels
from tfgen.errors import InputError, check_choice
from tfgen.latents.traversal import Code, steps
from tfgen.model import GenerativeModel, minimize
from tfgen.networks.mlp import mlp
from tfgen.objectives.distributions import bernoulli, diagonal, importance_bound
from tfgen.runs.recipes import Stage, Tiny
from zoo.variational.vae import note_of_gray


class CVAE(GenerativeModel):
    """Encoder, decoder and prior that all see the condition; pixels are coins.

    What is called latents outside is the noise e, standard normal whatever the condition.

    A condition is float32 `[N, K]`: the class as one of as many, then attributes, of mean 0 and
    deviation 1 over the training images.

    Args:
        encoder: a `keras.Model` from `[images, conditions]` to mean and log-variance `[N, 2 D]`.
        decoder: a `keras.Model` from `[z [N, D], conditions]` to logits `[N, H, W, C]`.
        prior: a `keras.Model` from conditions to mean and log-variance `[N, 2 D]`.
        element: the `Element` of the images.
        classes: how many there are, an int.
        attributes: an `Attributes`.
    """

    def __init__(self, encoder, decoder, prior, element, classes, attributes):
        super().__init__()
        self.encoder, self.decoder, self.prior = encoder, decoder, prior
        self.element = element
        self.classes, self.attributes = classes, attributes

    @property
    def objectives(self):
        return {"elbo": minimize(self.negative_elbo, self.encoder, self.decoder, self.prior)}

    def negative_elbo(self, batch):
        images, labels = batch
        conditions = self.conditions(labels, images)
        targets = binarize(images, random.fresh(images))
        posterior = self.posterior(targets, conditions)
        mean = posterior.mean()
        noise = random.normal(random.fresh(images), mean.shape[1:])
        likelihood = self.likelihood(mean + posterior.stddev() * noise, conditions)
        return {
            "reconstruction": -tf.reduce_mean(likelihood.log_prob(targets)),
            "kl": tf.reduce_mean(posterior.kl_divergence(diagonal(self.prior(conditions)))),
        }

    def targets(self, batch, seeds):
        """What the likelihood is of, images as coins, 0 or 1, and the conditions it is told."""
        images, labels = batch
        return binarize(images, seeds), self.conditions(labels, images)

    def importance_bound(self, targets, seeds, samples):
        """A bound on log p(x|y) that tightens with K, see `distributions.importance_bound`.

        Args:
            targets: as `targets` gives them.
            seeds: int32 `[N]`, one a row.
            samples: K, an int.

        Returns:
            float32 `[N]`, in nats.
        """
        images, conditions = targets
        posterior, prior = self.posterior(images, conditions), diagonal(self.prior(conditions))

        def log_weight(k):
            noise = random.normal(seeds, posterior.event_shape, stream=k)
            z = posterior.mean() + posterior.stddev() * noise
            joint = self.likelihood(z, conditions).log_prob(images) + prior.log_prob(z)
            return joint - posterior.log_prob(z)

        return importance_bound(log_weight, samples)

    def conditions(self, labels, images=None):
        """Classes int32 `[N]` as conditions, with the attributes of the images, or average ones."""
        chosen = tf.one_hot(labels, self.classes)
        if images is None:
            attributes = tf.zeros([tf.shape(labels)[0], len(self.attributes.names)])
        else:
            attributes = self.attributes(images)
        return tf.concat([chosen, attributes], axis=1)

    def posterior(self, targets, conditions):
        """q(z|x, y), a Gaussian with a diagonal covariance."""
        return diagonal(self.encoder([targets, conditions]))

    def likelihood(self, z, conditions):
        """p(x|y, z), a coin a pixel."""
        return bernoulli(self.decoder([z, conditions]))

    def encode(self, images, labels):
        """Mean and scale of the noise e that images stand for: two float32 `[N, D]`."""
        conditions = self.conditions(labels, images)
        posterior, prior = self.posterior(to_unit(images), conditions), self.prior(conditions)
        mean, scale = diagonal(prior).mean(), diagonal(prior).stddev()
        return (posterior.mean() - mean) / scale, posterior.stddev() / scale

    def decode(self, latents, conditions):
        """The mean image of p(x|y, z) of noise: float32 `[N, H, W, C]` in [-1, 1]."""
        prior = diagonal(self.prior(conditions))
        z = prior.mean() + prior.stddev() * latents
        return from_unit(self.likelihood(z, conditions).mean())

    def reconstruct(self, images, labels):
        """Images through the mean latent and back."""
        return self.decode(self.encode(images, labels)[0], self.conditions(labels, images))

    def latents(self, seeds):
        """Draws the noise e: float32 `[N, D]`, standard normal, from int32 seeds, one a row."""
        return random.normal(seeds, self.decoder.input_shape[0][1:])

    def sample(self, seeds, labels):
        """Mean images of latents from the prior, of the classes, of average attributes."""
        return self.decode(self.latents(seeds), self.conditions(labels))

    @property
    def codes(self):
        """An attribute progression each, y = (1 - a) y_min + a y_max (Attribute2Image, 5.2)."""
        return [
            Code(name, slice(place, place + 1), steps(low, high), "conditions")
            for place, (name, low, high) in enumerate(
                zip(self.attributes.names, *self.ends, strict=True), self.classes
            )
        ]

    def call(self, images, labels):
        return self.reconstruct(images, labels)

    @property
    def ends(self):
        """The least and the largest value of each attribute in the data, arrays."""
        return np.array(self.attributes.low), np.array(self.attributes.high)

    def begin(self, data):
        note_of_gray(data)
        if self.attributes.names:
            self.attributes.adapt(data.rows("train"))

    @property
    def endpoints(self):
        latents, conditions = (
            Element(name, shape[1:])
            for name, shape in zip(("latents", "conditions"), self.decoder.input_shape, strict=True)
        )
        scales = latents._replace(name="scales", low=0.0)
        images, classes = self.element, labels(self.classes)
        return {
            "sample": Endpoint(self.sample, (SEEDS, classes), (images,)),
            "latents": Endpoint(self.latents, (SEEDS,), (latents,)),
            "conditions": Endpoint(self.conditions, (classes,), (conditions,)),
            "encode": Endpoint(self.encode, (images, classes), (latents, scales)),
            "decode": Endpoint(self.decode, (latents, conditions), (images,)),
            "reconstruct": Endpoint(self.reconstruct, (images, classes), (images,)),
        }


class Attributes(keras.layers.Layer):
    """Measured attributes of images in [-1, 1], standardized: float32 `[N, len(names)]`.

    Args:
        names: of the attributes; none, for a model of classes alone.
        measure: from images `[N, H, W, C]` to float32 `[N, len(names)]`.
    """

    def __init__(self, names=(), measure=None, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.names, self.measure = names, measure
        starts = {"mean": "zeros", "deviation": "ones", "low": "zeros", "high": "zeros"}
        self.mean, self.deviation, self.low, self.high = (
            self.add_weight((len(names),), start, trainable=False, name=name)
            for name, start in starts.items()
        )
        self.built = True

    def adapt(self, images):
        """Takes mean, deviation and the ends of each attribute from training images."""
        values = np.concatenate([self.measure(part) for part in np.array_split(images, 100)])
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        # Not the least and the largest, as in Attribute2Image: those few no class is like.
        low, high = np.percentile((values - mean) / deviation, (1, 99), axis=0)
        for variable, value in zip(
            (self.mean, self.deviation, self.low, self.high),
            (mean, deviation, low, high),
            strict=True,
        ):
            variable.assign(value)

    def call(self, images):
        if not self.names:
            return tf.zeros([tf.shape(images)[0], 0])
        return (self.measure(images) - self.mean) / self.deviation


def prior(conditions, latent_dim):
    """A linear layer to mean and log-variance, which begins as N(0, I) for all conditions."""
    entry = keras.Input([conditions])
    x = keras.layers.Dense(2 * latent_dim, kernel_initializer="zeros", dtype="float32")(entry)
    return keras.Model(entry, x, name="prior")


def joint(shape, conditions, outputs, hidden, name):
    """Softplus layers over what has a shape and a condition, side by side."""
    entry = [keras.Input(shape), keras.Input([conditions])]
    x = keras.layers.Concatenate()([keras.layers.Flatten()(entry[0]), entry[1]])
    x = mlp([math.prod(shape) + conditions], outputs, hidden, "softplus")(x)
    return keras.Model(entry, x, name=name)


def recipe(
    data,
    attributes="none",
    latent_dim=50,
    hidden=500,
    layers=2,
    learning_rate=1e-3,
    batch_size=100,
    epochs=50,
):
    """The networks of M2 (Kingma et al., 2014): 50 latents, hidden layers of 500 softplus units.

    Departures: two hidden layers instead of one, as with one z still tells much of the class; Adam
    with a cosine decay to nothing over the epochs instead of RMSProp, as in `vae`. The prior is
    that of Sohn et al., linear in y: M2's, the same for all y, gives samples of mixed classes.
    Batches of 100 and 50 epochs are ours.

    Args:
        attributes: `none`, for the class alone, or `stroke`, with which the slant and the ink of an
            image are measured too (`tfgen.data.attributes`) and can be varied gradually
        layers: hidden layers of the encoder and of the decoder
        learning_rate: of Adam, down to 0 by a cosine over the epochs
    """
    data, shape = data.labelled, data.element.shape
    if len(shape) != 3:
        raise InputError(f"cvae makes images, but {data.name} has rows of {shape}")
    check_choice("attributes", attributes, ("none", "stroke"))
    measured = Attributes()
    if attributes == "stroke":
        measured = Attributes(STROKE, stroke)
    classes, units = len(data.classes), [hidden] * layers
    conditions = classes + len(measured.names)
    model = CVAE(
        joint(shape, conditions, [2 * latent_dim], units, "encoder"),
        joint([latent_dim], conditions, shape, units, "decoder"),
        prior(conditions, latent_dim),
        data.element,
        classes,
        measured,
    )
    steps = epochs * data.steps_per_epoch(batch_size)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = keras.optimizers.Adam(rate)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


TINY = (
    Tiny({"latent_dim": 4, "hidden": 16, "batch_size": 16}),
    Tiny({"attributes": "stroke", "latent_dim": 4, "hidden": 16, "batch_size": 16}),
)
