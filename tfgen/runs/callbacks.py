"""What a run does beside training: watch, write down, draw, save."""

import contextlib
import csv
import math
import signal
import threading
import time

import keras
import numpy as np
import tensorflow as tf

from tfgen import figures, files
from tfgen.endpoint import affordable, classes, draw
from tfgen.quiet import waiting
from tfgen.runs import checkpoints
from tfgen.runs.checkpoints import Diverged


class Guard(keras.callbacks.Callback):
    """Stops at the first term that is no longer a finite number.

    Raises:
        Diverged: names the term and the step, exactly where one step runs at a time.
    """

    def on_train_batch_end(self, batch, logs=None):
        for term, value in logs.items():
            if not math.isfinite(value):
                step = int(self.model.step.numpy())
                advice = self.model.if_diverged and f": {self.model.if_diverged}"
                raise Diverged(f"{term} became {value} at step {step} or just before{advice}")


class HistoryFile(keras.callbacks.Callback):
    """`history.csv`: a row an epoch, the means of all terms.

    Args:
        path: of the file.
        rows: those of the epochs before, of which the file is made anew.
        steps_per_epoch: the steps of a whole epoch; a row of part of one is not kept for later.
    """

    def __init__(self, path, rows, steps_per_epoch):
        super().__init__()
        self.path, self.rows, self.steps_per_epoch = path, rows, steps_per_epoch

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, "step": int(self.model.step.numpy())}
        row |= {term: float(np.squeeze(value)) for term, value in sorted(logs.items())}
        rows = [*self.rows, row]
        if row["step"] % self.steps_per_epoch == 0:
            self.rows = rows
        with files.replacing(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)


class SampleGrid(keras.callbacks.Callback):
    """A picture an epoch of what the model makes of the seeds 0, 1, 2, …

    Args:
        folder: for `epoch_NNN.png`.
        events: the folder for TensorBoard, which shows the same pictures.
        background: keywords for `figures.draw`, as `opening.background` gives them.
        count: how many samples; where there are classes, as many of each as come nearest.
    """

    def __init__(self, folder, events, background=None, count=64):
        super().__init__()
        self.folder, self.events, self.count = folder, events, count
        self.background = background or {}

    def on_train_begin(self, logs=None):
        self.endpoint = self.model.endpoints["sample"]
        self.classes = classes(self.endpoint)
        self.count = affordable(self.endpoint, self.count)
        if self.classes:
            self.count = max(1, round(self.count / self.classes)) * self.classes
        self.sample = tf.function(lambda seeds: draw(self.endpoint, seeds), autograph=False)
        self.writer = tf.summary.create_file_writer(str(self.events))

    def picture(self):
        """What the model makes now, a `PIL.Image`."""
        samples = self.sample(tf.range(self.count)).numpy()
        element = self.endpoint.outputs[0]
        return figures.draw(element, samples, classes=self.classes, **self.background)

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.swap()
        picture = self.picture()
        self.model.optimizer.swap()
        figures.save(picture, self.folder / f"epoch_{epoch + 1:03d}.png")
        with self.writer.as_default():
            tf.summary.image("samples", np.array(picture.convert("RGB"))[None], step=epoch)
        self.writer.flush()


class PreviewGrid(SampleGrid):
    """Rows of test data and what the model's `preview` makes of them, a column each.

    Args:
        folder: for `epoch_NNN.png`.
        events: the folder for TensorBoard, which shows the same pictures.
        batch: what `preview` takes: arrays of rows, the same each time.
    """

    def __init__(self, folder, events, batch):
        super().__init__(folder, events)
        self.batch = batch

    def on_train_begin(self, logs=None):
        self.preview = tf.function(self.model.preview, autograph=False)
        self.writer = tf.summary.create_file_writer(str(self.events))

    def picture(self):
        return figures.columns([column.numpy() for column in self.preview(self.batch)])


class Begin(keras.callbacks.Callback):
    """Calls `begin()` when the first step is done: before, nothing is there to be kept."""

    def __init__(self, begin):
        super().__init__()
        self.begin = begin

    def on_train_batch_end(self, batch, logs=None):
        if self.begin:
            self.begin()
            self.begin = None


class Progress(keras.callbacks.Callback):
    """Tells every few seconds how far a training is, and how long it will go on.

    Args:
        say: takes a line, and `passing=True` where the next one may replace it.
        total: the steps of the training.
        per_epoch: the steps of an epoch.
        seconds: between two lines.
    """

    def __init__(self, say, total, per_epoch, seconds=10.0):
        super().__init__()
        self.say, self.total, self.per_epoch, self.seconds = say, total, per_epoch, seconds
        self.first = None  # when the first step was done, which was compiled, and its number
        self.compiling = contextlib.ExitStack()

    def on_train_begin(self, logs=None):
        if self.first is None:
            self.compiling.enter_context(waiting(self.say, "the first step is being compiled"))

    def close(self):
        """Ends what waits for the first step."""
        self.compiling.close()

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self.first is None:
            self.close()
            self.first, self.told = (now, int(self.model.step.numpy())), now
        elif now - self.told >= self.seconds:
            self.told = now
            self._tell(now, logs)

    def _tell(self, now, logs):
        step = int(self.model.step.numpy())
        began, start = self.first
        left = (self.total - step) * (now - began) / max(1, step - start)
        terms = ", ".join(f"{term} {float(np.squeeze(v)):.4g}" for term, v in sorted(logs.items()))
        epochs = math.ceil(self.total / self.per_epoch)
        self.say(
            f"epoch {min(step // self.per_epoch + 1, epochs)} of {epochs}, step {step:,} of "
            f"{self.total:,}, {duration(left)} left: {terms}",
            passing=True,
        )


def duration(seconds):
    """Seconds in words: 42 s, 3:05 min, 2:10 h."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 100:
        return f"{minutes}:{seconds:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


class Saver(keras.callbacks.Callback):
    """Exact checkpoints: at the end of each epoch, every few minutes, and when asked to stop.

    Ctrl-C (SIGINT), SIGTERM and SIGHUP let the step end, save, and are then raised again for whom
    they belonged to: Ctrl-C gives `KeyboardInterrupt`. A second one does not wait.

    Args:
        folder: for the files.
        stage: the number of the stage, an int.
        history: the `History`, whose rows are saved with the model.
        set_means: sets the running means of a resumed epoch, or None.
        minutes: how long at most between two checkpoints.
        keep: how many stay.
        passed: the steps of the stages before, as `checkpoints.name` takes them.
        writes: whether this process writes; of several workers only the first does.
    """

    def __init__(self, folder, stage, history, set_means, minutes, keep, passed=(), writes=True):
        super().__init__()
        self.folder, self.stage, self.history = folder, stage, history
        self.set_means, self.minutes, self.keep = set_means, minutes, keep
        self.writes, self.stopping, self.handlers = writes, None, {}
        self.passed = list(passed)

    def on_train_begin(self, logs=None):
        self.saved = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
                    self.handlers[number] = signal.signal(number, self._stop)

    def on_epoch_begin(self, epoch, logs=None):
        if self.set_means:
            self.set_means()
            self.set_means = None

    def on_train_batch_end(self, batch, logs=None):
        if self.stopping or time.monotonic() - self.saved > 60 * self.minutes:
            self._save()
        if self.stopping:
            signal.raise_signal(self.stopping)

    def on_epoch_end(self, epoch, logs=None):
        self._save()
        if self.stopping:
            signal.raise_signal(self.stopping)

    def release(self):
        """Gives the signals back to whom they belonged."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _stop(self, number, frame):
        self.stopping = number
        signal.signal(number, self.handlers[number])

    def _save(self):
        if self.writes:
            step = int(self.model.step.numpy())
            path = self.folder / checkpoints.name(self.stage, step, self.passed)
            checkpoints.save(path, self.model, self.history.rows)
            checkpoints.prune(self.folder, self.stage, self.keep, self.passed)
        self.saved = time.monotonic()
