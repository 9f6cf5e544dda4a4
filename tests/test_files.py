"""Files that are whole or absent: links, devices, full disks, kills."""

import errno
import os
import pathlib
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from tfgen import files
from tfgen.cli.shared import check_out, told
from tfgen.errors import InputError

ROOT = pathlib.Path(__file__).parents[1]


def write(path, text="new"):
    with files.replacing(path) as temporary:
        temporary.write_text(text)


def test_what_exists_is_replaced_at_once(tmp_path):
    path = tmp_path / "deep" / "x.txt"
    write(path, "old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == "old"
    write(path)
    assert path.read_text() == "new" and os.listdir(path.parent) == ["x.txt"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    target, link, chain = tmp_path / "a" / "target.txt", tmp_path / "link.txt", tmp_path / "chain"
    write(target, "old")
    link.symlink_to("a/target.txt")
    chain.symlink_to(link)
    write(chain)
    assert chain.is_symlink() and link.is_symlink() and not target.is_symlink()
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["target.txt"]


def test_a_link_to_nothing_gets_its_target(tmp_path):
    link = tmp_path / "link.txt"
    link.symlink_to("later/target.txt")
    write(link)
    assert link.is_symlink() and (tmp_path / "later" / "target.txt").read_text() == "new"


@pytest.mark.parametrize("linked", [False, True])
def test_a_fifo_is_written_into(tmp_path, linked):
    fifo, read = tmp_path / "fifo", []
    os.mkfifo(fifo)
    path = tmp_path / "link" if linked else fifo
    if linked:
        path.symlink_to(fifo)
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write(path)
    reader.join(10)
    assert read == ["new"] and stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_device_is_written_into(tmp_path):
    null = tmp_path / "null"  # never the machine's own: a fault here would replace it
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.stat(os.devnull).st_rdev)
        null.write_text("")
    except PermissionError:
        pytest.skip("only root makes devices, and not on every disk")
    write(null)
    files.write_json(null, {"a": 1})
    assert stat.S_ISCHR(null.stat().st_mode) and os.listdir(tmp_path) == ["null"]


@pytest.mark.parametrize("mode", [">", ">>", "|"])
def test_the_standard_output_is_a_place_too(tmp_path, mode):
    program = (
        "import pathlib; from tfgen import files\n"
        "print('before')\n"
        "files.write_json('/dev/stdout', [1])\n"
        "print('after')"
    )
    out = tmp_path / "out.txt"
    out.write_text("kept\n")
    command = f'"{sys.executable}" -c "{program}" {mode} {"cat > " if mode == "|" else ""}"{out}"'
    subprocess.run(["sh", "-c", command], cwd=ROOT, check=True)
    told = "before\n[\n  1\n]\nafter\n"
    assert out.read_text() == ("kept\n" + told if mode == ">>" else told)


def test_names_as_long_as_names_may_be(tmp_path):
    for stem in ("x" * 251, "日" * 83):
        write(tmp_path / f"{stem}.txt")
        assert (tmp_path / f"{stem}.txt").read_text() == "new"
    with pytest.raises(OSError) as caught:
        write(tmp_path / ("x" * 300))
    assert caught.value.errno == errno.ENAMETOOLONG and caught.value.filename.endswith("x" * 300)


def test_a_full_disk_is_named_with_its_path(tmp_path):
    full, path = pathlib.Path("/dev/full"), tmp_path / "x.npy"
    if not full.exists():
        pytest.skip("there is no /dev/full")
    with pytest.raises(OSError, match="No space left on device: .*x.npy"), files.replacing(path):
        full.write_text("text")
    for fill in (
        lambda file: np.zeros(10**6).tofile(file),
        lambda file: Image.new("L", (500, 500)).save(file, format="png"),
    ):
        with (
            pytest.raises(OSError, match="x.npy"),
            files.replacing(path),
            open(full, "wb") as file,
        ):
            fill(file)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_as_a_whole(tmp_path):
    folder = tmp_path / "deep" / "folder"
    with pytest.raises(ZeroDivisionError), files.making(folder) as temporary:
        (temporary / "a").write_text("half")
        1 / 0  # noqa: B018
    assert not list(folder.parent.iterdir())
    with files.making(folder) as temporary:
        (temporary / "a").write_text("old")
        (temporary / "b").write_text("old")
    with files.making(folder) as temporary:
        (temporary / "b").write_text("new")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a": "old", "b": "new"}
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_what_a_kill_left_is_tidied_by_the_next_one(tmp_path):
    path, other = tmp_path / "x.txt", tmp_path / ".y.0.writing.txt"
    left = [tmp_path / ".x.00.writing.txt", tmp_path / ".x.01.writing.txt"]
    for file in (other, *left):
        file.write_text("half")
    long_ago = time.time() - 2 * files.ABANDONED
    for file in (other, left[0]):
        os.utime(file, (long_ago, long_ago))
    write(path)
    assert set(tmp_path.iterdir()) == {path, other, left[1]}


KINDS = (".png", ".npy")


@pytest.mark.parametrize(
    ("out", "count", "told"),
    [
        ("folder", 10**30, "00003.png exists already"),
        ("folder", 4, "00003.png exists already"),
        ("own.png", 0, "own.png exists already"),
        ("own.png/x.png", 0, "own.png is a file, where a folder is wanted"),
        ("folder.png", 0, "is a folder: give the name of a file"),
        ("x.gif", 0, "expected .png, .npy"),
        ("x", 0, "expected .png, .npy"),
    ],
)
def test_a_place_that_is_taken_or_cannot_be(tmp_path, out, count, told):
    for name in ("folder", "folder.png"):
        (tmp_path / name).mkdir()
    for name in ("own.png", "folder/00003.png", "folder/letter.txt", "folder/7.png"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=told):
        check_out(tmp_path / out, False, KINDS, count)
    check_out(tmp_path / "folder", False, KINDS, 3)  # of which none is there
    check_out(tmp_path / "folder", True, KINDS, 4)
    check_out(tmp_path / "own.png", True, KINDS)
    check_out(pathlib.Path(os.devnull), False)  # where nothing can be lost


class Refused(Exception):
    """As TensorFlow's C++ tells of a file, or of memory."""

    __module__ = "tensorflow.errors"

    def __init__(self, message):
        self.message = message


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/mnt/x"), "/mnt/x: Read-only file system"),
        (FileExistsError(errno.EEXIST, "File exists", "f"), "f: a file is where a folder"),
        (MemoryError(), "there is not enough memory: take fewer rows, or smaller ones"),
        (InputError("a sentence"), "a sentence"),
        (Refused("/tmp/events; No space left on device"), "/tmp/events: No space left on device"),
        (Refused("shapes [2] and [3] do not fit; a fault of ours"), None),
        (KeyError("a fault of ours"), None),
    ],
)
def test_what_is_refused_is_a_sentence_and_what_is_a_fault_is_none(error, sentence):
    found = told(error)
    assert found is None if sentence is None else found.startswith(sentence)
