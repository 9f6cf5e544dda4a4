"""What a long command is doing, told on the error stream."""

import threading
import time

from tfgen.cli.shared import errors, say

EVERY, SELDOM, LONG = 5.0, 30.0, 60.0  # seconds


class Progress:
    """Takes what is being done, as the library's `say`; a block, within which it is told.

    A terminal has one line that changes; elsewhere, as in a log, each new task is a line, and one
    that lasts is told again every 5 seconds with how far it is, after a minute every 30.
    """

    def __init__(self):
        self._task, self._text, self._told = None, "", 0.0
        self._begun, self._over, self._lock = 0.0, threading.Event(), threading.Lock()
        self._status = errors.status("") if errors.is_terminal else None

    def __enter__(self):
        if self._status:
            self._status.start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()
        if self._status:
            self._status.stop()

    def __call__(self, task, done=0, total=0):
        with self._lock:
            self._text = f"{task}: {done:,} of {total:,}" if total else task
            if task != self._task:
                self._task, self._begun = task, time.monotonic()
                self._tell()

    def line(self, text):
        """Prints a line that stays; what was being done goes on."""
        with self._lock:
            if self._status:
                self._status.stop()
            say(text)
            if self._status:
                self._status.start()
            self._begun = self._told = time.monotonic()

    def _watch(self):
        """Tells of what lasts, also where the work itself does not come to say so."""
        while not self._over.wait(0.2 if self._status else 1.0):
            with self._lock:
                now = time.monotonic()
                every = EVERY if now - self._begun < LONG else SELDOM
                # A second earlier, as this is looked at once in a second.
                if self._task and (self._status or now - self._told > every - 1):
                    self._tell()

    def _tell(self):
        self._told = time.monotonic()
        seconds = int(self._told - self._begun)
        text = f"{self._text} ({seconds} s)" if seconds >= 2 else self._text
        if self._status:
            self._status.update(text)
        else:
            errors.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
