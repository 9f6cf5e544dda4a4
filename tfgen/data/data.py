"""A data set in memory: named columns, and the order in which training sees their rows."""

import dataclasses
import difflib
import functools
import hashlib
import math
import unicodedata
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfgen.data import image_files, levels
from tfgen.data.augmentation import AUGMENTATION, jittered, mirrored
from tfgen.endpoint import ELEMENTS, Element, labels
from tfgen.endpoint import KINDS as NAMES
from tfgen.errors import InputError, note

# What rows are by the type and the rank of the array that holds them: images and videos of 8 bits
# or of floats in [-1, 1], masks, points, trajectories of positions, sequences or maps of tokens.
KINDS = {
    ("u", 4): "images",
    ("f", 4): "images",
    ("u", 5): "videos",
    ("f", 5): "videos",
    ("b", 4): "masks",
    ("f", 2): "points",
    ("f", 3): "trajectories",
    ("i", 2): "tokens",
    ("i", 3): "tokens",
}
NAMED = 10_000  # files of which a description remembers each
MIRRORED = ("images", "masks", "videos")
SHOWN = 20  # classes that an error names
RECORD = 12  # characters of a file in it: 8 of a hash of its name, 4 of its size


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Rows for training and rows for testing, in named columns. Access is random.

    `of_arrays` makes one of arrays, `tfgen.data.from_arrays` one of a user's own, `load` one by
    name. Images are stored as uint8 and handed out as float32 in [-1, 1] (`tfgen.data.levels`).

    Attributes:
        name: what `load` was given.
        columns: `{column: Element}`, what a row is in each.
        source: a function without arguments that gives `splits`; of a set that is only described,
            as that of a run that is opened, it reads the rows when they are first asked for.
        sizes: `{"train": {column: N}, "test": ...}`.
        classes: the name of each label; () where there are no labels.
        feed: the columns that a batch has: an element is a row where there is one, else a tuple.
        paired: whether row i of all columns belongs together. If not, each column has an order
            and a number of rows of its own.
        jitter: how much training images are enlarged before a crop of their own size, see
            `jittered`; 1 for no augmentation.
        mirror: whether half of the training images are mirrored, see `mirrored`.
        words: what each token is called; () where there are no tokens or they have no names.
        origin: what `load` would take anywhere on this machine: `name` with an absolute path.
        files: `{name: bytes}` of the files that the rows come from, {} for all other sets.
    """

    name: str
    columns: dict
    source: Callable = dataclasses.field(repr=False)
    sizes: dict
    classes: tuple
    feed: tuple
    paired: bool = True
    jitter: float = 1.0
    mirror: bool = False
    words: tuple = ()
    origin: str | None = None
    files: dict = dataclasses.field(default_factory=dict, repr=False)

    @property
    def splits(self):
        """`{"train": {column: tensor [N, ...]}, "test": ...}`, the rows as they are stored."""
        return self.source()

    @property
    def element(self):
        """The `Element` of the first column of the feed: what models make."""
        return self.columns[self.feed[0]]

    @property
    def has_images(self):
        """Whether the first column of the feed has images."""
        return self.element.kind == "images"

    @property
    def size(self):
        """How many rows there are for training, in the largest column of the feed."""
        return self.size_of("train")

    def size_of(self, split):
        """Like `size`, of the split "train" or "test"."""
        return max(self.sizes[split][column] for column in self.feed)

    @property
    def train(self):
        """A `tf.data.Dataset` of single elements, in stored order, without jitter."""
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
        return dataclasses.replace(self, feed=(self.feed[0], "labels"))

    @property
    def has_domains(self):
        """Whether a batch has images of two domains, A and B."""
        return self.feed == ("a", "b")

    @property
    def unpaired(self):
        """The same columns, in orders that know nothing of each other."""
        return dataclasses.replace(self, paired=False)

    @property
    def swapped(self):
        """The same images of two domains, with A and B exchanged."""

        def swap(columns):
            return {"a": columns["b"], "b": columns["a"]}

        return dataclasses.replace(
            self,
            source=lambda: {split: swap(stored) for split, stored in self.splits.items()},
            sizes={split: swap(sizes) for split, sizes in self.sizes.items()},
        )

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

    @property
    def mirrored(self):
        """The same data, of whose training images each is mirrored half of the time.

        The images, masks and videos of a row alike.

        Raises:
            InputError: these are no images.
        """
        if self.element.kind not in MIRRORED:
            raise InputError(
                f"The data {self.name!r} are {self.element.kind}: only images are mirrored."
            )
        return dataclasses.replace(self, mirror=True)

    def label(self, text):
        """The number of a class.

        Args:
            text: its name; or its number, as an int or a string. A string that is both is the name.

        Raises:
            InputError: there are no classes, or none is called so.
        """
        if not self.classes:
            raise InputError(f"label {text}: the data {self.name!r} have no classes.")
        known, names = len(self.classes), [unicodedata.normalize("NFC", c) for c in self.classes]
        is_name, text = isinstance(text, str), unicodedata.normalize("NFC", str(text))
        number = int(text) if text.isdecimal() else known
        if is_name and text in names:
            label = names.index(text)
            if number < known and number != label:
                note(
                    f"label {text} is taken as the class of this name, whose number is {label}; "
                    f"the class of number {number} is {self.classes[number]!r}"
                )
            return label
        if number < known:
            return number
        close = difflib.get_close_matches(text, names, n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        shown = ", ".join(f"{i} {name}" for i, name in enumerate(self.classes[:SHOWN]))
        more = f", ... {known - 1} {self.classes[-1]}" if known > SHOWN else ""
        raise InputError(f"label {text}: there is no such class.{meant} There are: {shown}{more}.")

    def rows_of(self, label, split="test", count=None):
        """`rows` of one class, those that come first.

        Args:
            label: an int, the class.
            split: "train" or "test".
            count: how many at most, by default all.

        Raises:
            InputError: there are none.
        """
        chosen = np.flatnonzero(self.rows(split, column="labels") == label)[:count]
        if not len(chosen):
            raise InputError(
                f"{self.name!r} has no {split} rows of the class {self.classes[label]!r}."
            )
        column = self.feed[0]
        return self._handed_out(tf.gather(self.splits[split][column], chosen)).numpy()

    @functools.cached_property
    def gray_share(self):
        """The share of pixels of training images that are neither near black nor near white.

        A number in [0, 1], of 1000 images: pixels between a tenth and nine tenths of the range.
        """
        return float((np.abs(self.rows("train", 1000)) < 0.8).mean())

    def resized(self, size):
        """The same images as squares of `size` pixels, antialiased; cropped where not square.

        They then have 8 bits.

        Raises:
            InputError: these are no images, or they would not fit into memory.
        """
        if not self.has_images:
            raise InputError(
                f"The data {self.name!r} are {self.element.kind}: they have no image_size."
            )
        shape = (size, size, self.element.shape[-1])
        if shape == self.element.shape:
            return self
        count = sum(sizes[self.feed[0]] for sizes in self.sizes.values())
        image_files.check_memory(self.name, count, shape)
        column = self.feed[0]

        @functools.cache
        def fitted():
            images = {split: stored[column] for split, stored in self.splits.items()}
            for split, rows in images.items():
                pixels = (rows if rows.dtype == tf.uint8 else levels.to_levels(rows)).numpy()
                images[split] = in_memory(image_files.fit_all(pixels, size))
            return {
                split: stored | {column: images[split]} for split, stored in self.splits.items()
            }

        columns = self.columns | {column: self.element._replace(shape=shape)}
        return dataclasses.replace(self, columns=columns, source=fitted)

    def rows(self, split, count=None, column=None):
        """Rows of a column as an array, for metrics and figures.

        Args:
            split: "train" or "test".
            count: how many at most, by default all. They are spread evenly over the stored
                order, so that a set sorted by class gives some of each.
            column: by default the first of the feed.

        Returns:
            An array `[count, ...]`, as the column's `Element` says.

        Raises:
            InputError: there is no such column, or the rows cannot be had.
        """
        column = column or self.feed[0]
        if column not in self.columns:
            raise InputError(f"{self.name!r} has no {column}, but {', '.join(self.columns)}.")
        stored = self.splits[split][column]
        size = len(stored)
        count = min(count or size, size)
        places = np.arange(count) * size // count
        return self._handed_out(tf.gather(stored, places)).numpy()

    def batch(self, split, count=None):
        """What a loss takes, as `rows`: an array, or a tuple of one for each column of the feed."""
        arrays = tuple(self.rows(split, count, column) for column in self.feed)
        return arrays if len(arrays) > 1 else arrays[0]

    def steps_per_epoch(self, batch_size, split="train"):
        """How many whole batches the split holds.

        Raises:
            InputError: not one.
        """
        size = self.size_of(split)
        if not 0 < batch_size <= size:
            raise InputError(
                f"batch_size {batch_size} does not fit {self.name!r}, which has {size} rows in "
                f"{split}: take 1 to {size}."
            )
        return size // batch_size

    def batches(self, batch_size, seed=0, start=0, split="train"):
        """An endless stream of shuffled batches, each a pure function of the seed and its number.

        Epoch e is the batches from e * steps_per_epoch on: a permutation of the split of its own,
        without the remainder that does not fill a batch. Where columns are not paired, each has
        a permutation of its own, and a smaller one begins anew, in another order, whenever it is
        through. A strategy cuts a batch into one contiguous part for each replica.

        Args:
            batch_size: rows in a batch, over all replicas.
            seed: an int, of which the low 32 bits count.
            start: the number of the batch that comes first. It costs nothing to start late.
            split: "train", which alone is jittered, or "test".

        Returns:
            An infinite `tf.data.Dataset` of elements with a static batch axis.

        Raises:
            InputError: `batch_size` is larger than the split.
        """
        steps = self.steps_per_epoch(batch_size, split)
        stored = self.splits[split]
        origin = np.uint32(seed * 0x9E3779B1 % 2**32).astype("int32")  # as in `random.fresh`

        def batch(number):
            # The whole batch at once: per-row work would cost more than the training of toys.
            epoch, step = number // steps, number % steps
            places = step * batch_size + tf.range(batch_size, dtype=tf.int64)
            high = tf.fill([batch_size], origin + tf.cast(number % 2**31, tf.int32))
            seeds = tf.stack([high, (AUGMENTATION << 21) + tf.range(batch_size)], axis=1)
            parts = []
            for turn, column in enumerate(self.feed):
                own, size = 0 if self.paired else turn, len(stored[column])
                rows = tf.gather(stored[column], shuffled(places, (seed, epoch), size, own))
                rows, kind = self._handed_out(rows), self.columns[column].kind
                if split == "train" and self.jitter > 1 and kind == "images":
                    rows = jittered(rows, seeds, self.jitter, stream=own)
                elif split == "train" and self.mirror and kind in MIRRORED:
                    rows = mirrored(rows, seeds, stream=own)
                parts.append(rows)
            return tuple(parts) if len(parts) > 1 else parts[0]

        options = tf.data.Options()
        options.deterministic = True
        # A worker cannot be given files of its own: there are none.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        numbers = tf.data.Dataset.range(start, tf.int64.max)
        stream = numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return stream.prefetch(tf.data.AUTOTUNE).with_options(options)

    def describe(self, digest=True):
        """What a run must know to be opened without the rows: a dict as JSON has it.

        Args:
            digest: whether it has the digest of the rows, for `changes`.
        """
        said = {
            "name": self.name,
            "columns": {
                # JSON has no infinity: null is an end without a bound.
                column: element._asdict()
                | {k: v if math.isfinite(v) else None for k, v in _ends(element).items()}
                for column, element in self.columns.items()
            },
            "sizes": self.sizes,
            "classes": list(self.classes),
            "words": list(self.words),
            "feed": list(self.feed),
            "paired": self.paired,
            "origin": self.origin,
        }
        if digest:
            files = "".join(map(_record, self.files.items())) if len(self.files) <= NAMED else ""
            said |= {"files": files, "digest": self.digest}
        return said

    @functools.cached_property
    def digest(self):
        """A hash of all stored rows, a string."""
        digest = hashlib.blake2b(digest_size=16)
        for split in sorted(self.sizes):
            for column, stored in sorted(self.splits[split].items()):
                digest.update(f"{split} {column} {stored.dtype.name} {stored.shape}".encode())
                digest.update(np.ascontiguousarray(stored.numpy()))
        return digest.hexdigest()

    def _handed_out(self, rows):
        if rows.dtype == tf.uint8:
            return levels.from_levels(rows)
        return tf.cast(rows, tf.float32) if rows.dtype == tf.bool else rows

    def _elements(self, split):
        columns = tuple(
            tf.data.Dataset.from_tensor_slices(self.splits[split][column]).map(self._handed_out)
            for column in self.feed
        )
        return tf.data.Dataset.zip(*columns) if len(columns) > 1 else columns[0]


def described(description, source):
    """The `Data` that `describe` told of; its rows are those of `source`, see `Data`."""

    def ends(row):
        return {
            "low": -math.inf if row["low"] is None else row["low"],
            "high": math.inf if row["high"] is None else row["high"],
        }

    return Data(
        name=description["name"],
        columns={
            column: Element(**row | ends(row) | {"shape": tuple(row["shape"])})
            for column, row in description["columns"].items()
        },
        source=functools.cache(source),
        sizes=description["sizes"],
        classes=tuple(description["classes"]),
        feed=tuple(description["feed"]),
        paired=description["paired"],
        words=tuple(description["words"]),
        origin=description["origin"],
    )


def _ends(element):
    return {"low": element.low, "high": element.high}


def _record(file):
    """A file as a description remembers it: `RECORD` characters."""
    name, size = file
    return hashlib.blake2b(name.encode(), digest_size=4).hexdigest() + f"{size % 2**16:04x}"


def matched(description, data):
    """The data with classes in the order of a description; rows of classes that it lacks go."""
    names = tuple(description["classes"])
    if not names or names == data.classes or not data.classes:
        return data
    numbers = np.array([names.index(c) if c in names else -1 for c in data.classes])
    splits = {}
    for split, stored in data.splits.items():
        own = numbers[stored["labels"].numpy()]
        known = np.flatnonzero(own >= 0)
        splits[split] = {column: tf.gather(rows, known) for column, rows in stored.items()}
        splits[split]["labels"] = in_memory(own[known])
    return dataclasses.replace(
        data,
        columns=data.columns | {"labels": labels(len(names))},
        source=lambda: splits,
        sizes={s: {c: len(rows) for c, rows in stored.items()} for s, stored in splits.items()},
        classes=names,
    )


def changes(description, data):
    """What has changed in a data set since it was described: sentences, none if nothing has."""
    then, found = described(description, lambda: None), []
    gone, come = set(then.classes) - set(data.classes), set(data.classes) - set(then.classes)
    if gone or come:
        told = [
            f"{word} {_listed(sorted(names))}"
            for word, names in (("without", gone), ("with", come))
            if names
        ]
        found.append(
            f"it had {len(then.classes)} classes, now {len(data.classes)} ({' and '.join(told)})"
        )
    now = matched(description, data)
    found += [
        f"the column {column} has come" for column in now.columns if column not in then.columns
    ]
    for column, element in then.columns.items():
        other = now.columns.get(column)
        if other is None:
            found.append(f"the column {column} is gone")
        elif column != "labels" and element != other:
            found.append(f"{column} were {_told(element)} and are {_told(other)}")
    for split, sizes in then.sizes.items():
        for column, size in sizes.items():
            other = now.sizes[split].get(column, size)
            if column != "labels" and other != size:
                found.append(f"{split} had {size} rows, now {other}")
    found += _changed_files(description["files"], data.files)
    if not found and description["digest"] != now.digest:
        found.append("some of its rows are not what they were")
    return list(dict.fromkeys(found))  # of two columns of one length it is said once


def _changed_files(records, files):
    """Sentences on files that came, went, or have another size."""
    if not records or not files or len(files) > NAMED:
        return []
    then = {records[i : i + 8]: records[i : i + RECORD] for i in range(0, len(records), RECORD)}
    now = {_record(file)[:8]: file for file in files.items()}
    come = [now[key][0] for key in now if key not in then]
    other = [now[key][0] for key in now if then.get(key, _record(now[key])) != _record(now[key])]
    gone = len(then.keys() - now.keys())
    told = [("has come", "have come", come), ("has another size", "have another size", other)]
    found = [
        f"{len(names)} file{'s' * (len(names) > 1)} {many if len(names) > 1 else one}: "
        f"{_listed(sorted(names))}"
        for one, many, names in told
        if names
    ]
    return found + [f"{gone} file{'s are' if gone > 1 else ' is'} gone"] * bool(gone)


def _listed(names, most=3):
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _told(element):
    values = f" of 0 to {element.high}" if element.kind == "tokens" else ""
    return f"{element.kind} {list(element.shape)}{values}"


def of_arrays(name, splits, classes=(), feed=None, paired=True, words=(), origin=None, files=None):
    """A `Data` of arrays.

    Args:
        name: of the data.
        splits: `{"train": {column: array [N, ...]}, "test": ...}`. What rows are is seen by the
            name of the column, if it is one of `tfgen.endpoint.ELEMENTS`, and else by the array
            (`KINDS`); a column "labels" has int classes.
        classes: the name of each label.
        feed: the columns of a batch, by default the first.
        paired, words, origin, files: see `Data`; the origin is the name if absent.

    Raises:
        InputError: rows that nothing here knows.
    """
    columns = {
        column: _element(name, column, [arrays[column] for arrays in splits.values()], classes)
        for column in splits["train"]
    }
    stored = {
        split: {column: in_memory(array) for column, array in arrays.items()}
        for split, arrays in splits.items()
    }
    sizes = {
        split: {column: len(array) for column, array in arrays.items()}
        for split, arrays in splits.items()
    }
    feed = tuple(feed or list(columns)[:1])
    return Data(
        name,
        columns,
        lambda: stored,
        sizes,
        tuple(classes),
        feed,
        paired,
        words=tuple(words),
        origin=origin or name,
        files=files or {},
    )


def _element(name, column, arrays, classes):
    """The `Element` of a column, of its array in each split."""
    if column == "labels":
        return labels(len(classes))
    array = arrays[0]
    kind = KINDS.get((array.dtype.kind, array.ndim))
    if column in ELEMENTS and column not in NAMES and array.dtype.kind == "f":
        return Element(column, tuple(array.shape[1:]))
    if (
        kind is None
        or kind != NAMES.get(column, kind)
        or array.dtype.kind == "u"
        and array.dtype != np.uint8
    ):
        raise InputError(
            f"{name!r}: {column} is {array.dtype} {list(array.shape)}: expected images "
            "(uint8 or float [N, H, W, C]), points (float [N, D]), trajectories (float [N, T, D]), "
            "tokens (int [N, T]), masks (bool [N, H, W, 1]) or videos (uint8 [N, T, H, W, C])."
        )
    shape = tuple(array.shape[1:])
    own = None if kind == column else column
    if kind in ("images", "videos"):
        return Element(kind, shape, "float32", -1.0, 1.0, column=own)
    if kind == "masks":
        return Element(kind, shape, "float32", 0.0, 1.0, column=own)
    if kind == "tokens":
        high = max(int(array.max()) for array in arrays)
        known = "captions" if column == "captions" else kind
        return Element(known, shape, "int32", 0, high, column=own)
    return Element(kind, shape, column=own)


def shuffled(places, seed, size, column=0):
    """Where each place of a shuffled order lies in the stored order.

    Args:
        places: int64 `[N]`; those from `size` on begin a permutation anew, another one.
        seed: two ints or int64 scalars; each pair is a permutation of its own.
        size: how many rows are shuffled.
        column: an int, another permutation for each.

    Returns:
        int64 `[N]` in `[0, size)`.
    """
    keys = [tf.fill(tf.shape(places), tf.cast(part, tf.int64)) for part in seed]
    # `tf.random.experimental.index_shuffle` is this with 4 rounds, and then epochs look alike:
    # the permutations of neighbouring seeds correlate by up to 0.9. Its cipher, Simon 32/64
    # (Beaulieu et al. 2013), is specified with 32.
    return tf.raw_ops.RandomIndexShuffle(
        index=places % size,
        seed=tf.stack([*keys, 2 * (places // size) + column], axis=1),
        max_index=tf.fill(tf.shape(places), tf.constant(size - 1, tf.int64)),
        rounds=32,
    )


def in_memory(array):
    """A tensor of an array, held by the host: a GPU keeps its memory for the model."""
    kinds = {"i": tf.int32, "f": tf.float32}
    array = np.asarray(array)
    with tf.device("CPU:0"):
        return tf.constant(array, kinds.get(array.dtype.kind))
