"""`load`: from a name to a `Data`."""

import contextlib
import difflib
import logging
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfgen.data import image_files, names, pair_files, pairs, renderings, synthetic
from tfgen.data.data import changes, of_arrays
from tfgen.data.splits import hold_out
from tfgen.errors import InputError


def load(name, image_size=None):
    """Loads a data set into memory.

    Args:
        name: one of `tfgen.data.names.names()`; "folder:PATH" for a folder of images (its layouts:
            `image_files.read_folder`), "tfds:NAME" for any set of images in TensorFlow Datasets,
            "pairs:PATH" and "unpaired:PATH" for two domains (layouts: `pair_files.read_pairs`,
            `pair_files.read_unpaired`), "unpaired:NAME,NAME" for two sets as domains. A set that is
            not on disk is downloaded to TFDS_DATA_DIR.
        image_size: pixels of a side, to which the middle squares of the images are scaled.

    Returns:
        `Data`; where there are two domains, its elements are `(image_a, image_b)`. The test split
        is the set's own ("test", else "validation"), or else a tenth.

    Raises:
        InputError: nothing has this name, it cannot be had, or `image_size` does not suit it.
    """
    if image_size is not None and image_size < 1:
        raise InputError(f"image_size {image_size} is no number of pixels: take 1 or more.")
    scheme, _, rest = name.partition(":")
    if scheme == "folder" and rest:
        return _folder(name, rest, image_size)
    if scheme == "tfds" and rest:
        return _tfds(name, rest, image_size)
    if scheme == "pairs" and rest:
        return pair_files.read_pairs(name, rest, image_size)
    if scheme == "unpaired" and rest:
        return _unpaired(name, rest, image_size)
    if name in names.DOWNLOADED:
        return _tfds(name, name, image_size)
    names.check(name)
    if name in names.DIGIT_PAIRS:
        return renderings.digits(name, _digits().resized(image_size or 16))
    data = _digits() if name == "digits" else synthetic.load(name)
    return data.resized(image_size) if image_size else data


def load_again(description, name, image_size=None):
    """The set that a run was trained on: from where it lay then, or, if it has moved, as named.

    Args:
        description: as `Data.describe` gave it.
        name, image_size: what `load` was given then.

    Raises:
        InputError: it is not there; or it is where `name` leads to now, but has changed.
    """
    try:
        return load(description["origin"], image_size)
    except InputError:
        if name == description["origin"]:
            raise
        with contextlib.suppress(InputError):
            found = load(name, image_size)
            if not changes(description, found):
                return found
        raise


def _digits():
    import sklearn.datasets

    bunch = sklearn.datasets.load_digits()
    # 17 levels, 0..16, spread over 0..255; each can be told from the rounded value.
    images = np.rint(bunch.images * 255 / 16).astype("uint8")[..., None]
    splits = hold_out(images=images, labels=bunch.target)
    return of_arrays("digits", splits, "0123456789")


def _folder(name, path, image_size):
    found = image_files.read_folder(path, image_size)
    origin = f"folder:{Path(path).expanduser().absolute()}"
    return of_arrays(name, found.splits, found.classes, origin=origin, files=found.files)


def _columns(images, labels):
    return {"images": images} | ({} if labels is None else {"labels": labels})


def _unpaired(name, rest, image_size):
    first, comma, second = rest.partition(",")
    if not comma or Path(rest).expanduser().is_dir():
        return pair_files.read_unpaired(name, rest, image_size)
    a, b = (load(part.strip(), image_size) for part in (first, second))
    return pairs.combine(name, a, b)


def _tfds(name, set_name, image_size):
    import tensorflow_datasets as tfds

    builder = _builder(set_name)
    features = builder.info.features
    image = _first(features, tfds.features.Image)
    label = _first(features, tfds.features.ClassLabel)
    if image is None:
        raise InputError(f"{set_name!r} has no images, but {', '.join(features)}.")
    shape = features[image].shape
    if image_size is None and None in shape:
        raise InputError(f"The images of {set_name!r} differ in size: pass image_size.")
    _prepare(builder, set_name)

    stored = builder.info.splits
    if {"trainA", "trainB", "testA", "testB"} <= set(stored):
        return _tfds_domains(name, builder, image, image_size or shape[0])
    if "train" not in stored:
        raise InputError(f"{set_name!r} has no split train, but {', '.join(stored)}.")
    wanted = ["train", *[split for split in ("test", "validation") if split in stored][:1]]
    shape = (image_size, image_size, shape[-1]) if image_size else shape
    image_files.check_memory(name, sum(stored[split].num_examples for split in wanted), shape)
    parts = [_read(builder, split, image, label, shape) for split in wanted]
    if len(parts) == 1:
        splits = hold_out(**_columns(*parts[0]))
    else:
        splits = {"train": _columns(*parts[0]), "test": _columns(*parts[1])}
    return of_arrays(name, splits, tuple(features[label].names) if label else ())


def _tfds_domains(name, builder, image, size):
    """`Pairs` from the splits trainA, trainB, testA and testB."""
    shape = (size, size, builder.info.features[image].shape[-1])
    stored = {split: info.num_examples for split, info in builder.info.splits.items()}
    image_files.check_memory(name, sum(stored.values()), shape)
    splits = {
        split: tuple(_read(builder, split + side, image, None, shape)[0] for side in "AB")
        for split in ("train", "test")
    }
    return pairs.pairs(name, splits, paired=False)


def _builder(set_name):
    """What TFDS knows of a set, on this disk or not."""
    import tensorflow_datasets as tfds

    with _quiet():
        try:
            builder = tfds.builder(set_name, data_dir=names.data_dir())
        except (tfds.core.DatasetNotFoundError, ValueError) as error:
            close = difflib.get_close_matches(set_name, tfds.list_builders(), n=3)
            meant = f" Close to it: {', '.join(close)}." if close else ""
            first = str(error).strip().splitlines()[0]
            raise InputError(
                f"TensorFlow Datasets cannot give {set_name!r}: {first}{meant}"
            ) from None
        _ = builder.info  # it is read here, with warnings
    return builder


def _first(features, kind):
    """The name of the first feature of a class, which is the main one, or None."""
    return next((name for name, feature in features.items() if isinstance(feature, kind)), None)


def _prepare(builder, set_name):
    """Downloads a set that is not on disk."""
    if builder.is_prepared():
        return
    problem = _unreachable(next(iter(builder.url_infos), None))
    if problem is None:
        try:
            builder.download_and_prepare()
            return
        except Exception as error:  # the network, the disk, the server, a file to fetch by hand
            problem = str(error).strip() or type(error).__name__
    here = [known.name for known in names.names() if known.where in ("embedded", "on disk")]
    raise InputError(
        f"The data set {set_name!r} is not in {names.data_dir()}, and cannot be downloaded: "
        f"{problem}\n"
        "Set TFDS_DATA_DIR to the folder that has it; or prepare it on a machine with a network, "
        f"`tfds build {set_name} --data_dir=DIR`, and bring DIR here.\n"
        f"Without a network there are: {', '.join(here)}, and folder:PATH."
    )


def _unreachable(url):
    """Why no server answers at an address, or None. TFDS itself would try for minutes."""
    if url is None:
        return None
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()
    except urllib.error.HTTPError:
        return None  # it answered
    except OSError as error:
        return f"{url} does not answer ({getattr(error, 'reason', error)})."
    return None


def _read(builder, split, image, label, shape):
    """uint8 `[N, *shape]`, cropped and scaled where they are not of this shape, and labels."""
    resize = builder.info.features[image].shape != shape

    def row(features):
        rows = features[image]
        if resize:
            rows = tf.numpy_function(lambda x: image_files.fit(x, shape[0]), [rows], tf.uint8)
        return tf.ensure_shape(rows, shape), features[label] if label else 0

    # Files and their order as stored: the rows are the same on each machine.
    dataset = builder.as_dataset(split=split, shuffle_files=False)
    dataset = dataset.map(row, num_parallel_calls=tf.data.AUTOTUNE).batch(256)
    count = builder.info.splits[split].num_examples
    images, labels, start = np.empty([count, *shape], "uint8"), np.empty([count], "int32"), 0
    for some, theirs in dataset.prefetch(2).as_numpy_iterator():
        images[start : start + len(some)] = some
        labels[start : start + len(some)] = theirs
        start += len(some)
    return images, labels if label else None


@contextlib.contextmanager
def _quiet():
    """TFDS warns of each folder that it does not find; that is told better by the InputError."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
