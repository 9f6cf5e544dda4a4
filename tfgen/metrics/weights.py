"""Where trained weights come from: a folder of one's own, or a download into Keras' cache."""

import os
from pathlib import Path

from tfgen.errors import InputError

FOLDER = "TFGEN_WEIGHTS"  # the variable that names a folder of files of weights


def find(name, address=None, remedy=""):
    """The path of a file of weights: in the folder TFGEN_WEIGHTS, or downloaded once.

    Args:
        name: the file's name.
        address: where it can be downloaded, or None.
        remedy: how else it can be had, a sentence.

    Returns:
        `pathlib.Path`.

    Raises:
        InputError: it is not there and cannot be downloaded.
    """
    own = os.environ.get(FOLDER)
    if own and (Path(own) / name).exists():
        return Path(own) / name
    where = f"in {own!r} ({FOLDER})" if own else f"here, as {FOLDER} names no folder"
    if address is None:
        raise InputError(f"{name} is not {where}. {remedy}")
    import keras

    try:
        return Path(keras.utils.get_file(name, address, cache_subdir="models"))
    except Exception as error:  # Keras raises a plain Exception for all that may happen
        raise InputError(
            f"{name} is not {where}, and cannot be downloaded from {address} ({error}). Download "
            f"it elsewhere, put it into a folder and let {FOLDER} name that; or take "
            f"features that need no download: classifier:<data>, random or pixels. {remedy}"
        ) from error
