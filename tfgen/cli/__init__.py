"""The front door: `tfgen`. TensorFlow is imported inside the commands that need it."""

import os
import sys

import typer

from tfgen.cli import datasets, delivering, measuring, models, sharing, training, using
from tfgen.cli.shared import fail, notes, stopped_by_signals, told
from tfgen.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Generative models for TensorFlow and Keras 3: train, look, deliver.",
)
for group in (models, training, using, measuring, delivering, sharing):
    app.add_typer(group.app)
app.add_typer(
    datasets.app, name="data", no_args_is_help=True, help="The data sets: list them, look at them."
)


def main():
    """Runs the command; what the user can mend ends in one sentence and code 2.

    Ctrl-C, SIGTERM and SIGHUP end it with 130, 143 and 129, when nothing half-made is left.
    """
    # TensorFlow's own log tells of devices and instruction sets, none of which is news.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MPLBACKEND", "agg")
    with notes(), stopped_by_signals():
        try:
            try:
                app()
            finally:
                sys.stdout.flush()
        except (InputError, OSError, MemoryError) as error:
            fail(told(error), 2)
