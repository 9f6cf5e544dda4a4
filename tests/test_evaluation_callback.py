"""A metric under `fit`: where its numbers go, which checkpoint stays, and resumption."""

import csv
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.conftest import mirrored
from tfgen.data import load
from tfgen.runs.evaluation_callback import EvaluationCallback, restore


def stage():
    keras.utils.set_random_seed(0)
    made = next(zoo.find("vae").function(load("digits"), latent_dim=2, hidden=8, batch_size=32))
    made.compile()
    return made


def fit(made, epochs, callbacks, initial_epoch=0):
    return made.model.fit(
        made.batches(),
        initial_epoch=initial_epoch,
        epochs=epochs,
        steps_per_epoch=2,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    ).history


class Script:
    """An evaluation that gives numbers in turn, and remembers the weights it saw."""

    def __init__(self, *values):
        self.values, self.weights = list(values), []

    def __call__(self, model):
        self.weights.append([np.array(v) for v in model.trainable_variables])
        return {"fid": self.values.pop(0), "step": int(model.step.numpy())}


def assert_same(weights, others):
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_numbers_are_logged_where_all_others_are(tmp_path):
    script = Script(3.0, 1.0, 2.0)
    callbacks = [
        EvaluationCallback(script, every=2, name="test"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = fit(stage(), 5, callbacks)
    nan = math.nan
    np.testing.assert_array_equal(history["test/fid"], [3, 1, nan, 2, nan])
    np.testing.assert_array_equal(history["test/step"], [2, 4, nan, 8, nan])
    rows = list(csv.DictReader((tmp_path / "log.csv").open(newline="")))
    assert [float(row["test/fid"]) for row in rows][:2] == [3, 1] and "elbo/kl" in rows[0]


@pytest.mark.parametrize(("mode", "epoch", "value"), [("min", 2, 1.0), ("max", 3, 4.0)])
def test_the_best_checkpoint_stays(mode, epoch, value, tmp_path):
    script = Script(3.0, 1.0, 4.0, math.nan)
    best = tmp_path / "best.npz"
    fit(stage(), 4, [EvaluationCallback(script, best=best, mode=mode)])
    other = stage()
    row = restore(best, other.model)
    assert row == {"epoch": epoch, "fid": value, "step": 2 * epoch}
    assert_same([np.array(v) for v in other.model.trainable_variables], script.weights[epoch - 1])
    assert [path.name for path in tmp_path.iterdir()] == ["best.npz"]


def test_a_resumed_training_knows_its_best(tmp_path):
    best = tmp_path / "best.npz"
    made = stage()
    fit(made, 2, [EvaluationCallback(Script(2.0, 1.0), best=best)])
    kept = best.read_bytes()
    fit(made, 4, [EvaluationCallback(Script(1.5, 1.2), best=best)], initial_epoch=2)
    assert best.read_bytes() == kept
    script = Script(0.5)
    history = fit(made, 6, [EvaluationCallback(script, every=2, best=best)], initial_epoch=4)
    np.testing.assert_array_equal(history["evaluation/fid"], [math.nan, 0.5])
    assert restore(best, made.model)["epoch"] == 6


def test_another_number_can_be_the_one_to_watch(tmp_path):
    best = tmp_path / "best.npz"
    watch = EvaluationCallback(Script(1.0, 2.0, 3.0), best=best, monitor="step", mode="max")
    fit(stage(), 3, [watch])
    assert restore(best, stage().model)["epoch"] == 3
    with pytest.raises(ValueError, match="'kid' is not one of fid, step"):
        fit(stage(), 1, [EvaluationCallback(Script(1.0), monitor="kid")])
    with pytest.raises(ValueError, match="mode='least' is not min or max"):
        EvaluationCallback(Script(), mode="least")


def test_moving_averages_are_what_is_measured(tmp_path):
    made, script = stage(), Script(1.0)
    made.model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    made.model.optimizer.hold = True
    start = [np.array(v) for v in made.model.trainable_variables]
    fit(made, 1, [EvaluationCallback(script, best=tmp_path / "best.npz")])
    end = [np.array(v) for v in made.model.trainable_variables]
    for first, seen, last in zip(start, script.weights[0], end, strict=True):
        if np.abs(last - first).max() > 1e-6:
            assert 0 < np.abs(seen - first).max() < np.abs(last - first).max() * 1.5
            assert not np.array_equal(seen, last)
    other = stage()
    other.model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    restore(tmp_path / "best.npz", other.model)
    assert_same([np.array(v) for v in other.model.trainable_variables], script.weights[0])


def test_a_real_metric_improves_under_two_replicas(tmp_path):
    images = load("digits").rows("test", 100)

    def error(model):
        return {"error": tf.reduce_mean((model(images) - images) ** 2)}

    with mirrored().scope():
        made = stage()
        callback = EvaluationCallback(error, best=tmp_path / "best.npz")
        history = fit(made, 10, [callback])["evaluation/error"]
    assert min(history) < history[0] and callback.value == min(history)
    again = stage()
    row = restore(tmp_path / "best.npz", again.model)
    assert float(error(again.model)["error"]) == pytest.approx(row["error"], rel=1e-5)
