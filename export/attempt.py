"""A temporary folder that no signal leaves behind."""

import contextlib
import shutil
import signal
import tempfile
import threading
from pathlib import Path

AGAIN = 0.5  # seconds between two tries to end what does not end


@contextlib.contextmanager
def attempt(home, prefix):
    """A new folder in `home` for the time of the block.

    Ctrl-C, SIGTERM and SIGHUP end the block by a `KeyboardInterrupt`. Where TensorFlow's C++ calls
    Python, that exception is lost, so it is raised again until the block has ended; then the folder
    is removed, which signals do not disturb.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        SystemExit: after the other signals, with 128 and the number.
    """
    asked, working = [], True

    def stop(number, frame):
        asked.append(number)
        if working:
            signal.setitimer(signal.ITIMER_REAL, AGAIN)  # gives SIGALRM
            raise KeyboardInterrupt

    handlers = {}
    if threading.current_thread() is threading.main_thread():  # no other may set them
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
                handlers[number] = signal.signal(number, stop)
    folder = tempfile.mkdtemp(dir=home, prefix=prefix)
    try:
        yield Path(folder)
    finally:
        working = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        shutil.rmtree(folder, ignore_errors=True)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if asked:
            raise KeyboardInterrupt if asked[0] == signal.SIGINT else SystemExit(128 + asked[0])
