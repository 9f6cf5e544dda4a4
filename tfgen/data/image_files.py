"""Image files of all kinds into uint8 arrays of one kind."""

import collections
import concurrent.futures
import functools
import math
import os
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from tfgen.data import splits
from tfgen.errors import InputError, note

# Formats that Pillow opens and that are not taken: what another program decodes (PostScript), and
# what nothing decodes unless a handler is installed.
LEFT_OUT = ("EPS", "MPEG", "BUFR", "GRIB", "HDF5", "WMF")
SYSTEM = (".", "__macosx", "thumbs.db", "ehthumbs", "desktop.ini")  # what systems leave behind
TESTS = ("test", "val", "valid", "validation")  # folders of test images, the first that there is
ORIENTATION = 0x0112  # of EXIF: 1 is upright, 5 to 8 exchange height and width


@functools.cache
def suffixes():
    """The endings of the files that are read, such as ".png": what Pillow opens."""
    known = Image.registered_extensions().items()
    return frozenset(
        suffix for suffix, kind in known if kind in Image.OPEN and kind not in LEFT_OUT
    )


def fit(image, size):
    """The middle square of an image, at another size.

    Args:
        image: uint8 `[H, W, C]`, C 1 or 3.
        size: pixels of a side.

    Returns:
        uint8 `[size, size, C]`.
    """
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    # Lanczos with Pillow is antialiased; on aliasing see Parmar et al. 2022, arXiv 2104.11222.
    fitted = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(size, size, -1)


def fit_all(images, size):
    """`fit` of uint8 `[N, H, W, C]`, in parallel: uint8 `[N, size, size, C]`."""
    fitted = np.empty([len(images), size, size, images.shape[-1]], "uint8")
    for i, image in enumerate(in_parallel(lambda image: fit(image, size), images)):
        fitted[i] = image
    return fitted


class Decoded(NamedTuple):
    """The image in a file: `pixels` uint8 `[H, W, 3]`.

    `gray` tells whether it is stored as such, and `orientation` how its EXIF says that it lies: 1
    is upright. The pixels are turned already.
    """

    pixels: np.ndarray
    gray: bool
    orientation: int


def decode(path):
    """The image in a file, as uint8 `[H, W, 3]`.

    It is turned upright as its EXIF says. Gray is repeated, palettes are looked up, what is
    transparent shows a white ground, 16 bits are scaled to 8; of an animation it is the first.
    """
    return decoded(path).pixels


def decoded(path):
    """Like `decode`, as a `Decoded`."""
    with Image.open(path) as picture:
        orientation = picture.getexif().get(ORIENTATION, 1)
        gray = picture.mode in ("1", "L", "LA") or picture.mode.startswith("I")
        picture = ImageOps.exif_transpose(picture)
        return Decoded(_pixels(picture), gray, orientation)


def _pixels(picture):
    if picture.mode.startswith("F"):
        raise ValueError("its pixels are floats, of which nobody knows the range")
    if picture.mode.startswith("I"):  # 16 bits of gray, which `convert` would clip at 255
        gray = np.asarray(picture)
        if gray.max(initial=0) > 65535 or gray.min(initial=0) < 0:
            raise ValueError("its pixels have 32 bits: save it with 16 or 8")
        return np.repeat(np.rint(gray / 257).astype("uint8")[..., None], 3, axis=-1)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture)
    return np.asarray(picture.convert("RGB"))


class File(NamedTuple):
    """An image file: its `name` in its folder, "/" between parts, in NFC; and its `path`."""

    name: str
    path: Path

    @property
    def stem(self):
        """The name without suffix."""
        return self.name.removesuffix(Path(self.name).suffix)

    @property
    def folder(self):
        """The first folder in its name; None for a file directly in its folder."""
        first, slash, _ = self.name.partition("/")
        return first if slash else None


def find(folder):
    """The image files of a folder and of those within it, also behind symbolic links.

    Hidden files and those that systems leave behind are passed over; files with other endings are
    counted in a warning.

    Returns:
        A list of `File`s, sorted by name.
    """
    folder, found, others = Path(folder), [], collections.Counter()
    for path in _walk(folder):
        suffix = path.suffix.lower()
        if suffix in suffixes():
            name = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
            found.append(File(name, path))
        else:
            others[suffix or "without an ending"] += 1
    if others:
        told = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
        more = f", and {len(others) - 5} endings more" if len(others) > 5 else ""
        note(f"{folder}: files that are no images are left out: {told}{more}")
    return sorted(found, key=lambda file: (file.name.split("/"), str(file.path)))


def _walk(folder, above=()):
    """Paths of the files of a folder; `above` has the folders that it lies in, as no link leads
    back to them."""
    status = os.stat(folder)
    here = status.st_dev, status.st_ino
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().startswith(SYSTEM):
                continue
            if entry.is_dir():
                yield from _walk(entry.path, (*above, here))
            elif entry.is_file() or entry.is_symlink():  # a dead link is told of as broken
                yield Path(entry.path)


def natural(name):
    """A key that sorts names as people do: numbers in them by value, "2" before "10"."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def split_folders(root):
    """`{"train": folder}` and, where there is a folder for it, `"test"`.

    That is `root`, or where it has a folder `train`, this one and the first of `TESTS`.
    """
    if not (root / "train").is_dir():
        return {"train": root}
    tests = [root / name for name in TESTS if (root / name).is_dir()]
    for folder in tests[1:]:
        note(f"{folder} is not used, as {tests[0]} has the images for testing")
    return {"train": root / "train"} | ({"test": tests[0]} if tests else {})


class Folder(NamedTuple):
    """What a folder of images holds.

    Attributes:
        splits: `{"train": {"images": uint8 [N, H, W, C], "labels": int32 [N]}, "test": ...}`; no
            labels where there are no classes.
        classes: their names.
        files: `{name: bytes}` of the files that were read.
    """

    splits: dict
    classes: tuple
    files: dict


def read_folder(path, size=None):
    """All images of a folder; files that cannot be read are named in a warning and skipped.

    Args:
        path: a folder with images, or with a folder of images for each class; or with
            `train` and one of `TESTS` (if there is a test split), each one of the two. Without
            one, `splits.by_name` says which files are held out.
        size: pixels of a side, to which the middle squares are scaled; by default the images
            must be of one size, and are taken as they are.

    Returns:
        A `Folder`; C = 1 if all images of all splits are gray, else 3.

    Raises:
        InputError: no folder, no image that can be read, images of several sizes without `size`,
            more of them than fit into memory, or classes in one place only.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(f"There is no folder {str(root)!r}: folder:PATH needs one with images.")
    folders = split_folders(root)
    found = {split: find(folder) for split, folder in folders.items()}
    names = {file.folder for files in found.values() for file in files}
    if None in names and len(names) > 1:
        raise InputError(
            f"{str(root)!r} has images in folders of classes and others outside of them: put "
            "all into class folders, or none."
        )
    classes = tuple(sorted(names - {None}, key=natural))
    number = {name: label for label, name in enumerate(classes)}
    images, kept = _read([file.path for files in found.values() for file in files], root, size)

    columns, start = {}, 0
    for split, files in found.items():
        found[split] = files = [file for file in files if file.path in kept]
        if not files:
            raise InputError(f"{str(folders[split])!r} has no image that can be read.")
        columns[split] = {"images": images[start : start + len(files)]}
        if classes:
            labels = np.array([number[file.folder] for file in files], "int32")
            columns[split]["labels"] = labels
        start += len(files)
    if "test" not in columns:
        columns = _held_out(root, [file.stem for file in found["train"]], columns["train"])
    every = (file.path for files in found.values() for file in files)
    return Folder(columns, classes, sizes(root, every))


def _held_out(root, names, columns):
    if len(names) < 2:
        raise InputError(
            f"{str(root)!r} has one image: it takes two, as one is held out for testing."
        )
    try:
        return splits.divided(splits.by_name(names, columns.get("labels")), columns)
    except InputError as error:
        raise InputError(f"{str(root)!r} has one image of each class: {error}.") from None


def sizes(root, paths):
    """`{name below root: bytes}` of files."""
    return {
        unicodedata.normalize("NFC", path.relative_to(root).as_posix()): path.stat().st_size
        for path in paths
    }


def _read(files, root, size):
    """uint8 `[K, H, W, 1 or 3]` of the files that can be read, and the set of these files."""
    broken = {}

    def read(file):
        try:
            image = decode(file)
        except Exception as error:  # a decoder may raise anything, given bytes from anywhere
            broken[file] = error
            return None
        return image if size is None else fit(image, size)

    images, kept, colour = None, [], False
    for file, image in zip(files, in_parallel(read, files), strict=True):
        if image is None:
            continue
        if images is None:
            check_memory(f"folder:{root}", len(files), image.shape)
            images = np.empty([len(files), *image.shape], "uint8")
        if image.shape != images.shape[1:]:
            (height, width), (first_height, first_width) = image.shape[:2], images.shape[1:3]
            raise InputError(
                f"The images differ in size: {kept[0].name} is {first_width}x{first_height}, "
                f"{file.name} is {width}x{height}. Pass image_size."
            )
        images[len(kept)] = image
        colour = colour or (image != image[..., :1]).any()
        kept.append(file)

    if broken:
        told = [f"{file.relative_to(root)} ({error})" for file, error in sorted(broken.items())]
        told = told if len(told) <= 10 else [*told[:10], f"and {len(told) - 10} more"]
        note(
            f"{len(broken)} of {len(files)} images cannot be read, and are skipped: "
            + ", ".join(told)
        )
    return (None if images is None else images[: len(kept), ..., : 3 if colour else 1]), set(kept)


def in_parallel(work, items):
    """Yields `work(item)` in order; Pillow lets go of the interpreter where it is slow."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(work, items)


def check_memory(name, count, shape):
    """Raises an InputError if `count` uint8 images of `shape` need over a quarter of the memory."""
    # A quarter: while a set is loaded and divided, there are up to three copies of it.
    needed, limit = count * math.prod(shape), memory() // 4
    if needed > limit:
        raise InputError(
            f"The {count} images of {name!r} need {needed / 2**30:.1f} GiB at "
            f"{shape[1]}x{shape[0]}, and a quarter of the memory here is {limit / 2**30:.1f} GiB: "
            "pass a smaller image_size."
        )


def memory():
    """The bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
