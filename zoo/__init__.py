"""The models: one paper a file, found by the file's name.

`find("dcgan")` imports `zoo/adversarial/dcgan.py`; nothing is registered anywhere. `zoo.dcgan` is
the same recipe, and `zoo.dcgan(data, width=64)` a compiled model, ready for `fit`.
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


def objective(name):
    """A model's objective, lines of ASCII, and the paragraphs about it, strings, from its file."""
    _, formula, *about, _ = ast.get_docstring(ast.parse(locate(name).read_text())).split("\n\n")
    lines = [line.removeprefix("    ") for line in formula.splitlines()]
    return "\n".join(lines), tuple(" ".join(paragraph.split()) for paragraph in about)


def locate(name):
    """The path of a model's file.

    Raises:
        InputError: there is no such model; names the nearest ones.
    """
    return _named(paths(), name, f"there is no model {name!r}")


def find(name):
    """The `tfgen.runs.recipes.Recipe` of a model; raises as `locate` does."""
    family = locate(name).parent.name

    from tfgen.runs.recipes import Recipe

    module = importlib.import_module(f"zoo.{family}.{name}")
    fields = ("only", "tiny", "searched")
    said = {f: getattr(module, f.upper()) for f in fields if hasattr(module, f.upper())}
    return Recipe(name, module.recipe, **said)


def exhibits():
    """`{name: folder}` of the trained models that come with the zoo, sorted by name."""
    return {path.parent.name: path.parent for path in sorted(HERE.glob("exhibits/*/config.json"))}


def open_model(place):
    """Opens a trained model for use: `(model, data)`, as `tfgen.open_run` gives them.

    Args:
        place: the folder of a run or of a packed model; `zoo:NAME`, a trained model that comes with
            the zoo; or `hf:OWNER/NAME`, one of the Hugging Face Hub (with the extra "hub").

    Raises:
        InputError: there is none, or it is damaged.
    """
    from tfgen.runs.opening import open_run

    return open_run(folder_of(place), find)


def folder_of(place):
    """The folder of a trained model, fetched where it is on a hub; arguments as in `open_model`."""
    scheme, _, name = str(place).partition(":")
    if scheme == "zoo":
        return _named(exhibits(), name, f"there is no trained model {name!r} in the zoo")
    if scheme == "hf":
        from tfgen.runs.hub import fetch

        return fetch(name)
    return pathlib.Path(place)


def pretrained(name):
    """A trained model that comes with the zoo, ready to sample, to export, and for `fit` to go on.

    Raises:
        InputError: there is none of this name.
    """
    return open_model(f"zoo:{name}")[0]


def _named(known, name, missing):
    """The value of a name; an InputError that begins with `missing` suggests others."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise InputError(f"{missing}: {hint}")
    return known[name]


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    try:
        return find(name)
    except InputError as error:
        raise AttributeError(str(error)) from None


def __dir__():
    return sorted([*(name for name in globals() if not name.startswith("_")), *paths()])
