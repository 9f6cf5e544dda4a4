"""Exact checkpoints: all that a run's future depends on, in one file that is whole or absent.

A file is a NumPy archive (`numpy.savez`), so each array in it carries a checksum: a damaged or
truncated file cannot be read by mistake. It holds the model's variables and seed generators, those
of every optimizer (moments, iterations, moving averages, loss scales), the running means of the
epoch and the rows of `history.csv`. The position in the data is the model's `step`.
"""

import json
import os
import warnings
import zipfile

import numpy as np
import tensorflow as tf

from tfgen import files
from tfgen.errors import InputError


class Diverged(RuntimeError):
    """A term or a variable is no longer a finite number."""


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
        file.flush()
        os.fsync(file.fileno())


def restore(path, model):
    """Reads into `model` what `save` wrote.

    Returns:
        The history rows, and a function without arguments that sets the running means: `fit`
        resets them when an epoch begins, so it is to be called right after.

    Raises:
        ValueError: the file is of another model.
    """
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    variables = _variables(model)
    for name, variable in variables.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            raise ValueError(f"{path} holds other variables than this model has: {name}")
    for name, variable in variables.items():
        variable.assign(arrays[name])

    def set_means():
        for name, array in arrays.items():
            if name.startswith("mean/"):
                term, i, replica = name.removeprefix("mean/").rsplit("/", 2)
                _local(model.mean(term).variables[int(i)])[int(replica)].assign(array)

    return json.loads(arrays["rows"].item()), set_means


def newest(folder, model, stage=0, passed=None):
    """Restores the newest whole checkpoint of a stage.

    A damaged one is told by a warning, and the one before it is used.

    Args:
        folder: of the checkpoints.
        model: of the stage.
        stage: its number.
        passed: the steps that the stages before have taken: only checkpoints that began after
            these count. None for the last that was begun.

    Returns:
        What `restore` gives, or None where there is no checkpoint yet.

    Raises:
        InputError: there are checkpoints, and all are damaged.
    """
    found = paths(folder, stage, passed)
    for path in found:
        try:
            return restore(path, model)
        except (zipfile.BadZipFile, OSError, ValueError, KeyError, EOFError) as error:
            warnings.warn(f"checkpoint {path} is damaged and is passed over: {error}", stacklevel=2)
    if found:
        raise InputError(
            f"all {len(found)} checkpoints in {folder} are damaged: "
            "delete the run's folder to train anew"
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
