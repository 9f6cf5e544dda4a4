"""What commands share: words to the user, pictures to files, arguments from text."""

import contextlib
import errno
import math
import os
import pathlib
import signal
import sys
import warnings
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import zoo
from tfgen import quiet
from tfgen.errors import InputError, Note
from tfgen.runs import run_file

quiet.open_streams()  # before they are asked for their width
# A pipe or a file has no width: rich would cut the tables there at 80 columns.
console = Console(width=None if sys.stdout.isatty() else 200)
errors = Console(stderr=True)

Run = Annotated[
    pathlib.Path, typer.Argument(help="A run or packed model: a folder, zoo:NAME or hf:OWNER/NAME.")
]
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
ROWS = (*PICTURES, ".gif", ".npy")  # what rows are written as; a .gif is of videos
Picture = Annotated[pathlib.Path, typer.Option(help="A picture: .png, .jpg or .webp.")]
Rows = Annotated[
    pathlib.Path,
    typer.Option(help="A picture (.png, .jpg, .webp), a .npy, or a folder for a picture each."),
]
Seed = Annotated[
    int, typer.Option(help="Of the first; the others count on.", min=-(2**31), max=2**31 - 1)
]
Label = Annotated[
    str | None, typer.Option(help="A class by name or number, for models that are told one.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what is there; else it is an error.")
]


def say(text):
    """Prints text as it is: a path may hold brackets, and is to be copied in one piece."""
    console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


def fail(text, code):
    errors.print(f"tfgen: {text}", markup=False, highlight=False, emoji=False, soft_wrap=True)
    sys.exit(code)


@contextlib.contextmanager
def notes():
    """Prints each `Note` as a sentence; what libraries warn of is for their programmers."""

    def show(message, *others, **options):
        text = f"tfgen: note: {message}"
        errors.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", Note)
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def stopped_by_signals():
    """Ends a command by an exception, and the process with 128 and the number of the signal."""
    received, before = [], {}

    def stop(number, frame):
        received.append(number)
        # An exception within a destructor is lost; what has not ended by then is asked again.
        signal.alarm(5)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
            before[number] = signal.signal(number, stop)
    try:
        yield
    except BaseException as end:
        # Libraries may turn what ends them into an error of their own.
        if received and not (isinstance(end, SystemExit) and end.code in (None, 0)):
            sys.exit(128 + received[0])
        raise
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def told(error):
    """An exception as a sentence; None for one that no user can mend."""
    if type(error).__module__.startswith("tensorflow.") and hasattr(error, "message"):
        path, _, reason = error.message.splitlines()[0].rpartition("; ")
        if reason in map(os.strerror, errno.errorcode):  # of a file, as C++ tells it
            return f"{path}: {reason}"
        short = type(error).__name__ == "ResourceExhaustedError"
        return "there is not enough memory: take smaller settings" if short else None
    if not isinstance(error, InputError | OSError | MemoryError):
        return None
    if isinstance(error, MemoryError):
        return f"there is not enough memory: {str(error) or 'take fewer rows, or smaller ones'}"
    if isinstance(error, OSError) and error.filename is not None:
        in_the_way = error.errno in (errno.EEXIST, errno.ENOTDIR)
        reason = "a file is where a folder is wanted" if in_the_way else error.strerror
        return f"{error.filename}: {reason}"
    if isinstance(error, OSError) and error.errno:
        return f"the output cannot be written: {error.strerror}"
    return str(error)


@contextlib.contextmanager
def progress():
    """Gives what takes lines of progress, `tell(text, passing=False)`, and how often it wants them.

    A passing line is replaced by the next one on a terminal, and elsewhere stays.
    """
    if not console.is_terminal:
        yield (lambda text, passing=False: say(text)), 10.0
        return
    with console.status("") as status:

        def tell(text, passing=False):
            if passing:
                status.update(Text(text, no_wrap=True, overflow="ellipsis"))
            else:
                say(text)

        yield tell, 0.5


def start_tensorflow():
    """Imports TensorFlow, without what it says of devices that are not there."""
    with (
        progress() as (tell, _),
        quiet.waiting(tell, "TensorFlow is being loaded"),
        quiet.quiet(),
    ):
        import tensorflow as tf
        from absl import logging

        tf.config.list_physical_devices()
    for logger in (tf.get_logger(), logging.get_absl_logger()):
        logger.setLevel("ERROR")


@contextlib.contextmanager
def busy(what):
    """Says now and then that something takes long, and for how long it has."""
    with progress() as (tell, _), quiet.waiting(tell, what):
        yield


def open_model(run):
    """The model and the data of a run or packed model; what is none is told without TensorFlow."""
    if str(run).startswith("hf:"):
        start_tensorflow()
    folder = zoo.folder_of(run)
    if not folder.is_dir() or (folder / run_file.NAME).exists():
        run_file.found(folder)
    start_tensorflow()
    with busy(f"{run} is being opened"):
        return zoo.open_model(folder)


def class_number(option, text, data):
    """A class by its name, or by its number: an int, or None for None.

    Raises:
        InputError: it is no number, and no class of the data has this name.
    """
    names = list(data.classes)
    if text is None or text in names:
        return None if text is None else names.index(text)
    if text.removeprefix("-").isdecimal():
        return int(text)  # whether there is such a class, the model knows
    known = ", ".join(f"{i} ({name})" for i, name in enumerate(names[:12]))
    more = ", …" if len(names) > 12 else ""
    told = f"its classes are {known}{more}" if names else "there are no classes in its data"
    raise InputError(f"--{option} {text}: {told}")


def class_words(number, data):
    """A class for users, with its name where this is not its number."""
    name = data.classes[number] if number < len(data.classes) else str(number)
    return f"class {number}" if name == str(number) else f"class {number} ({name})"


def check_rows(count, element):
    """Checks, before any is drawn, that so many rows fit into memory.

    Raises:
        InputError: they would need more than half of it.
    """
    from tfgen.data.image_files import memory

    size = math.prod(length or 1 for length in element.shape)  # a free one is not known yet
    needed, limit = 2 * 4 * count * size, memory() // 2
    if needed > limit:
        raise InputError(
            f"{count:,} rows of {list(element.shape)} need {needed / 2**30:,.1f} GiB, and half of "
            f"the memory here is {limit / 2**30:.1f} GiB: take fewer"
        )


def check_out(out, overwrite, kinds=None, count=0):
    """Checks, before the work begins, that `--out` can be written and that nothing there is lost.

    Args:
        out: a path, of a file; without a suffix, where `count` is given, of a folder.
        overwrite: whether a file that is there may be replaced.
        kinds: the suffixes that are known; None for any.
        count: how many rows a folder would get, a file each; 0 where it has to be a file.

    Raises:
        InputError: another suffix, a file in the way, or a file that would be lost.
    """
    folder = count and not out.suffix
    if kinds and not folder and out.suffix.lower() not in kinds:
        others = " or a folder without a suffix" if count else ""
        raise InputError(f"--out {out}: expected {', '.join(kinds)}{others}")
    if not folder and out.is_dir():
        raise InputError(f"{out} is a folder: give the name of a file")
    above = next(path for path in [out, *out.absolute().parents] if path.exists())
    if not above.is_dir() and (folder or above != out):
        raise InputError(f"{out}: {above} is a file, where a folder is wanted")
    if overwrite:
        return
    there = sorted(out.iterdir()) if out.is_dir() else [out]
    for file in there:
        ours = not folder or (file.stem.isdecimal() and file.name == name_of(int(file.stem)))
        if file.is_file() and ours and (not folder or int(file.stem) < count):
            raise InputError(f"{file} exists already: give another place, or --overwrite")


def write(element, rows, out, background=None, classes=0):
    """Rows as a .npy, as one picture, as a .gif that moves, or as a picture each in a folder.

    `background` has keywords for `figures.draw`. A picture of a folder is pixel by pixel.
    """
    from tfgen import figures, files

    if out.suffix.lower() == ".npy":
        import numpy as np

        with files.replacing(out) as temporary:
            np.save(temporary, rows)
    elif out.suffix.lower() == ".gif":
        if element.kind != "videos":
            raise InputError(f"--out {out}: {element.kind} do not move; give a .png")
        figures.save(figures.animation(rows), out)
    elif out.suffix:
        figures.save(figures.draw(element, rows, classes=classes, **background or {}), out)
    else:
        pictures = figures.cells(element, rows)
        with files.making(out) as folder:
            for i, row in enumerate(pictures):
                figures.picture(row).save(folder / name_of(i))


def name_of(row):
    """The file of a row in a folder."""
    return f"{row:05d}.png"


def write_rows(images, out):
    """Images `[rows, columns, H, W, C]` as one picture."""
    from tfgen import figures

    figures.save(figures.table(images), out)


def deliver(model, data, to, out, name, **options):
    import export

    options |= {"classes": data.classes, "console": console}
    try:
        with busy("delivering"):
            export.deliver(model, data, out, tuple(to.split(",")), name, **options)
    except export.DeliveryError as error:
        fail(f"nothing was delivered: {error}", 1)
    say(f"verified and delivered: {out}")


def usual_folder(what, data):
    """Where a run or a study goes if nobody says: a `pathlib.Path`."""
    return pathlib.Path("runs") / f"{what}-{data.replace(':', '-').replace('/', '-')}"


def pair(setting):
    key, equals, value = setting.partition("=")
    if not equals:
        raise InputError(f"{setting!r} is no key=value; write for example latent_dim=64")
    return key, value


def seeds(name, text):
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        told = f"--{name} {text}: expected seeds with commas between them, like 0,1,2"
        raise InputError(told) from None


def above_zero(value: float):
    """A number of minutes, as a callback of typer."""
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"{value:g} is no time: give a number above 0.")
    return value


def positive(name, text, word):
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--{name} {text}: expected {word} or a number from 1 on")
    return int(text)
