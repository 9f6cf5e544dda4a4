"""Files that are whole or absent, even after a kill or a power cut."""

import contextlib
import errno
import glob
import json
import os
import pathlib
import secrets
import shutil
import sys
import tempfile
import time
import zipfile

from tfgen.errors import InputError

ABANDONED = 3600  # seconds, after which nobody writes any more to what is temporary


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path, and renames it to `path` when the block ends well.

    The folder is made where it is missing; after an exception nothing is left behind. Of a link,
    what it points to is replaced. What is no regular file, such as a device or a FIFO, is written
    into, as it cannot be replaced.

    Raises:
        OSError: names `path` and the reason.
    """
    path = pathlib.Path(path)
    with _named(path):
        if _is_special(path):
            with tempfile.TemporaryDirectory() as folder:
                temporary = pathlib.Path(folder) / f"content{path.suffix}"
                yield temporary
                _write_into(path, temporary)
            return
        target = pathlib.Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(target)
        try:
            yield temporary
            with open(temporary, "rb") as whole:
                os.fsync(whole.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def making(folder):
    """Gives an empty temporary folder, and renames it to `folder` when the block ends well.

    Where `folder` exists already, what was made is moved into it, and replaces what has its name.
    After an exception nothing is left behind.

    Raises:
        OSError: as `replacing`.
    """
    folder = pathlib.Path(os.path.realpath(folder))
    with _named(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(folder)
        temporary.mkdir()
        try:
            yield temporary
            if folder.is_dir():
                for made in temporary.iterdir():
                    os.replace(made, folder / made.name)
            else:
                os.rename(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def new_folder(path):
    """As `making`, of a folder that is not there yet.

    Raises:
        InputError: there is something of that name already.
    """
    path = pathlib.Path(path).absolute()
    if path.exists():
        raise InputError(f"{path} exists already: remove it, or give another place")
    with making(path) as temporary:
        yield temporary


def shapes(path):
    """What a NumPy archive claims to hold, by its headers: `{name: (shape, dtype)}`.

    Raises:
        Exception: of many kinds, where it is damaged.
    """
    from numpy.lib import format as npy

    headers = {1: npy.read_array_header_1_0, 2: npy.read_array_header_2_0}
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                shape, _, dtype = headers[npy.read_magic(file)[0]](file)
            found[name.removesuffix(".npy")] = shape, dtype
    return found


def write_json(path, content):
    """Writes `content` as indented JSON, at once."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _is_special(path):
    return path.exists() and (not (path.is_file() or path.is_dir()) or _stream(path) is not None)


def _stream(path):
    """The standard stream that `path` names, as /dev/stdout does, or None."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):  # it may be closed
            if os.path.samestat(os.stat(path), os.fstat(stream)):
                return stream
    return None


def _write_into(path, content):
    stream = _stream(path)
    if stream is not None:
        for written in filter(None, (sys.stdout, sys.stderr)):
            written.flush()
    # A stream that was sent to a file is at a place in it, which opening it anew would not know.
    with open(content, "rb") as source, open(os.dup(stream) if stream else path, "wb") as sink:
        shutil.copyfileobj(source, sink)


def _beside(path):
    """A name beside `path` that nobody else has; what killed processes left there is removed."""
    stem = f".{path.stem[:40]}."  # so that it is no longer than a name may be
    for left in path.parent.glob(f"{glob.escape(stem)}*.writing{glob.escape(path.suffix)}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    return path.with_name(f"{stem}{secrets.token_hex(4)}.writing{path.suffix}")


@contextlib.contextmanager
def _named(path):
    """Names `path` in an error of the disk that names none, or the temporary one."""
    try:
        yield
    except OSError as error:
        ours = error.filename is None or ".writing" in str(error.filename)
        if ours and error.errno:
            raise OSError(error.errno, error.strerror, str(path)) from error
        if ours and "writ" in str(error):  # NumPy and Pillow keep the reason to themselves
            raise OSError(errno.ENOSPC, f"{error}; is the disk full?", str(path)) from error
        raise
