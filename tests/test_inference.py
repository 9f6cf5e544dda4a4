"""Models with adversarial inference against their theory: ratios, joints, who trains what."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import zoo
from tfgen import random
from tfgen.data import load
from tfgen.endpoint import Element
from tfgen.errors import InputError
from zoo.inference.ali import ALI
from zoo.inference.bigan import BiGAN
from zoo.inference.vae_dis import VAEDis
from zoo.inference.vae_gan import VAEGAN
from zoo.variational.aae import AAE
from zoo.variational.alpha_gan import AlphaGAN
from zoo.variational.avb import AVB

NUMBER = Element("points", (1,))


def stages(name, **given):
    recipe = zoo.find(name)
    tiny = recipe.tiny[0]
    return recipe.stages(load(tiny.data), recipe.settings(tiny.settings | given))


def linear(inputs, weights, bias):
    """x -> x weights + bias, as a network."""
    entry = keras.Input([inputs])
    network = keras.Model(entry, keras.layers.Dense(len(bias))(entry))
    network.layers[-1].set_weights([np.array(weights, "float32"), np.array(bias, "float32")])
    return network


def value(model, loss, batch):
    """The sum of a loss's terms, a float."""
    with random.place(0, tf.constant(0)):
        terms = model.play(loss, batch, training=True)
    return float(tf.add_n(tf.nest.flatten(terms)))


def play(model, name, batch, steps, rate):
    """Trains one objective alone; returns its mean over fresh noise afterwards."""
    rates = dict.fromkeys(model.objectives, keras.optimizers.SGD(0.0))
    rates = {key: keras.optimizers.SGD(0.0) for key in rates} | {name: keras.optimizers.Adam(rate)}
    model.compile(rates, steps_per_execution=50)
    batches = tf.data.Dataset.from_tensors(tf.constant(batch, tf.float32)).repeat()
    model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
    found = model.evaluate(batches, steps=50, verbose=0, return_dict=True)
    return sum(number for key, number in found.items() if key.startswith(f"{name}/"))


def pair_discriminator():
    """Of a number and a latent, with a hidden layer."""
    entries = [keras.Input([1]), keras.Input([1])]
    x = keras.layers.Concatenate()(entries)
    x = keras.layers.Dense(32, activation="tanh")(x)
    return keras.Model(entries, keras.layers.Dense(1)(x))


@pytest.mark.parametrize("name", ["bigan", "ali"])
def test_a_discriminator_without_an_opinion_costs_two_bits(name):
    stage = next(stages(name))
    for variable in stage.model.discriminator.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    batch = tf.constant(stage.data.rows("train", 8))
    model = stage.model
    for loss in (model.discriminator_loss, model.generator_loss):
        assert value(model, loss, batch) == pytest.approx(2 * math.log(2), rel=1e-6)


def test_the_two_sides_of_a_bigan_want_exchanged_labels():
    model = BiGAN(
        linear(1, [[2.0]], [0.0]), linear(1, [[0.5]], [0.0]), pair_discriminator(), NUMBER
    )
    rows = tf.random.stateless_normal([64, 1], [0, 0])
    with random.place(0, tf.constant(0)):
        encoded, generated = (logits.numpy() for logits in model.scores(rows))
    told = np.logaddexp(0, -encoded).mean() + np.logaddexp(0, generated).mean()
    fooled = np.logaddexp(0, encoded).mean() + np.logaddexp(0, -generated).mean()
    assert value(model, model.discriminator_loss, rows) == pytest.approx(told, rel=1e-5)
    assert value(model, model.generator_loss, rows) == pytest.approx(fooled, rel=1e-5)


@pytest.mark.parametrize("slope, found", [(0.5, True), (-0.5, False)])
def test_only_an_inverse_deceives_the_discriminator_of_pairs(slope, found):
    # Rows are distributed as samples either way, so no discriminator of rows would tell.
    keras.utils.set_random_seed(0)
    rows = 2 * np.linspace(-1, 1, 512)[:, None]
    judge = pair_discriminator()
    model = BiGAN(linear(1, [[2.0]], [0.0]), linear(1, [[slope]], [0.0]), judge, NUMBER)
    reached = play(model, "discriminator", rows, 300, 0.01)
    assert (reached == pytest.approx(2 * math.log(2), abs=0.02)) == found
    assert found or reached < 0.5


def test_ali_draws_from_its_posterior():
    encoder = linear(1, [[1.0, 0.0]], [0.5, 2 * math.log(0.3)])
    model = ALI(linear(1, [[1.0]], [0.0]), encoder, pair_discriminator(), NUMBER)
    draws = model.infer(tf.ones([20_000, 1]), tf.range(20_000)).numpy()
    assert draws.mean() == pytest.approx(1.5, abs=0.01)
    assert draws.std() == pytest.approx(0.3, abs=0.005)
    mean, scale = model.encode(tf.ones([1, 1]))
    assert float(mean[0, 0]) == 1.5 and float(scale[0, 0]) == pytest.approx(0.3)


def judge_of(features):
    """A discriminator of pairs of numbers whose layer `features` multiplies by a matrix."""
    entry = keras.Input([2])
    x = keras.layers.Dense(2, use_bias=False, name="features")(entry)
    network = keras.Model(entry, keras.layers.Dense(1)(x))
    network.get_layer("features").set_weights([np.array(features, "float32")])
    return network


def vae_gan(kind, features, weight):
    encoder = linear(2, [[0.5, 0.1, 0, 0], [0, 0.4, 0, 0]], [0, 0, -1, -2])
    decoder = linear(2, [[1.5, 0], [0.2, 1]], [0.1, 0])
    return kind(encoder, decoder, judge_of(features), Element("points", (2,)), weight)


def posterior_and_remade(model, rows, noise_of):
    numbers = rows @ [[0.5, 0.1, 0, 0], [0, 0.4, 0, 0]] + [0, 0, -1, -2]
    mean, log_variance = np.split(numbers, 2, axis=1)
    latents = mean + np.exp(log_variance / 2) * noise_of(rows)
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1).mean()
    return kl, latents @ [[1.5, 0], [0.2, 1]] + [0.1, 0]


def noise(rows):
    """What the first call of `random.fresh` in a loss gives."""
    with random.place(0, tf.constant(0)):
        return random.normal(random.fresh(rows), [2]).numpy()


def test_features_that_are_the_rows_make_a_gaussian_vae_of_unit_variance():
    rows = np.random.RandomState(0).randn(32, 2).astype("float32")
    model = vae_gan(VAEGAN, np.eye(2), 1.0)
    kl, remade = posterior_and_remade(model, rows, noise)
    likelihood = stats.norm.logpdf(rows, remade).sum(axis=1).mean()
    constant = math.log(2 * math.pi)  # (d / 2) log 2 pi
    found = value(model, model.encoder_loss, tf.constant(rows))
    assert found == pytest.approx(kl - likelihood - constant, rel=1e-5)


def test_linear_features_make_a_mahalanobis_distance_with_a_weight():
    rows = np.random.RandomState(1).randn(32, 2).astype("float32")
    matrix = np.array([[2.0, 0.3], [-0.5, 1.0]])
    model = vae_gan(VAEDis, matrix, 0.25)
    kl, remade = posterior_and_remade(model, rows, noise)
    errors = (rows - remade) @ matrix
    expected = kl + 0.25 * 0.5 * (errors**2).sum(axis=1).mean()
    found = value(model, model.negative_elbo, tf.constant(rows))
    assert found == pytest.approx(expected, rel=1e-5)


def test_each_loss_of_vae_gan_has_its_own_terms():
    model = vae_gan(VAEGAN, np.eye(2), 0.5)
    rows = tf.constant(np.random.RandomState(2).randn(16, 2), tf.float32)
    with random.place(0, tf.constant(0)):
        _, (reals, again, samples), (seen, remade) = model.judged(rows)
    fooled = np.logaddexp(0, -again).mean() + np.logaddexp(0, -samples).mean()
    apart = 0.5 * ((seen - remade).numpy() ** 2).sum(axis=1).mean()
    assert value(model, model.decoder_loss, rows) == pytest.approx(0.5 * apart + fooled, rel=1e-5)
    told = sum(
        np.logaddexp(0, sign * x).mean() for sign, x in ((-1, reals), (1, again), (1, samples))
    )
    assert value(model, model.discriminator_loss, rows) == pytest.approx(told, rel=1e-5)


def test_the_second_stage_of_vae_dis_keeps_the_discriminator_of_the_first():
    first, second = stages("vae_dis")
    judge = first.model.discriminator
    before = [np.array(v) for v in judge.variables]
    second = second.built(first.model)
    second.compile()
    second.model.fit(second.batches(), steps_per_epoch=2, shuffle=False, verbose=0)
    assert second.model.discriminator is judge
    assert all(np.array_equal(a, b) for a, b in zip(before, judge.variables, strict=True))


@pytest.mark.parametrize("name", ["vae_gan", "vae_dis", "avb"])
def test_what_makes_images_refuses_points(name):
    recipe = zoo.find(name)
    with pytest.raises(InputError, match="images, but"):
        next(recipe.stages(load("ring"), recipe.settings({})))


# The adversarial autoencoder.


def aae(discriminator, scale=1.0):
    """An encoder that gives N(0.5, 0.8^2) of standard normal rows."""
    encoder, decoder = linear(1, [[0.8]], [0.5]), linear(1, [[1.25]], [-0.625])
    return AAE(encoder, decoder, discriminator, NUMBER, scale)


def normal_rows(count):
    return stats.norm.ppf((np.arange(count) + 0.5) / count)[:, None].astype("float32")


def ratio():
    """log N(z; 0, 1) - log N(z; 0.5, 0.8^2), as a network of z and z^2."""
    entry = keras.Input([1])
    x = keras.layers.Concatenate()([entry, keras.layers.Multiply()([entry, entry])])
    last = keras.layers.Dense(1)
    network = keras.Model(entry, last(x))
    square = 0.5 / 0.8**2
    bias = math.log(0.8) + square * 0.5**2
    last.set_weights([np.array([[-2 * square * 0.5], [square - 0.5]]), np.array([bias])])
    return network


def test_the_log_ratio_of_prior_and_codes_is_the_best_discriminator():
    rows = normal_rows(4_000)
    model = aae(ratio())
    z = np.linspace(-8, 8, 20_001)
    prior, codes = stats.norm.pdf(z), stats.norm.pdf(z, 0.5, 0.8)
    best = np.trapezoid(
        -prior * np.log(prior / (prior + codes)) - codes * np.log(codes / (prior + codes)), z
    )
    known = model.discriminator.layers[-1].get_weights()
    reached = play(model, "discriminator", rows, 200, 0.002)
    assert reached == pytest.approx(best, abs=0.005)
    for a, b in zip(known, model.discriminator.layers[-1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=0.06)


def test_codes_that_are_distributed_as_the_prior_cannot_be_told():
    rows = normal_rows(4_000)
    keras.utils.set_random_seed(0)
    judge = keras.Sequential(
        [keras.Input([1]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)]
    )
    model = AAE(linear(1, [[2.0]], [0]), linear(1, [[0.5]], [0]), judge, NUMBER, scale=2.0)
    assert play(model, "discriminator", rows, 200, 0.01) == pytest.approx(2 * math.log(2), abs=0.01)


def test_the_error_is_a_sum_over_the_numbers_of_a_row():
    stage = next(stages("aae"))
    rows = stage.data.rows("train", 8)
    squares = (rows - stage.model.reconstruct(rows).numpy()) ** 2
    expected = squares.sum(axis=(1, 2, 3)).mean()
    assert value(stage.model, stage.model.error, tf.constant(rows)) == pytest.approx(expected)


# Adversarial variational Bayes.

SCALE, MEANS = 0.6, (-0.4, 0.9)  # of q(z|x) for x = 0 and x = 1


def avb():
    """Of one coin x: the encoder gives N(MEANS[x], SCALE^2), and T is log q(z|x) - log p(z)."""
    pixel, noise, latent = keras.Input([1, 1, 1]), keras.Input([1]), keras.Input([1])
    x = keras.layers.Flatten()(pixel)
    last = keras.layers.Dense(1)
    encoder = keras.Model([pixel, noise], last(keras.layers.Concatenate()([x, noise])))
    last.set_weights([np.array([[MEANS[1] - MEANS[0]], [SCALE]]), np.array(MEANS[:1])])
    square = keras.layers.Multiply()([latent, latent])
    both = keras.layers.Multiply()([x, latent])
    ratio = keras.layers.Dense(1)
    features = keras.layers.Concatenate()([square, latent, both, x])
    judge = keras.Model([pixel, latent], ratio(features))
    (low, high), precision = MEANS, 1 / SCALE**2
    slopes = (1 - precision) / 2, low * precision, (high - low) * precision
    slopes += ((low**2 - high**2) / 2 * precision,)
    bias = -math.log(SCALE) - low**2 / 2 * precision
    ratio.set_weights([np.array(slopes)[:, None], np.array([bias])])
    entry = keras.Input([1])
    decoder = keras.Model(entry, keras.layers.Reshape([1, 1, 1])(keras.layers.Dense(1)(entry)))
    return AVB(encoder, decoder, judge, Element("images", (1, 1, 1), "float32", -1.0, 1.0))


def test_the_ratio_of_avb_gives_the_divergence_from_the_prior():
    model, images = avb(), np.resize([-1.0, 1.0, 1.0], [60_000, 1, 1, 1]).astype("float32")
    with random.place(0, tf.constant(0)):
        found = float(model.negative_bound(tf.constant(images))["kl"])
    share = (1 / 3, 2 / 3)
    known = sum(
        p * 0.5 * (m**2 + SCALE**2 - 1 - 2 * math.log(SCALE))
        for p, m in zip(share, MEANS, strict=True)
    )
    assert found == pytest.approx(known, abs=0.01)


def test_the_log_ratio_is_the_best_discriminator_of_avb():
    model, images = avb(), np.resize([-1.0, 1.0, 1.0], [6_000, 1, 1, 1])
    known = model.discriminator.layers[-1].get_weights()
    z = np.linspace(-8, 8, 20_001)
    prior, best = stats.norm.pdf(z), 0
    for share, mean in zip((1 / 3, 2 / 3), MEANS, strict=True):
        q = stats.norm.pdf(z, mean, SCALE)
        best += share * np.trapezoid(q * np.log1p(prior / q) + prior * np.log1p(q / prior), z)
    assert play(model, "discriminator", images, 200, 0.002) == pytest.approx(best, abs=0.005)
    for a, b in zip(known, model.discriminator.layers[-1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=0.08)


# alpha-GAN.


def alpha_gan(codes, images):
    """Of numbers: E(x) = x / 2, G(z) = 2 z + 1; both discriminators are linear, with slopes."""
    coders = linear(1, [[2.0]], [1.0]), linear(1, [[0.5]], [0.0])
    judges = linear(1, [[images]], [0.2]), linear(1, [[codes]], [-0.1])
    return AlphaGAN(*coders, *judges, NUMBER, 3.0)


def test_the_players_of_alpha_gan_minimize_minus_the_logit():
    rows = np.linspace(-2, 3, 32)[:, None].astype("float32")
    model = alpha_gan(codes=0.7, images=-0.4)
    with random.place(0, tf.constant(0)):
        made = model.sample(random.fresh(rows)).numpy()
    apart = 3.0  # |x - G(E(x))| = 1 everywhere, times lambda
    fooled = -(0.7 * rows / 2 - 0.1).mean()
    assert value(model, model.encoder_loss, tf.constant(rows)) == pytest.approx(apart + fooled)
    logits = [-0.4 * x + 0.2 for x in (rows + 1, made)]  # remade and sampled
    found = value(model, model.generator_loss, tf.constant(rows))
    assert found == pytest.approx(apart - sum(x.mean() for x in logits), rel=1e-5)
    # R(p) = -log p + log(1 - p) is that, of p the sigmoid.
    p = 1 / (1 + np.exp(-logits[0].astype("float64")))
    np.testing.assert_allclose(-np.log(p) + np.log(1 - p), -logits[0], rtol=1e-4, atol=1e-6)


def test_discriminators_of_alpha_gan_see_the_prior_as_real_and_both_fakes():
    rows = np.linspace(-2, 3, 32)[:, None].astype("float32")
    model = alpha_gan(codes=0.7, images=-0.4)
    with random.place(0, tf.constant(0)):
        seeds = random.fresh(rows)
        made, prior = model.sample(seeds).numpy(), model.latents(seeds).numpy()
    real, remade, samples = (-0.4 * x + 0.2 for x in (rows, rows + 1, made))
    told = sum(np.logaddexp(0, x).mean() for x in (-real, remade, samples))
    found = value(model, model.discriminator_loss, tf.constant(rows))
    assert found == pytest.approx(told, rel=1e-5)
    told = np.logaddexp(0, 0.1 - 0.7 * prior).mean() + np.logaddexp(0, 0.35 * rows - 0.1).mean()
    assert value(model, model.code_loss, tf.constant(rows)) == pytest.approx(told, rel=1e-5)


def test_without_an_opinion_alpha_gan_is_an_autoencoder():
    rows = tf.constant(np.linspace(-2, 3, 32)[:, None], tf.float32)
    model = alpha_gan(codes=0.0, images=0.0)
    weights = [v.value for n in (model.encoder, model.generator) for v in n.trainable_variables]

    def slopes(loss, *given):
        with random.place(0, tf.constant(0)), tf.GradientTape() as tape:
            tape.watch(weights)
            total = tf.add_n(tf.nest.flatten(loss(*given)))
        return tape.gradient(total, weights)

    own = slopes(lambda: 3.0 * tf.reduce_mean(tf.abs(rows - model.reconstruct(rows))))
    for loss, mine in ((model.encoder_loss, slice(2)), (model.generator_loss, slice(2, 4))):
        for a, b in zip(slopes(loss, rows)[mine], own[mine], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
