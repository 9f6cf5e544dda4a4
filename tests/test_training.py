"""Runs: exact resumption after a kill, damage, refusals, divergence, several machines."""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tfgen.data import load
from tfgen.errors import InputError
from tfgen.runs import checkpoints, opening, recipes, training
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


def test_interrupted_saves_the_last_step(tmp_path):
    job, run = JOBS["digits"], tmp_path / "run"
    arguments = command(job, "digits", run)
    arguments[arguments.index("--minutes") + 1] = "10"
    per_epoch = load("digits").size // 16
    process = start(arguments)
    while not (run / "history.csv").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on" in output
    assert 0 < steps(run)[0] < 6 * per_epoch
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
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged"):
        small(tmp_path / "run")
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_all_checkpoints_damaged_is_an_error(tmp_path):
    small(tmp_path / "run", steps=5)
    for path in checkpoints.paths(tmp_path / "run" / "checkpoints", 0):
        path.write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(InputError, match="are damaged"):
        small(tmp_path / "run")


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
