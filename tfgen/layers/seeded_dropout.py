"""Dropout as the noise of a generator (Isola et al., 2017, arXiv:1611.07004)."""

import keras
import tensorflow as tf

from tfgen import random


@keras.saving.register_keras_serializable("tfgen")
class SeededDropout(keras.layers.Layer):
    """Drops each feature of a row with probability `rate`, and scales up the rest.

    Called with `[features, seeds]`, the seeds int32 `[N, 2]`, one a row: the mask is a function of
    them. The features may be of any size, also one that is known only when it runs.

    Args:
        rate: a probability, above 0.
        stream: an int; layers that share seeds need streams of their own.
    """

    def __init__(self, rate, stream=0, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.stream = rate, stream

    def call(self, inputs):
        features, seeds = inputs
        shape = tf.shape(features)
        words = random.bits(seeds, tf.reduce_prod(shape[1:]), self.stream)
        # A word is uniform over all int32: this many of them lie below.
        dropped = tf.reshape(words, shape) < round(self.rate * 2**32) - 2**31
        return tf.where(dropped, tf.zeros_like(features), features / (1 - self.rate))

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return super().get_config() | {"rate": self.rate, "stream": self.stream}
