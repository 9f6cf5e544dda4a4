"""Spectral normalization: layers whose kernel is divided by its largest singular value.

Miyato, Kataoka, Koyama and Yoshida, 2018, arXiv:1802.05957, algorithm 1.
"""

import keras
import tensorflow as tf

SMALLEST = 1e-30  # of a squared length: what is shorter has no direction


def power_iteration(matrix, u):
    """One turn of the power method towards the largest singular value.

    Args:
        matrix: float32 `[M, N]`.
        u: float32 `[N]`, the guess of a right singular vector; of any length but 0.

    Returns:
        The estimate, a scalar that is never too large and whose slope goes to the matrix alone, and
        a better guess of length 1; of a matrix of zeros, 0 and the guess as it was.
    """
    fixed = tf.stop_gradient(matrix)
    v = tf.math.l2_normalize(tf.linalg.matvec(fixed, u), epsilon=SMALLEST)
    turned = tf.linalg.matvec(fixed, v, transpose_a=True)
    turned = tf.math.l2_normalize(turned, epsilon=SMALLEST)
    u = tf.where(tf.reduce_any(turned != 0.0), turned, u)
    return tf.tensordot(v, tf.linalg.matvec(matrix, u), 1), u


class _Spectral:
    """What both layers share: the kernel stays as it is learned, and is divided when it is used.

    (`keras.layers.SpectralNormalization` writes the quotient into the kernel instead.) The guess
    `u` is a weight without a gradient: it turns once in every call in training, stays otherwise,
    and is the same on all replicas.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.u = self.add_weight(
            self._kernel.shape[-1:],
            "random_normal",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name="u",
        )

    def normalized(self, training):
        """The kernel over its largest singular value, where `[..., N]` is a matrix `[M, N]`.

        A kernel of zeros stays as it is.
        """
        kernel = tf.cast(self._kernel.value, self.variable_dtype)
        matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])
        largest, u = power_iteration(matrix, self.u.value)
        if training:
            self.u.assign(u)
        return tf.cast(kernel / tf.where(largest > 0.0, largest, 1.0), self.compute_dtype)

    def call(self, inputs, training=False):
        outputs = self.linear(inputs, self.normalized(training))
        return self.activation(outputs + self.bias if self.use_bias else outputs)


@keras.saving.register_keras_serializable("tfgen")
class SpectralDense(_Spectral, keras.layers.Dense):
    """`keras.layers.Dense` with a kernel of spectral norm 1."""

    def linear(self, inputs, kernel):
        return inputs @ kernel


@keras.saving.register_keras_serializable("tfgen")
class SpectralConv2D(_Spectral, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a kernel `[H, W, I, O]` of norm 1 as a matrix `[HWI, O]`."""

    def linear(self, inputs, kernel):
        return self.convolution_op(inputs, kernel)
