"""What commands share: words to the user, pictures to files, arguments from text."""

import pathlib
import sys
from typing import Annotated

import typer
from rich.console import Console

from tfgen.errors import InputError

# A pipe or a file has no width: rich would cut the tables there at 80 columns.
console = Console(width=None if sys.stdout.isatty() else 200)
errors = Console(stderr=True)

Run = Annotated[pathlib.Path, typer.Argument(help="A run's folder, as made by train.")]


def say(text):
    """Prints text as it is: a path may hold brackets, and is to be copied in one piece."""
    console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


def fail(text, code):
    errors.print(f"tfgen: {text}", markup=False, highlight=False, emoji=False, soft_wrap=True)
    sys.exit(code)


def start_tensorflow():
    """Imports TensorFlow, without what it says of devices that are not there."""
    from tfgen.quiet import quiet

    with quiet():
        import tensorflow as tf

        tf.config.list_physical_devices()


def write(element, rows, out, reals=None, classes=0):
    """Rows as a .npy, as one picture (.png), or as a picture each, pixel by pixel, in a folder."""
    from tfgen import figures, files

    if out.suffix == ".npy":
        import numpy as np

        with files.replacing(out) as temporary:
            np.save(temporary, rows)
    elif out.suffix == ".png":
        figures.save(figures.draw(element, rows, reals, classes), out)
    elif len(element.shape) != 3:
        raise InputError(f"--out {out}: points are no pictures; give a .png or a .npy")
    else:
        for i, row in enumerate(rows):
            figures.save(figures.picture(row), out / f"{i:05d}.png")


def write_rows(images, out):
    """Images `[rows, columns, H, W, C]` as one picture."""
    from tfgen import figures

    figures.save(figures.table(images), out)


def deliver(model, data, to, out, name, **options):
    import export

    options |= {"classes": data.classes, "console": console}
    try:
        export.deliver(model, data, out, tuple(to.split(",")), name, **options)
    except export.DeliveryError as error:
        fail(f"nothing was delivered: {error}", 1)
    say(f"verified and delivered: {out}")


def pair(setting):
    key, equals, value = setting.partition("=")
    if not equals:
        raise InputError(f"{setting!r} is no key=value; write for example latent_dim=64")
    return key, value


def seeds(name, text):
    seeds = text.split(",")
    if not all(seed.strip().isdecimal() for seed in seeds):
        raise InputError(f"--{name} {text}: expected seeds with commas between them, like 0,1,2")
    return [int(seed) for seed in seeds]


def positive(name, text, word):
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--{name} {text}: expected {word} or a number from 1 on")
    return int(text)
