"""Images of two domains from folders."""

from pathlib import Path

import numpy as np

from tfgen.data import image_files
from tfgen.data import splits as rules
from tfgen.data.pairs import pairs
from tfgen.errors import InputError, note


def read_pairs(name, path, size=None):
    """`pairs:PATH`: images of equal names in the folders A and B, or images of two halves.

    Either lies in PATH, or in PATH/train with one of `image_files.TESTS` for testing; without
    these a tenth is held out. Of an image without folders A and B the left half is A, the right B.

    Args:
        name: of the data.
        path: a folder.
        size: pixels of a side, to which the middle squares are scaled; or None.

    Raises:
        InputError: names the file that has no partner, another size or other channels.
    """
    root = _folder(path)
    sides, names, first, files, askew = {}, {}, None, [], []
    for split, folder in image_files.split_folders(root).items():
        halved = not ((folder / "A").is_dir() or (folder / "B").is_dir())
        rows = [(file,) for file in _files(folder)] if halved else _find_pairs(folder)
        names[split] = [row[0].stem for row in rows]
        sides[split], first, doubtful = _read(name, rows, size, first, halved)
        files += [file.path for row in rows for file in row]
        askew += doubtful
    if askew:
        one, other = askew[0]
        note(
            f"{len(askew)} pairs have one image that is turned as its EXIF says and one that has "
            f"none, such as {str(one)!r} and {str(other)!r}: look whether they lie alike"
        )
    if "test" not in sides:
        held = _held(name, names["train"])
        sides = rules.divided(held, dict(zip("ab", sides["train"], strict=True)))
        sides = {split: (columns["a"], columns["b"]) for split, columns in sides.items()}
    return pairs(name, sides, origin=_origin("pairs", root), files=image_files.sizes(root, files))


def read_unpaired(name, path, size=None):
    """`unpaired:PATH`: the images in PATH/trainA and PATH/trainB, testA and testB for testing.

    Instead of test the folders may begin as the others of `image_files.TESTS`. Without them a tenth
    is held out. Arguments and errors as in `read_pairs`.
    """
    root = _folder(path)
    test = [t for t in image_files.TESTS if any((root / f"{t}{s}").is_dir() for s in "AB")][:1]
    sides, names, first, files = {}, {}, None, []
    for split in ["train", *test]:
        both = []
        for side in "AB":
            folder = root / f"{split}{side}"
            if not folder.is_dir():
                raise InputError(
                    f"There is no folder {str(folder)!r}: unpaired:PATH needs trainA and trainB, "
                    "and testA and testB or neither."
                )
            rows = [(file,) for file in _files(folder)]
            (images,), first, _ = _read(name, rows, size, first)
            both.append(images)
            names[split, side] = [file.stem for (file,) in rows]
            files += [file.path for (file,) in rows]
        sides["train" if split == "train" else "test"] = tuple(both)
    if not test:
        parts = [
            rules.divided(_held(name, names["train", side]), {"images": images})
            for side, images in zip("AB", sides["train"], strict=True)
        ]
        sides = {split: tuple(part[split]["images"] for part in parts) for split in parts[0]}
    return pairs(
        name,
        sides,
        paired=False,
        origin=_origin("unpaired", root),
        files=image_files.sizes(root, files),
    )


def _folder(path):
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(f"There is no folder {str(root)!r}.")
    return root


def _origin(scheme, root):
    return f"{scheme}:{root.absolute()}"


def _held(name, names):
    if len(names) < 2:
        raise InputError(f"{name!r} has one image: it takes two, as one is held out for testing.")
    return rules.by_name(names)


def _files(folder):
    found = image_files.find(folder)
    if not found:
        raise InputError(f"{str(folder)!r} has no image.")
    return found


def _find_pairs(folder):
    """A file of A and a file of B for each name, in the order of names."""
    sides = []
    for side in "AB":
        if not (folder / side).is_dir():
            raise InputError(f"There is no folder {str(folder / side)!r} beside the other domain.")
        named = {}
        for file in _files(folder / side):
            if file.stem in named:
                raise InputError(
                    f"{str(named[file.stem].path)!r} and {str(file.path)!r} have one name: "
                    "remove one, as equal names make a pair."
                )
            named[file.stem] = file
        sides.append(named)
    for own, other, side in ((*sides, "B"), (*sides[::-1], "A")):
        for stem in sorted(own.keys() - other.keys()):
            raise InputError(
                f"{str(own[stem].path)!r} has no partner: expected {stem!r} with the suffix of an "
                f"image in {str(folder / side)!r}; equal names make a pair."
            )
    return [(sides[0][stem], sides[1][stem]) for stem in sorted(sides[0])]


def _read(name, rows, size, first=None, halves=False):
    """Images of one kind from files.

    Args:
        name: of the data, for an error.
        rows: a list of tuples of `File`s: one, or the two of a pair.
        size: as in `read_pairs`.
        first: `(path, shape)` that all others must agree with, or None for the first of `rows`.
        halves: whether each is cut into a left and a right half.

    Returns:
        A tuple of uint8 `[N, H, W, C]`, one for each file of a row or for each half; the `first`
        for other calls; and `[[path, path]]` of pairs that may not lie alike.
    """

    def read(row):
        images = [_decoded(file.path) for file in row]
        if len(row) == 2:
            _check_partners([file.path for file in row], images)
        pixels = [image.pixels[..., : 1 if image.gray else 3] for image in images]
        if halves:
            width = pixels[0].shape[1]
            if width % 2:
                raise InputError(
                    f"{str(row[0].path)!r} is {width} pixels wide: two halves need an even width; "
                    "or put the images into the folders A and B."
                )
            pixels = np.split(pixels[0], 2, axis=1)
        if size is not None:
            pixels = [image_files.fit(image, size) for image in pixels]
        return pixels, len(row) == 2 and _may_lie_askew(images)

    stored, askew = None, []
    rows_read = zip(rows, image_files.in_parallel(read, rows), strict=True)
    for i, (row, (images, doubtful)) in enumerate(rows_read):
        paths = [file.path for file in row] * (2 if halves else 1)
        for path, image in zip(paths, images, strict=True):
            first = first or (path, image.shape)
            _agree(path, image.shape, *first)
        if stored is None:
            image_files.check_memory(name, len(rows) * len(images), images[0].shape)
            stored = [np.empty([len(rows), *image.shape], "uint8") for image in images]
        for array, image in zip(stored, images, strict=True):
            array[i] = image
        if doubtful:
            askew.append(paths)
    return tuple(stored), first, askew


def _decoded(path):
    try:
        return image_files.decoded(path)
    except Exception as error:  # a decoder may raise anything, given bytes from anywhere
        raise InputError(f"{str(path)!r} cannot be read as an image: {error}") from None


def _check_partners(paths, images):
    """Raises an InputError if the two images of a pair differ in size, when they are upright."""
    (width, height), (other_width, other_height) = (
        image.pixels.shape[1::-1] for image in images[::-1]
    )
    if (width, height) == (other_width, other_height):
        return
    turned = ""
    if (images[0].orientation == 1) != (images[1].orientation == 1):
        at = int(images[0].orientation == 1)
        turned = (
            f" ({str(paths[at])!r} is turned, as its EXIF has the orientation "
            f"{images[at].orientation}, and the other has none)"
        )
    raise InputError(
        f"{str(paths[1])!r} is {width}x{height}, but its partner {str(paths[0])!r} is "
        f"{other_width}x{other_height}{turned}: a pair has one size."
    )


def _may_lie_askew(images):
    """Whether one image of a pair is turned and one is not, and their sizes do not tell if rightly.

    After a quarter turn of an image that is no square, equal sizes say that the other was made of
    the upright one.
    """
    turned = {image.orientation for image in images} - {1}
    height, width = images[0].pixels.shape[:2]
    one = any(image.orientation == 1 for image in images)
    return one and any(orientation < 5 or height == width for orientation in turned)


def _agree(path, shape, first, expected):
    """Raises an InputError that names the file, if the shapes differ."""
    if shape[-1] != expected[-1]:
        kinds = {1: "gray (1 channel)", 3: "coloured (3 channels)"}
        raise InputError(
            f"{str(path)!r} is {kinds[shape[-1]]}, but {str(first)!r} is {kinds[expected[-1]]}: "
            "save all as gray, or all as RGB."
        )
    if shape != expected:
        raise InputError(
            f"{str(path)!r} is {shape[1]}x{shape[0]}, but {str(first)!r} is "
            f"{expected[1]}x{expected[0]}: pass an image_size."
        )
