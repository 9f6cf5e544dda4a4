"""Which rows are held out for testing, where a set has no test rows of its own: about a tenth."""

import hashlib

import numpy as np

from tfgen.errors import InputError


def hold_out(**columns):
    """Splits of rows that have a place and no name: a tenth of them, drawn once for all.

    Args:
        columns: arrays `[N, ...]`, N at least 2; None for one that there is not. With `labels`, a
            class that would have no row for training gives none for testing.

    Returns:
        `{"train": {column: array}, "test": ...}`; both keep the stored order.
    """
    columns = {name: array for name, array in columns.items() if array is not None}
    size = len(next(iter(columns.values())))
    # RandomState, not Generator: NumPy promises that its streams never change (NEP 19).
    order = np.random.RandomState(0).permutation(size)
    held = np.zeros(size, bool)
    held[order[size - max(1, size // 10) :]] = True
    if "labels" in columns:
        stranded = held & ~np.isin(columns["labels"], columns["labels"][~held])
        held = held & ~stranded if (held & ~stranded).any() else held
    return divided(held, columns)


def by_name(names, labels=None):
    """Which files are held out, each by a hash of its name: others that come or go change nothing.

    At least one file is held out, and a class keeps at least one for training; so a file that is
    alone in its class may be moved to testing when others join it there. No other file ever is.

    Args:
        names: of the files relative to their folder, without suffix, in the Unicode form NFC.
        labels: the class of each, ints `[N]`; or None.

    Returns:
        bool `[N]`, whether a file is held out.

    Raises:
        InputError: there are no two files, or no two of one class.
    """
    hashes = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    draws = np.array([int.from_bytes(digest, "big") / 2**64 for digest in hashes])
    labels = np.zeros(len(draws), int) if labels is None else labels
    held, counts = draws < 0.1, np.bincount(labels)
    for label in np.flatnonzero((np.bincount(labels, ~held) == 0) & (counts > 0)):
        held[np.where(labels == label, draws, -1).argmax()] = False
    if not held.any():
        several = counts[labels] > 1
        if not several.any():
            raise InputError("it takes two of one class, as one is held out for testing")
        held[np.where(several, draws, 1).argmin()] = True
    return held


def divided(held, columns):
    """`{"train": {column: rows that are not held}, "test": those that are}`."""
    parts = {"train": ~held, "test": held}
    return {
        split: {name: array[part] for name, array in columns.items()}
        for split, part in parts.items()
    }
