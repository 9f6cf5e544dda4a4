"""Minibatch discrimination: each row is told how close it is to the others of its batch.

Salimans et al., 2016, arXiv:1606.03498.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class MinibatchDiscrimination(keras.layers.Layer):
    """`[N, A] -> [N, A + kernels]`: the features f(x), and beside them o(x).

        M_i = f(x_i) T,   o(x_i)_b = sum_j exp(-|M_ib - M_jb|_1)

    The sum is over the batch of all replicas, as in the paper also over j = i. So what a row gives
    depends on its batch, in training and after it.

    Args:
        kernels: B, how many closenesses.
        dimensions: C, numbers in each of the rows of M that are compared.
    """

    def __init__(self, kernels=100, dimensions=5, **kwargs):
        super().__init__(**kwargs)
        self.kernels, self.dimensions = kernels, dimensions

    def build(self, input_shape):
        shape = input_shape[-1], self.kernels * self.dimensions
        # Of the released code: columns of about length 1.
        initial = keras.initializers.RandomNormal(stddev=input_shape[-1] ** -0.5)
        self.tensor = self.add_weight(shape, initial, name="tensor")

    def call(self, inputs):
        own = tf.reshape(inputs @ self.tensor.value, [-1, self.kernels, self.dimensions])
        replica = tf.distribute.get_replica_context()
        every = replica.all_gather(own, axis=0)  # [N of all replicas, B, C]
        return tf.concat([inputs, _closeness(own, every)], axis=1)

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], input_shape[-1] + self.kernels

    def get_config(self):
        return super().get_config() | {"kernels": self.kernels, "dimensions": self.dimensions}


# XLA makes one loop of it, without the tensor [N, N, B, C] of all differences.
@tf.function(jit_compile=True, autograph=False)
def _closeness(own, every):
    distances = tf.reduce_sum(tf.abs(own[:, None] - every[None]), axis=-1)
    return tf.reduce_sum(tf.exp(-distances), axis=1)
