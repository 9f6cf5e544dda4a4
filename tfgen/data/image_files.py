"""Image files of all kinds into uint8 arrays of one kind."""

import concurrent.futures
import math
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tfgen.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


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
    for i, image in enumerate(_in_parallel(lambda image: fit(image, size), images)):
        fitted[i] = image
    return fitted


def decode(path):
    """The image in a file, as uint8 `[H, W, 3]`.

    It is turned upright as its EXIF says. Gray is repeated, palettes are looked up, what is
    transparent shows a white ground, 16 bits are scaled to 8.
    """
    with Image.open(path) as picture:
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):  # 16 bits of gray, which `convert` would clip at 255
            gray = np.rint(np.asarray(picture) / 257).astype("uint8")
            return np.repeat(gray[..., None], 3, axis=-1)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            ground = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(ground, picture)
        return np.asarray(picture.convert("RGB"))


def read_folder(path, size=None):
    """All images of a folder; files that cannot be read are named in a warning and skipped.

    Args:
        path: a folder with images, or with a folder of images for each class; or with
            `train` and `test` (if there is a test split), each one of the two.
        size: pixels of a side, to which the middle squares are scaled; by default the images
            must be of one size, and are taken as they are.

    Returns:
        `{split: (images, labels)}` and the class names: uint8 `[N, H, W, C]` with C = 1 if all
        images of all splits are gray, else 3; labels int32 `[N]`, or None where no classes are.

    Raises:
        InputError: no folder, no image that can be read, images of several sizes without `size`,
            more of them than fit into memory, or classes in one place only.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(f"There is no folder {str(root)!r}: folder:PATH needs one with images.")
    folders = {name: root / name for name in ("train", "test") if (root / name).is_dir()}
    folders = folders if "train" in folders else {"train": root}
    found = {name: _find(folder) for name, folder in folders.items()}
    classes = tuple(sorted({label for files in found.values() for _, label in files} - {None}))
    if classes and any(label is None for files in found.values() for _, label in files):
        raise InputError(
            f"{str(root)!r} has images in folders of classes and others outside of them: put "
            "all into class folders, or none."
        )
    images, kept = _read([file for files in found.values() for file, _ in files], root, size)

    splits, start = {}, 0
    for name, files in found.items():
        files = [file for file in files if file[0] in kept]
        if not files:
            raise InputError(
                f"{str(folders[name])!r} has no image that can be read ({', '.join(SUFFIXES)})."
            )
        labels = (
            np.array([classes.index(label) for _, label in files], "int32") if classes else None
        )
        splits[name] = images[start : start + len(files)], labels
        start += len(files)
    return splits, classes


def _find(folder):
    """Sorted `(file, class)` of a folder; the class is None for those directly in it."""
    found = []
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).parts
        hidden = any(part.startswith((".", "__MACOSX")) for part in inside)
        if file.suffix.lower() in SUFFIXES and not hidden and file.is_file():
            found.append((file, inside[0] if len(inside) > 1 else None))
    return found


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
    for file, image in zip(files, _in_parallel(read, files), strict=True):
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
        warnings.warn(
            f"{len(broken)} of {len(files)} images cannot be read, and are skipped: "
            + ", ".join(told),
            stacklevel=5,
        )
    return (None if images is None else images[: len(kept), ..., : 3 if colour else 1]), set(kept)


def _in_parallel(work, items):
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
