"""Energy models: all of a small machine's states are counted."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from sklearn.neural_network import BernoulliRBM

import zoo
from tfgen import random
from tfgen.data import from_arrays, load
from tfgen.endpoint import Element
from tfgen.errors import InputError
from zoo.energy.gaussian_rbm import GaussianRBM
from zoo.energy.rbm import RBM


def machine(height=2, width=2, hidden=3, scale=1.0, seed=0):
    """A machine of random weights."""
    draw = np.random.RandomState(seed)
    model = RBM(Element("images", (height, width, 1), low=-1.0, high=1.0), hidden)
    energy = model.energy
    for variable in (energy.weights_, energy.visible, energy.hidden):
        variable.assign(scale * draw.randn(*variable.shape))
    return model


def states(size):
    """All rows of `size` bits, float32 `[2^size, size]`."""
    return np.array(list(itertools.product([0, 1], repeat=size)), "float32")


def exact(model):
    """log Z by counting the hidden states, float64."""
    weights, visible, hidden = (
        np.array(v, "float64")
        for v in (model.energy.weights_, model.energy.visible, model.energy.hidden)
    )
    h = states(len(hidden)).astype("float64")
    logs = h @ hidden + np.logaddexp(0, visible + h @ weights.T).sum(axis=1)
    return np.logaddexp.reduce(logs)


def start(data, **given):
    recipe = zoo.find("rbm")
    stage = next(recipe.stages(data, recipe.settings(given), 0))
    stage.compile(seed=0)
    return stage


def test_the_free_energy_sums_over_hidden_units():
    model = machine()
    v, h = states(4), states(3)
    weights, visible, hidden = map(np.array, model.energy.get_weights())
    free = -np.logaddexp.reduce((v @ visible)[None] + (h @ hidden)[:, None] + h @ weights.T @ v.T)
    np.testing.assert_allclose(model.energy(v), free, rtol=1e-5)
    assert np.logaddexp.reduce(-free) == pytest.approx(exact(model), rel=1e-5)
    other = BernoulliRBM(3)
    other.components_, other.intercept_visible_ = weights.T, visible
    other.intercept_hidden_ = hidden
    np.testing.assert_allclose(model.energy(v), other._free_energy(v), rtol=1e-5)


def test_the_slope_is_that_of_the_likelihood():
    """With the model's own distribution in place of a chain: E_data dF - E_p dF."""
    model, v = machine(), states(4)
    data = tf.constant(v[[1, 3, 3, 8]])
    variables = model.energy.trainable_variables
    with tf.GradientTape() as tape:
        log_z = tf.reduce_logsumexp(-model.energy(v))
        loss = tf.reduce_mean(model.energy(data)) + log_z
    truth = tape.gradient(loss, variables)
    p = np.exp(-np.array(model.energy(v)) - exact(model))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.energy(data)) - tf.reduce_sum(p * model.energy(v))
    for slope, expected in zip(tape.gradient(loss, variables), truth, strict=True):
        np.testing.assert_allclose(slope, expected, atol=1e-5)


def test_nothing_is_learnt_through_the_chain():
    model = machine()
    images = model.images(tf.constant(states(4)))
    with tf.GradientTape() as tape, random.place(0, tf.constant(0)):
        loss = sum(model.divergence(images).values())
    assert all(np.isfinite(s).all() for s in tape.gradient(loss, model.trainable_variables))
    with tf.GradientTape() as tape:
        moved = tf.reduce_sum(model.walk(tf.constant(states(4)), tf.range(16), 3))
    assert all(s is None for s in tape.gradient(moved, model.trainable_variables))


def test_chains_reach_the_distribution():
    model, count = machine(), 20_000
    drawn = np.array(tf.function(model.draw)(tf.range(count), 50)).astype(int)
    shares = np.bincount(drawn @ [8, 4, 2, 1], minlength=16) / count
    p = np.exp(-np.array(model.energy(states(4)), "float64") - exact(model))
    np.testing.assert_allclose(shares, p, atol=5 * np.sqrt(p.max() / count))
    # One more step leaves it as it is.
    more = np.array(model.walk(tf.constant(drawn, tf.float32), tf.range(count), 1, 50)).astype(int)
    again = np.bincount(more @ [8, 4, 2, 1], minlength=16) / count
    np.testing.assert_allclose(again, p, atol=5 * np.sqrt(p.max() / count))


def test_the_partition_function_is_that_of_counting():
    model = machine(4, 4, 10, scale=0.7)
    estimate, logs = model.log_partition(tf.range(100), 500)
    assert float(estimate) == pytest.approx(exact(model), abs=0.1)
    assert np.std(logs) > 0


def test_the_partition_function_without_weights_is_exact():
    model = machine(3, 3, 5)
    model.energy.weights_.assign(tf.zeros([9, 5]))
    model.energy.hidden.assign(tf.zeros([5]))
    estimate, logs = model.log_partition(tf.range(4), 3)
    assert float(estimate) == pytest.approx(exact(model), rel=1e-6)
    assert np.std(logs) < 1e-4


@pytest.mark.parametrize("algorithm", ["cd", "pcd"])
def test_training_raises_the_likelihood(algorithm):
    """Two patterns of six pixels; a machine without hidden units is at 6 log 2 = 4.16 nats."""
    rows = np.tile([[-1, 1, -1, 1, -1, 1], [1, -1, 1, -1, 1, -1]], [100, 1]).astype("float32")
    data = from_arrays(rows.reshape(-1, 2, 3, 1), test=rows[:2].reshape(-1, 2, 3, 1))
    given = {"hidden": 4, "learning_rate": 0.5, "batch_size": 20, "epochs": 80}
    stage = start(data, algorithm=algorithm, gibbs=3, **given)
    model, images = stage.model, data.rows("train")

    def likelihood():
        return float(np.mean(-model.free_energy(images)) - exact(model))

    assert likelihood() == pytest.approx(-4.16, abs=0.1)
    stage.model.fit(stage.batches(), steps_per_epoch=800, shuffle=False, verbose=0)
    assert -1.8 < likelihood() <= -np.log(2)  # 0.69 is the entropy of the two


def test_samples_are_black_and_white_and_of_a_chain_of_the_length_asked_for():
    data = load("digits")
    model = start(data, hidden=5, chain=3).model
    samples = np.array(model.sample(tf.range(10)))
    assert set(np.unique(samples)) == {-1.0, 1.0}
    drawn = np.array(model.draw(tf.range(10), 3)).reshape(samples.shape)
    np.testing.assert_array_equal(samples, 2 * drawn - 1)


def test_rows_that_are_no_images_are_refused():
    with pytest.raises(InputError, match="rbm makes images, of one domain, and ring has none"):
        start(load("ring"))


# Gaussian pixels


def gaussian_machine(size=2, hidden=4):
    """A machine of random weights, and the Gaussians it is a mixture of: centres, log-weights."""
    draw = np.random.RandomState(0)
    model = GaussianRBM(Element("points", (size,)), hidden)
    energy = model.energy
    for variable in (energy.weights_, energy.visible, energy.hidden):
        variable.assign(draw.randn(*variable.shape))
    weights, visible, biases = (
        np.array(v, "float64") for v in (energy.weights_, energy.visible, energy.hidden)
    )
    shifts = states(hidden) @ weights.T
    logs = states(hidden) @ biases + shifts @ visible + 0.5 * (shifts**2).sum(axis=1)
    return model, visible + shifts, logs


def test_a_gaussian_machine_is_a_mixture_of_gaussians():
    model, centres, logs = gaussian_machine()
    log_z = np.log(2 * np.pi) + np.logaddexp.reduce(logs)
    rows = 3 * np.random.RandomState(1).randn(20, 2)
    parts = [stats.multivariate_normal(c).logpdf(rows) for c in centres]
    truth = np.logaddexp.reduce(parts + (logs - np.logaddexp.reduce(logs))[:, None])
    found = -np.array(model.free_energy(rows.astype("float32"))) - log_z
    np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-4)
    estimate, _ = model.log_partition(tf.range(500), 500)
    assert float(estimate) == pytest.approx(log_z, abs=0.1)


def test_chains_of_a_gaussian_machine_have_the_moments_of_the_mixture():
    model = gaussian_machine()[0]
    model.energy.weights_.assign(0.5 * model.energy.weights_)  # closer centres, which chains mix
    weights = np.array(model.energy.weights_, "float64")
    visible, biases = (np.array(v, "float64") for v in (model.energy.visible, model.energy.hidden))
    shifts = states(4) @ weights.T
    logs = states(4) @ biases + shifts @ visible + 0.5 * (shifts**2).sum(axis=1)
    shares = np.exp(logs - np.logaddexp.reduce(logs))
    mean = shares @ (visible + shifts)
    spread = np.eye(2) + (shares[:, None] * shifts).T @ shifts
    spread -= np.outer(mean - visible, mean - visible)
    drawn = np.array(tf.function(model.draw)(tf.range(20_000), 100))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), spread, atol=0.1)


def test_a_gaussian_machine_takes_standardized_rows():
    data = load("digits")
    recipe = zoo.find("gaussian_rbm")
    model = next(recipe.stages(data, recipe.settings({"hidden": 5, "chain": 2}), 0)).model
    model.begin(data)
    units = np.array(model.units(data.rows("train")))
    varied = data.rows("train").reshape(-1, 64).std(axis=0) > 0.1
    np.testing.assert_allclose(units.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(units[:, varied].std(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(model.images(units), data.rows("train"), atol=1e-5)
