"""Variational autoencoders beyond the first: bounds, weights and gradients that are known."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

import zoo
from tests.test_vae import POINTS, LinearGaussian, images, terms
from tfgen import random
from tfgen.data import load
from tfgen.objectives.distributions import diagonal, standard
from zoo.variational.beta_vae import BetaVAE
from zoo.variational.iwae import IWAE
from zoo.variational.vae import VAE


def stage(name, **given):
    recipe = zoo.find(name)
    return next(recipe.function(load("digits"), **recipe.settings({"hidden": 16} | given)))


class LinearIWAE(LinearGaussian):
    """`LinearGaussian`, whose log p(x) is known, with the loss of an IWAE."""

    negative_bound, log_weights = IWAE.negative_bound, IWAE.log_weights

    def __init__(self, samples, **posterior):
        super().__init__(**posterior)
        self.samples = samples


def iwae_bound(model, rows):
    with random.place(0, tf.constant(0)):
        return -float(model.negative_bound(rows)["bound"])


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_iwae_is_exact_with_the_exact_posterior(samples):
    model = LinearIWAE(samples)
    weights = model.log_weights(tf.constant(POINTS), tf.range(50)).numpy()
    assert weights.shape == (50, samples)
    expected = np.repeat(model.log_evidence(POINTS)[:, None], samples, axis=1)
    np.testing.assert_allclose(weights, expected, atol=1e-4)  # so they have no variance


def test_iwae_rises_from_the_elbo_to_the_evidence():
    rows = tf.repeat(POINTS[:1], 20_000, axis=0)
    models = [LinearIWAE(samples, shift=0.3, factor=1.3) for samples in (1, 4, 64)]
    one, four, many = (iwae_bound(model, rows) for model in models)
    truth = models[0].log_evidence(POINTS[:1])[0]
    assert one == pytest.approx(truth - models[0].gap(), abs=0.03)  # the ELBO
    assert one + 0.1 < four < many < truth + 0.005
    assert many == pytest.approx(truth, abs=0.03)


def test_iwae_s_gradient_weighs_each_log_weight_by_its_share():
    model = stage("iwae", samples=5, latent_dim=3).model
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    with random.place(0, tf.constant(0)), tf.GradientTape() as tape:
        loss = model.negative_bound(images())["bound"]
    with random.place(0, tf.constant(0)), tf.GradientTape() as other:
        targets = model.targets(images(), random.fresh(images()))
        weights = model.log_weights(targets, random.fresh(images()))
        shares = tf.stop_gradient(tf.nn.softmax(weights, axis=1))
        weighted = -tf.reduce_mean(tf.reduce_sum(shares * weights, axis=1))
    slopes = zip(tape.gradient(loss, variables), other.gradient(weighted, variables), strict=True)
    for slope, expected in slopes:
        np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5)


def test_the_measured_bound_is_the_trained_one():
    model = LinearIWAE(8, shift=0.3, factor=1.3)
    rows = tf.repeat(POINTS[:1], 5000, axis=0)
    measured = model.importance_bound(rows, tf.range(5000), 8).numpy()
    error = measured.std() / np.sqrt(5000)
    assert iwae_bound(model, rows) == pytest.approx(measured.mean(), abs=7 * error)


def test_the_divergences_are_those_of_tensorflow_probability():
    model = stage("beta_vae", latent_dim=3).model
    posterior = model.posterior((images() + 1) / 2)
    divergences = model.divergences(posterior).numpy()
    assert divergences.shape == (40, 3) and divergences.min() > -1e-6
    expected = posterior.kl_divergence(standard(posterior.mean()))
    np.testing.assert_allclose(divergences.sum(axis=1), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("beta", [1.0, 4.0])
@pytest.mark.parametrize("free_bits", [False, True])
def test_the_loss_is_the_elbo_and_what_beta_and_free_bits_add(beta, free_bits):
    model = stage("beta_vae", beta=beta, latent_dim=8).model
    with random.place(0, tf.constant(0)):
        posterior = model.posterior(model.targets(images(), random.fresh(images())))
    each = model.divergences(posterior).numpy().mean(axis=0)
    if free_bits:
        model.free = float(np.median(each))  # four latents lie on each side
    found = terms(model, images())
    plain = terms(VAE(model.encoder, model.decoder, model.element), images())
    assert {key: found[key] for key in plain} == pytest.approx(plain, rel=1e-4)
    charged = beta * np.maximum(each, model.free).sum()
    assert found["kl"] + found["excess"] == pytest.approx(charged, rel=1e-4)


def test_free_bits_leave_cheap_latents_alone():
    outputs = tf.Variable(tf.tile([[0.1, 2.0, 0.0, 0.0]], [5, 1]))  # two latents: 0.005 and 2 nats
    decoder = stage("beta_vae", latent_dim=2).model.decoder
    model = BetaVAE(lambda targets: outputs, decoder, load("digits").element, 3.0, 0.5)
    with random.place(0, tf.constant(0)), tf.GradientTape() as tape:
        found = model.negative_elbo(images(5))
        penalty = found["kl"] + found["excess"]
    slopes = tape.gradient(penalty, outputs).numpy()
    np.testing.assert_array_equal(slopes[:, 0], 0)
    np.testing.assert_allclose(slopes[:, 1], 3.0 * 2.0 / 5, rtol=1e-5)  # beta mean / N


def test_the_best_linear_beta_vae_is_a_principal_component_analysis_of_more_noise():
    """One latent, x = w z + noise of variance s: at best w^2 = variance - beta s."""
    rng = np.random.default_rng(0)
    variance, noise, beta = 2.0, 0.3, 3.0

    def loss(w, beta):
        """Its expectation at the best Gaussian q(z|x) = N(a x, v)."""
        a, v = w / (w**2 + beta * noise), beta * noise / (w**2 + beta * noise)
        error = (1 - a * w) ** 2 * variance + w**2 * v
        outputs = np.stack([a * rows, np.full_like(rows, np.log(v))], axis=1)
        kl = BetaVAE.divergences(None, diagonal(tf.constant(outputs, tf.float32)))
        return error / (2 * noise) + beta * float(tf.reduce_mean(kl))

    rows = rng.normal(size=4000)
    rows *= np.sqrt(variance / np.mean(rows**2))
    widths = np.linspace(0.5, 1.6, 111)
    found = widths[np.argmin([loss(w, beta) for w in widths])]
    assert found == pytest.approx(np.sqrt(variance - beta * noise), abs=0.011)


def test_perturbed_logits_are_largest_as_often_as_their_category_is_probable():
    model = stage("gumbel_vae", variables=2, categories=3).model
    probabilities = np.array([[0.2, 0.5, 0.3], [0.9, 0.04, 0.06]])
    log_q = tf.tile(np.log(probabilities).astype("float32")[None], [30_000, 1, 1])
    drawn = tf.argmax(model.perturbed(log_q, tf.range(30_000)), axis=-1).numpy()
    for variable, expected in zip(drawn.T, probabilities, strict=True):
        counts = np.bincount(variable, minlength=3)
        assert stats.chisquare(counts, 30_000 * expected).pvalue > 1e-3


def test_the_divergence_of_categories_is_log_k_less_the_entropy():
    model = stage("gumbel_vae", variables=2, categories=3).model
    probabilities = np.random.default_rng(0).dirichlet([0.5] * 3, size=[7, 2])
    found = model.divergence(tf.constant(np.log(probabilities), tf.float32))
    expected = stats.entropy(probabilities, np.full(3, 1 / 3), axis=-1).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.divergence(tf.fill([1, 2, 3], -math.log(3.0))), 0, atol=1e-6)


def test_the_relaxed_gradient_nears_the_exact_one_as_it_cools():
    """E_q[f(c)] = sum_k q_k f_k of a linear f has the gradient q_k (f_k - E f) by the logits."""
    model = stage("gumbel_vae", variables=1, categories=3).model
    logits, f = tf.constant([[[0.5, 0.0, -1.0]]]), np.array([1.0, -2.0, 0.5])
    q = np.exp([0.5, 0, -1]) / np.exp([0.5, 0, -1]).sum()
    exact, errors = q * (f - (q * f).sum()), []
    for temperature in (1.0, 0.1):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            log_q = tf.tile(tf.nn.log_softmax(logits), [100_000, 1, 1])
            soft = tf.nn.softmax(model.perturbed(log_q, tf.range(100_000)) / temperature)
            mean = tf.reduce_mean(tf.reduce_sum(soft * f.astype("float32"), axis=-1))
        errors.append(np.abs(tape.gradient(mean, logits).numpy()[0, 0] - exact).max())
    assert errors[1] < 0.05 < errors[0]


def test_the_temperature_falls_to_its_least():
    model = stage("gumbel_vae", variables=2, cooling=0.01, coldest=0.5).model
    found = []
    for step in (0, 10, 1000):
        model.step.assign(step)
        found.append(float(model.temperature()))
    assert found == pytest.approx([1.0, math.exp(-0.1), 0.5])


def test_the_bound_of_categories_is_below_the_sum_over_all_of_them():
    model = stage("gumbel_vae", variables=2, categories=3).model
    target = model.targets(images(1), tf.constant([3]))
    pairs = np.array(list(itertools.product(range(3), repeat=2)))
    every = tf.one_hot(pairs, 3)
    likelihoods = model.likelihood(every).log_prob(tf.repeat(target, 9, axis=0)).numpy()
    truth = special.logsumexp(likelihoods - 2 * math.log(3))
    rows = tf.repeat(target, 2000, axis=0)
    one, many = (model.importance_bound(rows, tf.range(2000), k).numpy() for k in (1, 50))
    log_q = model.log_posterior(target)
    q = np.exp([sum(log_q[0, v, c] for v, c in enumerate(pair)) for pair in pairs])
    elbo = (q * likelihoods).sum() - float(model.divergence(log_q)[0])
    assert one.mean() == pytest.approx(elbo, abs=5 * one.std() / np.sqrt(2000))
    assert one.mean() < many.mean() < truth + 5 * many.std() / np.sqrt(2000)
    assert many.mean() == pytest.approx(truth, abs=0.1)


def test_categories_are_drawn_evenly_and_one_at_a_time():
    model = stage("gumbel_vae", variables=2, categories=5).model
    drawn = model.latents(tf.range(10_000)).numpy().reshape(-1, 2, 5)
    assert set(np.unique(drawn)) == {0, 1}
    np.testing.assert_array_equal(drawn.sum(axis=-1), 1)
    for counts in drawn.sum(axis=0):
        assert stats.chisquare(counts).pvalue > 1e-3
