"""Stages, and the one way a run is made, resumed and opened again."""

import contextlib
import inspect
import json
import math
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgen.runs import callbacks, checkpoints
from tfgen import figures, files
from tfgen.data import Data, load
from tfgen.runs.diagnostics import Diagnostics
from tfgen.endpoint import draw
from tfgen.errors import InputError
from tfgen.model import GenerativeModel


class Stage(NamedTuple):
    """One piece of a recipe: what is trained, on what, how, in which portions, how long.

    Attributes:
        model: a `GenerativeModel`.
        data: the `Data` whose elements its losses take.
        optimizer: `{objective: optimizer}`, or one optimizer of which each gets a copy.
        batch_size: rows of one update.
        epochs: how often all data are seen.
        steps_per_execution: steps that run in one call of `fit`, at most: some 10 where a step takes
            milliseconds, as Python's millisecond between two calls then counts.
    """

    model: GenerativeModel
    data: Data
    optimizer: object
    batch_size: int
    epochs: int
    steps_per_execution: int = 1

    def compile(self, **kwargs):
        """The model, compiled with the stage's optimizer; `kwargs` as in its `compile`."""
        self.model.compile(self.optimizer, **kwargs)
        return self.model

    @property
    def rows_per_step(self):
        """Rows of one step: `batch_size` for each update of the busiest objective."""
        return self.batch_size * self.model.updates_per_step

    @property
    def steps_per_epoch(self):
        return self.data.steps_per_epoch(self.rows_per_step)

    def batches(self, seed=0, start=0):
        """The endless stream of batches for `model.fit`, from step `start` on."""
        return self.data.batches(self.rows_per_step, seed, start)


class Recipe(NamedTuple):
    """A model of the zoo by name, with the function that yields its stages."""

    name: str
    function: Callable

    def settings(self, given):
        """All arguments of the recipe: its defaults, overridden by `given`.

        Args:
            given: `{key: value}`; a string is read as the type of the default.

        Raises:
            InputError: an unknown key, or a value of another type.
        """
        parameters = dict(list(inspect.signature(self.function).parameters.items())[1:])
        signature = ", ".join(f"{key}={p.default!r}" for key, p in parameters.items())
        settings = {key: p.default for key, p in parameters.items()}
        for key, value in given.items():
            if key not in settings:
                raise InputError(f"{self.name} has no {key!r}: its recipe takes {signature}")
            settings[key] = _read(self.name, key, value, settings[key])
        return settings


class Setup(NamedTuple):
    """How a recipe is carried out; none of it changes what is written in the recipe.

    Attributes:
        data: a name for `tfgen.load`.
        image_size: pixels, or None for the set's own.
        seed: of the weights, the order of the data and all noise.
        replicas: "auto" for all GPUs, or a number of devices.
        precision: a Keras dtype policy: float32, mixed_bfloat16 or mixed_float16.
    """

    data: str = "digits"
    image_size: int | None = None
    seed: int = 0
    replicas: str | int = "auto"
    precision: str = "float32"


PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def train(
    recipe,
    folder,
    given=None,
    setup=None,
    *,
    steps=None,
    minutes=10.0,
    keep=3,
    verbose=None,
    diagnose=False,
):
    """Trains a recipe into a run folder, or goes on with the run that is there.

    The folder gets `run.json`, `checkpoints/`, `samples/epoch_NNN.png`, `history.csv`,
    `losses.png` at the end, and `events/` for TensorBoard; the pictures and terms of later stages
    are in `stage_1/` and so on. A run that was stopped or killed ends with the same bits as one
    that was not, when the same call is made again.

    Args:
        recipe: a `Recipe`, as `zoo.find` gives it.
        folder: of the run.
        given: `{key: value}` for the recipe's arguments.
        setup: a `Setup`.
        steps: stop each stage after so many steps, rounded up to those that run together; None
            for all epochs.
        minutes: how long at most between two checkpoints.
        keep: how many checkpoints stay.
        verbose: as in `fit`: 1 for a bar, 2 for a line an epoch, 0 for silence; None for a bar on
            a terminal and lines elsewhere.
        diagnostics: whether a `Diagnostics` examines the model; it leaves `diagnostics.csv` and `diagnostics.png`.

    Returns:
        The model of the last stage, trained.

    Raises:
        InputError: settings that the recipe does not take, or other ones than the folder's.
        Diverged: a term became NaN or infinite; the last good checkpoint stays.
        KeyboardInterrupt: after Ctrl-C; the checkpoint of the last whole step is written.
    """
    folder, setup = pathlib.Path(folder), setup or Setup()
    if verbose is None:
        verbose = 1 if sys.stdout.isatty() else 2
    run = {"model": recipe.name, "settings": recipe.settings(given or {}), **setup._asdict()}
    _check(folder, run)
    if diagnose and "TF_CONFIG" in os.environ:
        raise InputError("diagnostics examine models on one machine, but TF_CONFIG names several")
    strategy = _strategy(setup.replicas)
    data = load(setup.data, setup.image_size)
    with _policy(setup.precision), strategy.scope():
        keras.utils.set_random_seed(setup.seed)
        for number, stage in enumerate(recipe.function(data, **run["settings"])):
            if stage.batch_size % strategy.num_replicas_in_sync:
                raise InputError(
                    f"batch_size={stage.batch_size} cannot be shared equally by "
                    f"{strategy.num_replicas_in_sync} replicas: give a multiple"
                )
            model = stage.compile(seed=setup.seed)
            if _is_chief() and not (folder / "run.json").exists():
                files.write_json(folder / "run.json", run | _origin())
            watching = [_diagnostics(folder, stage)] if diagnose else []
            _train_stage(folder, number, stage, setup.seed, steps, minutes, keep, verbose, watching)
            model.optimizer.hold = False
            model.optimizer.finalize_variable_values(None)
    return model


def open_run(folder, find):
    """Opens a run for use: its model in float32, with the weights of its newest checkpoint.

    Args:
        folder: of the run.
        find: from the name of a model to its `Recipe`: `zoo.find`.

    Returns:
        `(model, data)`; where the optimizer keeps moving averages, these are the weights.

    Raises:
        InputError: the folder is no run, or has no checkpoint yet.
    """
    folder = pathlib.Path(folder)
    run = _read_run(folder)
    if run is None:
        raise InputError(f"{folder} is no run: there is no run.json; make one with tfgen train")
    data = load(run["data"], run["image_size"])
    with _policy("float32"):
        keras.utils.set_random_seed(run["seed"])
        for number, stage in enumerate(find(run["model"]).function(data, **run["settings"])):
            model = stage.compile()
            found = checkpoints.newest(folder / "checkpoints", model, number)
            if found is None:
                raise InputError(f"{folder} has no checkpoint of stage {number} yet: train it")
            model.optimizer.finalize_variable_values(None)
    return model, data


def _train_stage(folder, number, stage, seed, steps, minutes, keep, verbose, watching=()):
    """Trains one stage from where its newest checkpoint left it."""
    model, per_epoch = stage.model, stage.steps_per_epoch
    found = checkpoints.newest(folder / "checkpoints", model, number)
    rows, set_means = found or ([], None)
    shown = folder / f"stage_{number}" if number else folder
    model.optimizer.hold = True  # moving averages stay apart until the last piece is done
    # A divisor, as `fit` would run over the end of an epoch by what remains; the same one in every
    # piece of a run, as it may change the last bit of a mean; and one by one on several machines,
    # where Keras fails to run more.
    most = 1 if "TF_CONFIG" in os.environ else stage.steps_per_execution
    together = max(n for n in range(1, most + 1) if per_epoch % n == 0)
    model.steps_per_execution = together
    total = stage.epochs * per_epoch
    if steps:
        total = min(total, math.ceil(steps / together) * together)
    while (step := int(model.step.numpy())) < total:
        epoch, offset = divmod(step, per_epoch)
        if offset == 0 and epoch < total // per_epoch:  # many whole epochs
            end, count = total // per_epoch, per_epoch
        else:  # what is missing of this one
            end, count = epoch + 1, min((epoch + 1) * per_epoch, total) - step
        history = callbacks.HistoryFile(shown / "history.csv", rows, per_epoch)
        saver = callbacks.Saver(
            folder / "checkpoints",
            number,
            history,
            set_means if offset else None,
            minutes,
            keep,
            _is_chief(),
        )
        pictures = [history, *_pictures(shown, stage)] if _is_chief() else []
        try:
            model.fit(
                stage.batches(seed, start=step),
                initial_epoch=epoch,
                epochs=end,
                steps_per_epoch=count,
                shuffle=False,
                verbose=verbose if _is_chief() else 0,
                callbacks=[*watching, callbacks.Guard(), *pictures, saver],
            )
        except checkpoints.Diverged as error:
            last = checkpoints.paths(folder / "checkpoints", number)[:1]
            kept = (
                f"the last good checkpoint is {last[0]}" if last else "no checkpoint was made yet"
            )
            raise checkpoints.Diverged(f"{error}; {kept}") from None
        finally:
            saver.release()
        rows, set_means = history.rows, None
    if rows and _is_chief():
        terms = [term for term in rows[0] if "/" in term]
        curves = figures.curves({term: [row[term] for row in rows] for term in terms})
        figures.save(curves, shown / "losses.png")


def _diagnostics(folder, stage):
    rows = min(Diagnostics.ROWS, len(stage.data.test))
    batch = next(iter(stage.data.batches(rows, split="test")))  # shuffled: some of each class
    return Diagnostics(batch, folder)


def _pictures(folder, stage):
    events = folder / "events"
    places = folder / "samples", events / "samples"
    if hasattr(stage.model, "preview"):
        pictures = callbacks.PreviewGrid(*places, stage.data.rows("test", 8))
    else:
        pictures = callbacks.SampleGrid(*places, background(stage.data))
    return [pictures, keras.callbacks.TensorBoard(events, write_graph=False)]


def background(data):
    """Rows of the data to draw behind generated points; None for images."""
    return data.rows("train", 1000)[0] if len(data.element.shape) == 1 else None


def _check(folder, run):
    """Checks that a folder is free or holds this run.

    Raises:
        InputError: the folder's run has other settings, or the folder holds something else.
    """
    before = _read_run(folder)
    if before is None:
        if _is_chief() and folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty and is no run: choose another folder")
        return
    now, then = ({**r["settings"], **r} for r in (json.loads(json.dumps(run)), before))
    keys = [key for key in now if key != "settings" and now[key] != then.get(key)]
    if keys:
        differences = ", ".join(f"{key}={now[key]!r} (there: {then.get(key)!r})" for key in keys)
        raise InputError(
            f"{folder} holds a run with other settings: {differences}; "
            "repeat its settings to go on with it, or choose another folder"
        )


def _read_run(folder):
    path = folder / "run.json"
    return json.loads(path.read_text()) if path.exists() else None


def _origin():
    """What else the bits of a run depend on: versions, machine, revision."""
    packages = ("tensorflow", "keras", "tensorflow-probability", "numpy")
    revision = subprocess.run(
        ["git", "-C", pathlib.Path(__file__).parent, "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "versions": {name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "threads": os.cpu_count(),
        "revision": revision.stdout.strip() or None,
    }


def _read(model, key, value, default):
    """A setting in the type of its default, and positive where the default is."""
    kind = type(default)
    try:
        value = {"true": True, "false": False}[str(value).lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        value = f"{value!r} is no {kind.__name__}"
        raise InputError(f"{model}: {key}={value}; the default is {default!r}") from None
    least = 1 if kind is int else 0
    if kind in (int, float) and default >= least and not least <= value < math.inf:
        raise InputError(f"{model}: {key}={value!r} is out of range; the default is {default!r}")
    return value


@contextlib.contextmanager
def _policy(precision):
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _strategy(replicas):
    """Several machines where TF_CONFIG names them, else the GPUs of this one, else its CPU."""
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = len(tf.config.list_physical_devices("GPU"))
    if replicas == "auto":
        replicas = max(1, gpus)
    if replicas == 1:
        return tf.distribute.get_strategy()
    if gpus >= replicas:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(replicas)])
    return _logical_cpus(replicas)


def _logical_cpus(count):
    """So many replicas on one CPU: slower than one, but of the same result, so for tests."""
    physical = tf.config.list_physical_devices("CPU")[0]
    with contextlib.suppress(RuntimeError):  # TensorFlow has started: take the devices there are
        tf.config.set_logical_device_configuration(
            physical, [tf.config.LogicalDeviceConfiguration()] * count
        )
    devices = [f"CPU:{i}" for i in range(count)]
    if len(tf.config.list_logical_devices("CPU")) < count:
        raise InputError(f"replicas={count}: TensorFlow has started with fewer logical devices")
    return tf.distribute.MirroredStrategy(
        devices, cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def _is_chief():
    """Whether this process writes: the first worker, or the only one."""
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"index": 0})
    return task.get("type") == "chief" or task["index"] == 0


def samples(model, count, seed=0, label=None, rows=250):
    """Draws from a model's `sample` endpoint, in portions of `rows`.

    Args:
        model: a `GenerativeModel`.
        count: how many.
        seed: int; the seeds are seed, seed + 1, …, so a larger count only adds to a smaller one.
        label: an int, the class of all; None for the classes in turn, where there are some.
        rows: of a portion; a multiple of the number of classes.

    Returns:
        `(float32 [count, ...], their Element)`.

    Raises:
        InputError: the model has no `sample` endpoint, or not this label.
    """
    if "sample" not in model.endpoints:
        raise InputError(f"this model samples nothing: it offers {', '.join(model.endpoints)}")
    endpoint = model.endpoints["sample"]
    element = endpoint.outputs[0]
    run = tf.function(
        lambda seeds: draw(endpoint, seeds, label), reduce_retracing=True, autograph=False
    )
    seeds = np.arange(seed, seed + count, dtype=np.int32)
    portions = [run(seeds[i : i + rows]).numpy() for i in range(0, count, rows)]
    return np.concatenate(portions), element
