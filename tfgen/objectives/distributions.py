"""A network's output as a TensorFlow Probability distribution over one row.

Networks return tensors; distributions are made inside a loss, in float32, because TensorFlow
Probability loses its footing in half precision.
"""

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def diagonal(outputs):
    """A Gaussian: half of `outputs [N, ..., 2 C]` is the mean, half the log-variance.

    Returns:
        A distribution over `[..., C]`, one a row.
    """
    mean, log_variance = tf.split(tf.cast(outputs, tf.float32), 2, axis=-1)
    return _rows(tfd.Normal(mean, tf.exp(0.5 * log_variance)), mean)


def standard(like):
    """The standard normal distribution of the shape of `like [N, ...]`, one a row."""
    return _rows(tfd.Normal(tf.zeros_like(like), 1.0), like)


def bernoulli(logits):
    """Independent coins with the log-odds `logits [N, ...]`, one distribution a row."""
    logits = tf.cast(logits, tf.float32)
    return _rows(tfd.Bernoulli(logits=logits, dtype=tf.float32), logits)


def importance_bound(log_weight, samples):
    """log 1/K sum_k w_k of weights p(x, z_k) / q(z_k|x), a bound on log p(x) that tightens with K.

    Burda et al., 2016, arXiv:1509.00519, equation 8.

    Args:
        log_weight: from k, an int32 scalar, to log w_k, float32 `[N]`, of draws of its own.
        samples: K, an int.

    Returns:
        float32 `[N]`, in nats.
    """
    weights = tf.map_fn(log_weight, tf.range(samples), fn_output_signature=tf.float32)  # [K, N]
    return tf.reduce_logsumexp(weights, axis=0) - tf.math.log(float(samples))


def _rows(distribution, tensor):
    """Sums the log-probability over all axes but the first."""
    return tfd.Independent(distribution, reinterpreted_batch_ndims=tensor.shape.rank - 1)
