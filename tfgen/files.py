"""Files that are whole or absent."""

import contextlib
import json
import os
import pathlib


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


def write_json(path, content):
    """Writes `content` as indented JSON, at once."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
