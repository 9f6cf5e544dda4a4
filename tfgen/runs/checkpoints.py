"""Exact checkpoints: all that a run's future depends on, in one file that is whole or absent.

A file is a NumPy archive (`numpy.savez`), so each array in it carries a checksum: a damaged or
truncated file cannot be read by mistake. It holds the model's variables and seed generators, those
of every optimizer (moments, iterations, moving averages, loss scales), the running means of the
epoch and the rows of `history.csv`. The position in the data is the model's `step`.
"""

import json

import numpy as np
import tensorflow as tf

from tfgen import files
from tfgen.errors import InputError, note


class Diverged(RuntimeError):
    """A term or a variable is no longer a finite number."""


class OtherModel(ValueError):
    """A checkpoint is whole, and not of this model."""


def save(path, model, rows):
    """Writes the state of `model` and the history `rows` to `path`, at once.

    Raises:
        Diverged: a variable is NaN or infinite; nothing is written.
    """
    arrays = {name: variable.numpy() for name, variable in _variables(model).items()}
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise Diverged(f"{name} is no longer finite")
    for term, mean in model.means.items():
        for i, variable in enumerate(mean.variables):
            for replica, value in enumerate(_local(variable)):
                arrays[f"mean/{term}/{i}/{replica}"] = value.numpy()
    arrays["rows"] = np.array(json.dumps(rows))
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def restore(path, model):
    """Reads into `model` what `save` wrote.

    Returns:
        The history rows, and a function without arguments that sets the running means: `fit`
        resets them when an epoch begins, so it is to be called right after.

    Raises:
        OtherModel: the file is of another model.
        Exception: of many kinds, where it is damaged; then the model is as it was.
    """
    if not path.is_file():
        raise ValueError("it is no regular file")
    variables = _variables(model)
    claimed = files.shapes(path)  # before anything is read that may be large
    for name, variable in variables.items():
        if claimed.get(name) != (tuple(variable.shape), np.dtype(variable.dtype)):
            raise OtherModel(f"{path} is not of this model: {name} is missing or of another shape")
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name in variables:
        if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is not finite")
    rows = json.loads(arrays["rows"].item())
    for name, variable in variables.items():
        variable.assign(arrays[name])

    def set_means():
        for name, array in arrays.items():
            if name.startswith("mean/"):
                term, i, replica = name.removeprefix("mean/").rsplit("/", 2)
                _local(model.mean(term).variables[int(i)])[int(replica)].assign(array)

    return rows, set_means


def newest(folder, model, stage=0, passed=None):
    """Restores the newest whole checkpoint of a stage.

    A damaged one is told by a `Note`, and the one before it is used.

    Args:
        folder: of the checkpoints.
        model: of the stage.
        stage: its number.
        passed: the steps that the stages before have taken: only checkpoints that began after
            these count. None for the last that was begun.

    Returns:
        What `restore` gives, or None where there is no checkpoint yet.

    Raises:
        InputError: there are checkpoints, and they are of another model or all are damaged.
    """
    found = paths(folder, stage, passed)
    for path in found:
        try:
            return restore(path, model)
        except OtherModel as error:
            raise InputError(
                f"{error}. The settings in run.json, the data or tfgen itself are not those that "
                "it was trained with; the checkpoints are whole and stay as they are"
            ) from None
        except Exception as error:  # a file that is damaged may raise anything
            damage = str(error) or type(error).__name__
            note(f"checkpoint {path} is damaged and is passed over: {damage}")
    if found:
        raise InputError(
            f"all {len(found)} checkpoints in {folder} are damaged; they stay as they are. Put "
            "back a copy of one, or train anew in another folder"
        )
    return None


def name(stage, step, passed=()):
    """The file name of a checkpoint, which sorts by the steps of the stages before, then its own.

    A stage begins with what the stages before have learnt. If these go on, it begins anew, as in
    one longer run; so the steps that they had `passed`, ints, are in the name.
    """
    return f"{stage}-{''.join(f'{steps:09d}-' for steps in passed)}{step:09d}.npz"


def paths(folder, stage, passed=None):
    """The checkpoints of a stage, the newest first; `passed` as in `newest`."""
    if passed is None:
        return sorted(folder.glob(f"{stage}-*.npz"), reverse=True)
    start = name(stage, 0, passed).removesuffix("000000000.npz")
    return sorted(folder.glob(f"{start}?????????.npz"), reverse=True)


def prune(folder, stage, keep, passed=()):
    """Deletes all but the last `keep` checkpoints of a stage, and those that began otherwise."""
    kept = paths(folder, stage, passed)[:keep]
    for path in paths(folder, stage):
        if path not in kept:
            path.unlink()


def _variables(model):
    """Every variable that the run's future depends on, by a name that is the same in each run."""
    means = {id(v) for metric in model.metrics for v in metric.variables}
    own = [v for v in model.variables if id(v) not in means]
    named = {f"model/{i:04d}": v for i, v in enumerate(own)}
    for objective, optimizer in model.optimizers.items():
        # The loss scale apart: a float16 run is opened for use in float32, where there is none.
        inner = getattr(optimizer, "inner_optimizer", optimizer).variables
        scale = [v for v in optimizer.variables if not any(v is other for other in inner)]
        named |= {f"optimizer/{objective}/{i:04d}": v for i, v in enumerate(inner)}
        named |= {f"scale/{objective}/{i:04d}": v for i, v in enumerate(scale)}
    return named


def _local(variable):
    """The replicas' own values of a variable that is summed up when it is read."""
    return tf.distribute.get_strategy().experimental_local_results(variable.value)
