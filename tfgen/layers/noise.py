"""Gaussian noise that belongs to the row."""

import keras

from tfgen import random


@keras.saving.register_keras_serializable("tfgen")
class GaussianNoise(keras.layers.Layer):
    """Adds N(0, deviation^2) to each feature in training, drawn as `layers.dropout` draws."""

    def __init__(self, deviation, **kwargs):
        super().__init__(**kwargs)
        self.deviation = deviation

    def call(self, inputs, training=False):
        if not training:
            return inputs
        noise = random.normal(random.fresh(inputs), inputs.shape[1:])
        return inputs + keras.ops.cast(self.deviation * noise, inputs.dtype)

    def get_config(self):
        return super().get_config() | {"deviation": self.deviation}
