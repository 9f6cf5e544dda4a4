"""The models: one paper a file, found by the file's name.

`find("dcgan")` imports `zoo/adversarial/dcgan.py`; nothing is registered anywhere.
"""

import ast
import difflib
import importlib
import pathlib
from typing import NamedTuple

from tfgen.errors import InputError

HERE = pathlib.Path(__file__).parent


class Entry(NamedTuple):
    """What a model's file says of itself: strings, read without importing it."""

    name: str
    family: str
    title: str
    reference: str


def paths():
    """`{name: path}` of every model's file, sorted by family and name."""
    return {path.stem: path for path in sorted(HERE.glob("*/[!_]*.py"))}


def entries():
    """An `Entry` for each model: the first and the last paragraph of its docstring."""
    found = []
    for name, path in paths().items():
        paragraphs = ast.get_docstring(ast.parse(path.read_text())).split("\n\n")
        title, reference = (" ".join(paragraphs[i].split()) for i in (0, -1))
        found.append(Entry(name, path.parent.name, title.rstrip("."), reference))
    return found


def locate(name):
    """The path of a model's file.

    Raises:
        InputError: there is no such model; names the nearest ones.
    """
    known = paths()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise InputError(f"there is no model {name!r}: {hint}")
    return known[name]


def find(name):
    """The `tfgen.runs.recipes.Recipe` of a model; raises as `locate` does."""
    family = locate(name).parent.name

    from tfgen.runs.recipes import Recipe

    module = importlib.import_module(f"zoo.{family}.{name}")
    fields = ("only", "tiny", "searched")
    said = {f: getattr(module, f.upper()) for f in fields if hasattr(module, f.upper())}
    return Recipe(name, module.recipe, **said)
