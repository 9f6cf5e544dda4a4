"""VAE with a trained discriminator's features: a GAN first, then an autoencoder that it looks at.

    1.  the game of `gan`, which leaves a discriminator D
    2.  min_q,G  KL(q(z|x) || N(0, I)) + w/2 |f(x) - f(G(z))|^2,  f a hidden layer of D

What remains of `vae_gan` where the discriminator no longer learns and nobody has to fool it: images
are compared by features that tell data from samples, and are sharper than those of a VAE of pixels.
The paper compares both with it, as VAE_Dis_l.

Larsen, Sønderby, Larochelle and Winther, "Autoencoding beyond pixels using a learned similarity
metric", ICML 2016, arXiv:1512.09300.
"""

import functools

import keras

from tfgen import random
from tfgen.model import minimize
from tfgen.objectives.distributions import diagonal
from tfgen.runs.recipes import Stage, Tiny
from zoo.adversarial.gan import GAN
from zoo.inference.vae_gan import VAEGAN, coders, discriminator, distance, kl


class VAEDis(VAEGAN):
    """An encoder and a decoder, before a discriminator that stays as it is.

    Args:
        weight: w, the inverse variance of the features; the others are those of `VAEGAN`.
    """

    def __init__(self, encoder, decoder, discriminator, element, weight):
        super().__init__(encoder, decoder, discriminator, element, weight)
        self.features = keras.Model(discriminator.input, discriminator.get_layer("features").output)

    @property
    def objectives(self):
        return {"elbo": minimize(self.negative_elbo, self.encoder, self.generator)}

    def negative_elbo(self, images):
        posterior = diagonal(self.encoder(images))
        made = self.generator(self.draw(posterior, random.fresh(images)))
        # With the statistics that it was trained on, of images and samples.
        seen, again = (self.features(rows, training=False) for rows in (images, made))
        return {"features": self.gamma * distance(seen, again), "kl": kl(posterior)}

    @property
    def endpoints(self):
        return {name: e for name, e in super().endpoints.items() if name != "discriminate"}


def recipe(
    data,
    weight=1.0,
    latent_dim=128,
    width=64,
    features_width=32,
    hidden=512,
    learning_rate=2e-4,
    beta_1=0.5,
    batch_size=64,
    epochs=10,
):
    """The networks of `vae_gan`; of each of the two stages so many epochs.

    The paper does not say how the GAN is trained; here as DCGAN is: Adam 2e-4 with beta_1 0.5.

    Args:
        weight: of the features' term, their inverse variance; 1 is the paper's
        width: channels of the largest feature map of generator, encoder and decoder
        features_width: channels of the discriminator's first convolution; later ones have 4 and 8
            times as many
        hidden: units of the discriminator's dense layer
        epochs: how often each stage sees all data
    """
    element = data.element

    def judge():
        return discriminator(element.shape, features_width, hidden)

    def second(before):
        seen = before.discriminator if before else judge()  # whose weights a checkpoint holds
        return VAEDis(*coders(element, latent_dim, width), seen, element, weight)

    optimizer = functools.partial(keras.optimizers.Adam, learning_rate, beta_1)
    generator = coders(element, latent_dim, width)[1]
    yield Stage(GAN(generator, judge(), element), data, optimizer(), batch_size, epochs)
    yield Stage(second, data, optimizer(), batch_size, epochs)


TINY = (
    Tiny(
        {
            "weight": 0.01,
            "latent_dim": 4,
            "width": 8,
            "features_width": 4,
            "hidden": 16,
            "batch_size": 16,
        }
    ),
)
