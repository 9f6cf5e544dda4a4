"""Command lines from anywhere, and kills at any moment: a sentence, and nothing lost."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys

import pytest
from PIL import Image

from tests.test_cli import run

ROOT = pathlib.Path(__file__).parents[1]
VAE = ("vae", "hidden=8", "latent_dim=2", "--batch-size", "100", "--steps", "1")
TRANSLATOR = ("pix2pix", "--data", "digit_pairs", "--batch-size", "1", "--steps", "1")
LINES, SEED = 200, 0
# Of each command and signal at random moments; TFGEN_KILLS=20 asks for more.
KILLS = int(os.environ.get("TFGEN_KILLS", "1"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run, pictures, and what is none of both."""
    folder = tmp_path_factory.mktemp("hostile")
    assert run("train", *VAE, "--run", folder / "run") == 0
    assert run("train", *TRANSLATOR, "--run", folder / "translator") == 0
    (folder / "letter.txt").write_text("dear")
    for name in ("empty", "pictures/a", "pictures/b", "damaged"):
        (folder / name).mkdir(parents=True)
    for i in range(6):
        Image.effect_noise((8, 8), 90).save(folder / f"pictures/{'ab'[i % 2]}/{i}.png")
    (folder / "pictures/a/broken.png").write_bytes(b"nothing")
    (folder / "damaged/run.json").write_bytes(b'{"model": ')
    os.mkfifo(folder / "fifo")
    return folder


# Command lines: for each place in one, what may stand there; most of it should not.

NUMBERS = ["0", "1", "2", "3", "-1", "1e3", "0.5", "x", "", "9" * 30, "nan", "2147483648", "٣"]
PATHS = [
    *("out.png", "out.npy", "out", "deep/er/x.png", "a b (c).jpg", "étude-日本.png", "x.webp"),
    *("letter.txt", "letter.txt/x.png", f"{'x' * 300}.png", "out.gif", "/proc/x.png", "/dev/null"),
    *("empty", "pictures", ".", "..", "", "/", "$(touch P).png", "[red]x.png", "a\nb.png"),
]
RUNS = ["run", "run", "run", "nowhere", "letter.txt", "empty", "damaged", "pictures", "zoo:nope"]
DATA = [
    *("digits", "digits", "ring", "mnits", "", ":", "folder:", "folder:nowhere", "folder:empty"),
    *("folder:letter.txt", "folder:pictures", "pairs:pictures", "unpaired:a,b", "unpaired:empty"),
    *("digit_pairs", "digits:x", "[/b]", "x" * 300),
]
MODELS = ["vae", "vae", "gan", "cgan", "vea", "", "../vae", "__init__", "[red]", "x" * 300]
SETTINGS = [
    *("latent_dim=2", "hidden=4", "latent_dim=-1", "latent_dim=", "latent_dim==2", "=3", "x"),
    *("foo=1", "epochs=0", "learning_rate=nan", "learning_rate=0", "pixels=gaussian", "pixels=x"),
    *("batch_size=99", "batch_size=1000000000", "hidden=4,5", "hidden=[4]", "hidden=1e2", "é=1"),
]
LABELS = ["0", "-1", "10", "shoe", "", "nan", "9" * 30]
# A command, what it is given, what goes before the options (and is overridden), and these.
COMMANDS = [
    (
        "train",
        MODELS,
        ["--steps", "1"],
        {
            "--data": DATA,
            "--image-size": NUMBERS,
            "--run": PATHS,
            "--epochs": NUMBERS,
            "--batch-size": NUMBERS,
            "--seed": NUMBERS,
            "--replicas": [*NUMBERS, "auto"],
            "--precision": ["float32", "float8", ""],
            "--minutes": NUMBERS,
            "--keep": NUMBERS,
        },
    ),
    (
        "sample",
        RUNS,
        [],
        {"--count": NUMBERS, "--seed": NUMBERS, "--label": LABELS, "--out": PATHS},
    ),
    (
        "traverse",
        RUNS,
        [],
        {"--code": LABELS, "--rows": NUMBERS, "--seed": NUMBERS, "--out": PATHS},
    ),
    (
        "interpolate",
        RUNS,
        ["--from", "0", "--to", "1"],
        {
            "--from": NUMBERS,
            "--to": NUMBERS,
            "--path": ["linear", "spherical", "x"],
            "--columns": NUMBERS,
            "--label": LABELS,
            "--out": PATHS,
        },
    ),
    ("manifold", RUNS, [], {"--count": NUMBERS, "--label": LABELS, "--out": PATHS}),
    (
        "invert",
        RUNS,
        ["--steps", "2", "--count", "1"],
        {
            "--count": NUMBERS,
            "--restarts": NUMBERS,
            "--label": LABELS,
            "--seed": NUMBERS,
            "--out": PATHS,
        },
    ),
    (
        "edit",
        RUNS,
        ["--to", "1"],
        {"--to": LABELS, "--from": LABELS, "--strength": NUMBERS, "--out": PATHS},
    ),
    (
        "arithmetic",
        RUNS,
        ["--plus", "0"],
        {"--plus": [*NUMBERS, "0,1", ","], "--minus": NUMBERS, "--out": PATHS},
    ),
    (
        "translate",
        RUNS,
        ["--input", "pictures", "--out", "translated"],
        {"--input": PATHS, "--direction": ["a2b", "x"], "--out": PATHS},
    ),
    (
        "export",
        RUNS,
        ["--to", "onyx"],
        {
            "--to": ["", "saved_model,", "lite,x"],
            "--quantize": ["none", "int3", ""],
            "--endpoints": ["sample", "nothing", ""],
            "--batch": NUMBERS,
            "--out": PATHS,
        },
    ),
    (
        "evaluate",
        RUNS,
        ["--metrics", "knn", "--features", "pixels", "--count", "5"],
        {
            "--metrics": ["nothing", "", "kid,", "fid,x"],
            "--features": ["nothing", ""],
            "--count": ["0", "1", "7", "x"],
            "--seed": NUMBERS,
            "--json": PATHS,
        },
    ),
    ("compare", RUNS, ["--metrics", "nothing", "--count", "5"], {"--out": PATHS}),
    ("study", ["lucic", "x"], ["--models", "vea", "--steps", "1"], {"--budget": NUMBERS}),
    ("show", [*RUNS, *MODELS], [], {}),
    ("serve", ["nowhere", "run", "letter.txt"], [], {"--port": NUMBERS, "--host": ["", "x y"]}),
    ("pack", RUNS, ["--out", "letter.txt"], {"--out": PATHS[7:9], "--dtype": ["int3", ""]}),
    ("gallery", [], ["--only", "nope", "--out", "site"], {}),
    ("data show", DATA, [], {"--out": PATHS, "--count": NUMBERS, "--image-size": NUMBERS}),
    ("data list", [], [], {}),
    ("list", [], [], {}),
    ("trian", RUNS, [], {}),
]


def line(draw):
    """A random command line, a list of words."""
    command, arguments, base, options = draw.choice(COMMANDS)
    words = [*command.split(), *draw.choices(arguments, k=min(1, len(arguments)))]
    if command == "train":
        words += draw.sample(SETTINGS, draw.choice([0, 0, 1, 1, 2]))
    words += base
    for option in draw.sample(list(options), draw.randint(0, min(3, len(options)))):
        words += [option, draw.choice(options[option])]
    if draw.random() < 0.1:
        words.insert(draw.randint(0, len(words)), draw.choice(["--x", "-", "--", "--help", "é"]))
    return words


def lines(count, seed):
    draw = random.Random(seed)
    return [line(draw) for _ in range(count)]


def test_the_lines_are_of_all_commands():
    made = lines(LINES, SEED)
    assert made == lines(LINES, SEED)
    assert {words[0] for words in made} >= {command.split()[0] for command, *_ in COMMANDS}


def test_random_command_lines_end_with_a_sentence(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    kept = {path: path.read_bytes() for path in (place / "run").rglob("*.npz")}
    kept[place / "letter.txt"] = b"dear"
    codes, failed = {}, []
    for words in lines(LINES, SEED):
        capsys.readouterr()
        try:
            code = run(*words)
        except BaseException as error:
            code = error
        answer = capsys.readouterr()
        told = (answer.out + answer.err).strip()
        codes[str(code)] = codes.get(str(code), 0) + 1
        if code not in (0, 2) or "Traceback" in told or (code == 2 and not told):
            failed.append((words, code, told[-500:]))
    assert not failed, "\n".join(map(str, failed))
    assert codes["0"] > 10 and codes["2"] > 100, codes
    assert {path: path.read_bytes() for path in kept} == kept
    assert not list(place.rglob(".*writing*"))


# Kills

# Runs command lines in children of a process that has TensorFlow loaded and has not used it yet.
DRIVER = """
import json, os, signal, sys, time
import tensorflow, tensorflow_probability, sklearn.datasets, matplotlib.figure
import zoo
from tfgen import cli
from tfgen.latents import editing, interpolation, inversion, traversal
from tfgen.reports import comparison
from tfgen.runs import opening, packing

print("ready", flush=True)
for text in sys.stdin:
    words, at_replace, delay, number = json.loads(text)
    began, child = time.monotonic(), os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1), os.dup2(nowhere, 2)
        if at_replace:
            def killed(*names):
                os.kill(os.getpid(), signal.SIGKILL)
            os.replace = os.rename = killed
        sys.argv = ["tfgen", *words]
        try:
            cli.main()
        except SystemExit as end:
            os._exit(end.code or 0)
        except BaseException:
            os._exit(70)
        os._exit(0)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, number)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([status, time.monotonic() - began]), flush=True)
"""


@pytest.fixture(scope="module")
def killer(place):
    """Runs a command line, and kills it: gives the exit status and the seconds it took."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert driver.stdout.readline() == "ready\n"

    def ask(words, at_replace=False, delay=None, number=signal.SIGKILL):
        print(json.dumps([words, at_replace, delay, int(number)]), file=driver.stdin, flush=True)
        return json.loads(driver.stdout.readline())

    yield ask
    driver.kill()
    driver.communicate()


WRITING = {
    "data": ["data", "show", "digits", "--out", "x.png"],
    "sample": ["sample", "run", "--count", "9", "--out", "x.png"],
    "arrays": ["sample", "run", "--count", "9", "--out", "x.npy"],
    "folder": ["sample", "run", "--count", "9", "--out", "x"],
    "traverse": ["traverse", "run", "--code", "1", "--out", "x.png"],
    "interpolate": ["interpolate", "run", "--from", "0", "--to", "1", "--out", "x.png"],
    "manifold": ["manifold", "run", "--count", "3", "--out", "x.png"],
    "invert": ["invert", "run", "--count", "1", "--steps", "3", "--out", "x.png"],
    "edit": ["edit", "run", "--to", "1", "--out", "x.png"],
    "arithmetic": ["arithmetic", "run", "--plus", "0,1", "--out", "x.png"],
    "evaluate": [
        "evaluate",
        "run",
        "--metrics",
        "knn",
        "--features",
        "pixels",
        "--count",
        "9",
        "--json",
        "x.json",
    ],
    "translate": ["translate", "translator", "--input", "pictures", "--out", "translated"],
    "pack": ["pack", "run", "--out", "packed"],
    "compare": ["compare", "run", "--metrics", "knn", "--count", "9", "--out", "page"],
    "export": ["export", "run", "--to", "lite", "--endpoints", "sample", "--out", "delivered"],
}
MAKING = ("translate", "pack", "compare", "export")  # a folder that is not there


@pytest.mark.parametrize("command", WRITING)
def test_a_killed_command_leaves_what_was_there(place, killer, command):
    words, random_ = WRITING[command], random.Random(command)
    out = place / words[-1]
    replaces = command not in MAKING

    def prepare():
        if out.is_dir():
            shutil.rmtree(out)
        out.unlink(missing_ok=True)
        if command == "folder":
            out.mkdir()
            (out / "00003.png").write_text("mine")
        elif replaces:
            out.write_text("mine")

    def content():
        if out.is_dir():
            files = {path.relative_to(out): path for path in out.rglob("*") if path.is_file()}
            return {name: p.read_bytes() for name, p in files.items() if ".writing" not in p.name}
        return out.read_bytes() if out.exists() else None

    prepare()
    before, beside = content(), set(os.listdir(place))
    words = [*words, "--overwrite"] if replaces else words
    status, seconds = killer(words)
    whole = content()
    assert status == 0 and whole != before
    prepare()
    assert killer(words, at_replace=True)[0] == -signal.SIGKILL and content() in (before, {})
    for number in (signal.SIGKILL, signal.SIGTERM) * KILLS:
        prepare()
        status, _ = killer(words, delay=seconds * random_.uniform(0.3, 1), number=number)
        reached = content()
        if command == "translate":  # each picture is one of its own
            assert (reached or {}).items() <= whole.items(), (number, status)
        else:
            assert reached in (before, whole), (number, status)
        if number == signal.SIGTERM:
            # In a forked child, as here, TensorFlow's threads may fall over as it ends.
            assert status in (0, 143, -signal.SIGSEGV)
    left = set(os.listdir(place)) - beside - {out.name}
    assert all(name.startswith(f".{out.stem}") for name in left), left
    assert len(left) <= KILLS + 1  # of SIGKILL
    for name in left:
        path = place / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
