"""Padding that mirrors the image, as in style transfer (Johnson et al., 2016, arXiv:1603.08155)."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class ReflectionPadding(keras.layers.Layer):
    """`[N, H, W, C] -> [N, H + 2 pad, W + 2 pad, C]`; the border itself is not repeated.

    A convolution over zeros paints a frame along the border; over a mirror it does not.
    """

    def __init__(self, pad, **kwargs):
        super().__init__(**kwargs)
        self.pad = pad

    def call(self, images):
        side = [self.pad, self.pad]
        return tf.pad(images, [[0, 0], side, side, [0, 0]], "REFLECT")

    def get_config(self):
        return super().get_config() | {"pad": self.pad}
