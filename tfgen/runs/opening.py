"""Runs opened for use: their models, and what these draw."""

import pathlib

import keras

from tfgen import figures
from tfgen.data.data import changes, described, matched
from tfgen.data.sets import load_again
from tfgen.endpoint import asked, classes, in_portions, seeds_from
from tfgen.errors import InputError, note
from tfgen.runs import checkpoints, devices, packing, run_file


def open_run(folder, find):
    """Opens a run for use: its model in float32, with the weights of its newest checkpoint.

    Neither the data nor the stages before the last are needed: rows are read when they are first
    asked for. A warning then names what has changed in them since the run began.

    Args:
        folder: of the run, or of a packed model.
        find: from the name of a model to its `Recipe`: `zoo.find`.

    Returns:
        `(model, data)`, the data those of the last stage; where the optimizer keeps moving
        averages, these are the weights.

    Raises:
        InputError: the folder is no run, or has no checkpoint yet.
    """
    folder = pathlib.Path(folder)
    if packing.is_packed(folder):
        return open_packed(folder, find)
    run = run_file.found(folder)
    with devices.policy("float32"):
        number, stage = _last_stage(folder, run, find)
        if checkpoints.newest(folder / "checkpoints", stage.model, number) is None:
            raise InputError(f"{folder} has no checkpoint of stage {number} yet: train it")
        stage.model.optimizer.finalize_variable_values(None)
    return stage.model, stage.data


def open_packed(folder, find):
    """Opens a packed model, compiled as its recipe says, so that `fit` goes on.

    Arguments and what is returned as in `open_run`.

    Raises:
        InputError: the files are damaged, or not of this model.
    """
    run = packing.read_config(folder)
    arrays = packing.read_weights(folder, run)
    with devices.policy("float32"):
        _, stage = _last_stage(folder, run, find)
    missing, other = packing.assign(stage.model, arrays)
    needed = set(packing.used(stage.model)) if missing else set()
    lost = [name for name in missing if name in needed] + other
    if lost:
        raise InputError(
            f"the weights in {folder} do not fit the model {run['model']!r} of this tfgen: "
            f"{', '.join(lost[:5])}{', …' if len(lost) > 5 else ''}"
        )
    stage.model.step.assign(run["steps"])
    return stage.model, stage.data


def _last_stage(folder, run, find):
    """The number of the last stage of what `run.json` says, and the stage, compiled."""

    def rows():
        if run["arrays"]:
            raise InputError(
                f"the data of {folder} came from arrays, which a run does not keep: use the "
                "arrays that it was trained on"
            )
        data = load_again(run["described"], run["data"], run["image_size"])
        changed = changes(run["described"], data)
        if changed:
            note(
                f"the data {run['data']!r} have changed since {folder} was trained: "
                + "; ".join(changed)
            )
        return matched(run["described"], data).splits

    try:
        data = described(run["described"], rows)
        recipe = find(run["model"])
        settings = recipe.settings(run["settings"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # InputError is one of them
        raise InputError(f"what {folder} says of its run cannot be used: {error}") from None
    keras.utils.set_random_seed(run["seed"] % 2**32)
    stages = recipe.function(data, **settings)
    *_, (number, stage) = enumerate(stages)
    stage = stage.built(origin=recipe.origin(settings, run["described"], number))
    stage.model.compile(stage.optimizer)
    return number, stage


def read_run(folder):
    """What `run.json` says, or the configuration of a packed model: a dict; None for neither."""
    if packing.is_packed(folder):
        return packing.read_config(folder)
    return run_file.read(folder)


def background(data):
    """What `figures.draw` wants to know of the data: a dict of its keywords."""
    reals = data.rows("train", 1000) if data.element.kind == "points" else None
    return {"reals": reals, "words": data.words}


def samples(model, count, seed=0, label=None, rows=250):
    """Draws from a model's `sample` endpoint, in portions of `rows`.

    Args:
        model: a `GenerativeModel`.
        count: how many.
        seed: int; the seeds are seed, seed + 1, …, so a larger count only adds to a smaller one.
        label: an int, the class of all, or int32 [count], the class of each; None for the classes
            in turn, where there are some.
        rows: of a portion.

    Returns:
        `(float32 [count, ...], their Element)`.

    Raises:
        InputError: the model has no `sample` endpoint, or not this label; or there are no such
            seeds.
    """
    if "sample" not in model.endpoints:
        raise InputError(f"this model samples nothing: it offers {', '.join(model.endpoints)}")
    endpoint = model.endpoints["sample"]
    element = endpoint.outputs[0]
    seeds = seeds_from(seed, count)
    labels = asked(endpoint, seeds, label)
    inputs = {"seeds": seeds} | ({} if labels is None else {"labels": labels})
    return in_portions(endpoint, inputs, rows)[element.name], element


def picture(model, data):
    """What a model is shown by: what it makes of the seeds 0 to 63, or of test rows.

    Args:
        model: a `GenerativeModel`.
        data: its `Data`.

    Returns:
        A `PIL.Image`; None for a model that neither samples nor has a preview.
    """
    if "sample" in model.endpoints:
        rows, element = samples(model, 64)
        told = classes(model.endpoints["sample"])
        return figures.draw(element, rows, classes=told, **background(data))
    if hasattr(model, "preview"):
        return figures.columns(model.preview(data.batch("test", 8)))
    return None
