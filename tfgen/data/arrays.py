"""A user's own arrays as a data set."""

import numpy as np
import tensorflow as tf

from tfgen.data import image_files
from tfgen.data.data import of_arrays
from tfgen.data.splits import hold_out
from tfgen.endpoint import ELEMENTS, KINDS
from tfgen.errors import InputError

POSITION = 4  # numbers in a position, at most: float [N, A, B] with a larger B are gray images
RANKS = {"images": 4, "videos": 5, "masks": 4, "points": 2, "trajectories": 3}
DOMAINS = {"a", "b"}


def from_arrays(rows, labels=None, test=None, classes=None, words=(), name="arrays"):
    """Makes a data set of arrays, as recipes and `tfgen.train` take it.

    What the rows are is seen by their type and shape:

        images        uint8 `[N, H, W, C]`, or float in [-1, 1]; gray ones also `[N, H, W]`
        points        float `[N, D]` or `[N]`
        trajectories  float `[N, T, D]`, D up to 4
        tokens        int `[N, T]`
        videos        uint8 `[N, T, H, W, C]`, or float in [-1, 1]
        masks         bool `[N, H, W, 1]` or `[N, H, W]`

    or it is said by a dict of columns, `{"images": ..., "captions": ..., "labels": ...}`, whose
    first is what models make. Columns "a" and "b" are the images of two domains: pairs, or unpaired
    where there are not as many of both.

    Args:
        rows: an array, or anything that NumPy makes one of; a dict of them; or a finite
            `tf.data.Dataset` of rows, of (row, label), of dicts, or of batches of these.
        labels: an int from 0 on or a name for each row; None for no classes.
        test: held-out rows of the same kind, or `(rows, labels)`; None to hold out a tenth.
        classes: the name of each label; by default its number, or the names in the order of
            `image_files.natural`.
        words: what each token is called, for tokens; they are then drawn as text.
        name: what the data are called.

    Returns:
        A `Data`.

    Raises:
        InputError: rows that nothing knows, floats outside of [-1, 1] or within [0, 1], values that
            are not finite, labels or words that do not fit; says what to do.
    """
    train = _columns(name, rows, labels)
    given = {"train": train}
    if test is not None:
        given["test"] = _columns(name, *(test if isinstance(test, tuple) else (test,)))
        _check_alike(name, train, given["test"])
    classes = _number(name, given, classes) if "labels" in train else ()
    paired = len({len(array) for array in train.values()}) == 1
    for column, array in train.items():
        if test is None and len(array) < 2:
            raise InputError(
                f"{name!r} has 1 row of {column}: it takes two, as one is held out for testing."
            )
    if test is None and paired:
        given = hold_out(**train)
    elif test is None:
        parts = {column: hold_out(rows=array) for column, array in train.items()}
        given = {
            split: {column: part[split]["rows"] for column, part in parts.items()}
            for split in ("train", "test")
        }
    feed = ("a", "b") if set(train) == DOMAINS else None
    data = of_arrays(name, given, classes, feed, paired, words)
    for element in data.columns.values():
        if element.kind == "tokens" and words and element.high >= len(words):
            raise InputError(
                f"{name!r}: token {element.high}, but there are {len(words)} words: "
                "give one for each token from 0 on."
            )
    return data


def _columns(name, rows, labels=None):
    """`{column: array}` as `of_arrays` takes them, and "labels", checked one by one."""
    if isinstance(rows, tf.data.Dataset):
        if labels is not None:
            raise InputError(f"{name!r}: a tf.data.Dataset has its labels in its elements.")
        rows, labels = _gathered(name, rows)
    given = rows if isinstance(rows, dict) else {None: rows}
    if labels is not None:
        if "labels" in given:
            raise InputError(f"{name!r}: there are labels in a column and as an argument.")
        given = given | {"labels": labels}
    columns = {}
    for column, values in given.items():
        array = _array(name, column or "rows", values)
        if column == "labels":
            columns[column] = _labels(name, array)
            continue
        known = column in ELEMENTS
        kind = KINDS.get(column, "numbers") if known else _kind(name, column or "rows", array)
        columns[column or kind] = _prepared(name, kind, array)
    sizes = {column: len(array) for column, array in columns.items()}
    if not set(columns) - {"labels"}:
        raise InputError(f"{name!r} has no rows, but {', '.join(columns) or 'nothing'}.")
    if len(set(sizes.values())) > 1 and set(columns) != DOMAINS:
        told = ", ".join(f"{size} {column}" for column, size in sizes.items())
        raise InputError(f"{name!r} has {told}: give as many of each.")
    return columns


def _array(name, column, values):
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        array = np.empty(1, object)
    if array.dtype == object and column != "labels":
        raise InputError(
            f"{name!r}: the {column} differ in shape: bring them to one, or crop them."
        )
    if not array.size:
        raise InputError(f"{name!r} has no {column}: {list(array.shape)}.")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype("float32")
        if not np.isfinite(array).all():
            raise InputError(
                f"{name!r}: {column} have values that are not finite (NaN or too large)."
            )
    return array


def _kind(name, column, array):
    """What the rows of an array are, where no name says so."""
    kind, rank = array.dtype.kind, array.ndim
    told = f"{name!r}: {column} are {array.dtype} {list(array.shape)}"
    if kind == "b" and rank in (3, 4):
        return "masks"
    if kind == "f":
        known = {1: "points", 2: "points", 3: "images", 4: "images", 5: "videos"}
        if rank == 3 and array.shape[2] <= POSITION:
            return "trajectories"
        if rank in known:
            return known[rank]
    elif array.dtype == np.uint8:
        if rank in (3, 4, 5):
            return "videos" if rank == 5 else "images"
        if rank == 2:
            raise InputError(
                f"{told}: give images as [N, H, W], or name tokens: {{'tokens': ...}}."
            )
    elif kind in "iu" and rank == 2:
        return "tokens"
    elif kind in "iu" and rank > 2:
        raise InputError(
            f"{told}: images and videos are uint8 in 0..255, .astype('uint8'), or float in "
            "[-1, 1]; or name maps of tokens: {'tokens': ...}."
        )
    raise InputError(
        f"{told}: expected images (uint8 or float [N, H, W, C]), points (float [N, D]), "
        "trajectories (float [N, T, D]), tokens (int [N, T]), masks (bool [N, H, W, 1]) or videos "
        "(uint8 [N, T, H, W, C])."
    )


def _prepared(name, kind, array):
    """An array of one kind in the type and the shape in which it is stored."""
    told = f"{name!r}: {kind} are {array.dtype} {list(array.shape)}"
    if array.dtype.kind not in "biuf":
        raise InputError(f"{told}: expected numbers.")
    if kind == "tokens":
        if array.dtype.kind not in "iu" or array.ndim not in (2, 3):
            raise InputError(f"{told}: expected ints [N, T], or [N, H, W] for maps of codes.")
        if array.min() < 0 or array.max() >= 2**31:
            raise InputError(
                f"{told}, from {array.min()} to {array.max()}: expected ints from 0 on."
            )
        return array.astype("int32")
    rank = RANKS.get(kind, array.ndim)
    if kind in ("images", "videos", "masks", "points") and array.ndim == rank - 1:
        array = array[..., None]
    if array.ndim != rank:
        raise InputError(f"{told}: expected {rank} axes, the first of them rows.")
    if kind == "masks":
        if array.dtype != bool and not np.isin(array, (0, 1)).all():
            raise InputError(f"{told}: expected bool, or 0 and 1.")
        return array.astype(bool)
    if kind in ("images", "videos"):
        return _pixels(name, kind, array)
    return array.astype("float32")


def _pixels(name, kind, array):
    channels = array.shape[-1]
    if channels not in (1, 3):
        if array.shape[-3] in (1, 3):
            hint = "move the channels to the end, with np.moveaxis(x, -3, -1)"
        elif channels in (2, 4):
            hint = "leave out the last channel, the alpha, with x[..., :-1]"
        else:
            hint = "gray ones of fewer axes are named, as in {'videos': ...}"
        raise InputError(
            f"{name!r}: {kind} are {list(array.shape)}, but end with 1 or 3 channels: {hint}."
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise InputError(
            f"{name!r}: {kind} are uint8 in 0..255 or float in [-1, 1], not {array.dtype}: "
            "use .astype('uint8')."
        )
    low, high = float(array.min()), float(array.max())
    if low >= 0 and high <= 1:
        raise InputError(
            f"{name!r}: {kind} of floats lie in [-1, 1], but these lie in [{low:g}, {high:g}]: "
            "give 2 * x - 1."
        )
    if max(-low, high) > 1 + 1e-3:
        hint = "divide by 127.5 and subtract 1, or give" if low >= 0 else "scale them, or give"
        raise InputError(
            f"{name!r}: {kind} of floats lie in [-1, 1], but there is "
            f"{high if high > -low else low:g}: {hint} them as uint8 in 0..255."
        )
    return np.clip(array, -1, 1)


def _labels(name, array):
    """Ints or strings, `[N]`."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    told = f"{name!r}: labels are {array.dtype} {list(array.shape)}"
    if array.ndim != 1:
        hint = "give .argmax(axis=1)" if array.ndim == 2 else "give one for each row"
        raise InputError(f"{told}: {hint}.")
    if array.dtype.kind in "SO":
        array = np.array([x.decode() if isinstance(x, bytes) else x for x in array.tolist()])
    if array.dtype.kind in "biu":
        if array.min() < 0:
            raise InputError(f"{told}, and one is {array.min()}: number them from 0 on.")
        return array.astype("int64")
    if array.dtype.kind != "U":
        raise InputError(f"{told}: give an int from 0 on or a name for each row.")
    return array


def _number(name, given, classes):
    """Puts int labels into the columns of all splits; the names of the classes."""
    labels = np.unique(np.concatenate([columns["labels"] for columns in given.values()]))
    if classes is not None:
        classes = [str(known) for known in classes]
        if len(set(classes)) < len(classes):
            raise InputError(f"{name!r}: two of the classes have one name: {', '.join(classes)}.")
    if labels.dtype.kind == "U":
        classes = classes or sorted(labels.tolist(), key=image_files.natural)
        unknown = [label for label in labels.tolist() if label not in classes]
        if unknown:
            raise InputError(f"{name!r}: label {unknown[0]!r} is none of {', '.join(classes)}.")
        number = {label: i for i, label in enumerate(classes)}
        for columns in given.values():
            columns["labels"] = np.array([number[x] for x in columns["labels"].tolist()], "int32")
        return classes
    most = int(labels.max())
    if classes is None and len(labels) <= most:
        missing = next(i for i, label in enumerate(labels) if label != i)
        raise InputError(
            f"{name!r}: labels go up to {most}, but none is {missing}: number them from 0 on, or "
            "name all with classes=."
        )
    classes = classes or [str(label) for label in range(most + 1)]
    if most >= len(classes):
        raise InputError(f"{name!r}: label {most}, but there are {len(classes)} names of classes.")
    for columns in given.values():
        columns["labels"] = columns["labels"].astype("int32")
    return classes


def _check_alike(name, train, test):
    if list(train) != list(test):
        raise InputError(
            f"{name!r}: the rows for training have {', '.join(train)}, those for testing "
            f"{', '.join(test)}: give the same."
        )
    for column, array in train.items():
        if array.shape[1:] != test[column].shape[1:] or (array.dtype.kind == "U") != (
            test[column].dtype.kind == "U"
        ):
            raise InputError(
                f"{name!r}: {column} are {array.dtype} {list(array.shape)} for training and "
                f"{test[column].dtype} {list(test[column].shape)} for testing: they must be alike."
            )


def _gathered(name, dataset):
    """Rows and labels of a `tf.data.Dataset`: arrays or a dict, and an array or None."""
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise InputError(f"{name!r}: a tf.data.Dataset must end; use take(count).")
    spec = dataset.element_spec
    if not isinstance(spec, dict | tf.TensorSpec) and not (
        isinstance(spec, tuple) and len(spec) == 2
    ):
        raise InputError(
            f"{name!r}: the elements of a tf.data.Dataset are rows, (row, label) or dicts of "
            f"columns, not {spec}."
        )
    if _batched(spec):
        dataset = dataset.unbatch()
    elements, left = [], image_files.memory() // 4
    for element in dataset.as_numpy_iterator():
        left -= sum(np.asarray(part).nbytes for part in tf.nest.flatten(element))
        if left < 0:
            raise InputError(
                f"{name!r}: the tf.data.Dataset has more rows than a quarter of the memory holds: "
                "use take(count)."
            )
        elements.append(element)
    if not elements:
        raise InputError(f"{name!r} has no rows: the tf.data.Dataset is empty.")
    if isinstance(spec, dict):
        return {column: [element[column] for element in elements] for column in spec}, None
    if isinstance(spec, tuple):
        rows, labels = zip(*elements, strict=True)
        return list(rows), list(labels)
    return elements, None


def _batched(spec):
    """Whether elements are batches: as many labels as rows, or the first axis alone is free."""
    parts = (
        [*spec.values()]
        if isinstance(spec, dict)
        else [*spec]
        if isinstance(spec, tuple)
        else [spec]
    )
    shapes = [part.shape.as_list() for part in parts if part.shape.rank is not None]
    if len(shapes) < len(parts) or [] in shapes:
        return False
    if len({shape[0] for shape in shapes}) > 1:
        return False
    several = len(shapes) > 1 and any(len(shape) == 1 for shape in shapes)
    return several or all(s[0] is None and None not in s[1:] for s in shapes)
