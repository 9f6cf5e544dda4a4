"""Runs: exact resumption after a kill, damage, refusals, divergence, several machines."""

import io
import json
import os
import pathlib
import pickle
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tfgen import quiet
from tfgen.data import load
from tfgen.errors import InputError, Note
from tfgen.runs import callbacks, checkpoints, devices, folders, opening, recipes, training
from tfgen.runs.checkpoints import Diverged
from tfgen.runs.recipes import Recipe, Setup, Stage

ROOT = pathlib.Path(__file__).parents[1]
SMALL = {"hidden": 32, "latent_dim": 4, "epochs": 3, "batch_size": 100}
JOBS = {
    "digits": ["vae", "hidden=32", "latent_dim=4", "--epochs", "6", "--batch-size", "16"],
    "mnist": ["gan", "generator_width=32", "discriminator_width=8", "--steps", "700"],
}


def command(job, data, run):
    """A training that saves about five times a second."""
    options = ["--data", data, "--run", str(run), "--minutes", "0.01", "--keep", "1000"]
    return [sys.executable, "-m", "tfgen", "train", *job, *options]


def start(arguments, **environment):
    return subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def steps(run):
    return [int(path.stem.split("-")[1]) for path in checkpoints.paths(run / "checkpoints", 0)]


def state(run):
    """Every array of the newest checkpoint, and the bytes of the history."""
    with np.load(checkpoints.paths(run / "checkpoints", 0)[0]) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return arrays, (run / "history.csv").read_bytes()


def assert_same(run, other):
    (arrays, history), (others, other_history) = state(run), state(other)
    assert arrays.keys() == others.keys() and len(arrays) > 10
    different = [name for name in arrays if arrays[name].tobytes() != others[name].tobytes()]
    assert different == []
    assert history == other_history


@pytest.mark.parametrize("data", JOBS)
def test_killed_and_resumed_is_bit_identical(data, tmp_path, request):
    if data == "mnist":
        request.getfixturevalue("real_data")
    job = JOBS[data]
    finish(start(command(job, data, tmp_path / "whole")))
    final = steps(tmp_path / "whole")[0]
    process = start(command(job, data, tmp_path / "killed"))
    moment = random.Random().uniform(0.1, 0.6) * final
    while not any(step > moment for step in steps(tmp_path / "killed")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = steps(tmp_path / "killed")[0]
    assert reached < final, "it was not killed before its end"
    finish(start(command(job, data, tmp_path / "killed")))
    assert steps(tmp_path / "killed")[0] == final
    assert_same(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_saves_the_last_step(tmp_path, number):
    job, run = [*JOBS["digits"], "--epochs", "12"], tmp_path / "run"
    arguments = command(job, "digits", run)
    arguments[arguments.index("--minutes") + 1] = "10"
    per_epoch = load("digits").size // 16
    process = start(arguments)
    while not (run / "history.csv").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "the same command goes on" in output
    assert "Traceback" not in output
    assert 0 < steps(run)[0] < 12 * per_epoch
    finish(start(arguments))
    finish(start(command(job, "digits", tmp_path / "whole")))
    assert_same(run, tmp_path / "whole")


def small(folder, given=None, **options):
    return training.train(zoo.find("vae"), folder, SMALL | (given or {}), verbose=0, **options)


def test_a_run_leaves_what_it_promises(tmp_path):
    small(tmp_path / "run")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["model"] == "vae" and run["settings"]["hidden"] == 32 and run["seed"] == 0
    assert run["versions"]["keras"] == keras.__version__
    pictures = sorted((tmp_path / "run" / "samples").iterdir())
    assert [p.name for p in pictures] == ["epoch_001.png", "epoch_002.png", "epoch_003.png"]
    header, *rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert header == "epoch,step,elbo/kl,elbo/reconstruction" and len(rows) == 3
    assert list((tmp_path / "run" / "events").rglob("*tfevents*"))
    assert not list((tmp_path / "run").rglob("*writing*"))


def test_each_stage_keeps_its_pictures_and_terms(tmp_path):
    given = {"latent_dim": 4, "n_critic": 1, "members": 3, "epochs": 1, "batch_size": 10_000}
    training.train(zoo.find("gogan"), tmp_path, given, recipes.Setup("ring"), verbose=0)
    for place in (tmp_path, tmp_path / "stage_1", tmp_path / "stage_2"):
        header, _ = (place / "history.csv").read_text().splitlines()
        assert ("ranking" in header) == (place != tmp_path)
        assert (place / "losses.png").exists() and (place / "samples" / "epoch_001.png").exists()


def test_stopping_by_steps_and_going_on_is_exact(tmp_path):
    small(tmp_path / "whole")
    small(tmp_path / "pieces", steps=5)  # rounded up to half an epoch of 16
    assert steps(tmp_path / "pieces") == [8]
    small(tmp_path / "pieces", steps=40)
    small(tmp_path / "pieces")
    assert_same(tmp_path / "whole", tmp_path / "pieces")


def test_two_replicas_equal_one_and_resume_exactly(tmp_path):
    def run(name, replicas, **options):
        given = {"generator_width": 32, "discriminator_width": 8, "batch_size": 64, "epochs": 1}
        folder, setup = tmp_path / name, Setup(replicas=replicas)
        return training.train(zoo.find("gan"), folder, given, setup, verbose=0, **options)

    one, two = run("one", 1, steps=20), run("two", 2, steps=20)
    for single, double in zip(one.weights, two.weights, strict=True):
        assert np.allclose(single, double, atol=1e-5)
    run("pieces", 2, steps=10)
    run("pieces", 2, steps=20)
    assert_same(tmp_path / "two", tmp_path / "pieces")


def test_moving_averages_and_loss_scales_survive(tmp_path):
    def recipe(data, epochs=2):
        stage = next(zoo.find("vae").function(data, **SMALL))
        optimizer = keras.optimizers.Adam(use_ema=True, ema_momentum=0.9)
        yield stage._replace(optimizer=optimizer, epochs=epochs)

    averaged, setup = Recipe("averaged", recipe), Setup(precision="mixed_float16")
    whole = training.train(averaged, tmp_path / "whole", setup=setup, verbose=0)
    training.train(averaged, tmp_path / "pieces", setup=setup, steps=7, verbose=0)
    training.train(averaged, tmp_path / "pieces", setup=setup, verbose=0)
    assert_same(tmp_path / "whole", tmp_path / "pieces")
    opened, _ = opening.open_run(tmp_path / "pieces", lambda name: averaged)
    kernel = opened.encoder.trainable_variables[0]
    assert kernel.dtype == "float32" and opened.encoder.compute_dtype == "float32"
    assert np.array_equal(kernel, whole.encoder.trainable_variables[0])  # both are averages
    raw = np.load(checkpoints.paths(tmp_path / "whole" / "checkpoints", 0)[0])["model/0001"]
    assert not np.array_equal(raw, whole.variables[1])


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_is_told_and_passed_over(tmp_path, damage):
    small(tmp_path / "whole")
    small(tmp_path / "run", steps=40)
    newest = checkpoints.paths(tmp_path / "run" / "checkpoints", 0)[0]
    content = bytearray(newest.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    else:
        content = content[: len(content) // 2 if damage == "truncated" else 0]
    newest.write_bytes(content)
    with pytest.warns(Note, match=f"{newest.name} is damaged"):
        small(tmp_path / "run")
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_all_checkpoints_damaged_is_an_error(tmp_path):
    small(tmp_path / "run", steps=5)
    for path in checkpoints.paths(tmp_path / "run" / "checkpoints", 0):
        path.write_bytes(b"")
    with pytest.warns(Note), pytest.raises(InputError, match="are damaged; they stay as they are"):
        small(tmp_path / "run")


def rewritten(path, change):
    """A checkpoint whose arrays are changed by `change(arrays)`, in whole archives."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    change(arrays)
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def claims_terabytes(path):
    """A checkpoint with a variable whose header tells of more than there is."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, head.getvalue() if name == "mean/elbo/kl/0/0.npy" else content)


DAMAGES = {
    "a weight that is no number": lambda path: rewritten(
        path, lambda arrays: arrays["model/0001"].fill(np.nan)
    ),
    "no history": lambda path: rewritten(path, lambda arrays: arrays.pop("rows")),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    "a claim of terabytes": claims_terabytes,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_damage_does_is_told_and_changes_nothing(tmp_path, damage):
    small(tmp_path / "run", steps=40)
    newest, before = checkpoints.paths(tmp_path / "run" / "checkpoints", 0)[:2]
    DAMAGES[damage](newest)
    with pytest.warns(Note, match=f"{newest.name} is damaged"):
        model, _ = opening.open_run(tmp_path / "run", zoo.find)
    with np.load(before) as archive:
        assert int(model.step.numpy()) == int(archive["model/0000"]) == 32
    assert newest.exists()


@pytest.mark.parametrize(("key", "value"), [("hidden", 16), ("latent_dim", 5), ("layers", 2)])
def test_a_checkpoint_of_another_model_is_not_called_damaged(tmp_path, key, value):
    small(tmp_path / "run", steps=5)
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    run["settings"][key] = value
    (tmp_path / "run" / "run.json").write_text(json.dumps(run))
    with pytest.raises(InputError, match="is not of this model.* are whole and stay") as caught:
        opening.open_run(tmp_path / "run", zoo.find)
    assert "delete" not in str(caught.value) and steps(tmp_path / "run") == [8]


# The folder of a run


def steady(data, epochs=2):
    """A VAE whose learning rate stays as it is."""
    stage = next(zoo.find("vae").function(data, **SMALL))
    yield stage._replace(optimizer=keras.optimizers.Adam(1e-3), epochs=epochs)


def test_more_epochs_are_one_longer_run(tmp_path):
    def train(name, epochs, **options):
        recipe = Recipe("steady", steady)
        training.train(recipe, tmp_path / name, {"epochs": epochs}, verbose=0, **options)
        return json.loads((tmp_path / name / "run.json").read_text())

    train("whole", 5)
    before = train("run", 2)
    with pytest.raises(InputError, match="epochs=1 .there: 2."):
        train("run", 1)
    longer = train("run", 5, steps=40)
    assert longer == before | {"settings": {"epochs": 5}} and steps(tmp_path / "run")[0] == 40
    train("run", 5)
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_more_epochs_are_refused_where_a_rate_falls_over_them(tmp_path):
    small(tmp_path / "run")  # a cosine, down to 0
    before = state(tmp_path / "run")[1], (tmp_path / "run" / "run.json").read_text()
    with pytest.raises(InputError, match="made for 3 epochs, and its optimizers depend on"):
        small(tmp_path / "run", {"epochs": 4})
    assert (state(tmp_path / "run")[1], (tmp_path / "run" / "run.json").read_text()) == before
    small(tmp_path / "run")  # the run is as it was


def test_more_epochs_of_the_first_stage_begin_the_second_anew(tmp_path):
    given = {"latent_dim": 4, "n_critic": 1, "members": 2, "batch_size": 2_000, "hidden": 16}

    def train(name, epochs):
        chosen = given | {"epochs": epochs}
        training.train(zoo.find("gogan"), tmp_path / name, chosen, Setup("ring"), verbose=0)

    train("run", 1)
    for name in ("run", "whole"):
        train(name, 2)
    for stage in (0, 1):
        one, other = (
            np.load(checkpoints.paths(tmp_path / name / "checkpoints", stage)[0])
            for name in ("run", "whole")
        )
        assert all(np.array_equal(one[name], other[name]) for name in other.files)


def test_a_run_of_before_a_setting_takes_its_default(tmp_path):
    small(tmp_path / "whole")
    small(tmp_path / "run", steps=5)
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    for key in ("network", "layers"):
        del run["settings"][key]
    (tmp_path / "run" / "run.json").write_text(json.dumps(run))
    with pytest.raises(InputError, match=r"layers=3 \(there: None\)"):
        small(tmp_path / "run", {"layers": 3})
    with pytest.warns(Note, match="began before vae had network: it goes on with 'mlp'"):
        small(tmp_path / "run")
    assert_same(tmp_path / "whole", tmp_path / "run")
    run["settings"]["gone"] = 1
    (tmp_path / "run" / "run.json").write_text(json.dumps(run))
    with pytest.raises(InputError, match=r"no gone \(there: 1\)"), pytest.warns(Note):
        small(tmp_path / "run")


def diverging(data):
    stage = next(zoo.find("vae").function(data, **SMALL))
    yield stage._replace(optimizer=keras.optimizers.SGD(1e30))


REFUSED = {
    "too large a batch": (zoo.find("dcgan"), {"width": 4, "batch_size": 5000}, 16, "digits"),
    "a rate of 0": (zoo.find("dcgan"), {"width": 4, "learning_rate": 0}, 16, "digits"),
    "a beta of 2": (zoo.find("dcgan"), {"width": 4, "beta_1": 2.0}, 16, "digits"),
    "two domains": (zoo.find("dcgan"), {"width": 4}, None, "digit_pairs"),
    "divergence": (Recipe("diverging", diverging), {}, None, "digits"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_first_attempt_leaves_its_folder_free(tmp_path, case):
    recipe, given, size, data = REFUSED[case]
    folder = tmp_path / "deep" / "run"
    with pytest.raises(Exception):  # noqa: B017 (what is told is for other tests)
        training.train(recipe, folder, given, Setup(data, size), verbose=0, diagnose=True, steps=1)
    assert not list(tmp_path.iterdir())
    folder.mkdir(parents=True)
    with pytest.raises(Exception):  # noqa: B017
        training.train(recipe, folder, given, Setup(data, size), verbose=0, steps=1)
    assert folder.exists() and not list(folder.iterdir())


@pytest.mark.parametrize("model", ["dcgan", "gan", "vae"])
def test_images_of_two_domains_are_for_translators(tmp_path, model):
    with pytest.raises(InputError, match="digit_pairs has images of two domains, but this model"):
        training.train(zoo.find(model), tmp_path / "run", {}, Setup("digit_pairs"), verbose=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"learning_rate": 0}, "a learning rate of 0 moves nothing"),
        ({"beta_1": 2.0}, "beta_1=2 makes no optimizer"),
        ({"batch_size": 5000}, "batch_size 5000 does not fit 'digits', which has 1618 rows"),
    ],
)
def test_what_cannot_be_trained_is_told(tmp_path, given, told):
    with pytest.raises(InputError, match=told):
        recipe = zoo.find("dcgan")
        training.train(recipe, tmp_path / "run", {"width": 4} | given, Setup("digits", 16))


def test_where_nothing_was_trained_another_run_may_begin(tmp_path):
    small(tmp_path / "run", steps=5)
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.unlink()
    small(tmp_path / "run", {"latent_dim": 8}, steps=5)
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["settings"]["latent_dim"] == 8 and steps(tmp_path / "run") == [8]


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    small(tmp_path / "run", steps=5)
    before = state(tmp_path / "run")
    program = (
        "import sys\nfrom tfgen.runs import folders\n"
        "with folders.claimed(sys.argv[1]):\n    print('claimed', flush=True)\n    input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "claimed\n"
    with pytest.raises(InputError, match="another process trains in .*run: wait"):
        small(tmp_path / "run")
    assert state(tmp_path / "run")[1] == before[1]
    opening.open_run(tmp_path / "run", zoo.find)  # which only reads
    other.kill()
    other.communicate()
    small(tmp_path / "run")


RUN_FILES = {
    "empty": (b"", "the file is empty. What lies beside it is not touched"),
    "no JSON": (b"{nope", "cannot be read"),
    "truncated": (lambda text: text[: len(text) // 2], "cannot be read"),
    "binary": (bytes(range(256)), "cannot be read"),
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "cannot be read"),
    "nested": (b"[" * 100_000, "cannot be read"),
    "a list": (b"[]", "is that of no run"),
    "nothing in it": (b"{}", "no field 'model'"),
    "no model": ({"model": ...}, "no field 'model'"),
    "no settings": ({"settings": ...}, "no field 'settings'"),
    "no data": ({"data": ...}, "no field 'data'"),
    "no description": ({"described": ...}, "no field 'described'"),
    "model 7": ({"model": 7}, "model is 7"),
    "model null": ({"model": None}, "model is null"),
    "an unknown model": ({"model": "vea"}, "did you mean vae"),
    "another model": ({"model": "dcgan"}, "dcgan has no"),
    "a model elsewhere": ({"model": "../vae"}, "there is no model"),
    "settings as a list": ({"settings": []}, "settings is"),
    "settings as text": ({"settings": "hidden=3"}, "settings is"),
    "latent_dim -1": ({"settings": {"latent_dim": -1}}, "latent_dim=-1 is out of range"),
    "latent_dim null": ({"settings": {"latent_dim": None}}, "latent_dim"),
    "hidden {}": ({"settings": {"hidden": {}}}, "settings is"),
    "hidden infinite": ({"settings": {"hidden": float("inf")}}, "settings is"),
    "an unknown setting": ({"settings": {"foo": 1}}, "vae has no 'foo'"),
    "data 5": ({"data": 5}, "data is 5"),
    "image_size x": ({"image_size": "x"}, "image_size is"),
    "image_size 0": ({"image_size": 0}, "image_size is 0"),
    "seed x": ({"seed": "x"}, "seed is"),
    "seed 1e30": ({"seed": 1e30}, "seed is"),
    "seed true": ({"seed": True}, "seed is true"),
    "replicas": ({"replicas": -3}, "replicas is -3"),
    "precision": ({"precision": "x"}, "precision is"),
    "described as text": ({"described": "digits"}, "described is"),
    "no columns": ({"described": {"columns": 1}}, "described is"),
    "odd columns": (
        {"described": {"columns": {"images": {"a": 1}}, "sizes": {}, "feed": [], "classes": []}},
        "cannot be used",
    ),
    "a folder": (None, "is no regular file"),
    "a FIFO": ("FIFO", "is no regular file"),
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun") / "run"
    small(folder, steps=5)
    return folder


def test_a_run_of_an_earlier_version_has_fewer_fields(begun, tmp_path):
    run = shutil.copytree(begun, tmp_path / "run")
    said = json.loads((run / "run.json").read_text())
    for field in ("mirror", "start", "precision", "replicas", "image_size", "arrays"):
        del said[field]
    for field in ("words", "origin", "files"):
        del said["described"][field]
    (run / "run.json").write_text(json.dumps(said))
    model, data = opening.open_run(run, zoo.find)
    assert data.origin == "digits" and data.rows("test", 2).shape == (2, 8, 8, 1)
    before = int(model.step.numpy())
    assert int(small(run).step.numpy()) > before == 8


@pytest.mark.parametrize("case", RUN_FILES)
def test_a_run_json_that_says_nonsense_is_told(begun, tmp_path, case):
    content, told = RUN_FILES[case]
    run = shutil.copytree(begun, tmp_path / "run")
    path = run / "run.json"
    if isinstance(content, dict):
        known = json.loads(path.read_text())
        for key, value in content.items():
            if key == "settings" and isinstance(value, dict):
                value = known["settings"] | value
            known[key] = value
        content = json.dumps({k: v for k, v in known.items() if v is not ...}).encode()
    elif callable(content):
        content = content(path.read_bytes())
    path.unlink()
    if content is None:
        path.mkdir()
    elif content == "FIFO":
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=told) as caught:
        opening.open_run(run, zoo.find)
    assert str(run) in str(caught.value)
    if case not in ("a model elsewhere", "odd columns"):
        with pytest.raises(InputError):
            small(run)
    assert steps(run) == [8]


# Machines as they are


def test_a_machine_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert folders.origin()["revision"] is None


def machines(role="worker", index=0, **cluster):
    task = {"type": role} | ({} if index is None else {"index": index})
    return json.dumps({"cluster": cluster, "task": task})


ONE, TWO = ["a:1"], ["a:1", "b:1"]


@pytest.mark.parametrize(
    ("text", "workers", "is_chief"),
    [
        ("", 1, True),
        (" ", 1, True),
        ("{}", 1, True),
        (machines(worker=ONE), 1, True),
        (machines("chief", chief=ONE), 1, True),
        (machines(index=None, worker=ONE), 1, True),
        (machines(worker=TWO), 2, True),
        (machines(index=1, worker=TWO), 2, False),
        (machines("chief", chief=ONE, worker=TWO), 3, True),
        (machines(index=0, chief=ONE, worker=TWO), 3, False),
        (machines(index="1", worker=TWO), 2, False),
    ],
)
def test_clusters(monkeypatch, text, workers, is_chief):
    monkeypatch.setenv("TF_CONFIG", text)
    assert devices.cluster() == (workers, is_chief)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "TF_CONFIG is 'nonsense': expected"),
        ("[]", "expected"),
        ("7", "expected"),
        ('{"cluster": 5}', "expected"),
        ('{"cluster": {"worker": 5}}', "expected"),
        (machines(index=None, worker=TWO), "task has no 'index'"),
        (machines(index="x", worker=TWO), "expected"),
        (machines(index=2, worker=TWO), "has no worker 2"),
        (machines(index=-1, worker=TWO), "has no worker -1"),
        (machines("chief", worker=TWO), "has no chief 0"),
        (machines(worker=TWO, ps=ONE), "ps: only a chief and workers"),
    ],
)
def test_clusters_that_cannot_be(monkeypatch, tmp_path, text, told):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=told):
        small(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_cluster_of_one_machine_trains_as_without(tmp_path, monkeypatch):
    small(tmp_path / "whole", steps=20)
    monkeypatch.setenv("TF_CONFIG", machines(worker=ONE))
    small(tmp_path / "run", steps=20)
    assert_same(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("seed", [-(2**31), -1, 2**31 - 1])
def test_every_seed_of_32_bits_trains(tmp_path, seed):
    small(tmp_path / "run", setup=Setup(seed=seed), steps=2)
    model, _ = opening.open_run(tmp_path / "run", zoo.find)
    assert len(opening.samples(model, 2)[0]) == 2


def test_a_training_tells_what_it_does(tmp_path):
    said = []

    def say(text, passing=False):
        said.append((text, passing))

    small(tmp_path / "run", say=say, every=0.0)
    first, *between, last = said
    model, data = opening.open_run(tmp_path / "run", zoo.find)
    count = sum(network.count_params() for network in (model.encoder, model.decoder))
    assert first == (
        f"{count:,} parameters (encoder {model.encoder.count_params():,}, decoder "
        f"{model.decoder.count_params():,}); digits: 1,618 rows, 16 steps an epoch; step 0 of 48",
        False,
    )
    assert all(passing for _, passing in between)
    pattern = r"epoch 2 of 3, step 24 of 48, \d+ s left: elbo/kl [\d.]+, elbo/reconstruction [\d.]+"
    assert any(re.fullmatch(pattern, text) for text, _ in between), between
    assert re.fullmatch(r"48 steps in \d+ s", last[0])
    said.clear()
    small(tmp_path / "run", say=say)
    assert [text for text, _ in said] == [
        f"{tmp_path / 'run'} has all its steps already: more epochs or steps would go on with it"
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.4, "3 s"), (99, "99 s"), (125, "2:05 min"), (7260, "2:01 h")]
)
def test_durations(seconds, words):
    assert callbacks.duration(seconds) == words


def test_what_takes_long_gives_signs_of_life():
    said = []
    with quiet.waiting(lambda text, passing: said.append(text), "it is", 0.05, 0.02):
        time.sleep(0.3)
    count = len(said)
    assert count >= 3 and all(text == "it is: 0 s so far" for text in said)
    time.sleep(0.1)
    assert len(said) == count


def test_other_settings_are_refused_with_the_difference(tmp_path):
    small(tmp_path / "run", steps=2)
    with pytest.raises(InputError, match=r"latent_dim=8 \(there: 4\), seed=1 \(there: 0\)"):
        small(tmp_path / "run", {"latent_dim": 8}, setup=Setup(seed=1))
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is not empty and is no run"):
        small(tmp_path / "letters")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"latent": 3}, r"vae has no 'latent': its recipe takes pixels=bernoulli, .*latent_dim"),
        ({"latent_dim": "many"}, "latent_dim='many' is no int; the default is 20"),
        ({"pixels": "poisson"}, "pixels='poisson' is not one of bernoulli, gaussian"),
        ({"batch_size": 0}, "batch_size=0 is out of range; the default is 100"),
        ({"learning_rate": "nan"}, "learning_rate=nan is out of range"),
        ({"batch_size": 10_000}, "10000"),
    ],
)
def test_settings_are_checked(tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        small(tmp_path / "run", given)
    assert not (tmp_path / "run").exists()


def test_a_batch_that_replicas_cannot_share_is_refused(tmp_path):
    with pytest.raises(InputError, match="batch_size=25 cannot be shared equally by 2 replicas"):
        small(tmp_path / "run", {"batch_size": 25}, setup=Setup(replicas=2))


class Exploding(zoo.find("vae").function.__globals__["VAE"]):
    """A VAE whose second term turns NaN at its tenth step."""

    def negative_elbo(self, images):
        terms = super().negative_elbo(images)
        bad = tf.where(self.step.value >= 20, float("nan"), 0.0)
        return terms | {"kl": terms["kl"] + bad}


def test_divergence_names_the_term_and_keeps_the_last_good_checkpoint(tmp_path):
    def recipe(data):
        stage = next(zoo.find("vae").function(data, **SMALL))
        model = Exploding(stage.model.encoder, stage.model.decoder, stage.model.element)
        yield Stage(model, data, keras.optimizers.Adam(), 100, 3)

    with pytest.raises(
        Diverged, match=r"elbo/kl became nan at step 21 or just before; .*0-000000016\.npz"
    ):
        training.train(Recipe("exploding", recipe), tmp_path / "run", verbose=0)
    assert steps(tmp_path / "run") == [16]


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    model = small(tmp_path / "run", steps=2)
    kernel = model.encoder.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.inf))
    with pytest.raises(Diverged, match="no longer finite"):
        checkpoints.save(tmp_path / "bad.npz", model, [])
    assert not (tmp_path / "bad.npz").exists()


WORKER = """
import sys, numpy as np, zoo
from tfgen.runs import training
given = {"generator_width": 32, "discriminator_width": 8, "batch_size": 64, "epochs": 1}
model = training.train(zoo.find("gan"), sys.argv[1], given, steps=10, verbose=0)
np.savez(sys.argv[2], *[np.array(w) for w in model.weights])
"""


def test_two_workers_agree_and_equal_one(tmp_path):
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(f"localhost:{free.getsockname()[1]}")

    def worker(name, run, **environment):
        weights = tmp_path / f"{name}.npz"
        return start(
            [sys.executable, "-c", WORKER, str(tmp_path / run), str(weights)], **environment
        )

    cluster = {"cluster": {"worker": ports}}
    processes = [
        worker(i, "two", TF_CONFIG=json.dumps(cluster | {"task": {"type": "worker", "index": i}}))
        for i in range(2)
    ]
    for process in processes:
        finish(process)
    finish(worker("alone", "one"))
    first, second, alone = (
        list(np.load(tmp_path / f"{name}.npz").values()) for name in (0, 1, "alone")
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert max(np.abs(a - b).max() for a, b in zip(first, alone, strict=True)) < 1e-5
    rows = [(tmp_path / run / "history.csv").read_text().splitlines()[1] for run in ("one", "two")]
    one, two = (np.array(row.split(","), float) for row in rows)
    assert np.allclose(one, two, atol=1e-5)
