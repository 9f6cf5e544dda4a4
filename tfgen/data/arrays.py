"""A user's own arrays as a data set."""

import numpy as np
import tensorflow as tf

from tfgen.data.data import hold_out, of_arrays
from tfgen.errors import InputError


def from_arrays(rows, labels=None, test=None, classes=None, name="arrays"):
    """Makes a data set of arrays, as recipes and `tfgen.train` take it.

    Args:
        rows: an array `[N, ...]`, or a finite `tf.data.Dataset` of single rows or of (row, label).
            Images are uint8 `[N, H, W, C]` or `[N, H, W]` (gray), or float in [-1, 1]; points float
            `[N, D]`; trajectories float `[N, T, D]`; tokens int `[N, T]`; videos uint8
            `[N, T, H, W, C]`.
        labels: int `[N]`, from 0 on; None for no classes.
        test: held-out rows of the same kind, or `(rows, labels)`; None to hold out a tenth.
        classes: the name of each label; by default its number.
        name: what the data are called.

    Returns:
        A `Data`.

    Raises:
        InputError: rows that nothing knows, floats outside of [-1, 1], values that are not finite,
            or labels that do not fit.
    """
    train = _columns(name, rows, labels)
    if test is None:
        size = len(next(iter(train.values())))
        if size < 2:
            raise InputError(f"{name!r} has {size} rows: it takes two, as one is held out.")
        splits = hold_out(**train)
    else:
        given = test if isinstance(test, tuple) else (test, None)
        splits = {"train": train, "test": _columns(name, *given)}
        if list(splits["test"]) != list(train):
            raise InputError(f"{name!r}: train has {list(train)}, test {list(splits['test'])}.")
    if "labels" not in train:
        return of_arrays(name, splits)
    most = max(int(split["labels"].max()) for split in splits.values())
    classes = classes or [str(label) for label in range(most + 1)]
    if most >= len(classes):
        raise InputError(f"{name!r}: label {most}, but there are {len(classes)} names of classes.")
    return of_arrays(name, splits, classes)


def _columns(name, rows, labels):
    """`{kind: array}` and labels, checked."""
    if isinstance(rows, tf.data.Dataset):
        rows, labels = _gathered(name, rows, labels)
    rows = np.asarray(rows)
    if rows.ndim == 3 and rows.dtype == np.uint8:
        rows = rows[..., None]
    kind = _kind(name, rows)
    if kind in ("images", "videos") and rows.dtype.kind == "f" and abs(rows).max() > 1:
        largest = rows.flat[abs(rows).argmax()]
        raise InputError(
            f"{name!r}: {kind} of floats lie in [-1, 1], but there is {largest}: "
            "divide by 127.5 and subtract 1, or give them as uint8 in 0..255."
        )
    columns = {kind: rows}
    if labels is not None:
        labels = np.asarray(labels)
        if labels.shape != (len(rows),) or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise InputError(
                f"{name!r}: labels are {labels.dtype} {list(labels.shape)} for {len(rows)} rows: "
                "give an int from 0 on for each."
            )
        columns["labels"] = labels.astype("int32")
    return columns


def _kind(name, rows):
    if not rows.size:
        raise InputError(f"{name!r} has no rows: {list(rows.shape)}.")
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        raise InputError(f"{name!r} has values that are not finite (NaN or infinite).")
    if rows.dtype.kind == "i" and rows.ndim == 4:
        raise InputError(f"{name!r}: images are uint8 or float, not {rows.dtype}.")
    probe = of_arrays(name, {"train": {"rows": rows[:1]}})
    return probe.element.name


def _gathered(name, dataset, labels):
    if labels is not None:
        raise InputError(f"{name!r}: a tf.data.Dataset has its labels in its elements.")
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise InputError(f"{name!r}: a tf.data.Dataset must end; use take(count).")
    elements = list(dataset.as_numpy_iterator())
    if elements and isinstance(elements[0], tuple):
        rows, labels = map(np.stack, zip(*elements, strict=True))
        return rows, labels
    return np.stack(elements), None
