"""The folder of a run: whose it is, who is at work in it, and what may go on there."""

import contextlib
import fcntl
import json
import os
import pathlib
import platform
import shutil
import subprocess
from importlib import metadata

from tfgen.errors import InputError, note
from tfgen.runs import run_file


@contextlib.contextmanager
def claimed(folder):
    """Makes a folder, and keeps other trainings out of it until the block or the process ends.

    If then no `run.json` is there, what was made is removed again: a first attempt that was refused
    does not block its folder.

    Raises:
        InputError: another process trains there.
    """
    folder = pathlib.Path(folder).absolute()
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    opened, was_empty = os.open(folder, os.O_RDONLY), False
    try:
        _lock(opened, folder)
        was_empty = not any(folder.iterdir())
        yield
    finally:
        if was_empty and not (folder / run_file.NAME).exists():
            shutil.rmtree(folder / "events", ignore_errors=True)
            for name in ("diagnostics.csv", "diagnostics.png"):
                (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the first that is not empty
            for path in missing:
                path.rmdir()
        os.close(opened)


def _lock(opened, folder):
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"another process trains in {folder}: wait for its end, or choose another folder"
        ) from None
    except OSError as error:
        note(f"{folder} cannot be locked ({error.strerror}): let no other process train there")


def check(folder, run, defaults):
    """Checks that a folder is free or holds this run.

    Args:
        folder: a `pathlib.Path`.
        run: what its `run.json` is to say.
        defaults: of the recipe's settings, for those that it did not have when the run began.

    Returns:
        What `run.json` says, if the run is to go on; None if it begins: in an empty folder, or in
        one where nothing was trained yet.

    Raises:
        InputError: the folder's run has other settings, or the folder holds something else.
    """
    before = run_file.read(folder)
    if before is None:
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty and is no run: choose another folder")
        return None
    if not any((folder / "checkpoints").glob("*.npz")):
        return None
    run, defaults = json.loads(json.dumps([run, defaults]))  # tuples are lists there
    now, then = ({k: v for k, v in r.items() if k != "settings"} for r in (run, before))
    now, then = run["settings"] | now, before["settings"] | then
    for key in run["settings"].keys() - before["settings"].keys():
        if now[key] == defaults[key]:
            then[key] = now[key]
            note(f"{folder} began before {run['model']} had {key}: it goes on with {now[key]!r}")
    keys = [key for key in now if now[key] != then.get(key)]
    gone = [key for key in before["settings"] if key not in run["settings"]]
    if (keys == ["epochs"] and now["epochs"] > then["epochs"] and not gone) or not keys + gone:
        return before
    differences = [f"{key}={now[key]!r} (there: {then.get(key)!r})" for key in keys]
    differences += [f"no {key} (there: {then[key]!r})" for key in gone]
    raise InputError(
        f"{folder} holds a run with other settings: {', '.join(differences)}; "
        "repeat its settings to go on with it, or choose another folder"
    )


def origin():
    """What else the bits of a run depend on: versions, machine, revision."""
    packages = ("tensorflow", "keras", "tensorflow-probability", "numpy")
    revision = None
    with contextlib.suppress(OSError):  # there is no git
        told = subprocess.run(
            ["git", "-C", pathlib.Path(__file__).parent, "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
        revision = told.stdout.strip() or None
    return {
        "versions": {name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "threads": os.cpu_count(),
        "revision": revision,
    }
