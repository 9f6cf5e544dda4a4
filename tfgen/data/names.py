"""What `load` knows by name. Imports neither TensorFlow nor scikit-learn, for quick answers."""

import difflib
import os
from pathlib import Path
from typing import NamedTuple

from tfgen.errors import InputError

POINTS = {
    "ring": "8 Gaussians on a circle of radius 2 in the plane (Metz et al. 2017)",
    "grid25": "25 Gaussians on a 5x5 grid in the plane",
    "swiss_roll": "a spiral in the plane (Gulrajani et al. 2017)",
    "four_modes": "100 points in 32 dimensions, of four modes that lie in a plane",
}
DIGIT_PAIRS = {
    "digit_pairs": "digits (A) and their coloured, outlined renderings (B), 16x16x3, in pairs",
    "digit_unpaired": "some of the digits (A) and renderings of the others (B), 16x16x3",
}
EMBEDDED = {
    "digits": "1,797 handwritten digits, 8x8x1, 10 classes (scikit-learn)",
    **DIGIT_PAIRS,
    **POINTS,
}
DOWNLOADED = {
    "mnist": "70,000 handwritten digits, 28x28x1, 10 classes",
    "fashion_mnist": "70,000 pieces of clothing, 28x28x1, 10 classes",
    "cifar10": "60,000 photos, 32x32x3, 10 classes",
    "celeb_a": "202,599 faces, 218x178x3; give an image_size",
}
SCHEMES = {
    "folder:PATH": "your own images: PATH/*, PATH/CLASS/*, or either in PATH/train and PATH/test",
    "tfds:NAME": "any other set of images that TensorFlow Datasets knows",
    "pairs:PATH": "pairs of images: of equal names in PATH/A and PATH/B, or halves of PATH/*",
    "unpaired:PATH": "images of two domains in PATH/trainA and trainB, testA and testB",
    "unpaired:NAME,NAME": "two sets of images as domains A and B",
}


LICENCES = {
    "digits": "CC BY 4.0 (UCI, Alpaydin and Kaynak 1998)",
    "digit_pairs": "CC BY 4.0 (UCI, Alpaydin and Kaynak 1998)",
    "digit_unpaired": "CC BY 4.0 (UCI, Alpaydin and Kaynak 1998)",
    **dict.fromkeys(POINTS, "none needed: drawn by a formula"),
    "mnist": "CC BY-SA 3.0 (LeCun and Cortes)",
    "fashion_mnist": "MIT (Zalando SE)",
}
_SCHEMES = {scheme.partition(":")[0] for scheme in SCHEMES}


class Known(NamedTuple):
    """A line of `names()`; `where` is "embedded", "on disk", "to be downloaded" or "yours"."""

    name: str
    about: str
    where: str


def check(name):
    """Checks, without reading anything, that `load` knows a name.

    Raises:
        InputError: it does not; names the nearest one.
    """
    scheme, colon, rest = name.partition(":")
    if name in EMBEDDED or name in DOWNLOADED or (colon and rest and scheme in _SCHEMES):
        return
    known = [*EMBEDDED, *DOWNLOADED, *SCHEMES]
    close = difflib.get_close_matches(name, known, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(f"There is no data set {name!r}.{meant} There are: {', '.join(known)}.")


def names():
    """All that `load` accepts, as a list of `Known`: what needs no network comes first."""
    known = [Known(name, about, "embedded") for name, about in EMBEDDED.items()]
    here = {name: any(data_dir().glob(f"{name}/*/dataset_info.json")) for name in DOWNLOADED}
    for name in sorted(DOWNLOADED, key=here.get, reverse=True):
        known += [Known(name, DOWNLOADED[name], "on disk" if here[name] else "to be downloaded")]
    return known + [Known(name, about, "yours") for name, about in SCHEMES.items()]


def data_dir():
    """Where TensorFlow Datasets keeps its sets: TFDS_DATA_DIR, or its own default."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
