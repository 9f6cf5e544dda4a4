"""Noise as a function of a seed: the same numbers in training, Keras, SavedModel, LiteRT and ONNX.

Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
as 1, 2, 3", SC 2011) turns a key and a counter into 64 random bits. The key is a row's seed, the
counter is the place in the row. So a row's noise depends on its own seed and on nothing else: not
on the batch it is in, the replica it is on, or the runtime that computes it.

It is written in int32, with additions, products, right shifts and exclusive or: LiteRT's builtin
operators know no other bits.
"""

import contextlib
import math
import threading

import numpy as np
import tensorflow as tf

from tfgen.errors import InputError

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # their table 2, for 2x32 bits
PARITY = 0x1BD11BDA  # Skein's key schedule constant, their section 3

# Calls of `fresh` are counted from 1 in training and from 513 in evaluation, and the data's
# augmentation is call 1023: so many calls of a step have keys of their own.
CALLS = 510


def threefry(key, counter):
    """Encrypts counters: 64 random bits for each pair of a key and a counter.

    Args:
        key, counter: pairs of int32 tensors, of shapes that broadcast together.

    Returns:
        A pair of int32 tensors of the broadcast shape; every bit is uniform.
    """
    xor = tf.bitwise.bitwise_xor
    keys = (*key, xor(xor(key[0], key[1]), PARITY))
    left, right = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            left = left + right
            right = xor(_rotate_left(right, distance), left)
        left = left + keys[(group + 1) % 3]
        right = right + keys[(group + 2) % 3] + (group + 1)
    return left, right


class _Here(threading.local):
    """Where training is. Local to a thread, because each replica is traced in its own."""

    seed, step, calls, in_step = 0, 0, 0, False


_here = _Here()


@contextlib.contextmanager
def place(seed, step, testing=False):
    """Says where training is, for `fresh`: `GenerativeModel` does, around each step.

    Args:
        seed: an int, the seed of the run.
        step: int32 scalar tensor.
        testing: a bool; evaluation draws other noise than training.
    """
    before = vars(_here).copy()
    _here.seed, _here.step, _here.calls = seed, step, 512 if testing else 0
    _here.in_step = True
    try:
        yield
    finally:
        vars(_here).clear()
        vars(_here).update(before)


def fresh(batch):
    """Seeds for noise inside a loss, one a row, that nobody had before.

    They are a function of the seed of the run, the step, the call within the step and the place
    of the row in the global batch. So every row has noise of its own, two replicas draw what one
    would have drawn, and a resumed run draws what it would have drawn. (Within the body of a
    `tf.while_loop` there is one call: tell its turns apart by the `stream` of the noise.)

    Args:
        batch: a tensor or a structure of tensors of N rows; N at most 2^21 on all replicas.

    Returns:
        int32 `[N, 2]`, keys for `bits`, `uniform` and `normal`.

    Raises:
        InputError: more than `CALLS` calls in one step, which would repeat the noise of others.
    """
    rows = tf.shape(tf.nest.flatten(batch)[0])[0]
    replica = tf.distribute.get_replica_context()
    first = rows * replica.replica_id_in_sync_group if replica else 0
    _here.calls += 1
    if _here.in_step and _here.calls % 512 > CALLS:
        raise InputError(
            f"random.fresh was called more than {CALLS} times in one step: call it once, and tell "
            "the draws apart by the stream of the noise, random.normal(seeds, shape, stream=k)"
        )
    # An odd multiplier, 2^32 / golden ratio, keeps the steps of neighbouring seeds far apart.
    origin = np.uint32(_here.seed * 0x9E3779B1 % 2**32).astype(np.int32)
    high = tf.fill([rows], origin + _here.step)
    low = (_here.calls % 1024 << 21) + first + tf.range(rows)
    return tf.stack([high, low], axis=1)


def as_seeds(seeds):
    """Seeds as a tensor.

    Args:
        seeds: ints, one a row: a list, an array or a tensor `[N]`, or `[N, 2]`; one int is one
            row. Of each the low 32 bits count.

    Returns:
        int32 `[N]` or `[N, 2]`.

    Raises:
        InputError: these are no ints, or of another shape.
    """
    given = seeds if tf.is_tensor(seeds) else np.asarray(seeds)
    whole = given.dtype.is_integer if tf.is_tensor(given) else given.dtype.kind in "iu"
    rank = len(given.shape)
    if not whole or rank > 2 or (rank == 2 and given.shape[1] != 2):
        found = f"{given.dtype.name} {list(given.shape)}" if rank else repr(seeds)
        raise InputError(f"seeds are {found}: expected ints, one a row, such as [0, 1, 2]")
    given = tf.cast(given, tf.int32)
    return given if rank else given[None]


def bits(seeds, count, stream=0):
    """Random words of each row.

    Args:
        seeds: ints `[N]`, or `[N, 2]` for keys of 64 bits, as `fresh` gives them: see `as_seeds`.
        count: how many words a row, a Python int.
        stream: an int or an int32 scalar tensor; other streams of the same seeds are independent.

    Returns:
        int32 `[N, count]`, every bit uniform.
    """
    seeds = as_seeds(seeds)
    if seeds.shape.rank == 1:
        key = seeds[:, None], tf.zeros_like(seeds)[:, None]
    else:
        key = seeds[:, :1], seeds[:, 1:]
    counter = tf.range((count + 1) // 2, dtype=tf.int32)[None]  # [1, count / 2]
    words = threefry(key, (counter, tf.fill(tf.shape(counter), stream)))
    return tf.concat(words, axis=1)[:, :count]


def uniform(seeds, shape, stream=0):
    """float32 `[N, *shape]`, uniform in the open interval (0, 1), of resolution 2^-23.

    `seeds` and `stream` as in `bits`.
    """
    draw = _fused if _here.in_step else _uniform
    seeds = as_seeds(seeds)
    return tf.reshape(draw(seeds, math.prod(shape), tf.convert_to_tensor(stream)), [-1, *shape])


def _uniform(seeds, count, stream):
    words = bits(seeds, count, stream)
    # 23 bits and a half are exact in float32, so neither 0 nor 1 comes out.
    return (tf.cast(_shift_right(words, 9), tf.float32) + 0.5) * 2.0**-23


# In training XLA makes one loop of the 120 operators, in a ninth of the time and of the same bits;
# what is exported cannot contain it.
_fused = tf.function(_uniform, jit_compile=True, autograph=False)


def normal(seeds, shape, stream=0):
    """float32 `[N, *shape]`, standard normal, by Box and Muller (1958); at most 5.77 in size.

    `seeds` and `stream` as in `bits`.
    """
    count = math.prod(shape)
    half = (count + 1) // 2
    values = uniform(seeds, [2 * half], stream)
    radius = tf.sqrt(-2.0 * tf.math.log(values[:, :half]))
    angle = 2.0 * math.pi * values[:, half:]
    values = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=1)
    return tf.reshape(values[:, :count], [-1, *shape])


def integers(seeds, shape, high, stream=0):
    """int32 `[N, *shape]` in `[0, high)`, of bias below `high` / 2^23; `seeds` as in `bits`."""
    values = tf.cast(uniform(seeds, shape, stream) * high, tf.int32)
    return tf.minimum(values, high - 1)  # rounding may reach `high` itself


def _shift_right(words, distance):
    """A logical shift: the arithmetic one, less the copies of the sign (LiteRT has no `and`)."""
    sign = tf.bitwise.right_shift(words, 31)  # -1 or 0
    top = np.uint32(1 << (32 - distance)).astype(np.int32)
    return tf.bitwise.right_shift(words, distance) - sign * top


def _rotate_left(words, distance):
    # LiteRT has neither a left shift nor `or`: a product and a sum modulo 2^32 are the same.
    return words * np.int32(1 << distance) + _shift_right(words, 32 - distance)
