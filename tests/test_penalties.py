"""Penalties: known slopes of known critics, where they are looked at, and NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.networks import neutral
from tfgen.networks.mlp import mlp
from tfgen.objectives import penalties

ROWS = 20_000


def rows(*shape, seed=0, scale=1.0):
    return tf.constant(np.random.RandomState(seed).randn(*shape) * scale, tf.float32)


def linear(*weights):
    weights = tf.constant(weights, tf.float32)[:, None]
    return lambda x: x @ weights


def bowl(x):
    """Of slope |x| at x."""
    return tf.reduce_sum(x**2, axis=1, keepdims=True) / 2.0


@pytest.mark.parametrize("weights", [(3.0, 4.0), (0.6, -0.8), (0.0, 0.1)])
def test_a_linear_critic_has_one_slope_everywhere(weights):
    critic, reals, fakes = linear(*weights), rows(50, 2), rows(50, 2, seed=1)
    length = np.hypot(*weights)
    expected = pytest.approx((length - 1) ** 2, abs=1e-5)
    assert float(penalties.gradient_penalty(critic, reals, fakes)) == expected
    assert float(penalties.dragan(critic, reals)) == expected
    assert float(penalties.r1(critic, reals)) == pytest.approx(length**2, rel=1e-5)


def test_images_are_rows_of_many_numbers():
    weights = rows(4, 4, 3)
    scores = penalties.squared_slopes(
        lambda x: tf.einsum("nhwc,hwc->n", x, weights)[:, None], rows(5, 4, 4, 3)
    )
    np.testing.assert_allclose(scores, [np.sum(weights**2)] * 5, rtol=1e-5)


def test_wgan_gp_looks_between_data_and_samples():
    # From 0 to 1 the bowl's slope is the place on the way: E[(u - 1)^2] = 1/3 for uniform u.
    reals, fakes = tf.zeros([ROWS, 1]), tf.ones([ROWS, 1])
    value = float(penalties.gradient_penalty(bowl, reals, fakes))
    assert value == pytest.approx(1 / 3, abs=5 * 0.3 / np.sqrt(ROWS))
    same = rows(50, 2)
    lengths = np.linalg.norm(same, axis=1)
    value = float(penalties.gradient_penalty(bowl, same, same))
    assert value == pytest.approx(((lengths - 1) ** 2).mean(), rel=1e-4)


def test_dragan_looks_around_the_data():
    # Rows at 3 and 1 deviate by 1: a place u v / 2 above each, u and v uniform. The bowl's slope is
    # the place itself: E[(2 + n)^2 + n^2] / 2 = 2 + 2 E[n] + E[n^2], E[n] = 1/8, E[n^2] = 1/36.
    reals = tf.constant([[3.0], [1.0]] * (ROWS // 2))
    value = float(penalties.dragan(bowl, reals))
    assert value == pytest.approx(2 + 1 / 4 + 1 / 36, abs=5 * 2.1 / np.sqrt(ROWS))


def test_dragans_places_are_on_one_side_and_on_a_line():
    """Each number of a row is moved up, by noise of its own, at one place a row of the way."""
    seen = []

    def critic(x):
        seen.append(x.numpy())
        return bowl(x)

    reals = tf.constant(np.random.RandomState(0).choice([-1.0, 1.0], [ROWS, 3]), tf.float32)
    penalties.dragan(critic, reals)
    moved = seen[0] - reals.numpy()
    assert moved.min() > 0 and 0.48 < moved.max() < 0.5 * 1.001
    assert moved.mean() == pytest.approx(1 / 8, abs=5 * 0.11 / np.sqrt(3 * ROWS))
    # The common place makes them move together: corr = (1/3 1/4 - 1/16) / (1/9 - 1/16) = 3/7.
    assert np.corrcoef(moved[:, 0], moved[:, 1])[0, 1] == pytest.approx(3 / 7, abs=0.03)


@pytest.mark.parametrize("gray", [0.1, -0.7333333, 1000.3])
def test_rows_that_are_all_alike_have_a_deviation_of_0(gray):
    reals = tf.fill([64, 8], gray)
    value = float(penalties.dragan(bowl, reals))
    expected = (abs(gray) * np.sqrt(8) - 1) ** 2
    assert value == pytest.approx(expected, rel=1e-4)


def test_r1_looks_at_the_data():
    reals = rows(50, 3)
    expected = (np.array(reals) ** 2).sum(axis=1).mean()
    assert float(penalties.r1(bowl, reals)) == pytest.approx(expected, rel=1e-5)


def test_a_flat_critic_can_leave_its_place():
    weights = tf.Variable([[0.0], [0.0]])
    with tf.GradientTape() as tape:
        penalty = penalties.gradient_penalty(lambda x: x @ weights, rows(8, 2), rows(8, 2, seed=1))
    assert float(penalty) == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(tape.gradient(penalty, weights)).all()


def test_batch_normalization_under_a_penalty_is_refused():
    from tfgen.data import load

    element = load("digits").element
    small = {"hidden": 16, "width": 8}
    penalties.refuse_batch_norm(neutral.critic(element, **small))
    normalized = neutral.discriminator(element, **small)
    with pytest.raises(InputError, match="batch normalization .*use layer or instance"):
        penalties.refuse_batch_norm(normalized)
    nested = keras.Sequential([keras.Input(element.shape), normalized])
    with pytest.raises(InputError, match="depends on the other rows"):
        penalties.refuse_batch_norm(nested)


def test_the_reason_why_it_is_refused():
    # The mean of the batch takes away what all rows have in common: of a linear critic, everything.
    x = entry = keras.Input([2])
    x = keras.layers.Dense(1)(x)
    critic = keras.Model(entry, keras.layers.BatchNormalization()(x))
    slopes = penalties.squared_slopes(lambda x: critic(x, training=True), rows(64, 2))
    assert float(tf.reduce_max(slopes)) < 1e-8


def test_the_pull_away_term():
    codes = rows(7, 5)
    expected = 0.0
    for i in range(7):
        for j in range(7):
            if i != j:
                a, b = np.array(codes[i]), np.array(codes[j])
                expected += (a @ b / np.linalg.norm(a) / np.linalg.norm(b)) ** 2 / (7 * 6)
    assert float(penalties.pull_away(codes)) == pytest.approx(expected, rel=1e-5)
    assert float(penalties.pull_away(tf.eye(4))) == pytest.approx(0.0, abs=1e-7)
    assert float(penalties.pull_away(tf.ones([4, 3]) * [[1.0]] * 2)) == pytest.approx(1.0)


def test_a_penalty_reaches_the_weights_of_a_network():
    critic = mlp([2], [1], [8], activation="tanh")
    with tf.GradientTape() as tape:
        penalty = penalties.gradient_penalty(critic, rows(16, 2), rows(16, 2, seed=1))
    kernels = [v.value for v in critic.trainable_variables if v.name == "kernel"]
    for gradient in tape.gradient(penalty, kernels):
        assert np.abs(gradient).max() > 0
