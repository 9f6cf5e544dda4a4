"""What a process says: nothing of C++ code, a sign of life, and text for every terminal."""

import codecs
import contextlib
import importlib
import io
import os
import sys
import threading
import time
import unicodedata

PLAIN = {"…": "...", "×": "x", "±": "+-", "–": "-"}


@contextlib.contextmanager
def quiet():
    """Sends what is written to file descriptor 2, in Python or in C++, to nowhere.

    For calls whose errors come back as exceptions: TensorFlow's converter, loader and LiteRT print
    pages there that say nothing more.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


@contextlib.contextmanager
def waiting(say, what, first=5.0, seconds=10.0):
    """Says again and again that something still goes on, and for how long it has.

    Args:
        say: takes a line, and `passing=True` as the next one may replace it.
        what: the words before the time.
        first: seconds until the first line.
        seconds: between two lines.
    """
    begin, done = time.monotonic(), threading.Event()

    def tell():
        pause = first
        while not done.wait(pause):
            say(f"{what}: {time.monotonic() - begin:.0f} s so far", passing=True)
            pause = seconds

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def begin(module, name, *arguments):
    """Calls a function of a module that is imported in silence: what a process may begin with."""
    with quiet():
        function = getattr(importlib.import_module(module), name)
    function(*arguments)


def open_streams():
    """Makes the standard streams fit to be written to.

    Those that the process was started without lead to nowhere, so that no other file gets their
    numbers; a sign that a stream cannot encode becomes a plain one that is like it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plain(error):
    text = error.object[error.start : error.end]
    like = unicodedata.normalize("NFKD", "".join(PLAIN.get(sign, sign) for sign in text))
    plain = (s if s.isascii() else "?" for s in like if not unicodedata.combining(s))
    return "".join(plain), error.end
