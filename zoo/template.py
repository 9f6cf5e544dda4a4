"""Autoencoder: copy this file to `zoo/<family>/<model>.py` and make it yours.

    min  E_x[ |x - decode(encode(x))|^2 ]

One paragraph on what the paper brought. This one: a narrow code must hold what matters.

Authors, "Title", where and when, arXiv:number. Here: Hinton and Salakhutdinov, "Reducing the
dimensionality of data with neural networks", Science 313, 2006 (without its pretraining).
"""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.model import GenerativeModel, minimize
from tfgen.networks.mlp import mlp
from tfgen.runs.recipes import Stage, Tiny


class Autoencoder(GenerativeModel):
    """An encoder to a code and a decoder back, trained together."""

    def __init__(self, encoder, decoder, element):
        super().__init__()
        self.encoder, self.decoder, self.element = encoder, decoder, element

    @property
    def objectives(self):
        return {"autoencoder": minimize(self.error, self.encoder, self.decoder)}

    def error(self, rows):
        return tf.reduce_mean((rows - self.reconstruct(rows)) ** 2)

    def reconstruct(self, rows):
        return self.decoder(self.encoder(rows))

    def latents(self, seeds):
        """Random codes, float32 `[N, D]`, from int32 seeds."""
        return random.normal(seeds, self.decoder.input_shape[1:])

    def sample(self, seeds):
        """Decodes random codes: not a model of the data, only a look at what codes mean."""
        return self.decoder(self.latents(seeds))

    def call(self, rows):
        return self.reconstruct(rows)

    @property
    def endpoints(self):
        codes = Element("latents", self.decoder.input_shape[1:])
        # What the decoder gives is not clipped, so the output has no range.
        decoded = Element(self.element.name, self.element.shape)
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (decoded,)),
            "latents": Endpoint(self.latents, (SEEDS,), (codes,)),
            "encode": Endpoint(self.encoder, (self.element,), (codes,)),
            "decode": Endpoint(self.decoder, (codes,), (decoded,)),
            "reconstruct": Endpoint(self.reconstruct, (self.element,), (decoded,)),
        }


def recipe(data, latent_dim=16, hidden=128, learning_rate=1e-3, batch_size=100, epochs=20):
    """Each keyword is a hyper-parameter; its default is the paper's, here cited by section."""
    shape = data.element.shape
    model = Autoencoder(
        mlp(shape, [latent_dim], [hidden], name="encoder"),
        mlp([latent_dim], shape, [hidden], name="decoder"),
        data.element,
    )
    yield Stage(model, data, keras.optimizers.Adam(learning_rate), batch_size, epochs)


TINY = (Tiny({"latent_dim": 4, "hidden": 16, "batch_size": 16}),)
