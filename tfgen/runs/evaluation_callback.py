"""A metric every few epochs of a training, and the checkpoint that was best by it."""

import json
import math
import pathlib

import keras
import numpy as np

from tfgen.runs import checkpoints


class EvaluationCallback(keras.callbacks.Callback):
    """Measures the model under `fit`, logs the numbers with the epoch's, and keeps the best.

    It comes before the callbacks that are to see the numbers: `CSVLogger`, `TensorBoard`,
    `ReduceLROnPlateau`. An epoch that is not measured has NaN for them, so that each epoch has
    the same columns. Where an optimizer keeps moving averages, these are the weights measured.

    Args:
        evaluate: from the model to `{name: float}`.
        every: epochs. The first one is measured in any case, then each `every`-th.
        name: the numbers are logged as `NAME/...`.
        best: a file, `best.npz`, for the checkpoint whose `monitor` is best; or None for none.
            `restore` reads it. A resumed training goes on with the best that is there.
        monitor: a name of `evaluate`; by default its first.
        mode: "min" or "max", what is best.

    Raises:
        ValueError: another mode, or a monitor that `evaluate` does not give.
    """

    def __init__(self, evaluate, every=1, name="evaluation", best=None, monitor=None, mode="min"):
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"mode={mode!r} is not min or max")
        self.evaluate, self.every, self.name, self.mode = evaluate, every, name, mode
        self.best, self.monitor = best and pathlib.Path(best), monitor
        self.value = -math.inf if mode == "max" else math.inf
        self.names = ()

    def on_train_begin(self, logs=None):
        if self.best and self.best.exists():
            with np.load(self.best) as archive:
                row = json.loads(archive["rows"].item())[-1]
            self.names = [key for key in row if key != "epoch"]
            self.value = row[self.monitor or self.names[0]]

    def on_epoch_end(self, epoch, logs=None):
        measured = not self.names or (epoch + 1) % self.every == 0
        numbers = self._measure(epoch) if measured else dict.fromkeys(self.names, math.nan)
        logs |= {f"{self.name}/{key}": value for key, value in numbers.items()}

    def _measure(self, epoch):
        self.model.optimizer.swap()
        numbers = {key: float(value) for key, value in self.evaluate(self.model).items()}
        self.model.optimizer.swap()
        self.names = list(numbers)
        monitor = self.monitor or self.names[0]
        if monitor not in numbers:
            raise ValueError(f"monitor={monitor!r} is not one of {', '.join(numbers)}")
        value = numbers[monitor]
        better = value > self.value if self.mode == "max" else value < self.value
        if better:
            self.value = value
            if self.best:
                checkpoints.save(self.best, self.model, [{"epoch": epoch + 1} | numbers])
        return numbers


def restore(path, model):
    """Puts the weights of the best checkpoint into a model of the same recipe, compiled.

    Args:
        path: as `EvaluationCallback.best`.
        model: a `GenerativeModel`; with its moving averages as weights, where there are some.

    Returns:
        What was measured there: `{"epoch": int, name: float, ...}`.

    Raises:
        ValueError: the file is of another model.
    """
    rows, _ = checkpoints.restore(path, model)
    model.optimizer.finalize_variable_values(None)
    return rows[-1]
