"""`run.json`: what a run was made with. Read here and nowhere else, without TensorFlow."""

import json
import math
import pathlib

from tfgen import files
from tfgen.errors import InputError

NAME = "run.json"
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_setting(value):
    if isinstance(value, list):
        return all(map(_is_setting, value))
    finite = not isinstance(value, float) or math.isfinite(value)
    return finite and isinstance(value, bool | int | float | str | None)


def _all_are(kind, values):
    return all(isinstance(value, kind) for value in values)


# What each field has to be, in words and as a test.
FIELDS = {
    "model": ("the name of a model", lambda v: isinstance(v, str)),
    "settings": (
        "an object of numbers, texts and lists",
        lambda v: isinstance(v, dict) and all(map(_is_setting, v.values())),
    ),
    "data": ("the name of data", lambda v: isinstance(v, str)),
    "arrays": ("true or false", lambda v: isinstance(v, bool)),
    "image_size": ("a number of pixels or null", lambda v: v is None or _is_int(v) and v > 0),
    "mirror": ("true or false", lambda v: isinstance(v, bool)),
    "start": ("the place of a trained model, or null", lambda v: isinstance(v, str | None)),
    "seed": ("a number of 32 bits", lambda v: _is_int(v) and -(2**31) <= v < 2**32),
    "replicas": ('"auto" or a number', lambda v: v == "auto" or _is_int(v) and 0 < v < 2**16),
    "precision": (f"one of {', '.join(PRECISIONS)}", lambda v: v in PRECISIONS),
    "described": (
        "a description of the data",
        lambda v: (
            isinstance(v, dict)
            and isinstance(v.get("columns"), dict)
            and isinstance(v.get("sizes"), dict)
            and isinstance(v.get("feed"), list)
            and isinstance(v.get("classes"), list)
            and _all_are(dict, [*v["columns"].values(), *v["sizes"].values()])
            and _all_are(str, [*v["feed"], *v["classes"]])
            and set(v["feed"]) <= set(v["columns"])
        ),
    ),
}
# Of runs that were made before there was such a field.
LATER = {
    "arrays": False,
    "image_size": None,
    "mirror": False,
    "precision": "float32",
    "replicas": "auto",
    "start": None,
}


def read(folder):
    """What `run.json` in a folder says, a dict; None where there is none.

    Raises:
        InputError: it cannot be read, or says what no run does; names the field.
    """
    path = pathlib.Path(folder) / NAME
    if not path.exists():
        return None
    if not path.is_file():
        raise InputError(f"{path} is no regular file")
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or too deep a nesting
        why = str(error).splitlines()[0] if path.stat().st_size else "the file is empty"
        raise InputError(
            f"{path} cannot be read: {why}. What lies beside it is not touched: put back a copy "
            f"of {NAME}, such as that of a new run by the same command"
        ) from None
    return checked(run, path)


def found(folder):
    """As `read`, of a folder that has to be a run.

    Raises:
        InputError: it is none; or as `read`.
    """
    run = read(folder)
    if run is None:
        raise InputError(f"{folder} is no run: there is no {NAME}; make one with tfgen train")
    return run


def checked(run, path):
    """The content of a `run.json`, with all its fields.

    Args:
        run: what JSON gave.
        path: for the words of an error.

    Raises:
        InputError: as `read`.
    """
    if not isinstance(run, dict):
        raise InputError(f"{path} is that of no run: expected an object with the field 'model'")
    run = LATER | run
    for field, (words, fits) in FIELDS.items():
        if field not in run:
            raise InputError(
                f"{path} has no field {field!r}: it is damaged, or another version of tfgen made it"
            )
        if not fits(run[field]):
            shown = json.dumps(run[field])
            shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
            raise InputError(f"{path}: {field} is {shown}, but has to be {words}")
    since = {"words": [], "origin": run["data"], "files": ""}  # as in `LATER`
    return run | {"described": since | run["described"]}


def write(folder, run):
    """Writes `run.json`; it is on the disk when this returns."""
    files.write_json(pathlib.Path(folder) / NAME, run)
