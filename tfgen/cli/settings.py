"""The settings of a recipe at the command line, read from its file without importing it."""

import ast

import zoo
from tfgen.errors import InputError


def keywords(model):
    """`{key: default}` of a model's recipe; a default that is no literal is its source text.

    Raises:
        InputError: there is no such model.
    """
    tree = ast.parse(zoo.locate(model).read_text(encoding="utf-8"))
    recipe = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "recipe")
    names = [argument.arg for argument in recipe.args.args]
    defaults = [_literal(node) for node in recipe.args.defaults]
    return dict(zip(names[-len(defaults) :] if defaults else [], defaults, strict=True))


def models():
    """The names of the models, for the completion of a shell."""
    return list(zoo.paths())


def _literal(node):
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def read_settings(model, texts, options):
    """What was given for a recipe: `{key: text or value}`.

    Args:
        model: its name.
        texts: `key=value` each.
        options: `{key: value or None}`, which have options of their own.

    Raises:
        InputError: an unknown model or key, no `key=value`, or a key that is given twice.
    """
    known, given = keywords(model), {k: v for k, v in options.items() if v is not None}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{text!r} is no key=value; write for example latent_dim=64")
        if key in given:
            raise InputError(f"{key} is given twice: {given[key]} and {value}")
        given[key] = value
    for key in given:
        if key not in known:
            listed = ", ".join(f"{key}={written(value)}" for key, value in known.items())
            raise InputError(f"{model} has no {key!r}: its recipe takes {listed}")
    return given


def written(value):
    """A setting as it is written at the command line."""
    if isinstance(value, tuple | list):
        return ",".join(map(written, value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
