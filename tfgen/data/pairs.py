"""Images of two domains, A and B: in pairs, or each in an order of its own."""

import concurrent.futures
import dataclasses
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from tfgen import random
from tfgen.data import levels, pictures
from tfgen.data.data import hold_out, in_memory
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


# Digits and their rendering: two domains whose translation is known.

# Dark stays dark: where B was a negative of A, on light paper, CycleGAN with its identity term
# learnt to turn digits into others and back.
PAPER, INK, FILL = (24, 32, 96), (255, 244, 214), (226, 104, 40)


def rendering(images):
    """What B shows of A: digits in orange with a light outline, on dark blue paper.

    Args:
        images: float `[N, H, W, 3]` in [-1, 1], gray digits on black.

    Returns:
        float32 `[N, H, W, 3]` in [-1, 1]: where a digit is, the filling, in proportion to its
        gray; where only one of the 8 neighbours is brighter, the ink of the outline.
    """
    digit = (np.asarray(images, "float32")[..., :1] + 1) / 2
    height, width = digit.shape[1:3]
    padded = np.pad(digit, [(0, 0), (1, 1), (1, 1), (0, 0)])
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    spread = np.max(shifted, axis=0)
    colours = (np.array(colour, "float32") / 127.5 - 1 for colour in (PAPER, INK, FILL))
    paper, ink, fill = colours
    return (1 - spread) * paper + (spread - digit) * ink + digit * fill


def digits(name, data):
    """`digit_pairs`: each digit and its rendering; `digit_unpaired`: of a digit one of the two.

    Unpaired, the even rows of the digits are A, and the renderings of the odd ones are B, so that
    nothing in training is the translation of anything; the test rows stay pairs.

    Args:
        name: one of the two.
        data: the `Data` of the digits, at the size wanted.
    """
    splits = {}
    for split in ("train", "test"):
        a = np.repeat(data.splits[split].rows.numpy(), 3, axis=-1)
        b = levels.to_levels(rendering(levels.from_levels(a))).numpy()
        if name == "digit_unpaired" and split == "train":
            a, b = a[::2], b[1::2]
        splits[split] = in_memory(a), in_memory(b)
    return Pairs(name, splits, paired=name == "digit_pairs")


# Folders


def read_pairs(name, path, size=None):
    """`pairs:PATH`: images of equal names in the folders A and B, or images of two halves.

    Either lies in PATH, or in PATH/train with PATH/test, or else PATH/val, for testing; without
    these a tenth is held out. Of an image without folders A and B the left half is A, the right B.

    Args:
        name: of the data.
        path: a folder.
        size: pixels of a side, to which the middle squares are scaled; or None.

    Raises:
        InputError: names the file that has no partner, another size or other channels.
    """
    root = _folder(path)
    folders = _splits(root)
    found = {split: _find_pairs(folder) for split, folder in folders.items()}
    sides, first = {}, None
    for split, files in found.items():
        if _halved(folders[split]):
            sides[split], first = _read(name, files, size, first, halves=True)
        else:
            a, first = _read(name, files[0], size, first)
            b, first = _read(name, files[1], size, first, partners=files[0])
            sides[split] = a, b
    return Pairs(name, _held(name, sides))


def read_unpaired(name, path, size=None):
    """`unpaired:PATH`: the images in PATH/trainA and PATH/trainB, testA and testB for testing.

    Without testA and testB a tenth is held out. Arguments and errors as in `read_pairs`.
    """
    root = _folder(path)
    sides, first = {}, None
    splits = ["train", *(["test"] if any((root / f"test{s}").is_dir() for s in "AB") else [])]
    for split in splits:
        both = []
        for side in "AB":
            folder = root / f"{split}{side}"
            if not folder.is_dir():
                raise InputError(
                    f"There is no folder {str(folder)!r}: unpaired:PATH needs trainA and trainB, "
                    "and testA and testB or neither."
                )
            images, first = _read(name, _files(folder), size, first)
            both.append(images)
        sides[split] = tuple(both)
    return Pairs(name, _held(name, sides), paired=False)


def together(name, a, b):
    """`unpaired:A_NAME,B_NAME`: two sets of images as domains.

    Raises:
        InputError: one of them has no images, or they differ in size or channels.
    """
    for data in (a, b):
        if isinstance(data, Pairs) or not data.has_images:
            raise InputError(f"{name!r}: {data.name!r} is no set of single images.")
    splits = {split: (a.splits[split], b.splits[split]) for split in ("train", "test")}
    return Pairs(name, splits, paired=False)


def _folder(path):
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(f"There is no folder {str(root)!r}.")
    return root


def _splits(root):
    """`{"train": folder}` and, where there is a folder for it, `"test"`."""
    if not (root / "train").is_dir():
        return {"train": root}
    test = next((root / n for n in ("test", "val") if (root / n).is_dir()), None)
    return {"train": root / "train"} | ({"test": test} if test else {})


def _halved(folder):
    return not ((folder / "A").is_dir() or (folder / "B").is_dir())


def _files(folder):
    """The images of a folder, sorted by name.

    Raises:
        InputError: there is none.
    """
    found = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in pictures.SUFFIXES and not file.name.startswith(".")
    ]
    if not found:
        raise InputError(f"{str(folder)!r} has no image ({', '.join(pictures.SUFFIXES)}).")
    return found


def _find_pairs(folder):
    """Files with halves; or files of A and files of B, in the same order of names."""
    if _halved(folder):
        return _files(folder)
    for side in "AB":
        if not (folder / side).is_dir():
            raise InputError(f"There is no folder {str(folder / side)!r} beside the other domain.")
    named = [{file.stem: file for file in _files(folder / side)} for side in "AB"]
    for own, other, side in ((*named, "B"), (*named[::-1], "A")):
        for stem in sorted(own.keys() - other.keys()):
            raise InputError(
                f"{str(own[stem])!r} has no partner: expected {stem!r} with the suffix of an image "
                f"in {str(folder / side)!r}; equal names make a pair."
            )
    return tuple([side[stem] for stem in sorted(side)] for side in named)


def _read(name, files, size, first=None, halves=False, partners=None):
    """Images of one kind from files.

    Args:
        name: of the data, for an error.
        files: a list of paths.
        size: as in `read_pairs`.
        first: `(file, shape)` that all others must agree with, or None for the first of `files`.
        halves: whether each is cut into a left and a right half.
        partners: files whose images must have the same sizes before scaling, row by row; or None.

    Returns:
        uint8 `[N, H, W, C]`, or the two of the halves; and the `first` for other calls.
    """

    def read(numbered):
        number, file = numbered
        try:
            with Image.open(file) as picture:
                gray = picture.mode in ("1", "L", "LA") or picture.mode.startswith("I")
            image = pictures.decode(file)[..., : 1 if gray else 3]
        except Exception as error:  # a decoder may raise anything, given bytes from anywhere
            raise InputError(f"{str(file)!r} cannot be read as an image: {error}") from None
        height, width = image.shape[:2]
        if partners:
            with Image.open(partners[number]) as partner:
                theirs = partner.size
            if theirs != (width, height):
                raise InputError(
                    f"{str(file)!r} is {width}x{height}, but its partner "
                    f"{str(partners[number])!r} is {theirs[0]}x{theirs[1]}: a pair has one size."
                )
        if halves and width % 2:
            raise InputError(
                f"{str(file)!r} is {width} pixels wide: two halves need an even width; or put the "
                "images into the folders A and B."
            )
        parts = np.split(image, 2, axis=1) if halves else [image]
        return [part if size is None else pictures.fit(part, size) for part in parts]

    stored = None
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, (file, parts) in enumerate(
            zip(files, pool.map(read, enumerate(files)), strict=True)
        ):
            first = first or (file, parts[0].shape)
            _agree(file, parts[0].shape, *first)
            if stored is None:
                pictures.check_memory(name, len(files) * len(parts), parts[0].shape)
                stored = [np.empty([len(files), *part.shape], "uint8") for part in parts]
            for array, part in zip(stored, parts, strict=True):
                array[i] = part
    return tuple(stored) if halves else stored[0], first


def _agree(file, shape, first, expected):
    """Raises an InputError that names the file, if the shapes differ."""
    if shape[-1] != expected[-1]:
        kinds = {1: "gray (1 channel)", 3: "coloured (3 channels)"}
        raise InputError(
            f"{str(file)!r} is {kinds[shape[-1]]}, but {str(first)!r} is {kinds[expected[-1]]}: "
            "save all as gray, or all as RGB."
        )
    if shape != expected:
        raise InputError(
            f"{str(file)!r} is {shape[1]}x{shape[0]}, but {str(first)!r} is "
            f"{expected[1]}x{expected[0]}: pass an image_size."
        )


def _held(name, sides):
    """Splits from arrays `{split: (a, b)}`; a tenth is held out where there is no test."""
    if "test" in sides:
        return {k: (in_memory(a), in_memory(b)) for k, (a, b) in sides.items()}
    a, b = sides["train"]
    if min(len(a), len(b)) < 2:
        raise InputError(f"{name!r} has one image: it takes two, as one is held out for testing.")
    held = [hold_out(a), hold_out(b)]  # the same rows, as `hold_out` is a function of the number
    return {split: tuple(side[split] for side in held) for split in ("train", "test")}
