"""Silence for C++ code that talks to the user's terminal past Python."""

import contextlib
import os
import sys


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
