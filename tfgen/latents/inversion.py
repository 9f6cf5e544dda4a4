"""The latents whose images come nearest to given ones."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import seeds_from
from tfgen.errors import InputError
from tfgen.latents.decoding import (
    PRIOR,
    ROWS,
    checked_labels,
    class_count,
    decode,
    decoder,
    latents,
    maker,
)


class Inversion(NamedTuple):
    """What `invert` found for N images: of all restarts, the best one each.

    Attributes:
        latents: float32 `[N, D]`.
        labels: int32 `[N]`, the classes that it was made with; 0 where there are none.
        images: float32 `[N, H, W, C]`, what the model makes of these.
        errors: float32 `[N]`, mean squared differences of pixels in [-1, 1].
        all_errors: float32 `[N, restarts]`, of every restart.
    """

    latents: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    errors: np.ndarray
    all_errors: np.ndarray


def invert(model, images, labels=None, restarts=8, steps=500, rate=0.05, seed=0):
    """Latents whose images come nearest to given ones, by backpropagation to z.

    min_z |G(z) - x|^2 from several draws of the prior (Creswell and Bharath, 2016,
    arXiv:1611.05644), by Adam with a cosine decay. A number that leaves the range of the prior is
    drawn anew in it, by stochastic clipping (Lipton and Tripathi, 2017, arXiv:1702.04782). That
    range is the one of 1,000 draws. A model that is told a class is also asked which: the restarts
    take the classes in turn. What is found is the nearest point that the way came by.

    Args:
        model: has endpoints `latents` and `decode`.
        images: float32 `[N, H, W, C]` in [-1, 1].
        labels: int `[N]`, the classes where they are known.
        restarts: ways for each image; at least as many as classes where these are sought.
        steps: of each way.
        rate: of Adam, at the start.
        seed: an int.

    Returns:
        `Inversion`.

    Raises:
        InputError: images of another shape, or as `latents` and `decode`.
    """
    shape = decoder(model).outputs[0].shape
    images = np.asarray(images, "float32")
    if images.shape[1:] != shape:
        raise InputError(f"images of {images.shape[1:]}: this model makes such of {shape}")
    known = class_count(model)
    if known and labels is None:
        restarts = max(restarts, known)
        sought = np.tile(np.arange(restarts) % known, [len(images), 1])
    else:
        sought = np.asarray(0 if labels is None else labels)
        sought = np.broadcast_to(sought.reshape(-1, 1), [len(images), restarts])
    sought = checked_labels(model, sought, sought.shape).reshape(sought.shape)  # [N, restarts]

    prior, make = latents(model, range(PRIOR)), maker(model)
    low, high = prior.min(axis=0), prior.max(axis=0)

    @tf.function(reduce_retracing=True, autograph=False)
    def descend(start, targets, classes, seeds):
        def step(number, z, mean, square, best, found):
            with tf.GradientTape() as tape:
                tape.watch(z)
                errors = _errors(make(z, classes), targets)
            slope = tape.gradient(errors, z)  # each row's own, as no row sees another
            better = errors < best
            best, found = tf.where(better, errors, best), tf.where(better[:, None], z, found)
            # Adam (Kingma and Ba, 2015, algorithm 1), of tensors that a loop can carry.
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            turn = tf.cast(number, tf.float32)
            corrected = mean / (1 - 0.9 ** (turn + 1)), square / (1 - 0.999 ** (turn + 1))
            decay = 0.5 + 0.5 * tf.cos(math.pi * turn / steps)
            z -= rate * decay * corrected[0] / (tf.sqrt(corrected[1]) + 1e-8)
            anew = low + (high - low) * random.uniform(seeds, low.shape, stream=number)
            z = tf.where((z < low) | (z > high), anew, z)
            return number + 1, z, mean, square, best, found

        nothing = tf.zeros_like(start)
        worst = tf.fill(tf.shape(start)[:1], math.inf)
        state = 0, start, nothing, nothing, worst, start
        *_, best, found = tf.while_loop(lambda number, *_: number < steps, step, state)
        return best, found

    found, errors = [], []
    each = max(1, 2 * ROWS // restarts)  # images in one loop, with all their restarts
    for i in range(0, len(images), each):
        part = images[i : i + each]
        seeds = seeds_from(seed + i * restarts, len(part) * restarts)
        best, z = descend(
            tf.constant(latents(model, seeds)),
            tf.repeat(part, restarts, axis=0),
            tf.constant(sought[i : i + each].ravel()),
            tf.constant(seeds),
        )
        errors.append(best.numpy().reshape(-1, restarts))
        found.append(z.numpy().reshape(-1, restarts, z.shape[-1]))
    errors, found = np.concatenate(errors), np.concatenate(found)
    rows, winner = np.arange(len(images)), errors.argmin(axis=1)
    z, labels = found[rows, winner], sought[rows, winner]
    return Inversion(z, labels, decode(model, z, labels), errors[rows, winner], errors)


def _errors(made, targets):
    return tf.reduce_mean((made - targets) ** 2, axis=list(range(1, len(targets.shape))))
