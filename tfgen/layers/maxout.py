"""Maxout: the largest of several linear functions (Goodfellow et al., 2013, arXiv:1302.4389)."""

import keras


@keras.saving.register_keras_serializable("tfgen")
class Maxout(keras.layers.Dense):
    """`[N, D] -> [N, units]`, each unit the largest of `pieces` linear functions."""

    def __init__(self, units, pieces, **kwargs):
        super().__init__(units * pieces, **kwargs)
        self.pieces = pieces

    def call(self, inputs, training=None):
        linear = super().call(inputs, training=training)  # [N, units * pieces]
        return keras.ops.max(keras.ops.reshape(linear, [-1, *self._pieces]), axis=-1)

    @property
    def _pieces(self):
        return self.units // self.pieces, self.pieces

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], self._pieces[0]

    def get_config(self):
        return super().get_config() | {"units": self._pieces[0], "pieces": self.pieces}
