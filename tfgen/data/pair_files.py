"""Images of two domains from folders."""

import concurrent.futures
import os
from pathlib import Path

import numpy as np
from PIL import Image

from tfgen.data import image_files
from tfgen.data.data import hold_out
from tfgen.data.pairs import pairs
from tfgen.errors import InputError


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
    return pairs(name, _held(name, sides))


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
    return pairs(name, _held(name, sides), paired=False)


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
        if file.suffix.lower() in image_files.SUFFIXES and not file.name.startswith(".")
    ]
    if not found:
        raise InputError(f"{str(folder)!r} has no image ({', '.join(image_files.SUFFIXES)}).")
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
            image = image_files.decode(file)[..., : 1 if gray else 3]
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
        return [part if size is None else image_files.fit(part, size) for part in parts]

    stored = None
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, (file, parts) in enumerate(
            zip(files, pool.map(read, enumerate(files)), strict=True)
        ):
            first = first or (file, parts[0].shape)
            _agree(file, parts[0].shape, *first)
            if stored is None:
                image_files.check_memory(name, len(files) * len(parts), parts[0].shape)
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
        return sides
    a, b = sides["train"]
    if min(len(a), len(b)) < 2:
        raise InputError(f"{name!r} has one image: it takes two, as one is held out for testing.")
    held = [hold_out(rows=rows) for rows in (a, b)]  # the same rows, a function of their number
    return {split: tuple(side[split]["rows"] for side in held) for split in ("train", "test")}
