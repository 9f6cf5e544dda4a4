"""Semi-supervised GAN: a classifier that learns from a few labels and many samples.

    max_D  E_x,y[log p(y|x, y <= K)] + E_x[log D(x)] + E_z[log(1 - D(G(z)))]
    min_G  |E_x f(x) - E_z f(G(z))|^2
    p(y|x) = exp l_y(x) / Z(x),   D(x) = Z(x) / (Z(x) + 1),   Z(x) = sum_k exp l_k(x)

The discriminator is a classifier with one class more, the fakes, whose logit can be held at 0. So
rows without a label teach it too: they belong to one of the K classes, samples to none. The
generator matches the mean of its features f, which makes the better classifier, if not
the better pictures.

Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen, "Improved techniques for training GANs",
NeurIPS 2016, arXiv:1606.03498; K + 1 classes also in Odena, arXiv:1606.01583.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import Element, Endpoint
from tfgen.errors import InputError, check_choice
from tfgen.layers.noise import GaussianNoise
from tfgen.networks import neutral
from tfgen.networks.conv import batch_norm
from tfgen.objectives import losses
from tfgen.objectives.stabilisation import averaged, feature_matching
from tfgen.runs.recipes import LEARNING_RATE, Average, Candidate, Rate, Stage, Tiny
from zoo.adversarial.gan import GAN


class SemiSupervisedGAN(GAN):
    """A GAN whose discriminator tells classes apart.

    Args:
        generator: a `keras.Model` from latents `[N, D]` to samples.
        discriminator: a `keras.Model` from samples to logits of the classes `[N, K]`, and features.
        element: the `Element` of the data.
        labelled: how many rows are known with their labels, all that is known of labels.
        labels_seed: says which rows of the training data these are, an int.
    """

    def __init__(self, generator, discriminator, element, labelled, labels_seed=1):
        super().__init__(generator, discriminator, element)
        self.labels_seed = labels_seed
        self.known = (
            self.add_weight((labelled, *element.shape), "zeros", trainable=False),
            self.add_weight((labelled,), "zeros", "int32", trainable=False),
        )

    def begin(self, data):
        rows = choose(data, self.known[1].shape[0], self.labels_seed)
        for known, chosen in zip(self.known, rows, strict=True):
            known.assign(chosen)

    def discriminator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        source = self.adversarial.discriminator(self.discriminate(reals), self.discriminate(fakes))
        return {"source": source, "class": self.class_loss(reals)}

    def class_loss(self, batch):
        """-E[log p(y|x)] of as many rows with labels as a batch has."""
        rows, labels = self.draw_known(batch)
        return losses.class_loss(self.discriminator(rows)[0], labels)

    def generator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        return feature_matching(*(self.discriminator(rows)[1] for rows in (reals, fakes)))

    def draw_known(self, batch):
        """As many known rows as a batch has, and their labels, drawn with replacement."""
        rows, labels = (known.value for known in self.known)
        places = random.integers(random.fresh(batch), [], labels.shape[0])
        return tf.gather(rows, places), tf.gather(labels, places)

    def discriminate(self, rows):
        """log Z `[N, 1]`: the logit of D."""
        return tf.reduce_logsumexp(self.discriminator(rows)[0], axis=1, keepdims=True)

    def classify(self, rows):
        """The probability of each class, `[N, K]`, of rows that are no fakes."""
        return tf.nn.softmax(self.discriminator(rows)[0])

    @property
    def endpoints(self):
        classes = self.discriminator.output_shape[0][1]
        probabilities = Element("probabilities", (classes,), "float32", 0.0, 1.0)
        return super().endpoints | {
            "discriminate": Endpoint(
                self.discriminate, (self.element,), (Element("logits", (1,)),)
            ),
            "classify": Endpoint(self.classify, (self.element,), (probabilities,)),
        }


def neutral_discriminator(element, classes, hidden, width):
    """The neutral one, which also gives what its last layer sees.

    Without batch normalization, which would match the means of features by itself.
    """
    trunk = neutral.features(element, hidden, width, neutral.none)
    logits = keras.layers.Dense(classes, dtype="float32")(trunk.output)
    return keras.Model(trunk.input, [logits, trunk.output], name="discriminator")


def dense_generator(latent_dim, element):
    """Of the authors' code: two layers of 500 softplus units, normalized over the batch."""
    x = entry = keras.Input([latent_dim])
    for _ in range(2):
        x = keras.layers.Dense(500, activation="softplus", use_bias=False)(x)
        x = batch_norm()(x)
    x = keras.layers.Dense(int(np.prod(element.shape)), dtype="float32")(x)
    x = keras.layers.Reshape(element.shape, dtype="float32")(x)
    if np.isfinite(element.high):
        x = keras.layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(entry, x, name="generator")


def dense_discriminator(element, classes):
    """Of the authors' code: five rectified layers, with noise before each."""
    x = entry = keras.Input(element.shape)
    x = GaussianNoise(0.6)(keras.layers.Flatten()(x))  # their 0.3, in [-1, 1] instead of [0, 1]
    for units in (1000, 500, 250, 250, 250):
        features = keras.layers.Dense(units, "relu", kernel_initializer="he_normal")(x)
        x = GaussianNoise(0.5)(features)
    logits = keras.layers.Dense(classes, dtype="float32")(x)
    return keras.Model(entry, [logits, features], name="discriminator")


def choose(data, count, seed):
    """Rows of the training data and their labels: `count` in all, equally many of each class.

    Raises:
        InputError: there are not so many, or the classes cannot share them equally.
    """
    rows, labels = data.rows("train"), data.rows("train", column="labels")
    classes = len(data.classes)
    order = np.random.RandomState(seed).permutation(len(rows))
    places = [order[labels[order] == label][: count // classes] for label in range(classes)]
    if count % classes or sum(map(len, places)) < count:
        most = classes * np.bincount(labels, minlength=classes).min()
        raise InputError(
            f"labelled={count} cannot be shared equally by the {classes} classes of "
            f"{data.name!r}: give a multiple of {classes}, at most {most}"
        )
    places = np.concatenate(places)
    return rows[places], labels[places]


def recipe(
    data,
    network="neutral",
    labelled=100,
    labels_seed=1,
    latent_dim=100,
    hidden=1024,
    width=64,
    learning_rate: Rate = None,
    beta_1=0.5,
    ema: Average = None,
    batch_size=100,
    epochs=300,
):
    """Of the authors' code: Adam with beta_1 0.5, batches of 100.

    Departures: normal noise z instead of uniform; no weight normalization, no moving average of the
    weights of D; both terms of D have weight 1, as in the paper, where the code takes the second
    one half; the rate stays what it is.

    Args:
        network: `neutral`, on which objectives are compared, or `dense`, theirs for MNIST
        labelled: how many rows keep their label, equally many of each class
        labels_seed: says which rows these are
        learning_rate: none for 3e-4 with `neutral`, theirs for convolutions, and 3e-3 with `dense`
    """
    check_choice("network", network, RATES)
    classes = len(data.labelled.classes)
    if network == "neutral":
        networks = (
            neutral.generator(latent_dim, data.element, hidden, width),
            neutral_discriminator(data.element, classes, hidden, width),
        )
    else:
        networks = (
            dense_generator(latent_dim, data.element),
            dense_discriminator(data.element, classes),
        )
    model = SemiSupervisedGAN(*networks, data.element, labelled, labels_seed)
    rate = RATES[network] if learning_rate is None else learning_rate
    optimizer = averaged(keras.optimizers.Adam(rate, beta_1), ema)
    yield Stage(model, data, optimizer, batch_size, epochs, steps_per_execution=10)


RATES = {"neutral": 3e-4, "dense": 3e-3}
ONLY = {("network", "neutral"): ("hidden", "width")}
SEARCHED = (Candidate("semi_supervised_gan", {}, LEARNING_RATE),)
TINY = (
    Tiny({"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}),
    Tiny({"network": "dense", "latent_dim": 4, "batch_size": 16}),
)
