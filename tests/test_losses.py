"""Adversarial losses: known values, the divergence they stand for, and their slopes."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen.objectives.losses import (
    boundary_seeking,
    hinge,
    least_squares,
    margin,
    minimax,
    non_saturating,
    wasserstein,
)

PAIRS = {"minimax": minimax, "non_saturating": non_saturating}
both = pytest.mark.parametrize("loss", PAIRS.values(), ids=PAIRS)

COUNT = 200_000  # points of equal probability: means over them are integrals
PLACES = (np.arange(COUNT) + 0.5) / COUNT


def logits(*values):
    return tf.constant(values, tf.float32)[:, None]


def slopes(loss, values):
    """The derivative by each logit, times their number: what one sample feels."""
    values = logits(*values)
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = loss(values)
    return (tape.gradient(result, values) * len(values)).numpy()[:, 0]


def optimal_logits(p, q):
    """log p - log q, the logit of D* = p / (p + q), at points drawn from p and from q."""
    return [
        tf.constant((p.logpdf(x) - q.logpdf(x))[:, None], tf.float32)
        for x in (p.ppf(PLACES), q.ppf(PLACES))
    ]


def jensen_shannon(p, q):
    x, width = np.linspace(-12, 12, 100_001, retstep=True)
    p, q = p.pdf(x), q.pdf(x)
    tiny = np.finfo(float).tiny
    middle = (p + q) / 2 + tiny
    return width * (p * np.log((p + tiny) / middle) + q * np.log((q + tiny) / middle)).sum() / 2


@both
def test_worked_by_hand(loss):
    # Logits log 3, -log 3 and 0 are D = 3/4, 1/4 and 1/2.
    reals, fakes = logits(math.log(3), 0), logits(-math.log(3), math.log(3))
    expected = (math.log(4 / 3) + math.log(2)) / 2 + (math.log(4 / 3) + math.log(4)) / 2
    assert float(loss.discriminator(reals, fakes)) == pytest.approx(expected, rel=1e-6)


def test_generators_worked_by_hand():
    fakes = logits(-math.log(3), 0)
    expected = (math.log(3 / 4) + math.log(1 / 2)) / 2  # E[log(1 - D)]
    assert float(minimax.generator(fakes)) == pytest.approx(expected, rel=1e-6)
    expected = (math.log(4) + math.log(2)) / 2  # -E[log D]
    assert float(non_saturating.generator(fakes)) == pytest.approx(expected, rel=1e-6)


@both
@pytest.mark.parametrize("q", [stats.norm(0, 1), stats.norm(1.5, 0.8), stats.norm(-3, 0.5)])
def test_the_optimal_discriminator_measures_the_divergence(loss, q):
    p = stats.norm(0, 1)
    value = -float(loss.discriminator(*optimal_logits(p, q)))
    assert value == pytest.approx(2 * jensen_shannon(p, q) - math.log(4), abs=1e-3)


@both
def test_the_value_of_equal_distributions_is_minus_log_4(loss):
    zero = tf.zeros([7, 1])
    assert -float(loss.discriminator(zero, zero)) == pytest.approx(-math.log(4), rel=1e-6)


@both
def test_no_discriminator_is_better_than_the_optimal_one(loss):
    p, q = stats.norm(0, 1), stats.norm(1.5, 0.8)
    at_reals, at_fakes = optimal_logits(p, q)
    scale, shift = tf.constant(1.0), tf.constant(0.0)
    with tf.GradientTape() as tape:
        tape.watch([scale, shift])
        value = loss.discriminator(scale * at_reals + shift, scale * at_fakes + shift)
    assert np.abs(tape.gradient(value, [scale, shift])).max() < 1e-3
    for a, b in ((1.2, 0.0), (0.8, 0.0), (1.0, 0.2), (1.0, -0.2)):
        assert loss.discriminator(a * at_reals + b, a * at_fakes + b) > value + 1e-3


def test_only_the_non_saturating_slope_survives_a_sure_discriminator():
    assert np.abs(slopes(minimax.generator, [-20, -50])).max() < 1e-8
    assert slopes(non_saturating.generator, [-20, -50]) == pytest.approx([-1, -1], abs=1e-6)


def test_both_generators_have_the_same_slope_at_the_fixed_point():
    for loss in PAIRS.values():
        assert slopes(loss.generator, [0, 0, 0]) == pytest.approx([-0.5] * 3)


@both
@pytest.mark.parametrize("size", [-100.0, 100.0])
def test_extreme_logits_are_finite(loss, size):
    value = float(loss.discriminator(logits(-size), logits(size)))
    assert value == pytest.approx(2 * max(size, 0), abs=1e-6)
    for slope in (
        slopes(lambda x: loss.discriminator(x, logits(0)), [size]),
        slopes(lambda x: loss.discriminator(logits(0), x), [size]),
        slopes(loss.generator, [size]),
    ):
        assert np.isfinite(slope).all() and np.abs(slope).max() <= 1
    assert abs(float(loss.generator(logits(size)))) in (pytest.approx(0, abs=1e-6), 100)


def test_least_squares_aim_at_one_and_zero():
    reals, fakes = logits(1.0, 3.0), logits(0.0, -2.0)
    assert float(least_squares.discriminator(reals, fakes)) == 2.0 + 2.0
    assert float(least_squares.generator(fakes)) == 5.0
    assert slopes(least_squares.generator, [1.0, 0.0]).tolist() == [0.0, -2.0]
    # Between densities p and q the best discriminator is p / (p + q) (Mao et al.).
    p, q = 0.8, 0.3
    best = p / (p + q)
    with tf.GradientTape() as tape:
        output = tf.Variable(best)
        value = p * (output - 1.0) ** 2 + q * output**2
    assert float(tape.gradient(value, output)) == pytest.approx(0, abs=1e-6)


def test_hinge_ignores_what_is_beyond_the_margin():
    assert float(hinge.discriminator(logits(1.0, 5.0), logits(-1.0, -9.0))) == 0.0
    assert float(hinge.discriminator(logits(0.0), logits(0.0))) == 2.0
    beyond = slopes(lambda x: hinge.discriminator(x, logits(-2.0)), [2.0, 0.5])
    assert beyond.tolist() == [0.0, -1.0]
    assert slopes(hinge.generator, [-7.0, 3.0]).tolist() == [-1.0, -1.0]


def test_wasserstein_is_a_difference_of_means():
    reals, fakes = logits(3.0, 1.0), logits(-2.0, 1.0)
    assert float(wasserstein.discriminator(reals, fakes)) == -0.5 - 2.0
    assert float(wasserstein.generator(fakes)) == 0.5
    assert slopes(wasserstein.generator, [-100.0, 100.0]).tolist() == [-1.0, -1.0]


def test_boundary_seeking_squares_the_logit():
    d = np.array([0.75, 0.2])
    fakes = logits(*np.log(d / (1 - d)))
    expected = (0.5 * (np.log(d) - np.log(1 - d)) ** 2).mean()
    assert float(boundary_seeking.generator(fakes)) == pytest.approx(expected, rel=1e-6)
    # It seeks D = 1/2 from both sides, where the non-saturating loss only knows one.
    assert slopes(boundary_seeking.generator, [2.0, 0.0, -3.0]).tolist() == [2.0, 0.0, -3.0]
    assert boundary_seeking.discriminator is non_saturating.discriminator


def test_a_margin_is_between_the_rows_of_a_pair():
    reals, fakes = logits(3.0, 1.0, 0.0), logits(0.0, 0.5, 2.0)
    loss = margin(2.0)
    assert float(loss.discriminator(reals, fakes)) == pytest.approx((0.0 + 1.5 + 4.0) / 3)
    assert slopes(lambda x: loss.discriminator(x, fakes), [3.0, 1.0, 0.0]).tolist() == [0, -1, -1]
    # Where no pair is far enough apart it is WGAN's loss and the margin.
    expected = 9.0 + float(wasserstein.discriminator(reals, fakes))
    assert float(margin(9.0).discriminator(reals, fakes)) == pytest.approx(expected)
