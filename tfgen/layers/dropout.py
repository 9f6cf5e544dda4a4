"""Dropout whose mask belongs to the row (Srivastava et al., 2014, JMLR 15)."""

import keras
import tensorflow as tf

from tfgen import random


@keras.saving.register_keras_serializable("tfgen")
class Dropout(keras.layers.Layer):
    """Drops each feature of a row with probability `rate` in training, and scales up the rest.

    Unlike `keras.layers.Dropout` it keeps no state, draws other masks on each replica, and draws
    the same ones in a resumed run: its noise comes from `random.fresh`.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs, training=False):
        if not training:
            return inputs
        noise = random.uniform(random.fresh(inputs), inputs.shape[1:])
        return tf.where(noise < self.rate, tf.zeros_like(inputs), inputs / (1 - self.rate))

    def get_config(self):
        return super().get_config() | {"rate": self.rate}
