"""The front door: `tfgen`. TensorFlow is imported inside the commands that need it."""

import os
import sys
from typing import Annotated

import typer

from tfgen import __version__
from tfgen.cli import datasets, delivering, measuring, models, sharing, training, using
from tfgen.cli.shared import fail, notes, say, stopped_by_signals, told

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)
for group in (models, training, using, measuring, delivering, sharing):
    app.add_typer(group.app)
app.add_typer(
    datasets.app, name="data", no_args_is_help=True, help="The data sets: list them, look at them."
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
):
    """Generative models for TensorFlow and Keras 3: train, look, deliver."""
    if version:
        say(f"tfgen {__version__}")
        raise typer.Exit


def main():
    """Runs the command; what the user can mend ends in one sentence and code 2.

    Ctrl-C, SIGTERM and SIGHUP end it with 130, 143 and 129, when nothing half-made is left.
    """
    # TensorFlow's own log tells of devices and instruction sets, none of which is news.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MPLBACKEND", "agg")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever else Keras is used for here
    with notes(), stopped_by_signals():
        try:
            try:
                app()
            finally:
                sys.stdout.flush()
        except Exception as error:
            sentence = told(error)
            if sentence is None:
                raise
            fail(sentence, 2)
