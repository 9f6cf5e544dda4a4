"""GAN and DCGAN: who moves whom and where to, their noise, and what their recipes say."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tfgen import random
from tfgen.data import load
from tfgen.errors import InputError

SMALL = {
    "gan": {"generator_width": 16, "discriminator_width": 8, "latent_dim": 4, "batch_size": 50},
    "dcgan": {"width": 8, "latent_dim": 4, "batch_size": 50},
}
PLAYERS = ("discriminator", "generator")


def stage(name, data="digits", **given):
    recipe = zoo.find(name)
    return next(recipe.function(load(data), **recipe.settings(SMALL[name] | given)))


def values(network):
    return [np.array(v) for v in network.trainable_variables]


def play(model, images, mover, optimizer, steps=1):
    """Some steps in which only one player moves; eagerly, as tracing would take longer."""
    still = next(player for player in PLAYERS if player != mover)
    model.compile({mover: optimizer, still: keras.optimizers.SGD(0.0)}, run_eagerly=True)
    for _ in range(steps):
        model.train_on_batch(images)


@pytest.mark.parametrize("mover", PLAYERS)
@pytest.mark.parametrize(
    ("name", "given"), [("gan", {}), ("gan", {"loss": "minimax"}), ("dcgan", {})]
)
def test_a_loss_moves_its_own_player_alone(name, given, mover):
    model = stage(name, **given).model
    images = load("digits").rows("train", 50)
    before = {player: values(getattr(model, player)) for player in PLAYERS}
    play(model, images, mover, keras.optimizers.SGD(0.1))
    for player in PLAYERS:
        moved = [
            a.tobytes() != b.tobytes()
            for a, b in zip(before[player], values(getattr(model, player)), strict=True)
        ]
        assert any(moved) if player == mover else not any(moved)


@pytest.mark.parametrize("loss", ["non_saturating", "minimax"])
def test_each_player_moves_to_its_own_gain(loss):
    model = stage("gan", loss=loss).model
    images, seeds = load("digits").rows("train", 50), tf.range(200)

    def belief(mover):
        """How real the samples look after some steps of a player."""
        play(model, images, mover, keras.optimizers.Adam(0.02), 8)
        return float(tf.reduce_mean(model.discriminator(model.sample(seeds))))

    told = belief("discriminator")
    fooled = belief("generator")
    assert fooled > told + 0.01
    assert belief("discriminator") < fooled - 0.01


def test_the_values_of_the_game_are_those_of_its_logits():
    model = stage("gan").model
    images = load("digits").rows("train", 50)
    model.compile()
    logs = model.evaluate(images, batch_size=50, verbose=0, return_dict=True)
    with random.place(0, tf.constant(0), testing=True):
        fakes = [model.sample(random.fresh(images)) for _ in PLAYERS]
    reals = model.discriminator(images).numpy()
    first, second = (model.discriminator(f).numpy() for f in fakes)
    expected = np.log1p(np.exp(-reals)).mean() + np.log1p(np.exp(first)).mean()
    assert logs["discriminator/loss"] == pytest.approx(expected, rel=1e-5)
    assert logs["generator/loss"] == pytest.approx(np.log1p(np.exp(-second)).mean(), rel=1e-5)


def test_latents_of_a_gan_are_normal():
    latents = stage("gan", latent_dim=50).model.latents(tf.range(2000)).numpy()
    assert latents.shape == (2000, 50)
    assert latents.mean() == pytest.approx(0, abs=5 / np.sqrt(1e5))
    assert latents.std() == pytest.approx(1, abs=5 / np.sqrt(2e5))
    assert np.abs(latents).max() > 3


def test_latents_of_a_dcgan_are_uniform():
    latents = stage("dcgan", latent_dim=50).model.latents(tf.range(2000)).numpy()
    assert -1 < latents.min() < -0.999 and 0.999 < latents.max() < 1
    shares = np.histogram(latents, bins=10, range=(-1, 1))[0] / latents.size
    assert np.abs(shares - 0.1).max() < 5 * np.sqrt(0.09 / latents.size)


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_samples_are_generated_latents_in_the_range_of_the_data(name):
    model = stage(name).model
    samples = model.sample(tf.range(50))
    np.testing.assert_array_equal(samples, model.generator(model.latents(tf.range(50))))
    assert samples.shape == (50, 8, 8, 1) and np.abs(samples).max() <= 1
    np.testing.assert_allclose(model.sample(tf.constant([7])), samples[7:8], atol=1e-6)


def test_a_dropped_pixel_is_a_black_one():
    network = stage("gan").model.discriminator
    first = next(layer for layer in network.layers if layer.name.startswith("dropout"))
    until = keras.Model(network.input, first.input)
    corners = tf.constant([-1.0, 1.0])[:, None, None, None] * tf.ones([2, 8, 8, 1])
    np.testing.assert_allclose(until(corners), [[0.0] * 64, [1.0] * 64], atol=1e-6)


def test_the_rate_is_divided_at_each_step():
    plan = stage("gan")
    plan.compile()
    for optimizer in plan.model.optimizers.values():
        for steps, expected in ((0, 0.1), (1, 0.1 / 1.000004), (250_000, 0.1 / np.e)):
            optimizer.iterations.assign(steps)
            # In float32 the exponent is off by up to 0.75 in a hundred.
            assert float(optimizer.learning_rate) == pytest.approx(
                expected, rel=1e-7 if steps < 2 else 1e-2
            )
        optimizer.iterations.assign(1)
        assert float(optimizer.learning_rate) < float(np.float32(0.1))


def test_the_optimizers_are_those_of_the_papers():
    assert stage("gan").optimizer.momentum == 0.5
    adam = stage("dcgan").optimizer
    assert float(adam.learning_rate) == pytest.approx(2e-4) and adam.beta_1 == 0.5


def test_points_of_the_plane():
    plan = stage("gan", "ring", learning_rate=0.05)
    plan.compile()
    before = plan.model.sample(tf.range(20)).numpy()
    history = plan.model.fit(plan.batches(), steps_per_epoch=30, shuffle=False, verbose=0).history
    after = plan.model.sample(tf.range(20)).numpy()
    assert before.shape == after.shape == (20, 2)
    assert np.isfinite(list(history.values())).all() and (before != after).all()


@pytest.mark.parametrize(
    ("name", "data", "given", "message"),
    [
        ("gan", "digits", {"loss": "hinge"}, "loss='hinge' is not one of non_saturating, minimax"),
        ("dcgan", "ring", {}, r"DCGAN make images, not rows of \(2,\)"),
    ],
)
def test_what_a_recipe_cannot_take(name, data, given, message):
    with pytest.raises(InputError, match=message):
        stage(name, data, **given)


def test_sizes_that_cannot_be_doubled():
    recipe = zoo.find("dcgan")
    with pytest.raises(InputError, match="images of 9 pixels"):
        next(recipe.function(load("digits", 9), **recipe.settings(SMALL["dcgan"])))
