"""The one way a run is made and resumed."""

import json
import math
import os
import pathlib
import platform
import subprocess
import sys
from importlib import metadata

import keras

from tfgen import figures, files
from tfgen.data import Data, load
from tfgen.data.data import changes, matched
from tfgen.errors import InputError
from tfgen.runs import callbacks, checkpoints, devices, opening
from tfgen.runs.diagnostics import Diagnostics
from tfgen.runs.recipes import Setup


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
        diagnose: whether `Diagnostics` examine the model; they leave `diagnostics.csv` and
            `diagnostics.png`.

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
    own = isinstance(setup.data, Data)
    name = setup.data.name if own else setup.data
    settings = recipe.settings(given or {})
    run = {
        "model": recipe.name,
        "settings": settings,
        **setup._asdict(),
        "data": name,
        "arrays": own,
    }
    before = _check(folder, run)
    if diagnose and "TF_CONFIG" in os.environ:
        raise InputError("diagnostics examine models on one machine, but TF_CONFIG names several")
    strategy = devices.strategy(setup.replicas)
    data = setup.data if own else load(setup.data, setup.image_size)
    if own and setup.image_size:
        data = data.resized(setup.image_size)
    if setup.mirror:
        data = data.mirrored
    if before:
        if changed := changes(before["described"], data):
            raise InputError(
                f"the data {name!r} have changed since {folder} began: {'; '.join(changed)}. "
                "Put them back to go on, or choose another folder"
            )
        data = matched(before["described"], data)
    passed = []
    with devices.policy(setup.precision), strategy.scope():
        for number, stage in enumerate(recipe.stages(data, settings, setup.seed)):
            if stage.batch_size % strategy.num_replicas_in_sync:
                raise InputError(
                    f"batch_size={stage.batch_size} cannot be shared equally by "
                    f"{strategy.num_replicas_in_sync} replicas: give a multiple"
                )
            model = stage.compile(seed=setup.seed)
            if devices.is_chief() and not (folder / "run.json").exists():
                files.write_json(
                    folder / "run.json", run | {"described": data.describe()} | _origin()
                )
            watching = [_diagnostics(folder, stage)] if diagnose else []
            _train_stage(
                folder, number, stage, passed, setup.seed, steps, minutes, keep, verbose, watching
            )
            passed.append(int(model.step.numpy()))
            model.optimizer.hold = False
            model.optimizer.finalize_variable_values(None)
    return model


def _train_stage(folder, number, stage, passed, seed, steps, minutes, keep, verbose, watching=()):
    """Trains one stage from where its newest checkpoint left it.

    If the stages before it have gone on since it began, it begins anew, as in one longer run.
    """
    model, per_epoch = stage.model, stage.steps_per_epoch
    found = checkpoints.newest(folder / "checkpoints", model, number, passed)
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
            passed,
            devices.is_chief(),
        )
        pictures = [history, *_pictures(shown, stage)] if devices.is_chief() else []
        try:
            model.fit(
                stage.batches(seed, start=step),
                initial_epoch=epoch,
                epochs=end,
                steps_per_epoch=count,
                shuffle=False,
                verbose=verbose if devices.is_chief() else 0,
                callbacks=[*watching, callbacks.Guard(), *pictures, saver],
            )
        except checkpoints.Diverged as error:
            last = checkpoints.paths(folder / "checkpoints", number, passed)[:1]
            kept = (
                f"the last good checkpoint is {last[0]}" if last else "no checkpoint was made yet"
            )
            raise checkpoints.Diverged(f"{error}; {kept}") from None
        finally:
            saver.release()
        rows, set_means = history.rows, None
    if rows and devices.is_chief():
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
    pictures = []
    if hasattr(stage.model, "preview"):
        pictures = [callbacks.PreviewGrid(*places, stage.data.batch("test", 8))]
    elif "sample" in stage.model.endpoints:
        pictures = [callbacks.SampleGrid(*places, opening.background(stage.data))]
    return [*pictures, keras.callbacks.TensorBoard(events, write_graph=False)]


def _check(folder, run):
    """Checks that a folder is free or holds this run; what its `run.json` says, or None.

    Raises:
        InputError: the folder's run has other settings, or the folder holds something else.
    """
    before = opening.read_run(folder)
    if before is None:
        if devices.is_chief() and folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty and is no run: choose another folder")
        return None
    now, then = ({**r["settings"], **r} for r in (json.loads(json.dumps(run)), before))
    keys = [key for key in now if key != "settings" and now[key] != then.get(key)]
    if keys:
        differences = ", ".join(f"{key}={now[key]!r} (there: {then.get(key)!r})" for key in keys)
        raise InputError(
            f"{folder} holds a run with other settings: {differences}; "
            "repeat its settings to go on with it, or choose another folder"
        )
    return before


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
