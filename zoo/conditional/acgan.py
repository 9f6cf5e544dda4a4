"""Auxiliary classifier GAN.

    max_D  L_S + L_C,   max_G  L_C - L_S
    L_S = E_x[log p(real|x)] + E_z,c[log p(fake|G(z, c))]
    L_C = E_x,c[log p(c|x)] + E_z,c[log p(c|G(z, c))]

The discriminator is not told the class: it names it, beside saying whether an image is real. Both
players gain where it is right, so the generator makes images whose class can be told. Its own part
of L_S is minimized as in `gan`, by the non-saturating loss.

Odena, Olah and Shlens, "Conditional image synthesis with auxiliary classifier GANs", ICML 2017,
arXiv:1610.09585.
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import Element, Endpoint
from tfgen.errors import InputError
from tfgen.layers.dropout import Dropout
from tfgen.networks import conditional, conv
from tfgen.networks.initial import narrow
from tfgen.objectives.losses import class_loss
from tfgen.objectives.stabilisation import averaged
from tfgen.runs.recipes import Average, Stage, Tiny
from zoo.conditional.cgan import DeepCGAN


class ACGAN(DeepCGAN):
    """A deep CGAN whose discriminator gives, for samples alone, logits `[N, 1 + classes]`.

    The first is the source's, the others are the classes'.
    """

    def discriminator_loss(self, batch):
        reals, labels = batch
        fakes = self.sample(random.fresh(reals), labels)
        sources, classes = zip(*(self.judge(rows) for rows in (reals, fakes)), strict=True)
        return {
            "source": self.adversarial.discriminator(*sources),
            "class": tf.add_n([class_loss(logits, labels) for logits in classes]),
        }

    def generator_loss(self, batch):
        reals, labels = batch
        source, classes = self.judge(self.sample(random.fresh(reals), labels))
        return {
            "source": self.adversarial.generator(source),
            "class": class_loss(classes, labels),
        }

    def judge(self, rows):
        """Logits of the source `[N, 1]` and of the classes `[N, classes]`."""
        return tf.split(self.discriminator(rows), [1, self.classes], axis=1)

    def discriminate(self, rows):
        """Logits `[N, 1]`: whether rows are real."""
        return self.judge(rows)[0]

    def classify(self, rows):
        """The probability of each class, `[N, classes]`."""
        return tf.nn.softmax(self.judge(rows)[1])

    @property
    def endpoints(self):
        logits = Element("logits", (1,))
        probabilities = Element("probabilities", (self.classes,), "float32", 0.0, 1.0)
        return super().endpoints | {
            "discriminate": Endpoint(self.discriminate, (self.element,), (logits,)),
            "classify": Endpoint(self.classify, (self.element,), (probabilities,)),
        }


DOUBLINGS = 5  # of the table, from 16 channels to 512


def discriminator(classes, element, width):
    """Two convolutions a size, the first strided, each with slope 0.2 and dropout of 0.5."""
    x = entry = keras.Input(element.shape)
    sizes = len(conv.heights(element.shape)) - 1
    for i in range(2 * sizes):
        channels = width * 2 ** min(i, DOUBLINGS)
        x = keras.layers.Conv2D(
            channels, 3, 2 - i % 2, "same", use_bias=i == 0, kernel_initializer=narrow()
        )(x)
        x = keras.layers.LeakyReLU(0.2)(x if i == 0 else conv.batch_norm()(x))
        x = Dropout(0.5)(x)
    x = keras.layers.Flatten()(x)
    logits = keras.layers.Dense(1 + classes, kernel_initializer=narrow(), dtype="float32")(x)
    return keras.Model(entry, logits, name="discriminator")


def recipe(
    data,
    latent_dim=100,
    generator_width=96,
    discriminator_width=16,
    learning_rate=2e-4,
    beta_1=0.5,
    ema: Average = None,
    batch_size=100,
    epochs=10,
):
    """The paper's table for CIFAR-10: Adam 2e-4 with beta_1 0.5, batches of 100, N(0, 0.02).

    At 32 pixels the networks are those of the table, of 384-192-96 and 16-32-64-128-256-512
    channels; images of other sizes have as many as they can be halved, but no more channels than
    these. The rate is one of the three that were searched. Departures: the generator's projection
    is normalized and no noise is added to the discriminator's activations, which the table has too
    but at deviations from 0 on; the distribution of z, which the paper does not name, is that of
    `dcgan`; 10 epochs are ours.

    Args:
        generator_width: channels of the generator's largest feature map
        discriminator_width: channels of the discriminator's first feature map, doubled from layer
            to layer up to 32 times
    """
    data = data.labelled
    if len(data.element.shape) != 3:
        raise InputError(f"acgan makes images, but {data.name} has rows of {data.element.shape}")
    classes = len(data.classes)
    model = ACGAN(
        conditional.generator(latent_dim, classes, data.element, generator_width),
        discriminator(classes, data.element, discriminator_width),
        data.element,
        classes,
    )
    optimizer = averaged(keras.optimizers.Adam(learning_rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "generator_width": 16, "discriminator_width": 8, "batch_size": 16}),)
