"""Variational autoencoder.

    max  E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)),  p(z) = N(0, I)

An encoder gives a Gaussian over latents for each image, a decoder a distribution over images for
each latent. Their common bound on log p(x) is maximized by gradients through z = mean + scale *
noise, the reparametrization trick.

Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, arXiv:1312.6114.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.data.levels import binarize, dequantize, from_unit, to_unit
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.errors import InputError, check_choice, note
from tfgen.model import GenerativeModel, minimize
from tfgen.networks import conv, neutral
from tfgen.networks.mlp import mlp
from tfgen.objectives.distributions import bernoulli, diagonal, importance_bound, standard
from tfgen.runs.recipes import LEARNING_RATE, Candidate, Stage, Tiny


class VAE(GenerativeModel):
    """Encoder and decoder, trained together; pixels are coins (Bernoulli decoder).

    Args:
        encoder: a `keras.Model` from images `[N, H, W, C]` to mean and log-variance `[N, 2 D]`.
        decoder: a `keras.Model` from latents `[N, D]` to logits `[N, H, W, C]`.
        element: the `Element` of the images.
    """

    def __init__(self, encoder, decoder, element):
        super().__init__()
        self.encoder, self.decoder, self.element = encoder, decoder, element

    @property
    def objectives(self):
        return {"elbo": minimize(self.negative_elbo, self.encoder, self.decoder)}

    def negative_elbo(self, images):
        targets = self.targets(images, random.fresh(images))
        posterior = self.posterior(targets)
        latents = self.draw(posterior, random.fresh(images))
        return {
            "reconstruction": -tf.reduce_mean(self.likelihood(latents).log_prob(targets)),
            "kl": tf.reduce_mean(posterior.kl_divergence(standard(latents))),
        }

    def targets(self, images, seeds):
        """Stochastic binarization: each pixel is on with the probability that its gray says.

        Float32 `[N, H, W, C]`, 0 or 1, from images in [-1, 1].
        """
        return binarize(images, seeds)

    def likelihood(self, latents):
        """p(x|z), a distribution over what `targets` gives."""
        return bernoulli(self.decoder(latents))

    def begin(self, data):
        note_of_gray(data)

    def posterior(self, targets):
        """q(z|x), a Gaussian with a diagonal covariance."""
        return diagonal(self.encoder(targets))

    def draw(self, posterior, seeds):
        """z = mean + scale * noise: float32 `[N, D]`."""
        mean = posterior.mean()
        return mean + posterior.stddev() * random.normal(seeds, mean.shape[1:])

    def importance_bound(self, targets, seeds, samples):
        """A bound on log p(x) that tightens with K, see `distributions.importance_bound`.

        Args:
            targets: float32 `[N, H, W, C]`, as `targets` gives them.
            seeds: int32 `[N]`, one a row.
            samples: K, an int.

        Returns:
            float32 `[N]`, in nats.
        """
        posterior = self.posterior(targets)

        def log_weight(k):
            noise = random.normal(seeds, posterior.event_shape, stream=k)
            latents = posterior.mean() + posterior.stddev() * noise
            joint = self.likelihood(latents).log_prob(targets) + standard(latents).log_prob(latents)
            return joint - posterior.log_prob(latents)

        return importance_bound(log_weight, samples)

    def encode(self, images):
        """Mean and scale of q(z|x): two float32 `[N, D]`."""
        posterior = self.posterior(to_unit(images))
        return posterior.mean(), posterior.stddev()

    def decode(self, latents):
        """The mean image of p(x|z): float32 `[N, H, W, C]` in [-1, 1]."""
        return from_unit(self.likelihood(latents).mean())

    def reconstruct(self, images):
        """Images through the mean latent and back."""
        return self.decode(self.encode(images)[0])

    def latents(self, seeds):
        """Draws z from the prior: float32 `[N, D]`, from int32 seeds, one a row."""
        return random.normal(seeds, self.decoder.input_shape[1:])

    def sample(self, seeds):
        """Mean images of latents from the prior, from int32 seeds."""
        return self.decode(self.latents(seeds))

    def call(self, images):
        return self.reconstruct(images)

    @property
    def endpoints(self):
        latents = Element("latents", self.decoder.input_shape[1:])
        scales = latents._replace(name="scales", low=0.0)
        images = self.element
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (images,)),
            "latents": Endpoint(self.latents, (SEEDS,), (latents,)),
            "encode": Endpoint(self.encode, (images,), (latents, scales)),
            "decode": Endpoint(self.decode, (latents,), (images,)),
            "reconstruct": Endpoint(self.reconstruct, (images,), (images,)),
        }


class GaussianVAE(VAE):
    """A VAE whose pixels are Gaussian, with a mean in (0, 1) and a variance each.

    The decoder gives `[N, H, W, 2 C]`: logits of the means, and log-variances.
    """

    def begin(self, data):
        """Nothing: any gray is as good as any other."""

    def targets(self, images, seeds):
        """Levels with uniform noise within each, in (0, 1): a density of levels has no bound."""
        return dequantize(images, seeds) / 256.0

    def likelihood(self, latents):
        logits, log_variances = tf.split(tf.cast(self.decoder(latents), tf.float32), 2, axis=-1)
        return diagonal(tf.concat([tf.sigmoid(logits), log_variances], axis=-1))


def note_of_gray(data):
    """Tells where most pixels are neither black nor white, of which coins make noise."""
    if data.gray_share > GRAY:
        note(
            f"{data.gray_share:.0%} of the pixels of {data.name} are gray, and coins make each of "
            "them black or white: take pixels=gaussian of vae, or another model"
        )


GRAY = 0.5  # of the pixels of training images
PIXELS = {"bernoulli": (VAE, 1), "gaussian": (GaussianVAE, 2)}


def recipe(
    data,
    pixels="bernoulli",
    network="mlp",
    latent_dim=20,
    hidden=500,
    layers=1,
    width=32,
    batch_norm=True,
    learning_rate=1e-3,
    batch_size=100,
    epochs=50,
):
    """Section 5: one hidden layer of 500 tanh units on each side, 20 latents, batches of 100.

    Departures: Adam instead of Adagrad, with a cosine decay to nothing over the epochs, which needs
    no search for its rate; no prior over the weights, and Keras' first weights; Gaussian pixels are
    levels with noise within each, as their density has no bound otherwise.

    Args:
        pixels: `bernoulli`, coins that are drawn anew each time, or `gaussian`, a mean and a
            variance for each pixel
        network: `mlp`, `conv` (strided convolutions), or `neutral`, on which models are compared
        hidden: units of a hidden layer of `mlp`, or of the dense layer of `neutral`
        layers: hidden layers of the encoder and of the decoder of `mlp`
        batch_norm: batch normalization in the encoder of `neutral`: true or false
        learning_rate: of Adam, down to 0 by a cosine over the epochs
    """
    shape = data.element.shape
    if len(shape) != 3:
        raise InputError(f"vae makes images, but {data.name} has rows of {shape}")
    check_choice("pixels", pixels, PIXELS)
    check_choice("network", network, ("mlp", "conv", "neutral"))
    model, numbers = PIXELS[pixels]
    outputs = (*shape[:2], numbers * shape[2])
    if network == "mlp":
        encoder = mlp(shape, [2 * latent_dim], [hidden] * layers, "tanh", name="encoder")
        decoder = mlp([latent_dim], outputs, [hidden] * layers, "tanh", name="decoder")
    elif network == "neutral":
        norm = conv.norm(batch_norm)
        encoder = neutral.discriminator(
            data.element, 2 * latent_dim, hidden=hidden, width=width, norm=norm
        )
        numbers = data.element._replace(shape=outputs)
        decoder = neutral.generator(latent_dim, numbers, hidden, width, activation="linear")
    else:
        encoder = conv.discriminator(shape, 2 * latent_dim, width, name="encoder")
        decoder = conv.generator([latent_dim], outputs, width, name="decoder")
    steps = epochs * data.steps_per_epoch(batch_size)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    vae = model(encoder, decoder, data.element)
    yield Stage(vae, data, keras.optimizers.Adam(rate), batch_size, epochs, steps_per_execution=10)


ONLY = {
    ("network", "mlp"): ("hidden", "layers"),
    ("network", "conv"): ("width",),
    ("network", "neutral"): ("hidden", "width", "batch_norm"),
}
SEARCHED = (
    Candidate(
        "vae", {"network": "neutral"}, LEARNING_RATE | {"batch_norm": (True, False)}, "lucic"
    ),
)
TINY = (
    Tiny({"latent_dim": 4, "hidden": 16, "batch_size": 16}),
    Tiny({"pixels": "gaussian", "latent_dim": 4, "hidden": 16, "batch_size": 16}),
    Tiny({"network": "conv", "latent_dim": 4, "width": 8, "batch_size": 16}),
    Tiny({"network": "neutral", "latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),
)
