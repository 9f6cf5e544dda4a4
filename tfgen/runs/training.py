"""The one way a run is made and resumed."""

import contextlib
import math
import pathlib
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import keras

from tfgen import figures
from tfgen.data import Data, load
from tfgen.data.data import changes, matched
from tfgen.errors import InputError, note
from tfgen.runs import callbacks, checkpoints, devices, folders, opening, run_file, starting
from tfgen.runs.diagnostics import Diagnostics, collapse
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
    say=None,
    every=10.0,
    weights=None,
):
    """Trains a recipe into a run folder, or goes on with the run that is there.

    The folder gets `run.json`, `checkpoints/`, `samples/epoch_NNN.png`, `history.csv`,
    `losses.png` at the end, and `events/` for TensorBoard; the pictures and terms of later stages
    are in `stage_1/` and so on. A run that was stopped or killed ends with the same bits as one
    that was not, when the same call is made again. With more epochs a run goes on, as one of so
    many epochs from the start would have, unless its optimizer depends on their number.

    While it trains, no other process can train there. What is refused, or stops before the first
    step is done, leaves nothing behind.

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
        say: takes lines about what is trained and how far it is, in place of those of `fit`; with
            `passing=True` one that the next may replace.
        every: seconds between two lines of progress.
        weights: gives `{name: array}` for `setup.start`, as `starting.weights_of`; None for what
            lies in this folder, a packed model or a run of the same recipe.

    Returns:
        The model of the last stage, trained.

    Raises:
        InputError: settings that the recipe does not take, or other ones than the folder's.
        Diverged: a term became NaN or infinite; the last good checkpoint stays.
        KeyboardInterrupt: after Ctrl-C; the checkpoint of the last whole step is written.
    """
    folder, setup = pathlib.Path(folder), setup or Setup()
    cluster = devices.cluster()
    if say or not cluster.is_chief:
        verbose = 0
    elif verbose is None:
        verbose = 1 if sys.stdout.isatty() else 2
    if diagnose and cluster.workers > 1:
        raise InputError("diagnostics examine models on one machine, but TF_CONFIG names several")
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
    with folders.claimed(folder) if cluster.is_chief else contextlib.nullcontext():
        before = folders.check(folder, run, recipe.settings({}))
        strategy = devices.strategy(setup.replicas)  # before TensorFlow works on anything
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
        longer = before and settings.get("epochs") != before["settings"].get("epochs")
        if longer:
            _check_longer(recipe, folder, data, settings, before)
        first = None
        if setup.start and not before:
            first = weights() if weights else starting.weights_of(setup.start, recipe.same)
        begin = None
        if cluster.is_chief and (longer or not before):
            written = before or run | {"described": data.describe()} | folders.origin()
            begin = callbacks.Begin(
                lambda: run_file.write(folder, written | {"settings": settings})
            )
        job = _Job(
            folder, setup.seed, cluster, steps, minutes, keep, verbose, diagnose, begin, say, every
        )
        passed, trained = [], 0
        with devices.policy(setup.precision), strategy.scope():
            for number, stage in enumerate(recipe.stages(data, settings, setup.seed)):
                _check_stage(stage, strategy.num_replicas_in_sync)
                model = stage.compile(seed=setup.seed)
                if first is not None and number == 0:
                    starting.start(model, first, setup.start)
                trained += job.train(number, stage, passed)
                passed.append(int(model.step.numpy()))
                model.optimizer.hold = False
                model.optimizer.finalize_variable_values(None)
        if say and not trained:
            say(f"{folder} has all its steps already: more epochs or steps would go on with it")
        if say and (found := collapse(model, stage.data)):
            note(f"{folder}: {found}")
    return model


def _check_stage(stage, replicas):
    """Checks what a stage asks for, before it begins.

    Raises:
        InputError: the batch cannot be had or shared, or an optimizer would not move or diverge.
    """
    if stage.batch_size % replicas:
        raise InputError(
            f"batch_size={stage.batch_size} cannot be shared equally by {replicas} replicas: give "
            "a multiple"
        )
    _ = stage.steps_per_epoch  # raises, where the data have fewer rows
    if stage.data.has_domains and not any(
        name.startswith("translate") for name in stage.model.endpoints
    ):
        raise InputError(
            f"{stage.data.name} has images of two domains, but this model takes one: choose other "
            "data, or a model that translates, such as pix2pix or cyclegan"
        )
    for config in _optimizers(stage).values():
        rate = config.get("learning_rate")
        if isinstance(rate, float) and rate <= 0:
            raise InputError(f"a learning rate of {rate:g} moves nothing: give a larger one")
        for key in ("beta_1", "beta_2", "momentum", "rho"):
            if not 0 <= (config.get(key) or 0) < 1:
                raise InputError(
                    f"{key}={config[key]:g} makes no optimizer: give a number from 0 on, below 1"
                )


def _optimizers(stage):
    """`{objective: configuration}` of a stage's optimizers."""
    several = stage.optimizer if isinstance(stage.optimizer, dict) else {"": stage.optimizer}
    return {
        objective: {k: v for k, v in optimizer.get_config().items() if k != "name"}
        for objective, optimizer in several.items()
        if optimizer is not None
    }


def _check_longer(recipe, folder, data, settings, before):
    """Checks that a run can have more epochs, as if it had them from the start.

    Raises:
        InputError: its stages say otherwise, as where a learning rate falls over the epochs.
    """
    then = recipe.settings(before["settings"])
    pairs = (recipe.function(data, **chosen) for chosen in (settings, then))
    for longer, shorter in zip(*pairs, strict=True):
        longer, shorter = longer.built(), shorter.built()
        optimizers, values = (
            [read(stage) for stage in (longer, shorter)] for read in (_optimizers, _plain)
        )
        if optimizers[0] != optimizers[1] or values[0] != values[1]:
            what = "its optimizers depend" if values[0] == values[1] else "it depends"
            raise InputError(
                f"{folder} was made for {then['epochs']} epochs, and {what} on their number, as a "
                "learning rate does that has fallen to its end: it cannot go on as a run of "
                f"{settings['epochs']} would have. Train that one in another folder"
            )


def _plain(stage):
    """The numbers and names that a model keeps as attributes."""

    def is_plain(value):
        if isinstance(value, tuple):
            return all(map(is_plain, value))
        return isinstance(value, bool | int | float | str | None)

    return {
        key: value
        for key, value in vars(stage.model).items()
        if is_plain(value) and not key.startswith("_") and key != "name"
    }


class _Job(NamedTuple):
    """What the stages of a training have in common; see `train`."""

    folder: pathlib.Path
    seed: int
    cluster: devices.Cluster
    steps: int | None
    minutes: float
    keep: int
    verbose: int
    diagnose: bool
    begin: callbacks.Begin | None
    say: Callable | None
    every: float

    def train(self, number, stage, passed):
        """Trains one stage from where its newest checkpoint left it; gives the steps it took.

        If the stages before it have gone on since it began, it begins anew, as in one longer run.
        """
        model, per_epoch, writes = stage.model, stage.steps_per_epoch, self.cluster.is_chief
        found = checkpoints.newest(self.folder / "checkpoints", model, number, passed)
        rows, set_means = found or ([], None)
        shown = self.folder / f"stage_{number}" if number else self.folder
        model.optimizer.hold = True  # moving averages stay apart until the last piece is done
        # A divisor, as `fit` would run over the end of an epoch by what remains; the same one in
        # every piece of a run, as it may change the last bit of a mean; and one by one on several
        # machines, where Keras fails to run more.
        most = 1 if self.cluster.workers > 1 else stage.steps_per_execution
        together = max(n for n in range(1, most + 1) if per_epoch % n == 0)
        model.steps_per_execution = together
        total = stage.epochs * per_epoch
        if self.steps:
            total = min(total, math.ceil(self.steps / together) * together)
        started, began = int(model.step.numpy()), time.monotonic()
        examined = [_diagnostics(self.folder, stage, self.say)] if self.diagnose else []
        watching = [*examined, callbacks.Guard(), *([self.begin] if self.begin else [])]
        if self.say and started < total:
            self.say(_about(number, stage, total, started))
            progress = callbacks.Progress(self.say, total, per_epoch, self.every)
            watching.append(progress)
        while (step := int(model.step.numpy())) < total:
            epoch, offset = divmod(step, per_epoch)
            if offset == 0 and epoch < total // per_epoch:  # many whole epochs
                end, count = total // per_epoch, per_epoch
            else:  # what is missing of this one
                end, count = epoch + 1, min((epoch + 1) * per_epoch, total) - step
            history = callbacks.HistoryFile(shown / "history.csv", rows, per_epoch)
            saver = callbacks.Saver(
                self.folder / "checkpoints",
                number,
                history,
                set_means if offset else None,
                self.minutes,
                self.keep,
                passed,
                writes,
            )
            pictures = [history, *_pictures(shown, stage)] if writes else []
            try:
                model.fit(
                    stage.batches(self.seed, start=step),
                    initial_epoch=epoch,
                    epochs=end,
                    steps_per_epoch=count,
                    shuffle=False,
                    verbose=self.verbose,
                    callbacks=[*watching, *pictures, saver],
                )
            except checkpoints.Diverged as error:
                last = checkpoints.paths(self.folder / "checkpoints", number, passed)[:1]
                kept = (
                    f"the last good checkpoint is {last[0]}"
                    if last
                    else "no checkpoint was made yet"
                )
                raise checkpoints.Diverged(f"{error}; {kept}") from None
            finally:
                saver.release()
                if self.say:
                    progress.close()
            rows, set_means = history.rows, None
        if rows and writes:
            terms = [term for term in rows[0] if "/" in term]
            curves = figures.curves({term: [row[term] for row in rows] for term in terms})
            figures.save(curves, shown / "losses.png")
        for diagnostics in examined if started < total else []:
            diagnostics.conclude()
        if self.say and started < total:
            took = callbacks.duration(time.monotonic() - began)
            self.say(f"{total - started:,} steps in {took}")
        return total - started


def _about(number, stage, total, started):
    """What is trained, on what and how long: a line for users."""
    model, data = stage.model, stage.data
    passing = {id(v) for metric in model.metrics for v in metric.variables} | {id(model.step)}
    count = sum(math.prod(v.shape) for v in model.variables if id(v) not in passing)
    parts = {n.name: n.count_params() for o in model.objectives.values() for n in o.networks}
    of = f" ({', '.join(f'{n} {c:,}' for n, c in parts.items())})" if len(parts) > 1 else ""
    return (
        f"{f'stage {number}: ' if number else ''}{count:,} parameters{of}; {data.name}: "
        f"{data.size:,} rows, {stage.steps_per_epoch:,} steps an epoch; step {started:,} of "
        f"{total:,}"
    )


def _diagnostics(folder, stage, say):
    rows = min(Diagnostics.ROWS, stage.data.size_of("test"))
    batch = next(iter(stage.data.batches(rows, split="test")))  # shuffled: some of each class
    return Diagnostics(batch, folder, say=say or print)


def _pictures(folder, stage):
    events = folder / "events"
    places = folder / "samples", events / "samples"
    pictures = []
    if hasattr(stage.model, "preview"):
        pictures = [callbacks.PreviewGrid(*places, stage.data.batch("test", 8))]
    elif "sample" in stage.model.endpoints:
        pictures = [callbacks.SampleGrid(*places, opening.background(stage.data))]
    return [*pictures, keras.callbacks.TensorBoard(events, write_graph=False)]
