"""The generator against published answers and against the distributions it promises."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen import random


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
