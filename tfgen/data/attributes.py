"""Numbers that describe an image, measured and not labelled."""

import tensorflow as tf

STROKE = ("slant", "ink")


def stroke(images):
    """How what is bright leans and how much of it there is.

    The slant is the shear by which moments of the image deskew it, cov(x, y) / var(y): 0 is
    upright, positive leans to the right. It is how Castro et al., 2019, arXiv:1809.10780, measure
    digits. The ink is the mean brightness.

    Args:
        images: float32 `[N, H, W, C]` in [-1, 1], bright on black.

    Returns:
        float32 `[N, 2]`, as `STROKE` names them; a black image has 0 and 0.
    """
    light = tf.reduce_mean((images + 1.0) / 2.0, axis=3)  # [N, H, W] in [0, 1]
    height, width = light.shape[1:]
    mass = tf.reduce_sum(light, axis=(1, 2)) + 1e-6
    y = tf.linspace(height / 2.0, -height / 2.0, height)[:, None]  # upwards
    x = tf.linspace(-width / 2.0, width / 2.0, width)[None]

    def mean(values):
        return tf.reduce_sum(light * values, axis=(1, 2)) / mass

    covariance = mean(x * y) - mean(x) * mean(y)
    variance = mean(y * y) - mean(y) ** 2
    return tf.stack([covariance / (variance + 1e-6), tf.reduce_mean(light, axis=(1, 2))], axis=1)
