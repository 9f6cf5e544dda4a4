"""VAE/GAN: autoencoding beyond pixels.

    encoder:        min  KL(q(z|x) || N(0, I)) + L
    decoder:        min  gamma L - L_GAN
    discriminator:  min  L_GAN
    L = 1/2 |f(x) - f(G(z))|^2,  L_GAN = -log D(x) - log(1 - D(G(z))) - log(1 - D(G(z_p)))

A variational autoencoder whose images are compared by what a discriminator sees in them: f is a
hidden layer of D, in which a digit that is moved by a pixel is near where it was, while its pixels
are not. Encoder and decoder are those of a VAE with unit Gaussians in the space of f; the decoder
is the generator of a GAN too, whose fakes are reconstructions, z ~ q(z|x), and samples,
z_p ~ N(0, I). Each of the three networks has its own loss: the discriminator does not learn to make
L small, nor the encoder to fool it.

Larsen, Sønderby, Larochelle and Winther, "Autoencoding beyond pixels using a learned similarity
metric", ICML 2016, arXiv:1512.09300.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import Element, Endpoint
from tfgen.errors import InputError
from tfgen.model import minimize
from tfgen.networks import conv
from tfgen.objectives import losses
from tfgen.objectives.distributions import diagonal, standard
from tfgen.runs.recipes import Stage, Tiny
from zoo.adversarial.gan import GAN


class VAEGAN(GAN):
    """An encoder, a decoder that is a generator too, and a discriminator.

    Args:
        encoder: a `keras.Model` from images to mean and log-variance `[N, 2 D]`.
        decoder: a `keras.Model` from latents `[N, D]` to images.
        discriminator: a `keras.Model` from images to logits `[N, 1]`, whose layer `features` is f.
        element: the `Element` of the images.
        gamma: weight of L against the discriminator, for the decoder.
    """

    def __init__(self, encoder, decoder, discriminator, element, gamma):
        super().__init__(decoder, discriminator, element)
        self.encoder, self.gamma = encoder, gamma
        features = discriminator.get_layer("features").output
        self.judge = keras.Model(discriminator.input, [discriminator.output, features])

    @property
    def objectives(self):
        return {
            "encoder": minimize(self.encoder_loss, self.encoder),
            "decoder": minimize(self.decoder_loss, self.generator),
            "discriminator": minimize(self.discriminator_loss, self.discriminator),
        }

    def encoder_loss(self, images):
        posterior, _, features = self.judged(images)
        return {"kl": kl(posterior), "features": distance(*features)}

    def decoder_loss(self, images):
        _, (_, *fakes), features = self.judged(images)
        fooled = [losses.non_saturating.generator(logits) for logits in fakes]
        return {"features": self.gamma * distance(*features), "adversarial": tf.add_n(fooled)}

    def discriminator_loss(self, images):
        _, (reals, reconstructions, samples), _ = self.judged(images)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-reals)),
            "reconstruction": tf.reduce_mean(tf.nn.softplus(reconstructions)),
            "sample": tf.reduce_mean(tf.nn.softplus(samples)),
        }

    def judged(self, images):
        """Images, their reconstructions and samples, as the discriminator sees them in one batch.

        Returns:
            q(z|x); three logits `[N, 1]`; features of images and of reconstructions.
        """
        posterior = diagonal(self.encoder(images))
        latents = self.draw(posterior, random.fresh(images))
        both = tf.concat([latents, self.latents(random.fresh(images))], axis=0)
        logits, features = self.judge(tf.concat([images, self.generator(both)], axis=0))
        return posterior, tf.split(logits, 3), tf.split(features, 3)[:2]

    def draw(self, posterior, seeds):
        """z = mean + scale * noise: float32 `[N, D]`."""
        mean = posterior.mean()
        return mean + posterior.stddev() * random.normal(seeds, mean.shape[1:])

    def encode(self, images):
        """Mean and scale of q(z|x): two float32 `[N, D]`."""
        posterior = diagonal(self.encoder(images))
        return posterior.mean(), posterior.stddev()

    def reconstruct(self, images):
        """Images through the mean latent and back."""
        return self.generator(self.encode(images)[0])

    @property
    def endpoints(self):
        latents = Element("latents", self.generator.input_shape[1:])
        scales = latents._replace(name="scales", low=0.0)
        return super().endpoints | {
            "encode": Endpoint(self.encode, (self.element,), (latents, scales)),
            "reconstruct": Endpoint(self.reconstruct, (self.element,), (self.element,)),
        }


def kl(posterior):
    """The mean of KL(q(z|x) || N(0, I)), a float32 scalar."""
    return tf.reduce_mean(posterior.kl_divergence(standard(posterior.mean())))


def distance(features, others):
    """Half the squared distance of each row from the other's, its mean: a float32 scalar.

    It is -log N(f; f', I) without the constant.
    """
    differences = tf.cast(features, tf.float32) - tf.cast(others, tf.float32)
    return 0.5 * tf.reduce_mean(tf.reduce_sum(differences**2, axis=range(1, features.shape.rank)))


def discriminator(image, width, hidden):
    """Convolutions, the last of which is the layer `features`, and two dense layers.

    Args:
        image: `(H, H, C)`.
        width: channels of the first one, of stride 1; the next have 4 and 8 times as many.
        hidden: units of the dense layer.

    Returns:
        A `keras.Model` from `[N, H, H, C]` to logits `[N, 1]`.
    """
    halvings = min(3, len(conv.heights(image)) - 1)
    x = entry = keras.Input(image)
    x = keras.layers.ReLU()(keras.layers.Conv2D(width, conv.KERNEL, padding="same")(x))
    for number, factor in enumerate((4, 8, 8)[:halvings], 1):
        name = "features" if number == halvings else None
        x = keras.layers.Conv2D(width * factor, conv.KERNEL, 2, "same", use_bias=False, name=name)(
            x
        )
        x = keras.layers.ReLU()(conv.batch_norm()(x))
    x = keras.layers.Dense(hidden, use_bias=False)(keras.layers.Flatten()(x))
    x = keras.layers.ReLU()(conv.batch_norm()(x))
    x = keras.layers.Dense(1, dtype="float32")(x)
    return keras.Model(entry, x, name="discriminator")


def coders(element, latent_dim, width):
    """Encoder and decoder, of strided convolutions, the decoder with a tanh.

    Raises:
        InputError: rows are no images, or cannot be halved.
    """
    if len(element.shape) != 3:
        raise InputError(f"convolutions want images, but the rows of the data are {element.shape}")
    encoder = conv.discriminator(element.shape, 2 * latent_dim, width, name="encoder")
    decoder = conv.generator([latent_dim], element.shape, width, name="decoder")
    images = keras.layers.Activation("tanh", dtype="float32")(decoder.output)
    return encoder, keras.Model(decoder.input, images, name="decoder")


def recipe(
    data,
    gamma=1e-3,
    latent_dim=128,
    width=64,
    features_width=32,
    hidden=512,
    learning_rate=3e-4,
    batch_size=64,
    epochs=20,
):
    """The discriminator of the authors' code, with 128 latents, RMSprop, batches of 64.

    f is what its third strided convolution gives, before the normalization, where images can be
    halved three times; on 28 x 28 pixels, the second. Departures: encoder and decoder have DCGAN's
    layers; the decoder's adversarial term is -log D, with the stronger slope early in learning,
    where the code has the minimax value; the three networks move one after the other, each on noise
    of its own; nobody is held back where the balance is off (the code has a rule for that which the
    paper has not); the rate does not fall. gamma multiplies a sum over all features, so it depends
    on their number; this one is ours, for MNIST.

    Args:
        gamma: of the features' term, for the decoder
        width: channels of the largest feature map of encoder and decoder
        features_width: channels of the discriminator's first convolution; later ones have 4 and 8
            times as many
        hidden: units of the discriminator's dense layer
    """
    encoder, decoder = coders(data.element, latent_dim, width)
    judge = discriminator(data.element.shape, features_width, hidden)
    model = VAEGAN(encoder, decoder, judge, data.element, gamma)
    yield Stage(model, data, keras.optimizers.RMSprop(learning_rate), batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "width": 8, "features_width": 4, "hidden": 16, "batch_size": 16}),)
