"""Images of two domains, A and B: in pairs, or each in an order of its own."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.data import levels
from tfgen.endpoint import Element
from tfgen.errors import InputError

AUGMENTATION = 1023  # calls within a step never get so far, so nothing shares this noise


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Two sets of images for training and two for testing; elements are `(image_a, image_b)`.

    It has the methods of `tfgen.data.Data` and more; the images are handed out alike.

    Attributes:
        name: what `load` was given.
        splits: `{"train": (Split of A, Split of B), "test": ...}`.
        paired: whether row i of A and row i of B belong together. If not, each domain has an
            order and a number of rows of its own.
        jitter: how much training images are enlarged before a crop of their own size, see
            `jittered`; 1 for no augmentation.
    """

    name: str
    splits: dict = dataclasses.field(repr=False)
    paired: bool = True
    jitter: float = 1.0
    classes = ()

    def __post_init__(self):
        a, b = (side.rows for side in self.splits["train"])
        if a.shape[-1] != b.shape[-1]:
            raise InputError(
                f"{self.name!r}: A has images of {a.shape[-1]} channels and B of {b.shape[-1]}: "
                "both must be gray (1), or both coloured (3)."
            )
        if a.shape[1:3] != b.shape[1:3]:
            raise InputError(
                f"{self.name!r}: the images of A are {a.shape[2]}x{a.shape[1]}, those of B "
                f"{b.shape[2]}x{b.shape[1]}: pass an image_size."
            )

    @property
    def element_a(self):
        """The `Element` of an image of A: float32 `[H, W, C]` in [-1, 1]."""
        return Element("images", tuple(self.splits["train"][0].rows.shape[1:]), "float32", -1, 1)

    # Both domains have images of one shape.
    element = element_b = element_a

    @property
    def size(self):
        """How many rows there are for training in the larger of the domains."""
        return self._size("train")

    @property
    def train(self):
        """A `tf.data.Dataset` of single elements `(a, b)`, in stored order, without jitter."""
        return self._elements("train")

    @property
    def test(self):
        """Like `train`, of rows that training never sees."""
        return self._elements("test")

    @property
    def labelled(self):
        """Raises an InputError: there are no labels."""
        raise InputError(f"The data {self.name!r} has no labels: take a set with classes.")

    @property
    def unpaired(self):
        """The same images, A and B in orders that know nothing of each other."""
        return dataclasses.replace(self, paired=False)

    @property
    def swapped(self):
        """The same images, with A and B exchanged."""
        return dataclasses.replace(self, splits={k: (b, a) for k, (a, b) in self.splits.items()})

    def jittered(self, factor):
        """The same data, whose training images are enlarged, cropped and mirrored at random.

        Each is enlarged by `factor`, by bicubic interpolation, cropped anywhere to its own size,
        and mirrored half of the time; the images of a pair alike. 1 for none of it.

        Raises:
            InputError: a factor below 1 or above 2.
        """
        if not 1.0 <= factor <= 2.0:
            raise InputError(f"jitter={factor} enlarges no image: take 1 (for none) to 2.")
        return dataclasses.replace(self, jitter=factor)

    def rows(self, split, count=None):
        """Rows as arrays, for metrics and figures.

        Args:
            split: "train" or "test".
            count: how many at most, by default all; spread evenly over the stored order.

        Returns:
            A and B, each float32 `[count, H, W, C]` in [-1, 1]; of pairs, row by row.
        """
        return tuple(
            levels.from_levels(tf.gather(rows, _spread(len(rows), count))).numpy()
            for rows, _ in self.splits[split]
        )

    def steps_per_epoch(self, batch_size, split="train"):
        """How many whole batches the larger of the domains holds.

        Raises:
            InputError: not one.
        """
        size = self._size(split)
        if not 0 < batch_size <= size:
            raise InputError(
                f"batch_size {batch_size} does not fit {self.name!r}, which has {size} rows in "
                f"{split}: take 1 to {size}."
            )
        return size // batch_size

    def batches(self, batch_size, seed=0, start=0, split="train"):
        """An endless stream of shuffled batches `(a, b)`, each a function of seed and number.

        As in `Data.batches`. In an epoch each row of the larger domain comes once, but for the
        remainder; the smaller one begins anew, in another order, whenever it is through.

        Args:
            batch_size: rows in a batch, over all replicas.
            seed: an int, of which the low 32 bits count.
            start: the number of the batch that comes first. It costs nothing to start late.
            split: "train", which alone is jittered, or "test".

        Returns:
            An infinite `tf.data.Dataset` of pairs of float32 `[batch_size, H, W, C]`.

        Raises:
            InputError: `batch_size` is larger than the split.
        """
        steps = self.steps_per_epoch(batch_size, split)
        origin = np.uint32(seed * 0x9E3779B1 % 2**32).astype("int32")  # as in `random.fresh`

        def batch(number):
            epoch, step = number // steps, number % steps
            places = step * batch_size + tf.range(batch_size, dtype=tf.int64)
            high = tf.fill([batch_size], origin + tf.cast(number % 2**31, tf.int32))
            low = (AUGMENTATION << 21) + tf.range(batch_size)
            seeds, images = tf.stack([high, low], axis=1), []
            for side, (stored, _) in enumerate(self.splits[split]):
                own = 0 if self.paired else side
                rows = tf.gather(stored, _order(places, seed, epoch, own, len(stored)))
                rows = levels.from_levels(rows)
                if split == "train" and self.jitter > 1:
                    rows = jittered(rows, seeds, self.jitter, stream=own)
                images.append(rows)
            return tuple(images)

        options = tf.data.Options()
        options.deterministic = True
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        numbers = tf.data.Dataset.range(start, tf.int64.max)
        stream = numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return stream.prefetch(tf.data.AUTOTUNE).with_options(options)

    def _size(self, split):
        return max(len(side.rows) for side in self.splits[split])

    def _elements(self, split):
        sides = (tf.data.Dataset.from_tensor_slices(rows) for rows, _ in self.splits[split])
        return tf.data.Dataset.zip(*(side.map(levels.from_levels) for side in sides))


def jittered(images, seeds, factor, stream=0):
    """Enlarges images, crops them to their size anywhere, and mirrors half of them.

    Args:
        images: float32 `[N, H, W, C]` in [-1, 1], of static H and W.
        seeds: int32 `[N, 2]`, one a row; the same seeds do the same to other images.
        factor: of enlargement, above 1.
        stream: an int; other streams of the same seeds are independent.

    Returns:
        float32 `[N, H, W, C]` in [-1, 1].
    """
    height, width = images.shape[1:3]
    large = [round(height * factor), round(width * factor)]
    images = tf.clip_by_value(tf.image.resize(images, large, "bicubic"), -1.0, 1.0)
    draws = random.uniform(seeds, [3], stream)  # [N, 3]: a row, a column, a side
    for axis, size in (1, height), (2, width):
        room = large[axis - 1] - size + 1
        first = tf.minimum(tf.cast(draws[:, axis - 1] * room, tf.int32), room - 1)
        places = first[:, None] + tf.range(size)  # [N, size]
        if axis == 2:
            places = tf.where(draws[:, 2:] < 0.5, places[:, ::-1], places)
        images = tf.gather(images, places, axis=axis, batch_dims=1)
    return images


def _order(places, seed, epoch, side, size):
    """Where the places of an epoch lie in the stored order of a domain of `size` rows.

    Places beyond the size begin a permutation anew, another one. See `data.shuffled`.
    """
    laps = places // size
    keys = [tf.fill(tf.shape(places), tf.cast(part, tf.int64)) for part in (seed, epoch)]
    return tf.raw_ops.RandomIndexShuffle(
        index=places % size,
        seed=tf.stack([*keys, 2 * laps + side], axis=1),
        max_index=tf.fill(tf.shape(places), tf.constant(size - 1, tf.int64)),
        rounds=32,
    )


def _spread(size, count):
    count = min(count or size, size)
    return np.arange(count) * size // count


def combine(name, a, b):
    """`unpaired:A_NAME,B_NAME`: two sets of images as domains.

    Raises:
        InputError: one of them has no images, or they differ in size or channels.
    """
    for data in (a, b):
        if isinstance(data, Pairs) or not data.has_images:
            raise InputError(f"{name!r}: {data.name!r} is no set of single images.")
    splits = {split: (a.splits[split], b.splits[split]) for split in ("train", "test")}
    return Pairs(name, splits, paired=False)
