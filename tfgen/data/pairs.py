"""Images of two domains, A and B: in pairs, or each in an order of its own."""

from tfgen.data.data import of_arrays
from tfgen.errors import InputError


def pairs(name, splits, paired=True, **origin):
    """A `Data` whose elements are `(image_a, image_b)`.

    Args:
        name: of the data.
        splits: `{"train": (A, B), "test": (A, B)}`, each uint8 `[N, H, W, C]`.
        paired: whether row i of A and row i of B belong together. If not, each domain has an
            order and a number of rows of its own.
        origin: as in `of_arrays`: `origin` and `files`.

    Raises:
        InputError: A and B differ in size or channels.
    """
    a, b = splits["train"]
    if a.shape[-1] != b.shape[-1]:
        raise InputError(
            f"{name!r}: A has images of {a.shape[-1]} channels and B of {b.shape[-1]}: "
            "both must be gray (1), or both coloured (3)."
        )
    if a.shape[1:3] != b.shape[1:3]:
        raise InputError(
            f"{name!r}: the images of A are {a.shape[2]}x{a.shape[1]}, those of B "
            f"{b.shape[2]}x{b.shape[1]}: pass an image_size."
        )
    columns = {split: dict(zip("ab", sides, strict=True)) for split, sides in splits.items()}
    return of_arrays(name, columns, feed=("a", "b"), paired=paired, **origin)


def combine(name, a, b):
    """`unpaired:A_NAME,B_NAME`: two sets of images as domains.

    Raises:
        InputError: one of them has no images, or they differ in size or channels.
    """
    for data in (a, b):
        if data.has_domains or not data.has_images:
            raise InputError(f"{name!r}: {data.name!r} is no set of single images.")
    splits = {
        split: tuple(data.splits[split]["images"].numpy() for data in (a, b))
        for split in ("train", "test")
    }
    origin = f"unpaired:{a.origin},{b.origin}"
    files = {
        f"{side}/{file}": size
        for side, data in zip("AB", (a, b), strict=True)
        for file, size in data.files.items()
    }
    return pairs(name, splits, paired=False, origin=origin, files=files)
