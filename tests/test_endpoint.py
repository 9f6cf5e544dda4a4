"""Endpoints: which classes are drawn, and arrays that go through in portions."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.endpoint import SEEDS, Element, Endpoint, asked, draw, in_portions, labels
from tfgen.errors import InputError

PAIR = Element("points", (2,))


def told(seeds, classes):
    """Rows that tell which seed and class they were made of."""
    return tf.cast(tf.stack([seeds, classes], axis=1), tf.float32)


CONDITIONAL = Endpoint(told, (SEEDS, labels(3)), (PAIR,))


def test_classes_come_in_turn_or_as_they_are_asked():
    seeds = np.arange(5, dtype="int32")
    assert asked(CONDITIONAL, seeds).numpy().tolist() == [0, 1, 2, 0, 1]
    assert asked(CONDITIONAL, seeds, 2).numpy().tolist() == [2] * 5
    each = np.array([2, 2, 0, 1, 0])
    assert draw(CONDITIONAL, seeds, each).numpy()[:, 1].tolist() == each.tolist()
    free = Endpoint(lambda seeds: seeds, (SEEDS,), (SEEDS,))
    assert asked(free, seeds) is None
    with pytest.raises(InputError, match="label 3: its labels are 0 to 2"):
        asked(CONDITIONAL, seeds, [0, 1, 3, 0, 0])
    with pytest.raises(InputError, match="label 0: this model has no classes"):
        asked(free, seeds, 0)


@pytest.mark.parametrize("batch", [None, 4])
def test_portions_are_the_whole(batch):
    done, sizes = [], []

    def seen(seeds, classes):
        sizes.append(seeds.shape[0])  # of each graph that is traced
        return told(seeds, classes)

    endpoint = CONDITIONAL._replace(function=seen, batch=batch)
    inputs = {"seeds": np.arange(10), "labels": np.arange(10) % 3}
    rows = in_portions(endpoint, inputs, rows=4, say=lambda *state: done.append(state))["points"]
    np.testing.assert_array_equal(rows, np.stack([np.arange(10), np.arange(10) % 3], axis=1))
    assert done == [(4, 10), (8, 10), (10, 10)]
    assert sizes == ([4] if batch else [4, None])
