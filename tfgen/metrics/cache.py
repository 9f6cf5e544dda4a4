"""What is costly to compute, kept in the user's cache folder under the hash of what made it."""

import contextlib
import hashlib
import inspect
import os
import tempfile
from pathlib import Path

import numpy as np

from tfgen.errors import note


def folder():
    """TFGEN_CACHE, or ~/.cache/tfgen/metrics. It may be deleted at any time."""
    return Path(os.environ.get("TFGEN_CACHE") or "~/.cache/tfgen/metrics").expanduser()


def key(*parts):
    """The hash of strings, arrays and modules (their source), as 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            content = np.ascontiguousarray(part).data
        else:
            content = (part if isinstance(part, str) else inspect.getsource(part)).encode()
        digest.update(hashlib.sha256(content).digest())  # so that borders between parts count
    return digest.hexdigest()[:32]


def array(name, make):
    """The array in the cache file `name`.npy, computed by `make` where it is missing or broken."""
    path = folder() / f"{name}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        return np.load(path)
    value = make()
    with writing(path) as part:
        np.save(part, value)
    return value


@contextlib.contextmanager
def writing(path):
    """Gives a path of this process alone, and renames it to `path` when the block ends well.

    Where the disk refuses that, a `Note` says so, and nothing is kept.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not `tfgen.files.replacing`: what cannot be kept does no harm here.
            own = stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent))
        except OSError as error:
            note(f"nothing is kept in the cache {path.parent}: {error.strerror}")
            own = stack.enter_context(tempfile.TemporaryDirectory())
        part = Path(own) / path.name
        try:
            yield part
            if Path(own).parent == path.parent:
                os.replace(part, path)
        except OSError as error:
            note(f"{path} is not kept in the cache: {error}")
