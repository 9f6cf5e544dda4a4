"""Training that starts from the weights of a trained model: fine-tuning."""

import pathlib

from tfgen.errors import InputError, note
from tfgen.runs import packing
from tfgen.runs.opening import open_run, read_run


def settings_of(folder, name):
    """The settings that a trained model was made with, a dict; {} if it is of another recipe.

    Args:
        folder: of a run or of a packed model.
        name: of the recipe that is to be trained.

    Raises:
        InputError: it is neither.
    """
    run = read_run(folder)
    if run is None:
        raise InputError(f"{folder} is neither a run nor a packed model: nothing to start from")
    return run["settings"] if run["model"] == name else {}


def weights_of(folder, find):
    """`{name: array}` of a trained model, as `packing.names` names them.

    Args:
        folder: of a run, of which all networks are read, or of a packed model, which has those that
            its endpoints need.
        find: from the name of a model to its `Recipe`: `zoo.find`.

    Raises:
        InputError: it is neither, or damaged.
    """
    folder = pathlib.Path(folder)
    if packing.is_packed(folder):
        arrays = packing.read_weights(folder, packing.read_config(folder))
        return {name: array.astype("float32") for name, array in arrays.items()}
    model, _ = open_run(folder, find)
    return {name: variable.numpy() for name, variable in packing.names(model).items()}


def start(model, arrays, place):
    """Gives a model the weights of a trained one; a network that is not there begins anew.

    Args:
        model: a compiled `GenerativeModel` that has taken no step.
        arrays: as `weights_of` gives them.
        place: where they came from, for words.

    Raises:
        InputError: some layers have other shapes, or are on one side only; nothing is loaded then.
    """
    variables = packing.names(model)
    # What the data say, such as the ranges of attributes, was set when the model was compiled.
    arrays = {name: array for name, array in arrays.items() if _owner(name) != "own"}
    owners = {_owner(name) for name in arrays}
    here = {name: v for name, v in variables.items() if _owner(name) in owners}
    apart = [
        f"{name} is {list(arrays[name].shape)} there and {list(here[name].shape)} here"
        for name in here.keys() & arrays.keys()
        if tuple(here[name].shape) != arrays[name].shape
    ]
    apart += [f"{name} is only there" for name in arrays.keys() - here.keys()]
    apart += [f"{name} is only here" for name in here.keys() - arrays.keys()]
    if apart or not arrays:
        shown = "; ".join(sorted(apart)[:5]) or "they have no network in common"
        raise InputError(
            f"the weights of {place} do not fit this model: {shown}"
            f"{'; …' if len(apart) > 5 else ''}. Take its settings, and data of its shape"
        )
    new = {_owner(name) for name in variables} - owners - {"own"}
    for name, array in arrays.items():
        here[name].assign(array)
    if new:
        note(f"{place} holds no {' and no '.join(sorted(new))}: what it lacks begins anew")


def _owner(name):
    """The attribute of the model that holds a network."""
    return name.split(".")[0]
