"""Deep autoencoder.

    min  E_x[ |x - decode(encode(x))|^2 ]

A narrow code between two deep networks has to hold what tells rows apart. With linear networks it
is the principal components; deep ones bend the plane to the data.

Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313,
2006, doi:10.1126/science.1127647.
"""

import keras
import tensorflow as tf

from tfgen.endpoint import Element, Endpoint
from tfgen.errors import InputError
from tfgen.model import GenerativeModel, minimize
from tfgen.networks.mlp import mlp
from tfgen.runs.recipes import Stage, Tiny


class Autoencoder(GenerativeModel):
    """An encoder to a code and a decoder back, trained together. There is no prior to draw from.

    Args:
        encoder: a `keras.Model` from rows `[N, ...]` to codes `[N, D]`.
        decoder: a `keras.Model` from codes back.
        element: the `Element` of the rows.
    """

    def __init__(self, encoder, decoder, element):
        super().__init__()
        self.encoder, self.decoder, self.element = encoder, decoder, element

    @property
    def objectives(self):
        return {"autoencoder": minimize(self.error, self.encoder, self.decoder)}

    def error(self, rows):
        """The mean over rows of the squared error, summed over the numbers of a row."""
        return {"squared_error": squared_error(rows, self.decoder(self.encoder(rows)))}

    def encode(self, rows):
        """Codes, float32 `[N, D]`."""
        return self.encoder(rows)

    def decode(self, codes):
        """Rows of codes, within the range of the data."""
        return tf.clip_by_value(self.decoder(codes), self.element.low, self.element.high)

    def reconstruct(self, rows):
        """Rows through their codes and back."""
        return self.decode(self.encode(rows))

    def preview(self, batch):
        """Rows, and their reconstructions."""
        return batch, self.reconstruct(batch)

    def call(self, rows):
        return self.reconstruct(rows)

    @property
    def endpoints(self):
        codes, rows = Element("latents", self.decoder.input_shape[1:]), self.element
        return {
            "reconstruct": Endpoint(self.reconstruct, (rows,), (rows,)),
            "encode": Endpoint(self.encode, (rows,), (codes,)),
            "decode": Endpoint(self.decode, (codes,), (rows,)),
        }


def squared_error(rows, others):
    """The mean over rows of |x - y|^2: float32 scalar."""
    squares = tf.cast(rows - tf.cast(others, rows.dtype), tf.float32) ** 2
    return tf.reduce_sum(squares) / tf.cast(tf.shape(rows)[0], tf.float32)


def check_rows(name, data):
    """Checks that an autoencoder can be trained on data.

    Raises:
        InputError: they are neither images nor points, or of two domains.
    """
    if data.has_domains or data.element.kind not in ("images", "points"):
        what = "images of two domains" if data.has_domains else data.element.kind
        raise InputError(f"{name} takes images or points, but {data.name} has {what}")


def networks(shape, latent_dim, widths, activation):
    """An encoder of layers of `widths` to a linear code, and a decoder of the same backwards."""
    return (
        mlp(shape, [latent_dim], widths, activation, name="encoder"),
        mlp([latent_dim], shape, widths[::-1], activation, name="decoder"),
    )


def adam(learning_rate, data, batch_size, epochs):
    """Adam whose rate falls to 0 by a cosine."""
    steps = epochs * data.steps_per_epoch(batch_size)
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))


def recipe(
    data,
    latent_dim=30,
    widths=(1000, 500, 250),
    activation="relu",
    learning_rate=1e-3,
    batch_size=100,
    epochs=20,
):
    """The paper's layers for MNIST, 784-1000-500-250-30, with a linear code.

    Departures: no restricted Boltzmann machines before, which Glorot's first weights and ReLUs, for
    the paper's sigmoids, make needless; Adam for conjugate gradients; squared error, in which the
    paper reports, for cross-entropy.

    Args:
        latent_dim: numbers of a code.
        widths: units of the hidden layers of the encoder; the decoder has them backwards.
        activation: of the hidden layers, a name of Keras: relu, tanh, sigmoid, linear.
        learning_rate: of Adam, down to 0 by a cosine over the epochs.
    """
    check_rows("ae", data)
    model = Autoencoder(*networks(data.element.shape, latent_dim, widths, activation), data.element)
    yield Stage(
        model,
        data,
        adam(learning_rate, data, batch_size, epochs),
        batch_size,
        epochs,
        steps_per_execution=10,
    )


TINY = (Tiny({"latent_dim": 4, "widths": (16,), "batch_size": 16}),)
