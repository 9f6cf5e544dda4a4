"""Conditional batch normalization: a scale and a shift per class.

De Vries et al., "Modulating early visual processing by language", 2017, arXiv:1707.00683; by class
as in Dumoulin, Shlens and Kudlur, "A learned representation for artistic style", 2017,
arXiv:1610.07629.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class ConditionalBatchNorm(keras.layers.Layer):
    """Normalizes each channel over the batch; then the class of a row scales and shifts it.

    Called with `[features, labels]`: features `[N, ..., C]`, labels int32 `[N]`. The statistics are
    those of all classes together and of all replicas; scales start at 1, shifts at 0.

    Args:
        classes: how many there are, an int.
        momentum, epsilon: as in `keras.layers.BatchNormalization`; as `networks.conv.batch_norm`.
    """

    def __init__(self, classes, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.momentum, self.epsilon = classes, momentum, epsilon
        several = tf.distribute.get_strategy().num_replicas_in_sync > 1
        self.norm = keras.layers.BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            center=False,
            scale=False,
            synchronized=several,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        features, _ = input_shape
        self.norm.build(features)
        shape = [self.classes, features[-1]]
        self.scales = self.add_weight(shape, "ones", name="scales")
        self.shifts = self.add_weight(shape, "zeros", name="shifts")

    def call(self, inputs, training=False):
        features, labels = inputs
        features = self.norm(features, training=training)
        # A product, not a lookup: its gradient is dense, which every optimizer and strategy takes.
        chosen = tf.one_hot(tf.cast(labels, tf.int32), self.classes, dtype=features.dtype)
        scales, shifts = (
            tf.reshape(chosen @ tf.cast(table, features.dtype), self._spread(features))
            for table in (self.scales, self.shifts)
        )
        return scales * features + shifts

    def _spread(self, features):
        """`[N, 1, ..., 1, C]`: a number a channel, the same at all places."""
        return [-1, *[1] * (features.shape.rank - 2), features.shape[-1]]

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        own = {"classes": self.classes, "momentum": self.momentum, "epsilon": self.epsilon}
        return super().get_config() | own
