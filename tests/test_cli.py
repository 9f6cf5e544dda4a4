"""The front door: what it answers, what it writes, and how it says no."""

import json
import pathlib
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import zoo
from tfgen import cli
from tfgen.data import names

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
        (["sample", "nowhere", "--out", "x.gif"], ["x.gif", ".png"]),
        (["export", "nowhere"], ["nowhere is no run"]),
        (["traverse", "nowhere", "--code", "0"], ["nowhere is no run"]),
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


def test_a_traversal_is_a_picture_of_ten_columns(tfgen, trained, tmp_path):
    out = tmp_path / "x.png"
    answer = tfgen("traverse", trained, "--code", "1", "--rows", "5", "--out", out)
    assert answer.code == 0 and "latent 1 from [-2." in answer.out
    width, height = Image.open(out).size
    assert width == pytest.approx(2 * height, rel=0.02)
    answer = tfgen("traverse", trained, "--code", "2", "--out", tmp_path / "y.png")
    assert answer.code == 2 and "code 2: there are 0 to 1: 0 (latent 0), 1 (latent 1)" in answer.err
    assert not (tmp_path / "y.png").exists()


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
        assert answer.code == 0 and "2 translated, 1 skipped as unreadable" in answer.out
        assert "c.png" in answer.err
        assert {path.name: Image.open(path).size for path in out.iterdir()} == {
            "a.png": (9, 5),
            "b.png": (16, 16),
        }
    answer = tfgen("translate", run, "--input", source, "--out", tmp_path / "x")
    assert answer.code == 2 and "it can a2b and b2a" in answer.err
    answer = tfgen("translate", trained, "--input", source, "--out", tmp_path / "x")
    assert answer.code == 2 and "it translates nothing" in answer.err


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
