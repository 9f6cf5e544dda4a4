"""A data set in memory, and the order in which training sees it."""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen.data import image_files, levels
from tfgen.endpoint import Element
from tfgen.errors import InputError


class Split(NamedTuple):
    """The rows of a split: uint8 `[N, H, W, C]` or float32 `[N, D]`; labels int32 `[N]` or None."""

    rows: tf.Tensor
    labels: tf.Tensor | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Rows for training and rows for testing. Access is random: all are in memory.

    Attributes:
        name: what `load` was given.
        splits: `{"train": Split, "test": Split}`.
        classes: the name of each label; () where there are no labels.
        with_labels: whether elements are `row` or `(row, label)`; see `labelled`.
    """

    name: str
    splits: dict = dataclasses.field(repr=False)
    classes: tuple = ()
    with_labels: bool = False

    @property
    def element(self):
        """The `Element` of a row: images float32 `[H, W, C]` in [-1, 1], or points `[D]`."""
        shape = tuple(self.splits["train"].rows.shape[1:])
        if self.has_images:
            return Element("images", shape, "float32", -1.0, 1.0)
        return Element("points", shape)

    @property
    def has_images(self):
        """Whether the rows are images; if not, they are points."""
        return self.splits["train"].rows.dtype == tf.uint8

    @property
    def size(self):
        """How many rows there are for training."""
        return len(self.splits["train"].rows)

    @property
    def train(self):
        """A `tf.data.Dataset` of single elements, in stored order."""
        return self._elements("train")

    @property
    def test(self):
        """Like `train`, of rows that training never sees."""
        return self._elements("test")

    @property
    def labelled(self):
        """The same data with elements `(row, label)`, the label int32 `[]`.

        Raises:
            InputError: there are no labels.
        """
        if not self.classes:
            raise InputError(f"The data {self.name!r} has no labels: take a set with classes.")
        return dataclasses.replace(self, with_labels=True)

    def resized(self, size):
        """The same images as squares of `size` pixels, antialiased; cropped where not square.

        Raises:
            InputError: these are points, or the images would not fit into memory.
        """
        if not self.has_images:
            raise InputError(f"The data {self.name!r} are points: they have no image_size.")
        shape = (size, size, self.element.shape[-1])
        if shape == self.element.shape:
            return self
        image_files.check_memory(
            self.name, sum(len(split.rows) for split in self.splits.values()), shape
        )
        splits = {
            name: in_memory(image_files.fit_all(split.rows.numpy(), size), split.labels)
            for name, split in self.splits.items()
        }
        return dataclasses.replace(self, splits=splits)

    def rows(self, split, count=None):
        """Rows as arrays, for metrics and figures.

        Args:
            split: "train" or "test".
            count: how many at most, by default all. They are spread evenly over the stored
                order, so that a set sorted by class gives some of each.

        Returns:
            float32 `[count, H, W, C]` in [-1, 1] or `[count, D]`, and int32 `[count]` or None.
        """
        stored = self.splits[split]
        size = len(stored.rows)
        count = min(count or size, size)
        places = np.arange(count) * size // count
        rows = self._as_floats(tf.gather(stored.rows, places)).numpy()
        return rows, None if stored.labels is None else stored.labels.numpy()[places]

    def steps_per_epoch(self, batch_size, split="train"):
        """How many whole batches the split holds.

        Raises:
            InputError: not one.
        """
        size = len(self.splits[split].rows)
        if not 0 < batch_size <= size:
            raise InputError(
                f"batch_size {batch_size} does not fit {self.name!r}, which has {size} rows in "
                f"{split}: take 1 to {size}."
            )
        return size // batch_size

    def batches(self, batch_size, seed=0, start=0, split="train"):
        """An endless stream of shuffled batches, each a pure function of the seed and its number.

        Epoch e is the batches from e * steps_per_epoch on: a permutation of the split of its own,
        without the remainder that does not fill a batch. A strategy cuts a batch into one
        contiguous part for each replica.

        Args:
            batch_size: rows in a batch, over all replicas.
            seed: an int, of which the low 32 bits count.
            start: the number of the batch that comes first. It costs nothing to start late.
            split: "train" or "test".

        Returns:
            An infinite `tf.data.Dataset` of elements with a static batch axis.

        Raises:
            InputError: `batch_size` is larger than the split.
        """
        steps = self.steps_per_epoch(batch_size, split)
        tensors = self._tensors(split)
        size = len(tensors[0])

        def batch(number):
            # The whole batch at once: per-row work would cost more than the training of toys.
            epoch, step = number // steps, number % steps
            places = step * batch_size + tf.range(batch_size, dtype=tf.int64)
            places = shuffled(places, (seed, epoch), size)
            return self._convert(*(tf.gather(tensor, places) for tensor in tensors))

        options = tf.data.Options()
        options.deterministic = True
        # A worker cannot be given files of its own: there are none.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        numbers = tf.data.Dataset.range(start, tf.int64.max)
        stream = numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return stream.prefetch(tf.data.AUTOTUNE).with_options(options)

    def _elements(self, split):
        return tf.data.Dataset.from_tensor_slices(self._tensors(split)).map(self._convert)

    def _tensors(self, split):
        return tuple(self.splits[split]) if self.with_labels else (self.splits[split].rows,)

    def _convert(self, rows, *labels):
        rows = self._as_floats(rows)
        return (rows, *labels) if labels else rows

    def _as_floats(self, rows):
        return levels.from_levels(rows) if self.has_images else rows


def shuffled(places, seed, size):
    """Where each place of a shuffled order lies in the stored order.

    Args:
        places: int64 `[N]` in `[0, size)`.
        seed: two ints or int64 scalars; each pair is a permutation of its own.
        size: how many rows are shuffled.

    Returns:
        int64 `[N]` in `[0, size)`.
    """
    # `tf.random.experimental.index_shuffle` is this with 4 rounds, and then epochs look alike:
    # the permutations of neighbouring seeds correlate by up to 0.9. Its cipher, Simon 32/64
    # (Beaulieu et al. 2013), is specified with 32.
    return tf.raw_ops.RandomIndexShuffle(
        index=places,
        seed=tf.stack([*(tf.cast(part, tf.int64) for part in seed), 0]),
        max_index=tf.constant(size - 1, tf.int64),
        rounds=32,
    )


def in_memory(rows, labels=None):
    """A `Split` of arrays, held by the host: a GPU keeps its memory for the model."""
    with tf.device("CPU:0"):
        return Split(tf.constant(rows), None if labels is None else tf.constant(labels, tf.int32))


def hold_out(rows, labels=None):
    """Splits of a set that has no test rows of its own: a tenth of it, drawn once for all.

    Args:
        rows: array `[N, ...]`, N at least 2.
        labels: int array `[N]` or None.

    Returns:
        `{"train": Split, "test": Split}`; both keep the stored order.
    """
    # RandomState, not Generator: NumPy promises that its streams never change (NEP 19).
    order = np.random.RandomState(0).permutation(len(rows))
    cut = len(rows) - max(1, len(rows) // 10)
    parts = {"train": np.sort(order[:cut]), "test": np.sort(order[cut:])}
    return {
        name: in_memory(rows[part], None if labels is None else labels[part])
        for name, part in parts.items()
    }
