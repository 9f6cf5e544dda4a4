"""Likelihoods where they are known: linear models, densities, mixtures, enumerated machines."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

import zoo
from tests.test_vae import POINTS, LinearGaussian
from tfgen.data import load
from tfgen.errors import InputError
from tfgen.metrics import likelihood


def test_with_the_exact_posterior_bounds_are_the_likelihood():
    model = LinearGaussian()
    truth = model.log_evidence(POINTS)
    for samples, name in ((1, "ELBO, seed 0, N = 50"), (5, "IWAE-5 bound, seed 0, N = 50")):
        found = likelihood.bound(model, POINTS, samples)
        np.testing.assert_allclose(found.rows, truth, atol=1e-4)
        assert found.name == name and found.value == pytest.approx(truth.mean(), abs=1e-4)
        assert found.error == pytest.approx(stats.sem(truth), rel=1e-4)


def test_bounds_rise_with_their_samples_towards_the_likelihood():
    model = LinearGaussian(shift=0.3, factor=1.3)
    points = np.repeat(POINTS[:1], 3000, axis=0)
    truth = model.log_evidence(POINTS[:1])[0]
    values = [likelihood.bound(model, points, samples).value for samples in (1, 4, 32)]
    assert values[0] == pytest.approx(truth - model.gap(), abs=0.05)
    assert values[0] + 0.05 < values[1] < values[2] < truth + 0.02


def test_a_bound_belongs_to_its_seeds():
    model = next(zoo.find("vae").function(load("digits"), latent_dim=2, hidden=8)).model
    images = load("digits").rows("test", 120)
    first = likelihood.bound(model, images, 2)
    np.testing.assert_allclose(
        likelihood.bound(model, images[:7], 2).rows, first.rows[:7], rtol=1e-5
    )
    np.testing.assert_allclose(
        likelihood.bound(model, images[5:], 2, 5).rows, first.rows[5:], rtol=1e-5
    )
    assert likelihood.bound(model, images, 2, seed=1).value != first.value
    with pytest.raises(InputError, match="GAN has no bound on its likelihood"):
        recipe = zoo.find("gan")
        tiny = recipe.settings({"generator_width": 4, "discriminator_width": 4})
        likelihood.bound(next(recipe.function(load("digits"), **tiny)).model, images)


def test_bits_of_a_uniform_density_are_eight():
    assert likelihood.bits_per_dimension(-784 * math.log(256), 784) == pytest.approx(8)
    assert likelihood.bits_per_dimension(0.0, 784, 1 / 256) == pytest.approx(8)
    assert likelihood.bits_per_dimension(-784 * math.log(2), 784, 2 / 256) == pytest.approx(8)


def test_bits_of_a_histogram_are_its_entropy():
    images = load("digits").rows("train")
    levels = np.rint((images + 1) * 127.5).astype(int)
    frequency = np.bincount(levels.ravel(), minlength=256) / levels.size
    entropy = stats.entropy(frequency, base=2)

    def log_prob(noisy):
        table = tf.math.log(tf.constant(frequency + 1e-12, tf.float32))
        return tf.reduce_sum(tf.gather(table, tf.cast(noisy, tf.int32)), axis=(1, 2, 3))

    found = likelihood.dequantized(log_prob, images)
    assert likelihood.bits_per_dimension(found.value, 64) == pytest.approx(entropy, abs=1e-4)


def test_a_smooth_density_costs_more_bits_than_its_levels():
    # Levels of a Gaussian that is narrower than a level: the density wastes mass within the cell.
    images = np.full([200, 2, 2, 1], 100 / 127.5 - 1, "float32")
    density = stats.norm(100.5, 0.3)

    def log_prob(noisy):
        return density.logpdf(noisy.numpy()).sum(axis=(1, 2, 3))

    found = likelihood.dequantized(log_prob, images, draws=50)
    expected = -integral_of_log(density, 100, 101) / math.log(2)
    assert likelihood.bits_per_dimension(found.value, 4) == pytest.approx(expected, abs=0.02)
    assert expected > -math.log2(density.cdf(101) - density.cdf(100))


def integral_of_log(density, low, high):
    places = np.linspace(low, high, 10_001)
    return np.mean(density.logpdf((places[1:] + places[:-1]) / 2))


def test_parzen_windows_are_a_mixture_of_gaussians(monkeypatch):
    samples, reals, held = np.random.default_rng(0).normal(size=[3, 30, 5])
    monkeypatch.setattr(likelihood, "ROWS", 7)
    found = likelihood.parzen(samples, reals, held, sigmas=[0.7])
    distances = ((reals[:, None] - samples) ** 2).sum(axis=-1)
    terms = stats.norm.logpdf(np.sqrt(distances), scale=0.7) + 4 * stats.norm.logpdf(0, scale=0.7)
    expected = special.logsumexp(terms, axis=1) - math.log(30)
    np.testing.assert_allclose(found.rows, expected, rtol=1e-10)
    assert found.value == pytest.approx(expected.mean())
    assert found.error == pytest.approx(stats.sem(expected))
    assert found.name == "Parzen window, 30 samples, sigma 0.7, N = 30"


def test_the_width_is_chosen_by_held_out_rows_alone():
    rng = np.random.default_rng(0)
    samples, held = rng.normal(size=[2, 500, 2])
    values = [likelihood.parzen(samples, held, held, [sigma]).value for sigma in (0.03, 0.3, 3.0)]
    assert np.argmax(values) == 1
    found = likelihood.parzen(samples, samples, held, (0.03, 0.3, 3.0))  # which 0.03 suits best
    assert "sigma 0.3," in found.name
    assert likelihood.parzen(samples, samples, samples, (0.03, 0.3, 3.0)).value > found.value


def test_parzen_windows_stay_below_the_truth_in_many_dimensions():
    rng = np.random.default_rng(0)
    samples, reals, held = rng.normal(size=[3, 1000, 50])
    truth = stats.norm.logpdf(reals).sum(axis=1).mean()
    found = likelihood.parzen(samples, reals, held, np.linspace(0.3, 1.5, 13))
    assert found.value < truth - 5


def test_what_parzen_cannot_take():
    rows = np.zeros([4, 3])
    with pytest.raises(InputError, match="reals of 2 numbers, samples of 3"):
        likelihood.parzen(rows, rows[:, :2], rows)
    with pytest.raises(InputError, match="samples have values that are not finite"):
        likelihood.parzen(rows * np.nan, rows, rows)


def machine(visible=10, hidden=6, scale=1.0):
    rng = np.random.default_rng(0)
    return [scale * rng.normal(size=size) for size in ([visible, hidden], visible, hidden)]


def enumerated(weights, visible, hidden):
    """log Z by all states of the visible units."""
    states = np.array(list(itertools.product([0, 1], repeat=len(visible))))
    terms = states @ visible + np.logaddexp(0, states @ weights + hidden).sum(axis=1)
    return special.logsumexp(terms)


@pytest.mark.parametrize("base", [None, np.linspace(-1, 1, 10)])
def test_the_partition_function_of_a_machine_is_that_of_all_its_states(base):
    parts = machine()
    found = likelihood.rbm_log_z(*parts, base=base, betas=np.linspace(0, 1, 1001))
    assert found.log_z == pytest.approx(enumerated(*parts), abs=4 * found.error)
    assert 0 < found.error < 0.05 and 50 < found.effective <= 100


def test_more_temperatures_give_better_weights_and_each_seed_its_own():
    parts = machine(scale=2.0)
    few, many = (
        likelihood.rbm_log_z(*parts, betas=np.linspace(0, 1, count + 1)) for count in (10, 1000)
    )
    assert few.error > 3 * many.error and few.effective < many.effective
    other = likelihood.rbm_log_z(*parts, betas=np.linspace(0, 1, 1001), seed=1)
    assert other.log_z != many.log_z
    assert other.log_z == pytest.approx(many.log_z, abs=5 * (other.error + many.error))


def test_weights_are_unbiased_even_with_few_temperatures():
    parts = machine(6, 4)
    found = likelihood.rbm_log_z(*parts, chains=50_000, betas=[0, 0.5, 1])
    assert found.log_z == pytest.approx(enumerated(*parts), abs=5 * found.error)
    assert found.error < 0.03


def test_a_machine_without_weights_is_known_at_once():
    _, visible, hidden = machine()
    found = likelihood.rbm_log_z(np.zeros([10, 6]), visible, hidden, base=visible, betas=[0, 1])
    exact = np.logaddexp(0, visible).sum() + np.logaddexp(0, hidden).sum()
    assert found.log_z == pytest.approx(exact, abs=1e-4) and found.error < 1e-5


def test_the_partition_function_of_a_gaussian_energy():
    mean, deviation = np.array([1.0, -0.5, 0.3], "float32"), np.array([0.5, 1.0, 1.5], "float32")

    def energy(states):
        return tf.reduce_sum(0.5 * ((states - mean) / deviation) ** 2, axis=1) - 7.0

    found = likelihood.energy_log_z(energy, 3, scale=1.2, steps=300)
    exact = 7 + np.log(deviation * math.sqrt(2 * math.pi)).sum()
    assert found.log_z == pytest.approx(exact, abs=4 * found.error) and found.error < 0.1


def test_without_a_good_transition_the_estimate_is_worse():
    # The same path for the same Gaussian, where nothing moves: plain importance sampling.
    def log_density(states, beta):
        return -0.5 * tf.reduce_sum((states - 4.0 * beta) ** 2, axis=1)

    def moved(states, beta, step):
        noise = tf.random.stateless_normal(tf.shape(states), [step, 0])
        return 4.0 * beta + noise  # an exact draw

    start = tf.random.stateless_normal([200, 5], [0, 1])
    betas = np.linspace(0, 1, 101)
    good = likelihood.ais(log_density, moved, start, betas)
    poor = likelihood.ais(log_density, lambda states, *_: states, start, betas)
    assert good.log_z == pytest.approx(0, abs=4 * good.error) and good.error < 0.1
    assert poor.effective < 10 < 50 < good.effective
    shifted = likelihood.ais(log_density, moved, start, betas, log_base=3.0)
    assert shifted.log_z == pytest.approx(good.log_z + 3)
