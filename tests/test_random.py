"""The generator against published answers and against the distributions it promises."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen import random
from tfgen.data.augmentation import AUGMENTATION
from tfgen.errors import InputError


def words(*numbers):
    return tuple(tf.constant([np.uint32(n).astype(np.int32)]) for n in numbers)


# Known answers of Threefry-2x32-20 from the tests of Random123 1.14 (counter, key, result).
KNOWN = [
    ((0x0, 0x0), (0x0, 0x0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_known_answers(counter, key, result):
    found = random.threefry(words(*key), words(*counter))
    assert [int(w[0]) & 0xFFFFFFFF for w in found] == list(result)


def test_a_row_depends_on_its_seed_alone():
    alone = random.normal(tf.constant([7]), [5, 3])
    among = random.normal(tf.constant([-1, 7, 2**31 - 1]), [5, 3])
    assert np.array_equal(alone[0], among[1])
    assert not np.allclose(among[0], among[2])


def test_streams_and_wide_keys_differ():
    seeds = tf.range(4)
    wide = tf.stack([seeds, seeds * 0], axis=1)
    assert np.array_equal(random.bits(seeds, 6), random.bits(wide, 6))
    assert not np.array_equal(random.bits(seeds, 6), random.bits(seeds, 6, stream=1))
    assert not np.array_equal(random.bits(wide, 6), random.bits(wide + [[0, 1]], 6))


def test_distributions():
    seeds = tf.range(200)
    uniform = random.uniform(seeds, [101]).numpy().ravel()
    normal = random.normal(seeds, [101]).numpy().ravel()
    assert uniform.min() > 0 and uniform.max() < 1
    assert stats.kstest(uniform, "uniform").pvalue > 0.01
    assert stats.kstest(normal, "norm").pvalue > 0.01
    rows = random.normal(seeds, [101]).numpy()
    assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.03
    counts = np.bincount(random.integers(seeds, [101], 10).numpy().ravel(), minlength=10)
    assert len(counts) == 10 and stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(
    "seeds",
    [
        [3, -1, 2**31 - 1],
        (3, 2**32 - 1, 2**31 - 1),
        np.array([3, -1, 2**31 - 1]),
        np.array([3, 2**32 - 1, 2**31 - 1], "uint32"),
        tf.constant([3, -1, 2**31 - 1], tf.int64),
    ],
    ids=["list", "tuple", "int64", "uint32", "tensor"],
)
def test_seeds_are_ints_of_every_kind(seeds):
    expected = random.normal(tf.constant([3, -1, 2**31 - 1]), [5])
    assert np.array_equal(random.normal(seeds, [5]), expected)
    assert np.array_equal(random.bits(seeds, 4), random.bits(tf.constant([3, -1, 2**31 - 1]), 4))
    assert np.array_equal(random.normal(3, [5]), expected[:1])


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ([0.5], r"float64 \[1\]"),
        (1.5, "seeds are 1.5"),
        (["a"], "seeds are str"),
        ([[1, 2, 3]], r"int64 \[1, 3\]"),
        (tf.zeros([2]), r"float32 \[2\]"),
        ([2**70], "seeds are object"),
    ],
)
def test_what_is_no_seed_is_told(seeds, told):
    with pytest.raises(InputError, match=told):
        random.normal(seeds, [3])


def calls(count, testing):
    with random.place(0, tf.constant(0), testing):
        return [int(random.fresh(tf.zeros([1, 1]))[0, 1]) >> 21 for _ in range(count)]


def test_calls_of_training_evaluation_and_augmentation_are_apart():
    training, evaluation = (calls(random.CALLS, testing) for testing in (False, True))
    every = [*training, *evaluation, AUGMENTATION]
    assert len(set(every)) == len(every) == 2 * random.CALLS + 1
    for testing in (False, True):
        with pytest.raises(InputError, match="more than 510 times in one step.*stream"):
            calls(random.CALLS + 1, testing)
