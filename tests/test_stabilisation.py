"""Remedies of the adversarial game: each against numbers worked by hand or by NumPy."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.conftest import mirrored
from tfgen import random
from tfgen.data import load
from tfgen.endpoint import Element
from tfgen.errors import InputError
from tfgen.layers.spectral_norm import SpectralDense
from tfgen.objectives.losses import hinge, least_squares, minimax, non_saturating
from tfgen.objectives.stabilisation import (
    HistoricalAveraging,
    falling,
    feature_matching,
    flipped,
    instance_noise,
    noisy,
    on_sphere,
    one_sided,
)
from tfgen.objectives.unrolling import unroll
from zoo.adversarial.gan import GAN
from zoo.adversarial.semi_supervised_gan import SemiSupervisedGAN, choose
from zoo.adversarial.unrolled_gan import UnrolledGAN

REALS = tf.constant([[1.5], [-0.5], [0.2], [3.0]])
FAKES = tf.constant([[-1.0], [0.4], [-2.5], [0.1]])


# Labels


def test_one_sided_smoothing_is_a_cross_entropy_with_soft_targets():
    smooth = one_sided(non_saturating, 0.1)
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    expected = entropy(0.9 * tf.ones([4, 1]), REALS) + entropy(tf.zeros([4, 1]), FAKES)
    assert float(smooth.discriminator(REALS, FAKES)) == pytest.approx(float(expected), rel=1e-5)
    assert smooth.generator is non_saturating.generator
    # A real is best off at D = 0.9, not at certainty.
    best = tf.constant([[math.log(9.0)]])
    with tf.GradientTape() as tape:
        tape.watch(best)
        value = smooth.discriminator(best, FAKES)
    assert float(tape.gradient(value, best)[0, 0]) == pytest.approx(0, abs=1e-6)


def test_flipped_minimax_is_non_saturating():
    value = flipped(minimax).generator(FAKES)
    assert float(value) == pytest.approx(float(non_saturating.generator(FAKES)), rel=1e-5)
    assert float(flipped(hinge).generator(FAKES)) == pytest.approx((2 + 0.6 + 3.5 + 0.9) / 4)


@pytest.mark.parametrize("loss", [non_saturating, least_squares, hinge])
def test_noisy_labels_swap_some_pairs(loss):
    rows = tf.constant(np.random.default_rng(0).normal(size=[4000, 1]), tf.float32)
    others = rows[::-1] + 1.0
    with random.place(0, tf.constant(0)):
        value = float(noisy(loss, 0.25).discriminator(rows, others))
        same = float(noisy(loss, 0.0).discriminator(rows, others))
    right, wrong = loss.discriminator(rows, others), loss.discriminator(others, rows)
    assert same == pytest.approx(float(right), rel=1e-6)
    # A quarter of the pairs is the other way round; of 4,000, give or take 4 deviations.
    share = (value - float(right)) / float(wrong - right)
    assert share == pytest.approx(0.25, abs=0.1)


def test_remedies_combine_and_train():
    data = load("ring")
    loss = one_sided(noisy(flipped(minimax), 0.1), 0.1)
    networks = next(zoo.find("unrolled_gan").function(data, k=0, latent_dim=4)).model
    model = GAN(networks.generator, networks.discriminator, data.element, loss)
    model.compile("adam")
    history = model.fit(
        data.batches(64), steps_per_epoch=20, epochs=2, shuffle=False, verbose=0
    ).history
    assert np.isfinite(list(history.values())).all()


# The moving average of a generator


def test_the_average_of_a_generator_takes_its_place():
    data = load("ring")
    recipe = zoo.find("lsgan")
    stage = next(recipe.stages(data, recipe.settings({"ema": 0.9, "latent_dim": 4}), seed=0))
    model = stage.compile()
    kernel = model.generator.trainable_variables[0]
    judge = model.discriminator.trainable_variables[0]
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(np.array(kernel))
            self.judge = np.array(judge)

    look = Look()
    model.fit(stage.batches(), steps_per_epoch=5, shuffle=False, verbose=0, callbacks=[look])
    average = seen[0]  # the first update counts as all before it
    for weights in seen[1:]:
        average = 0.9 * average + 0.1 * weights
    np.testing.assert_allclose(kernel, average, rtol=1e-5, atol=1e-7)
    assert np.abs(average - seen[-1]).max() > 1e-4
    np.testing.assert_array_equal(judge, look.judge)  # the discriminator's is as it was


ADVERSARIAL = [
    name
    for name, path in zoo.paths().items()
    if path.parent.name in ("adversarial", "conditional", "translation")
]


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_every_game_can_average_its_generator(name):
    recipe, data = (
        zoo.find(name),
        load("digit_pairs" if "2" in name or "cycle" in name else "digits"),
    )
    assert recipe.settings({})["ema"] is None  # as in the papers
    plain, other = (
        next(recipe.stages(data, recipe.settings(given))).optimizer
        for given in ({}, {"ema": "0.99"})
    )
    first = next(iter(plain.values())) if isinstance(plain, dict) else plain
    assert not first.use_ema
    names = next(recipe.stages(data, recipe.settings({}))).model.objectives
    assert set(other) == set(names)
    averaged = [player for player, optimizer in other.items() if optimizer.use_ema]
    assert averaged in (["generator"], ["translators"])
    assert other[averaged[0]].ema_momentum == 0.99
    assert type(other[averaged[0]]) is type(first)
    with pytest.raises(InputError, match="ema=1.5 is out of range"):
        recipe.settings({"ema": "1.5"})


# Samples and latents


def test_latents_go_to_the_sphere():
    rows = tf.constant(np.random.default_rng(0).normal(size=[5, 49]), tf.float32)
    found = on_sphere(rows)
    np.testing.assert_allclose(tf.norm(found, axis=1), 7.0, rtol=1e-5)
    np.testing.assert_allclose(
        found / tf.norm(found, axis=1, keepdims=True),
        rows / tf.norm(rows, axis=1, keepdims=True),
        atol=1e-5,
    )


def test_instance_noise_has_its_deviation_and_falls():
    rows = tf.zeros([2000, 3])
    with random.place(0, tf.constant(0)):
        noise = instance_noise(rows, falling(2.0, tf.constant(25), 100))
        gone = instance_noise(rows, falling(2.0, tf.constant(150), 100))
    assert float(tf.math.reduce_std(noise)) == pytest.approx(1.5, rel=0.05)
    assert not gone.numpy().any()


# Feature matching and historical averaging


def test_feature_matching_is_the_distance_of_means():
    reals, fakes = np.random.default_rng(0).normal(size=[2, 8, 5]).astype("float32")
    expected = ((reals.mean(axis=0) - fakes.mean(axis=0)) ** 2).sum()
    assert float(feature_matching(reals, fakes)) == pytest.approx(expected, rel=1e-5)


def test_history_is_the_mean_of_all_weights_so_far():
    network = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    (weight,) = network.trainable_variables
    values = [3.0, 5.0, -2.0, 4.0]
    weight.assign([[values[0]]])
    history = HistoricalAveraging(network)
    assert float(history.distance(network)) == 0.0
    for step, value in enumerate(values[1:]):
        weight.assign([[value]])
        history.update(network, tf.constant(step))
    assert float(history.distance(network)) == pytest.approx((4.0 - 2.5) ** 2, rel=1e-5)


def bilinear_game(weight, rate=0.1, steps=200):
    """How far from (0, 0) min_x max_y x y ends, played in turn from (1, 1)."""
    players = [
        keras.Sequential([keras.Input([1]), keras.layers.Dense(1, "linear", False, "ones")])
        for _ in range(2)
    ]
    histories = [HistoricalAveraging(player) for player in players]
    places = [player.trainable_variables[0] for player in players]
    for step in range(steps):
        for turn, sign in ((0, 1.0), (1, -1.0)):
            with tf.GradientTape() as tape:
                value = sign * tf.reduce_sum(places[0].value * places[1].value)
                value += weight * histories[turn].distance(players[turn])
            places[turn].assign_sub(rate * tape.gradient(value, places[turn].value))
        for history, player in zip(histories, players, strict=True):
            history.update(player, tf.constant(step))
    return float(tf.norm([place.value for place in places]))


def test_historical_averaging_ends_the_circling_of_a_bilinear_game():
    assert bilinear_game(0.0) > 1.2  # of a start at 1.41
    assert bilinear_game(0.5) < 0.5


# Unrolling


def linear_game(k, optimizer, reals, weight=0.7, place=0.3):
    """D(x) = w x and G(z) = a, one number each: `(model, w, a)`."""
    entry = keras.Input([1])
    judge = keras.layers.Dense(1, use_bias=False)
    discriminator = keras.Model(entry, judge(entry))
    entry = keras.Input([1])
    maker = keras.layers.Dense(1, kernel_initializer="zeros")
    generator = keras.Model(entry, maker(entry))
    judge.kernel.assign([[weight]])
    maker.bias.assign([place])
    model = UnrolledGAN(generator, discriminator, Element("points", (1,)), k)
    model.compile({"discriminator": optimizer, "generator": keras.optimizers.SGD(1.0)})
    with tf.GradientTape() as tape:
        loss = model.generator_loss(tf.constant(reals, tf.float32)[:, None])
    return float(loss), float(tape.gradient(loss, maker.bias.value)[0])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def value(w, a, reals):
    """f = E log D(x) + log(1 - D(a)), of D(x) = sigmoid(w x)."""
    return np.mean(np.log(sigmoid(w * reals))) + np.log(1 - sigmoid(w * a))


def slope_of_w(w, a, reals):
    return np.mean(reals * (1 - sigmoid(w * reals))) - a * sigmoid(w * a)


def test_one_step_unrolled_is_worked_by_hand():
    reals, w, a, rate = np.array([2.0, -0.5, 1.0]), 0.7, 0.3, 0.4
    ahead = w + rate * slope_of_w(w, a, reals)
    # df/da at the new weight, and through it: dw'/da = rate * d/da (-a sigmoid(w a)).
    direct = -ahead * sigmoid(ahead * a)
    turned = -sigmoid(w * a) - a * w * sigmoid(w * a) * (1 - sigmoid(w * a))
    expected = direct + slope_of_w(ahead, a, reals) * rate * turned
    loss, slope = linear_game(1, keras.optimizers.SGD(rate), reals)
    assert loss == pytest.approx(value(ahead, a, reals), rel=1e-5)
    assert slope == pytest.approx(expected, rel=1e-4)
    _, present = linear_game(0, keras.optimizers.SGD(rate), reals)
    assert present == pytest.approx(-w * sigmoid(w * a), rel=1e-4)
    assert abs(slope - present) > 0.005


@pytest.mark.parametrize("k", [0, 2, 5])
def test_the_slope_goes_through_every_step(k):
    reals, rate, tiny = np.array([2.0, -0.5, 1.0]), 0.4, 1e-5

    def unrolled(a):
        w = 0.7
        for _ in range(k):
            w += rate * slope_of_w(w, a, reals)
        return value(w, a, reals)

    numeric = (unrolled(0.3 + tiny) - unrolled(0.3 - tiny)) / (2 * tiny)
    assert linear_game(k, keras.optimizers.SGD(rate), reals)[1] == pytest.approx(numeric, rel=1e-3)


def test_adam_is_foreseen_as_it_comes():
    weights = [keras.Variable([0.5, -1.0]), keras.Variable([[2.0]])]
    optimizer = keras.optimizers.Adam(0.05, 0.5)
    optimizer.build(weights)

    def loss(weights):
        return tf.reduce_sum(weights[0] ** 4) + tf.reduce_sum(tf.cos(weights[1]))

    def step():
        with tf.GradientTape() as tape:
            result = loss([w.value for w in weights])
        slopes = tape.gradient(result, [w.value for w in weights])
        optimizer.apply_gradients(zip(slopes, weights, strict=True))

    step()  # so that it has something to remember
    foreseen = unroll(optimizer, loss, [w.value + 0.0 for w in weights], 4)
    for _ in range(4):
        step()
    for guess, weight in zip(foreseen, weights, strict=True):
        np.testing.assert_allclose(guess, weight, atol=1e-5)


def test_slopes_that_float16_would_lose_are_foreseen():
    """Their loss is scaled, as the optimizer's own is."""
    weight = keras.Variable([1.0])

    def loss(weights):  # of slope 1e-8, which is 0 in float16
        return 1e-8 * tf.cast(tf.cast(weights[0], tf.float16), tf.float32)[0]

    plain = keras.optimizers.SGD(1e6)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e6))
    for optimizer, moved in ((plain, 0.0), (scaled, 0.01)):
        optimizer.build([weight])
        (ahead,) = unroll(optimizer, loss, [weight.value + 0.0], 1)
        assert float(1.0 - ahead[0]) == pytest.approx(moved, rel=0.01)


def test_a_weight_that_never_moved_has_a_finite_slope_through_adam():
    weight = keras.Variable([1.0, 1.0])
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build([weight])
    scale = tf.constant([1.0, 0.0])  # the second has no slope
    with tf.GradientTape() as tape:
        tape.watch(scale)
        (ahead,) = unroll(optimizer, lambda w: tf.reduce_sum(scale * w[0]), [weight.value + 0.0], 2)
        total = tf.reduce_sum(ahead)
    assert np.isfinite(tape.gradient(total, scale)).all()


def test_what_cannot_be_foreseen_is_refused():
    weight = keras.Variable([1.0])
    kinds = keras.optimizers
    for optimizer, told in (
        (kinds.RMSprop(), "take Adam, or SGD without"),
        (kinds.SGD(0.1, 0.9), "take Adam, or SGD without"),
        (kinds.AdamW(), "adam_w.* with weight_decay cannot be unrolled: leave that out"),
        (kinds.Adam(amsgrad=True), "adam.* with amsgrad cannot be unrolled: leave that out"),
        (kinds.Adam(clipnorm=1.0), "adam.* with clipnorm cannot be unrolled"),
        (kinds.SGD(0.1, global_clipnorm=1.0), "(?i)sgd.* with global_clipnorm cannot be unrolled"),
        (kinds.Nadam(), "take Adam, or SGD without"),
    ):
        optimizer.build([weight])
        with pytest.raises(InputError, match=told):
            unroll(optimizer, lambda w: w[0], [weight.value + 0.0], 1)
    recipe = zoo.find("unrolled_gan")
    with pytest.raises(InputError, match="k=-1 is out of range; the default is 5"):
        recipe.settings({"k": "-1"})
    assert recipe.settings({"k": "0"})["k"] == 0


# Labels for a few


def test_the_source_is_the_sum_of_the_classes():
    stage = next(zoo.find("semi_supervised_gan").function(load("ring"), labelled=80, latent_dim=4))
    model, rows = stage.compile(), stage.data.rows("test", 6)
    logits = model.discriminator(rows)[0].numpy().astype("float64")
    z = np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(sigmoid(model.discriminate(rows).numpy()), z / (z + 1), rtol=1e-4)
    np.testing.assert_allclose(model.classify(rows), np.exp(logits) / z, rtol=1e-4)
    with random.place(0, tf.constant(0)):
        terms = model.discriminator_loss(tf.constant(rows))
    with random.place(0, tf.constant(0)):
        fakes = model.sample(random.fresh(rows))
        known, labels = model.draw_known(rows)
    z_fake = np.exp(model.discriminator(fakes)[0].numpy().astype("float64")).sum(axis=1)
    source = -np.log(z / (z + 1)).mean() - np.log(1 / (z_fake + 1)).mean()
    assert float(terms["source"]) == pytest.approx(source, rel=1e-4)
    right = np.take_along_axis(model.classify(known).numpy(), labels.numpy()[:, None], axis=1)
    assert float(terms["class"]) == pytest.approx(-np.log(right).mean(), rel=1e-4)


def test_labels_are_chosen_equally_and_by_a_seed():
    data = load("digits")
    rows, labels = choose(data, 50, seed=1)
    assert rows.shape == (50, 8, 8, 1) and np.bincount(labels).tolist() == [5] * 10
    everything, truth = data.labelled.batch("train")
    for row, label in zip(rows, labels, strict=True):
        assert label in truth[(everything == row).all(axis=(1, 2, 3))]
    assert np.array_equal(rows, choose(data, 50, seed=1)[0])
    assert not np.array_equal(rows, choose(data, 50, seed=2)[0])
    for count in (55, 100_000):
        with pytest.raises(InputError, match=f"labelled={count} .* give a multiple of 10, at most"):
            choose(data, count, seed=1)


def test_unlabelled_rows_help_to_classify():
    """Eight labels on a ring of eight modes: one of each is enough, as the rows show the modes."""
    stage = next(
        zoo.find("semi_supervised_gan").function(
            load("ring"), labelled=8, latent_dim=4, learning_rate=1e-3
        )
    )
    assert isinstance(stage.compile(), SemiSupervisedGAN)
    stage.model.fit(stage.batches(), steps_per_epoch=150, shuffle=False, verbose=0)
    rows, labels = stage.data.labelled.batch("test", 1000)
    assert (stage.model.classify(rows).numpy().argmax(axis=1) == labels).mean() > 0.95


# Spectral normalization


def test_a_spectrally_normalized_discriminator_is_lipschitz():
    stage = next(zoo.find("sngan").function(load("ring"), latent_dim=4))
    model = stage.compile()
    model.fit(stage.batches(), steps_per_epoch=60, shuffle=False, verbose=0)
    rows = np.random.default_rng(0).normal(size=[2, 500, 2]).astype("float32") * 2
    judged = [model.discriminator(part).numpy()[:, 0] for part in rows]
    steepness = np.abs(judged[0] - judged[1]) / np.linalg.norm(rows[0] - rows[1], axis=1)
    assert 0.1 < steepness.max() < 1.02


def test_spectral_guesses_are_the_same_on_all_replicas():
    strategy, rows = mirrored(), np.random.default_rng(0).normal(size=[6, 7]).astype("float32")
    with strategy.scope():
        layer = SpectralDense(4)
        layer.build((None, 7))
    before = layer.u.numpy()

    def replica():
        first = 3 * tf.distribute.get_replica_context().replica_id_in_sync_group
        return layer(tf.constant(rows)[first : first + 3], training=True)

    strategy.run(tf.function(replica))
    first, second = layer.u.value.values
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - before).max() > 1e-3
