"""The front door: what it answers, what it writes, and how it says no."""

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import zoo
from tfgen import __version__, cli
from tfgen.cli import shared
from tfgen.data import names
from tfgen.runs import opening, training

ROOT = pathlib.Path(__file__).parents[1]
TINY = ("hidden=16", "latent_dim=2", "--epochs", "1")


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def run(*arguments):
    """The exit code of `tfgen ARGUMENTS`, run in this process, where TensorFlow is up already."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(sys, "argv", ["tfgen", *map(str, arguments)])
        cli.main()
    return stop.value.code or 0


@pytest.fixture
def tfgen(capsys):
    def answer(*arguments):
        capsys.readouterr()
        code = run(*arguments)
        return Answer(code, *capsys.readouterr())

    return answer


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a tiny VAE on digits."""
    folder = tmp_path_factory.mktemp("runs") / "vae"
    assert run("train", "vae", *TINY, "--run", folder) == 0
    return folder


def test_quick_answers_do_not_import_tensorflow():
    program = """
import sys
from tfgen import cli
for arguments in (["--help"], ["list"], ["list", "--json"], ["data", "list"], ["train", "--help"]):
    sys.argv = ["tfgen", *arguments]
    try:
        cli.main()
    except SystemExit as stop:
        assert not stop.code, (arguments, stop.code)
    heavy = {"tensorflow", "keras", "tensorflow_probability", "sklearn"} & set(sys.modules)
    assert not heavy, (arguments, heavy)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for command in (
        "train",
        "sample",
        "traverse",
        "translate",
        "export",
        "quickstart",
        "list",
        "data",
    ):
        assert command in done.stdout


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "tfgen", "train", "vea"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tfgen: there is no model 'vea': did you mean vae?\n"


@pytest.mark.parametrize("name", ["tfgen", "zoo", "export"])
def test_a_strangers_package_of_the_same_name_is_told(name, tmp_path):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise SystemExit('a stranger ran')\n")
    done = subprocess.run(
        [sys.executable, "-c", "import tfgen_zoo; tfgen_zoo.main()", "list"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    told = f"tfgen: the package '{name}' is found at {tmp_path / name}, which belongs to another"
    assert done.returncode == 1 and done.stderr.startswith(told) and done.stderr.count("\n") == 1


STREAMS = {
    "no stdout": ("list >&-", {}),
    "no streams": ("list <&- >&- 2>&-", {}),
    "ASCII": ("list", {"PYTHONIOENCODING": "ascii"}),
    "ASCII, an error": ("train ± 2>&1", {"PYTHONIOENCODING": "ascii"}),
    "a full disk": ("list > /dev/full", {}),
}


@pytest.mark.parametrize("case", STREAMS)
def test_streams_as_they_are(case):
    arguments, environment = STREAMS[case]
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m tfgen {arguments}'],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = {
        "ASCII, an error": (2, "tfgen: there is no model '+-': there are "),
        "a full disk": (2, "tfgen: the output cannot be written: No space left on device\n"),
    }
    code, text = told.get(case, (0, ""))
    assert done.returncode == code and (done.stdout + done.stderr).startswith(text), done
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == (case == "a full disk")


def test_list_names_every_model_with_its_year(tfgen):
    lines = tfgen("list").out.splitlines()
    for entry in zoo.entries():
        line = next(line for line in lines if line.split()[0] == entry.name)
        assert entry.family in line and entry.title in line
    assert "2014" in next(line for line in lines if line.startswith(("gan ", " gan ")))


def test_list_as_json(tfgen):
    models = json.loads(tfgen("list", "--json").out)
    assert [model["name"] for model in models] == list(zoo.paths())
    assert all(set(model) == {"name", "family", "title", "reference"} for model in models)
    assert all(all(model.values()) for model in models)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "dcgam"], ["'dcgam'", "did you mean dcgan"]),
        (["train", "zzz"], ["'zzz'", "there are", "vae"]),
        (["train", "vae", "nothing=1"], ["'nothing'", "latent_dim=20", "learning_rate=0.001"]),
        (["train", "vae", "latent_dim"], ["'latent_dim' is no key=value"]),
        (["train", "vae", "hidden=8", "hidden=9"], ["hidden is given twice: 8 and 9"]),
        (["train", "vae", "epochs=2", "--epochs", "3"], ["epochs is given twice: 3 and 2"]),
        (["show", "vea"], ["'vea'", "did you mean vae"]),
        (["train", "vae", "latent_dim=two"], ["latent_dim='two' is no int"]),
        (["train", "vae", "--epochs", "0"], ["epochs=0 is out of range"]),
        (["train", "vae", "learning_rate=nan"], ["learning_rate=nan is out of range"]),
        (["train", "vae", "pixels=poisson"], ["'poisson'", "bernoulli, gaussian"]),
        (["train", "vae", "--batch-size", "5000"], ["5000", "1618"]),
        (["train", "vae", "--data", "mnits"], ["'mnits'", "Did you mean 'mnist'"]),
        (["train", "vae", "--data", "ring"], ["vae makes images", "ring"]),
        (["train", "vae", "--precision", "float8"], ["'float8'", "mixed_bfloat16"]),
        (["train", "vae", "--replicas", "none"], ["none", "auto"]),
        (["train", "dcgan", "--image-size", "7"], ["7 pixels"]),
        (["train", "vae", "--data", "folder:nowhere"], ["nowhere"]),
        (["sample", "nowhere"], ["nowhere is no run"]),
        (["sample", "nowhere", "--out", "x.txt"], ["x.txt", ".png"]),
        (["export", "nowhere"], ["nowhere is no run"]),
        (["traverse", "nowhere", "--code", "1"], ["nowhere is no run"]),
        (["translate", "nowhere", "--input", "x", "--out", "y"], ["nowhere is no run"]),
        (["train", "pix2pix"], ["pix2pix learns from pairs", "digit_pairs"]),
        (["train", "cyclegan", "--data", "unpaired:nowhere"], ["nowhere"]),
        (["train", "cgan", "--data", "swiss_roll"], ["labels"]),
        (["data", "show", "digitz"], ["'digitz'", "'digits'"]),
        (["data", "show", "ring", "--image-size", "8"], ["ring", "image_size"]),
        (["train", "x[red]y"], ["'x[red]y'"]),
        (["train", "x[/b]"], ["'x[/b]'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_used_is_named_in_one_line(arguments, told, tfgen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = tfgen(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("tfgen: ") and err.count("\n") == 1
    assert all(part in err for part in told), err
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_a_mistake_does_not_claim_the_folder(tfgen, tmp_path):
    for mistake in (["pixels=poisson"], ["--data", "mnits"], ["--precision", "float8"]):
        assert tfgen("train", "vae", *TINY, *mistake, "--run", tmp_path / "run").code == 2
    assert tfgen("train", "vae", *TINY, "--steps", "1", "--run", tmp_path / "run").code == 0


def test_options_that_typer_refuses(tfgen, trained):
    for arguments in (["sample", trained, "--count", "0"], ["train"], ["trian"]):
        answer = tfgen(*arguments)
        assert answer.code == 2 and answer.out == "" and "Usage:" in answer.err


def test_train_leaves_a_run_and_goes_on_with_it(tfgen, trained):
    made = {path.name for path in trained.iterdir()}
    pictures = {"samples", "losses.png"}
    assert made == {"run.json", "history.csv", "checkpoints", "events"} | pictures
    history = (trained / "history.csv").read_text()
    assert [line.split(",")[0] for line in history.splitlines()] == ["epoch", "1"]
    again = tfgen("train", "vae", *TINY, "--run", trained)
    assert again.code == 0 and f"trained: {trained}" in again.out
    assert (trained / "history.csv").read_text() == history
    other = tfgen("train", "vae", *TINY, "--seed", "1", "--run", trained)
    assert other.code == 2 and "seed=1 (there: 0)" in other.err


def test_samples_belong_to_their_seeds(tfgen, trained, tmp_path):
    def rows(count, seed, out):
        answer = tfgen("sample", trained, "--count", count, "--seed", seed, "--out", out)
        assert answer.code == 0 and f"{count} samples" in answer.out
        return np.load(out)

    first = rows(8, 0, tmp_path / "first.npy")
    assert first.shape == (8, 8, 8, 1) and first.dtype == "float32"
    assert np.abs(first).max() <= 1 and len(np.unique(first, axis=0)) == 8
    np.testing.assert_array_equal(rows(8, 0, tmp_path / "again.npy"), first)
    np.testing.assert_allclose(rows(8, 3, tmp_path / "later.npy")[:5], first[3:], atol=1e-6)


def test_samples_as_pictures(tfgen, trained, tmp_path):
    for out in ("grid.png", "folder"):
        assert tfgen("sample", trained, "--count", "4", "--out", tmp_path / out).code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"grid.png", "folder"}
    files = sorted((tmp_path / "folder").iterdir())
    assert [path.name for path in files] == [f"{i:05d}.png" for i in range(4)]
    pictures = [np.asarray(Image.open(path)) for path in (tmp_path / "grid.png", *files)]
    assert all(len(np.unique(picture)) > 5 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 5


def test_what_exists_is_not_written_over_without_being_told_to(tfgen, trained, tmp_path):
    commands = [
        ["sample", trained, "--count", "4"],
        ["traverse", trained, "--code", "1", "--rows", "2"],
        ["interpolate", trained, "--from", "0", "--to", "1"],
        ["manifold", trained, "--count", "2"],
        ["invert", trained, "--count", "1", "--restarts", "1", "--steps", "2"],
        ["edit", trained, "--to", "1"],
        ["arithmetic", trained, "--plus", "0"],
        ["data", "show", "digits"],
    ]
    for command in commands:
        out = tmp_path / "own.png"
        out.write_text("mine")
        answer = tfgen(*command, "--out", out)
        assert answer.code == 2 and answer.out == ""
        told = f"tfgen: {out} exists already: give another place, or --overwrite\n"
        assert answer.err == told and out.read_text() == "mine"
        assert tfgen(*command, "--out", out, "--overwrite").code == 0
        assert Image.open(out).width > 8
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("00003.png", "letter.txt"):
        (folder / name).write_text("mine")
    answer = tfgen(*commands[0], "--out", folder)
    assert answer.code == 2 and "00003.png exists already" in answer.err
    assert tfgen(*commands[0], "--out", folder, "--overwrite").code == 0
    assert len(list(folder.iterdir())) == 5 and (folder / "letter.txt").read_text() == "mine"
    assert Image.open(folder / "00003.png").size == (8, 8)


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("folder.png", "folder.png is a folder: give the name of a file"),
        ("letter.txt/x.png", "letter.txt is a file, where a folder is wanted"),
        ("letter.txt/deep/x.png", "letter.txt is a file, where a folder is wanted"),
        (f"{'x' * 300}.png", "File name too long"),
        ("/proc/x.png", "/proc/"),
        ("x.gif", "--out x.gif: expected .png, .jpg, .jpeg, .webp"),
    ],
)
def test_where_nothing_can_be_written(out, told, tfgen, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "letter.txt").write_text("dear")
    answer = tfgen("traverse", trained, "--code", "1", "--out", out)
    assert answer.code == 2 and answer.out == ""
    assert answer.err.startswith("tfgen: ") and told in answer.err and answer.err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["folder.png", "letter.txt"]


def test_pictures_come_in_every_usual_format(tfgen, trained, tmp_path):
    for suffix, kind in ((".jpg", "JPEG"), (".WEBP", "WEBP"), (".png", "PNG")):
        for command in (["sample", trained], ["manifold", trained, "--count", "2"]):
            out = tmp_path / f"{command[0]}{suffix}"
            assert tfgen(*command, "--out", out).code == 0
            assert Image.open(out).format == kind


def test_a_traversal_is_a_picture_of_ten_columns(tfgen, trained, tmp_path):
    out = tmp_path / "x.png"
    answer = tfgen("traverse", trained, "--code", "1", "--rows", "5", "--out", out)
    assert answer.code == 0 and re.match(r"latent 1 from -2.\d\d to 2.\d\d\n5 seeds: ", answer.out)
    width, height = Image.open(out).size
    assert width == pytest.approx(2 * height, rel=0.02)
    for code in ("3", "0", "latent"):
        answer = tfgen("traverse", trained, "--code", code, "--out", tmp_path / "y.png")
        told = f"code {code}: there are 1 to 2: 1 (latent 1), 2 (latent 2)"
        assert answer.code == 2 and told in answer.err
    assert not (tmp_path / "y.png").exists()
    answer = tfgen("traverse", trained, "--out", tmp_path / "y.png")
    assert answer.code == 0 and "2 codes: " in answer.out
    assert sorted(line.split(" from ")[0] for line in answer.out.splitlines()[:2]) == [
        "latent 1",
        "latent 2",
    ]
    width, height = Image.open(tmp_path / "y.png").size
    assert width == pytest.approx(5 * height, rel=0.03)


def test_translations_keep_names_and_tell_of_what_is_broken(tfgen, trained, tmp_path):
    run, source = tmp_path / "run", tmp_path / "photos"
    settings = ("width=2", "blocks=1", "--batch-size", "8", "--steps", "1")
    answer = tfgen("train", "cyclegan", *settings, "--data", "digit_pairs", "--run", run)
    assert answer.code == 0 and (run / "samples" / "epoch_001.png").exists()
    source.mkdir()
    for name, size in (("a.png", (9, 5)), ("b.jpg", (16, 16))):
        Image.effect_noise(size, 90).convert("RGB").save(source / name)
    (source / "c.png").write_bytes(b"nothing")
    for direction in ("a2b", "b2a"):
        out = tmp_path / direction
        answer = tfgen("translate", run, "--input", source, "--direction", direction, "--out", out)
        assert answer.code == 0 and "2 translated, 1 skipped" in answer.out
        assert "c.png" in answer.err
        assert {path.name: Image.open(path).size for path in out.iterdir()} == {
            "a.png": (9, 5),
            "b.png": (16, 16),
        }
    answer = tfgen("translate", run, "--input", source, "--out", tmp_path / "x")
    assert answer.code == 2 and "it can a2b and b2a" in answer.err
    answer = tfgen("translate", trained, "--input", source, "--out", tmp_path / "x")
    assert answer.code == 2 and "it translates nothing" in answer.err


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A run of a tiny conditional GAN on pictures whose classes have names."""
    root = tmp_path_factory.mktemp("named")
    for name in ("0", "1", "10", "coat"):
        (root / "data" / name).mkdir(parents=True)
        for i in range(6):
            picture = Image.effect_noise((8, 8), 90)
            picture.save(root / "data" / name / f"{i}.png")
    small = ("hidden=16", "width=4", "latent_dim=4", "--batch-size", "4", "--steps", "1")
    data = ("--data", f"folder:{root / 'data'}")
    assert run("train", "projection_gan", *small[1:], *data, "--run", root / "run") == 0
    return root / "run"


def test_a_class_is_asked_for_by_name_or_number_and_told(tfgen, named, tmp_path):
    def rows(label):
        out = tmp_path / f"{label}.npy"
        answer = tfgen("sample", named, "--count", 3, "--label", label, "--out", out)
        assert answer.code == 0
        return np.load(out), answer.out

    by_name, told = rows("coat")
    assert told.startswith("3 samples of class 3 (coat): ")
    by_number, told = rows("3")
    assert told.startswith("3 samples of class 3 (coat): ")
    np.testing.assert_array_equal(by_name, by_number)
    name_first, told = rows("10")  # there is no class number 10
    assert told.startswith("3 samples of class 2 (10): ")
    np.testing.assert_array_equal(name_first, rows("2")[0])
    assert not np.array_equal(name_first, by_name)
    for label, why in (
        ("shoe", "--label shoe: its classes are 0 (0), 1 (1), 2 (10), 3 (coat)"),
        ("4", "label 4: its labels are 0 to 3"),
        ("-1", "label -1: its labels are 0 to 3"),
    ):
        answer = tfgen("sample", named, "--label", label, "--out", tmp_path / "x.png")
        assert answer.code == 2 and why in answer.err
    out = tmp_path / "ways.png"
    answer = tfgen("interpolate", named, "--from", 0, "--to", 1, "--label", "coat", "--out", out)
    assert answer.code == 0 and "ways of class 3 (coat), from seed 0 to 1" in answer.out
    answer = tfgen("sample", named, "--out", tmp_path / "grid.png")
    assert answer.code == 0 and answer.out.startswith("64 samples: ")
    width, height = Image.open(tmp_path / "grid.png").size
    assert width == pytest.approx(4 * height, rel=0.03)  # a row a class: 4 rows of 16


def test_what_is_known_of_a_run_and_of_a_model(tfgen, named, trained):
    out = tfgen("show", named).out
    for told in (
        "projection_gan",
        "width=4",
        "0 0, 1 1, 2 10, 3 coat",
        "1 steps",
        "rows to train on",
    ):
        assert told in out, out
    out = tfgen("show", trained).out
    model, _ = opening.open_run(trained, zoo.find)
    count = sum(network.count_params() for network in (model.encoder, model.decoder))
    assert f"{count:,}" in out and "1 of 1 epochs, 16 steps" in out and "elbo/kl" in out
    answer = tfgen("show", "vae")
    assert answer.code == 0 and "Variational autoencoder" in answer.out
    for key in zoo.find("vae").settings({}):
        assert re.search(rf"^ *{key} ", answer.out, re.MULTILINE), key


def test_the_version(tfgen):
    assert tfgen("--version").out == f"tfgen {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "vae", "--seed", 2**31],
        ["train", "vae", "--seed", -(2**31) - 1],
        ["sample", "RUN", "--seed", 2**31],
        ["sample", "RUN", "--seed", 10**20],
        ["sample", "RUN", "--seed", 2**31 - 3, "--count", 4],
        ["interpolate", "RUN", "--from", 5_000_000_000, "--to", 2],
        ["interpolate", "RUN", "--from", 0, "--to", 2**31 - 2, "--rows", 3],
        ["arithmetic", "RUN", "--plus", 99_999_999_999],
        ["traverse", "RUN", "--code", 1, "--seed", 2**32],
        ["traverse", "RUN", "--seed", 2**31 - 1],
        ["invert", "RUN", "--seed", 9_999_999_999],
        ["invert", "RUN", "--seed", 2**31 - 1],
        ["evaluate", "RUN", "--metrics", "knn", "--seed", 99_999_999_999],
        ["evaluate", "RUN", "--metrics", "knn", "--count", 9, "--seed", 2**31 - 3],
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_seeds_have_32_bits_everywhere(tfgen, trained, tmp_path, arguments):
    given = [trained if word == "RUN" else word for word in arguments]
    option = {"train": "--run", "evaluate": "--json"}.get(arguments[0], "--out")
    out = [option, tmp_path / "x.png"]
    answer = tfgen(*given, *out)
    assert answer.code == 2
    words = " ".join(answer.err.replace("│", " ").split())  # a frame breaks its lines
    assert re.search("seeds are whole numbers|equal to -?214748364[78]", words), words
    assert not list(tmp_path.iterdir())


def test_the_last_seeds_are_seeds(tfgen, trained, tmp_path):
    for seed in (2**31 - 4, -(2**31)):
        out = tmp_path / f"{seed}.npy"
        assert tfgen("sample", trained, "--seed", seed, "--count", 4, "--out", out).code == 0
        assert len(np.unique(np.load(out), axis=0)) == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "RUN", "--count", 10**12],
        ["manifold", "RUN", "--count", 10**6],
        ["interpolate", "RUN", "--from", 0, "--to", 1, "--columns", 10**12],
        ["traverse", "RUN", "--rows", 10**11],
    ],
)
def test_what_does_not_fit_into_memory_is_told_at_once(tfgen, trained, tmp_path, arguments):
    given = [trained if word == "RUN" else word for word in arguments]
    answer = tfgen(
        *given, "--out", tmp_path / "x.npy" if given[0] == "sample" else tmp_path / "x.png"
    )
    assert (
        answer.code == 2 and "rows of [8, 8, 1] need" in answer.err and "take fewer" in answer.err
    )


def test_a_cache_that_cannot_be_written_is_done_without(tfgen, trained, monkeypatch):
    monkeypatch.setenv("TFGEN_CACHE", "/proc/nothing")
    options = ("--metrics", "knn", "--features", "pixels", "--count", "20")
    answer = tfgen("evaluate", trained, *options)
    assert answer.code == 0 and "knn_generated" in answer.out
    assert "tfgen: note: nothing is kept in the cache /proc/nothing: " in answer.err


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_minutes_are_above_zero(tfgen, tmp_path, minutes):
    for command in (["train", "vae", "--minutes"], ["study", "lucic", "--budget"]):
        option = "--run" if command[0] == "train" else "--out"
        answer = tfgen(*command, minutes, option, tmp_path / "run")
        assert answer.code == 2 and "is no time: give a number above 0" in answer.err
    assert not list(tmp_path.iterdir())


def test_a_model_without_classes_has_no_labels(tfgen, trained, tmp_path):
    answer = tfgen("sample", trained, "--label", "3", "--out", tmp_path / "x.png")
    assert answer.code == 2 and "label 3: this model has no classes" in answer.err
    assert not list(tmp_path.iterdir())


def test_export_delivers_once(tfgen, trained):
    out = trained / "export"
    assert tfgen("export", trained, "--to", "saved_model,onyx").code == 2
    assert not out.exists()
    answer = tfgen("export", trained)
    assert answer.code == 0 and f"verified and delivered: {out}" in answer.out
    for endpoint in ("sample", "encode", "decode", "reconstruct"):
        assert endpoint in answer.out
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        "saved_model",
        "model.tflite",
        "report.json",
    }
    assert (out / "saved_model" / "saved_model.pb").stat().st_size > 0

    def state():
        files = [path for path in out.rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = state()
    answer = tfgen("export", trained)
    assert answer.code == 2 and f"{out} exists already" in answer.err
    assert state() == before


def test_quickstart_works_a_second_time(tfgen, tmp_path, monkeypatch):
    whole = training.train

    def short(recipe, folder, given, setup, **options):
        return whole(recipe, folder, given | {"epochs": 1, "width": 4}, setup, **options)

    monkeypatch.setattr(training, "train", short)
    folder = tmp_path / "quick"
    first, second = (tfgen("quickstart", "--folder", folder) for _ in range(2))
    assert first.code == 0 and f"verified and delivered: {folder / 'export'}" in first.out
    assert second.code == 0 and f"delivered already: {folder / 'export'}" in second.out
    for name in ("samples.png", "zoo.png", "export/model.tflite", "run/run.json"):
        assert (folder / name).exists()
    following = first.out.split("next:")[1].strip().splitlines()
    assert len(following) == 3 and all(line.strip().startswith("tfgen ") for line in following)


def test_export_to_onnx(trained, tfgen, tmp_path):
    pytest.importorskip("tf2onnx", reason="needs the extra onnx")
    out = tmp_path / "out"
    assert tfgen("export", trained, "--to", "onnx", "--out", out).code == 0
    assert {path.name for path in out.iterdir()} == {"README.md", "onnx", "report.json"}
    assert json.loads((out / "report.json").read_text())["model"] == trained.name


def test_data_list_names_all(tfgen):
    out = tfgen("data", "list").out
    for known in names.names():
        assert known.name in out and known.about in out
    assert "embedded" in next(line for line in out.splitlines() if "digits" in line)


def test_data_show_draws_the_set(tfgen, tmp_path):
    answer = tfgen("data", "show", "digits", "--count", "9", "--out", tmp_path / "look.png")
    assert answer.code == 0 and "1618 rows of (8, 8, 1), 10 classes" in answer.out
    width, height = Image.open(tmp_path / "look.png").size
    assert width == height and width % 3 == 1  # 3 cells, and a gap of 4 at the end


@pytest.mark.parametrize(
    ("data", "folder"),
    [("mnist", "lucic-mnist"), ("folder:data/x", "lucic-folder-data-x")],
)
def test_the_usual_folder_is_one_folder(data, folder):
    assert shared.usual_folder("lucic", data) == pathlib.Path("runs") / folder
