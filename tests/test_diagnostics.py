"""The diagnostics: models made ill on purpose, healthy ones, and that it changes nothing."""

import csv
import json
import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.spatial.distance import pdist, squareform

import zoo
from tests import test_zoo as contract
from tests.conftest import mirrored
from tfgen import random
from tfgen.data import load
from tfgen.errors import InputError
from tfgen.objectives import losses
from tfgen.runs import diagnostics
from tfgen.runs.callbacks import Guard
from tfgen.runs.checkpoints import Diverged
from tfgen.runs.diagnostics import Diagnostics
from tfgen.runs.recipes import Setup
from tfgen.runs.training import train
from zoo.adversarial.gan import GAN, discriminator, generator
from zoo.variational.vae import VAE

DATA = load("digits")
PROBE = next(iter(DATA.batches(64, split="test")))
Adam = keras.optimizers.Adam


def gan(loss=losses.non_saturating, width=24):
    element = DATA.element
    return GAN(generator(8, element, width), discriminator(element, width), element, loss)


def examined(model, steps, optimizer=None, every=20, patient=None):
    """The doctor of a training, and what it said."""
    if optimizer or not model.optimizers:
        model.compile(optimizer or "adam")
    said = []
    patient = patient or Diagnostics(PROBE, every=every, say=said.append)
    patient.say = said.append
    model.fit(
        DATA.batches(64), steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[patient]
    )
    return patient, said


def fast_discriminator():
    return {"discriminator": Adam(1e-2), "generator": Adam(1e-6)}


def test_a_discriminator_that_learns_too_fast_is_overpowered():
    patient, said = examined(gan(), 240, fast_discriminator())
    assert set(patient.findings) == {"overpowered discriminator"}
    assert len(said) == 1 and "D(x) = 1.000 and D(G(z)) = 0.000" in said[0]
    assert said[0].startswith("diagnostics, step ")


def test_with_a_saturating_loss_its_generator_stops_learning():
    patient, said = examined(gan(losses.minimax), 240, fast_discriminator())
    names = {"overpowered discriminator", "vanishing gradient of the generator"}
    assert set(patient.findings) == names and len(said) == 2
    assert any("the generator's gradient has vanished" in sentence for sentence in said)


def test_a_generator_that_collapses_and_recovers():
    model = gan()
    model.compile({"discriminator": Adam(1e-3), "generator": Adam(1e-6)})
    for variable in model.generator.trainable_variables:
        variable.assign(10.0 * variable)  # so that samples differ before any training
    first = model.generator.layers[1].kernel
    healthy = np.array(first)
    patient, said = examined(model, 60, every=10)
    assert patient.rows[-1]["diversity/pairs"] > 0.2 and "collapse" not in patient.findings
    first.assign(0 * healthy)
    patient, said = examined(model, 60, patient=patient)
    assert "0% as far from each other" in patient.findings["collapse"]
    first.assign(healthy)
    patient, said = examined(model, 60, patient=patient)
    assert "collapse" not in patient.findings
    assert any("no longer: collapse" in sentence for sentence in said)


def test_a_generator_that_never_finds_out_of_one_point():
    model = gan()
    model.generator.layers[1].kernel.assign(0 * model.generator.layers[1].kernel)
    still = {"discriminator": Adam(1e-6), "generator": keras.optimizers.SGD(0.0)}
    patient, said = examined(model, 40, still, every=2)
    assert set(patient.findings) >= {"collapse"}
    assert any("collapse" in s and s.startswith("diagnostics, step 38") for s in said)


class Silent(VAE):
    """A VAE whose divergence weighs a thousand times too much."""

    def negative_elbo(self, images):
        terms = super().negative_elbo(images)
        return terms | {"kl": 1000.0 * terms["kl"]}


def vae(kind=VAE, latent_dim=4):
    sound = next(zoo.find("vae").function(DATA, latent_dim=latent_dim, hidden=64)).model
    return kind(sound.encoder, sound.decoder, DATA.element)


def test_too_much_divergence_leaves_dead_latents():
    patient, said = examined(vae(Silent), 200, Adam(3e-3))
    assert "4 of 4 latents are dead" in patient.findings["dead latents"]
    assert patient.rows[0]["latents/dead"] == 0 and patient.rows[-1]["latents/dead"] == 4


@pytest.mark.parametrize("latent_dim", [2, 8])
def test_a_healthy_vae_gets_no_diagnosis(latent_dim):
    patient, said = examined(vae(latent_dim=latent_dim), 200, Adam(1e-3))
    assert said == [] and patient.findings == {} and len(patient.rows) == 11
    assert patient.rows[-1]["diversity/pairs"] > 0.4


def test_a_healthy_gan_gets_no_diagnosis():
    patient, said = examined(gan(width=64), 500, Adam(1e-3, 0.5), every=40)
    assert said == [] and patient.findings == {}
    assert patient.rows[-1]["diversity/pairs"] > 0.3


def test_what_is_no_number_is_named():
    model = vae()
    model.compile(keras.optimizers.SGD(1e30))
    said = []
    with pytest.raises(Diverged):
        model.fit(
            DATA.batches(64),
            steps_per_epoch=10,
            verbose=0,
            callbacks=[Diagnostics(PROBE, say=said.append), Guard()],
        )
    assert said and "is not a finite number" in said[0] and "elbo/" in said[0]


def test_the_numbers_are_those_of_their_definitions():
    # Without dropout or batch normalization, and with a discriminator that is known.
    model = gan()
    known = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    known.add(keras.layers.Dense(1, kernel_initializer="random_normal"))
    model = GAN(model.generator, known, DATA.element)
    patient, _ = examined(model, 1, keras.optimizers.SGD(0.0))
    row = patient.rows[0]
    assert row["discriminator/D(x)"] == pytest.approx(np.mean(1 / (1 + np.exp(-known(PROBE)))))
    with random.place(0, tf.constant(0), testing=True), tf.GradientTape() as tape:
        loss = model.discriminator_loss(PROBE)
    slopes = tape.gradient(loss, known.trainable_variables)
    assert row["gradient/discriminator"] == pytest.approx(float(tf.linalg.global_norm(slopes)))
    own, reals = (diagnostics.diversity(rows) for rows in (model.sample(tf.range(64)), PROBE))
    for key in own:
        assert row[key] == pytest.approx(own[key] / reals[key], rel=1e-4)


def test_divergence_is_counted_by_dimension():
    model = vae()
    kernel, bias = model.encoder.trainable_variables[-2:]
    kernel.assign(0 * kernel)
    # Means 0, 0.1, 1, 0 and log-variances 0, 0, 0, 1: two are within 0.01 nats of N(0, 1).
    bias.assign([0, 0.1, 1, 0, 0, 0, 0, 1])
    patient, _ = examined(model, 1, keras.optimizers.SGD(0.0))
    assert (patient.rows[0]["latents/dead"], patient.rows[0]["latents/all"]) == (2, 4)


def test_diversity_is_of_pairs_and_of_nearest():
    rows = np.random.default_rng(0).normal(size=[20, 3, 2])
    distances = pdist(rows.reshape(20, 6))
    found = diagnostics.diversity(rows)
    assert found["diversity/pairs"] == pytest.approx(np.sqrt(np.mean(distances**2)))
    nearest = (squareform(distances) + 1e9 * np.eye(20)).min(axis=1)
    assert found["diversity/neighbours"] == pytest.approx(nearest.mean())


def test_one_bad_examination_is_no_diagnosis():
    good = {"step": 0, "discriminator/D(x)": 0.7, "discriminator/D(G(z))": 0.2}
    bad = good | {"discriminator/D(x)": 0.99, "discriminator/D(G(z))": 0.01}
    assert diagnostics.diagnoses([good, bad, bad, bad, bad]) == {}
    assert diagnostics.diagnoses([bad] * 4) == {}
    assert set(diagnostics.diagnoses([good] + [bad] * 5)) == {"overpowered discriminator"}
    assert diagnostics.diagnoses([bad] * 5 + [good]) == {}


def test_an_unbounded_critic_is_not_called_overpowered():
    model = gan(losses.least_squares)
    patient, _ = examined(model, 100, fast_discriminator())
    assert "discriminator/reals" in patient.rows[-1]
    assert "overpowered discriminator" not in patient.findings


def compiled(name, optimizer=None):
    """A model's first stage in its tiny settings."""
    recipe = zoo.find(name)
    return contract.compiled(recipe, recipe.tiny[0], optimizer)


def values(model):
    return [np.array(v) for v in model.weights]


@pytest.mark.parametrize("name", ["dcgan", "projection_gan"])
def test_training_goes_on_bit_by_bit_as_without_it(name):
    def trained(callbacks):
        stage = compiled(name, "adam")
        stage.model.fit(
            stage.batches(seed=5), steps_per_epoch=6, shuffle=False, verbose=0, callbacks=callbacks
        )
        return values(stage.model)

    batch = next(iter(compiled(name).data.batches(16, split="test")))
    patient = Diagnostics(batch, every=2, say=str)
    for alone, watched in zip(trained([]), trained([patient]), strict=True):
        np.testing.assert_array_equal(alone, watched)
    assert [row["step"] for row in patient.rows] == [0, 2, 4, 6]


@pytest.mark.parametrize("name", ["cgan", "infogan", "cvae", "pix2pix"])
def test_models_of_each_kind_can_be_examined(name):
    stage = compiled(name)
    patient = Diagnostics(next(iter(stage.data.batches(16, split="test"))), every=1, say=str)
    stage.model.fit(
        stage.batches(), steps_per_epoch=1, shuffle=False, verbose=0, callbacks=[patient]
    )
    assert len(patient.rows) == 2
    assert all(math.isfinite(value) for row in patient.rows for value in row.values())
    keys = set(patient.rows[0])
    assert {f"gradient/{objective}" for objective in stage.model.objectives} <= keys
    endpoints = stage.model.endpoints
    assert any(key.startswith("discriminator/") for key in keys) == ("discriminate" in endpoints)
    assert ("diversity/pairs" in keys) == ("sample" in endpoints)


def test_two_replicas_are_examined_as_one():
    rows = []
    for scope in (tf.distribute.get_strategy().scope, mirrored().scope):
        with scope():
            stage = compiled("dcgan")
            batch = next(iter(stage.data.batches(16, split="test")))
            patient = Diagnostics(batch, every=2, say=str)
            stage.model.fit(
                stage.batches(), steps_per_epoch=2, shuffle=False, verbose=0, callbacks=[patient]
            )
            rows.append(patient.rows)
    for one, two in zip(*rows, strict=True):
        assert {k: v for k, v in one.items() if "diversity" in k} == pytest.approx(
            {k: v for k, v in two.items() if "diversity" in k}, rel=1e-3
        )
        assert all(math.isfinite(value) for value in two.values())


def test_a_run_keeps_the_doctor_s_rows_when_it_goes_on(tmp_path):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    recipe, setup = zoo.find("vae"), Setup("digits")
    tiny = recipe.tiny[0].settings | {"epochs": 3}
    train(recipe, whole, tiny, setup, verbose=0, diagnose=True)
    for steps in (130, None):
        train(recipe, pieces, tiny, setup, verbose=0, diagnose=True, steps=steps)
    rows, others = (
        list(csv.DictReader((run / "diagnostics.csv").open(newline=""))) for run in (whole, pieces)
    )
    assert [row["step"] for row in rows] == ["0", "100", "200", "300"]
    assert rows == others
    assert Image.open(pieces / "diagnostics.png").size[0] == 640


def test_at_the_end_it_says_what_it_found_or_that_it_is_too_early():
    patient, said = examined(vae(), 40)
    patient.conclude()
    assert said == [
        "diagnostics, step 40: 40 steps are too few to tell whether anything is wrong: it takes 400"
    ]
    patient, said = examined(vae(), 80, every=4)
    patient.conclude()
    assert said == ["diagnostics, step 80: nothing wrong was found"]
    patient, said = examined(vae(Silent), 200, Adam(3e-3))
    patient.conclude()
    assert said[-1].startswith("diagnostics, step 200: at the end: ")
    assert said[-1].endswith("dead latents")  # and maybe a collapse, as nothing else varies samples


def test_a_collapsed_model_is_named_beside_test_rows():
    model = gan()
    early = r"are alike, \d% as far .* nearest: the model has collapsed, or 0 steps are too few"
    assert re.search(early, diagnostics.collapse(model, DATA))  # weights of 0.05: all gray
    model.step.assign(5000)
    assert diagnostics.collapse(model, DATA).endswith("the model has collapsed")
    for variable in model.generator.trainable_variables:
        variable.assign(10.0 * variable)
    assert diagnostics.collapse(model, DATA) is None
    assert diagnostics.collapse(model, load("ring")) is None  # other rows: no telling


def test_several_machines_are_refused(tmp_path, monkeypatch):
    cluster = {"worker": ["a:1", "b:1"]}
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    with pytest.raises(InputError, match="one machine"):
        train(zoo.find("vae"), tmp_path / "run", {}, Setup("digits"), diagnose=True)
    assert not (tmp_path / "run").exists()
