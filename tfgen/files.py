"""Files that are whole or absent."""

import contextlib
import json
import os
import pathlib
import tempfile

from tfgen.errors import InputError


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path in the same folder, and renames it to `path` when the block ends well.

    The folder is made where it is missing; after an exception nothing is left behind.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.writing{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path):
    """Gives a temporary folder beside a folder to be made, which becomes it when all went well.

    Raises:
        InputError: there is something of that name already.
    """
    path = pathlib.Path(path).absolute()
    if path.exists():
        raise InputError(f"{path} exists already: remove it, or give another place")
    home = next(folder for folder in path.parents if folder.is_dir())
    with tempfile.TemporaryDirectory(dir=home, prefix=f".{path.name}-") as attempt:
        draft = pathlib.Path(attempt) / "draft"
        draft.mkdir()
        yield draft
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(path)


def write_json(path, content):
    """Writes `content` as indented JSON, at once."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
