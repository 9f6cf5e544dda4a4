"""VAE: its two terms, its gradients, and its bounds where log p(x) is known in closed form."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

import zoo
from tfgen import random
from tfgen.data import load
from tfgen.endpoint import Element
from tfgen.errors import InputError
from tfgen.objectives.distributions import diagonal, standard
from zoo.variational.vae import VAE

tfd = tfp.distributions
SMALL = {"latent_dim": 3, "epochs": 2}
SIZES = {"mlp": {"hidden": 16}, "conv": {"width": 4}, "neutral": {"hidden": 16, "width": 4}}


def stage(network="mlp", **given):
    recipe = zoo.find("vae")
    small = SMALL | SIZES.get(network, {}) | {"network": network}
    return next(recipe.function(load("digits"), **recipe.settings(small | given)))


def images(count=40):
    return tf.constant(load("digits").rows("train", count))


def terms(model, batch):
    with random.place(0, tf.constant(0)):
        return {key: float(value) for key, value in model.negative_elbo(batch).items()}


def drawn(model, batch):
    """What `negative_elbo` draws: targets, the posterior's numbers, latents, as arrays."""
    with random.place(0, tf.constant(0)):
        targets = model.targets(batch, random.fresh(batch))
        seeds = random.fresh(batch)
    mean, log_variance = np.split(model.encoder(targets).numpy(), 2, axis=1)
    noise = random.normal(seeds, mean.shape[1:]).numpy()
    return targets.numpy(), mean, log_variance, mean + np.exp(0.5 * log_variance) * noise


@pytest.mark.parametrize("pixels", ["bernoulli", "gaussian"])
def test_the_divergence_is_that_of_appendix_b(pixels):
    model = stage(pixels=pixels).model
    _, mean, log_variance, _ = drawn(model, images())
    closed = -0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)).sum(axis=1)
    assert terms(model, images())["kl"] == pytest.approx(closed.mean(), rel=1e-5)


def test_the_reconstruction_is_a_cross_entropy():
    model = stage().model
    targets, _, _, latents = drawn(model, images())
    assert set(np.unique(targets)) == {0, 1}
    on = 1 / (1 + np.exp(-model.decoder(latents).numpy().astype("float64")))
    entropy = -(targets * np.log(on) + (1 - targets) * np.log(1 - on)).sum(axis=(1, 2, 3))
    assert terms(model, images())["reconstruction"] == pytest.approx(entropy.mean(), rel=1e-5)


def test_the_reconstruction_of_gaussian_pixels_is_their_log_density():
    model = stage(pixels="gaussian").model
    targets, _, _, latents = drawn(model, images())
    logits, log_variance = np.split(model.decoder(latents).numpy(), 2, axis=-1)
    mean = 1 / (1 + np.exp(-logits))  # within (0, 1), as the pixels are
    density = stats.norm.logpdf(targets, mean, np.exp(0.5 * log_variance)).sum(axis=(1, 2, 3))
    assert terms(model, images())["reconstruction"] == pytest.approx(-density.mean(), rel=1e-4)


def test_gaussian_targets_lie_within_their_level():
    model = stage(pixels="gaussian").model
    levels = np.arange(256).reshape(4, 8, 8, 1)
    targets = model.targets(tf.constant(levels / 127.5 - 1, tf.float32), tf.range(4)).numpy()
    assert targets.min() > 0 and targets.max() < 1
    np.testing.assert_array_equal(np.floor(targets * 256), levels)


def test_gaussian_means_are_images():
    model = stage(pixels="gaussian").model
    latents = 30 * random.normal(tf.range(20), [3])  # far out
    logits = model.decoder(latents).numpy()[..., :1]
    assert logits.min() < 0 and logits.max() > 1
    np.testing.assert_allclose(model.decode(latents), np.tanh(logits / 2), atol=1e-5)
    assert np.abs(model.decode(latents)).max() <= 1


def test_gradients_flow_through_a_draw():
    outputs = tf.constant(np.random.default_rng(0).normal(size=(5, 6)), tf.float32)
    model = stage().model
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        latents = model.draw(diagonal(outputs), tf.range(5))
        total = tf.reduce_sum(latents)
    by_mean, by_log_variance = np.split(tape.gradient(total, outputs).numpy(), 2, axis=1)
    np.testing.assert_array_equal(by_mean, np.ones([5, 3]))
    # z = mean + exp(v / 2) * noise, so dz / dv = (z - mean) / 2.
    np.testing.assert_allclose(by_log_variance, (latents - outputs[:, :3]) / 2, atol=1e-6)


def test_the_reconstruction_alone_reaches_every_weight_of_the_encoder():
    model = stage().model
    with tf.GradientTape() as tape, random.place(0, tf.constant(0)):
        loss = model.negative_elbo(images())["reconstruction"]
    for slope in tape.gradient(loss, model.encoder.trainable_variables):
        assert np.abs(slope).max() > 0


def test_draws_have_the_posterior_as_their_distribution():
    outputs = tf.tile([[1.0, -2.0, 0.0, 2.0]], [20_000, 1])  # two latents
    latents = stage().model.draw(diagonal(outputs), tf.range(20_000)).numpy()
    np.testing.assert_allclose(latents.mean(axis=0), [1, -2], atol=5 * np.e / np.sqrt(20_000))
    np.testing.assert_allclose(latents.std(axis=0), [1, np.e], rtol=5 / np.sqrt(40_000))


class LinearGaussian(VAE):
    """x = W z + b + noise: log p(x) and p(z|x) are Gaussians that are known.

    The columns of W are orthogonal, so that p(z|x) has a diagonal covariance. The encoder gives
    p(z|x), with its mean moved by `shift` and its scale multiplied by `factor`.
    """

    W = np.array([[1.5, 0, 0, 1.0], [0, 0.5, -0.8, 0]])
    b = np.array([0.1, -0.2, 0.3, 0.4])
    noise = 0.7

    def __init__(self, shift=0.0, factor=1.0):
        variance = 1 / (1 + (self.W**2).sum(axis=1) / self.noise**2)
        to_mean = self.W.T * variance / self.noise**2  # [4, 2]
        self.shift, self.factor = shift, factor
        encoder = linear([2, 2, 1], [4], np.concatenate([to_mean, 0 * to_mean], axis=1))
        offset = np.concatenate([shift - self.b @ to_mean, np.log(variance * factor**2)])
        encoder.trainable_variables[1].assign(offset)
        decoder = linear([2], [2, 2, 1], self.W)
        decoder.trainable_variables[1].assign(self.b)
        super().__init__(encoder, decoder, Element("images", (2, 2, 1)))

    def targets(self, images, seeds):
        return images

    def likelihood(self, latents):
        return tfd.Independent(tfd.Normal(self.decoder(latents), self.noise), 3)

    def log_evidence(self, rows):
        covariance = self.W.T @ self.W + self.noise**2 * np.eye(4)
        density = stats.multivariate_normal(self.b, covariance)
        return np.atleast_1d(density.logpdf(rows.reshape(-1, 4)))

    def gap(self):
        """KL(q(z|x) || p(z|x)), the same for every x."""
        variance = 1 / (1 + (self.W**2).sum(axis=1) / self.noise**2)
        ratio = self.factor**2
        return 0.5 * (ratio - 1 - np.log(ratio) + self.shift**2 / variance).sum()


def linear(inputs, outputs, kernel):
    """x -> x @ kernel + bias between shapes."""
    network = keras.Sequential(
        [
            keras.Input(inputs),
            keras.layers.Flatten(),
            keras.layers.Dense(kernel.shape[1]),
            keras.layers.Reshape(outputs),
        ]
    )
    network.trainable_variables[0].assign(kernel)
    return network


POINTS = np.random.default_rng(0).normal(size=(50, 2, 2, 1)).astype("float32")


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_with_the_exact_posterior_every_bound_is_exact(samples):
    model = LinearGaussian()
    bound = model.importance_bound(tf.constant(POINTS), tf.range(50), samples)
    np.testing.assert_allclose(bound, model.log_evidence(POINTS), atol=1e-4)


def test_with_another_posterior_the_bound_tightens():
    model = LinearGaussian(shift=0.3, factor=1.3)
    point = POINTS[:1]
    truth = model.log_evidence(point)[0]

    @tf.function
    def bound(samples, rows):
        return model.importance_bound(tf.repeat(point, rows, axis=0), tf.range(rows), samples)

    means = [bound(samples, rows).numpy().mean() for samples, rows in ((1, 20_000), (8, 2000))]
    assert means[0] == pytest.approx(truth - model.gap(), abs=0.03)
    assert means[0] + 0.1 < means[1] < truth
    nearly = bound(500, 200).numpy()
    assert nearly.mean() == pytest.approx(truth, abs=0.02)
    assert means[1] < nearly.mean() and nearly.std() < 0.2


def test_the_elbo_is_below_the_evidence_by_the_divergence_of_the_posteriors():
    rows = tf.repeat(POINTS[:1], 20_000, axis=0)
    for model in (LinearGaussian(), LinearGaussian(shift=0.3, factor=1.3)):
        elbo = -sum(terms(model, rows).values())
        expected = model.log_evidence(POINTS[:1])[0] - model.gap()
        assert elbo == pytest.approx(expected, abs=0.03)


def test_the_elbo_of_a_binary_model_is_the_bound_of_one_sample_on_average():
    model = stage().model
    row = images(1)
    targets = tf.repeat(model.targets(row, tf.constant([3])), 4000, axis=0)
    posterior = model.posterior(targets)
    latents = model.draw(posterior, tf.range(4000))
    reconstruction = tf.reduce_mean(model.likelihood(latents).log_prob(targets))
    elbo = reconstruction - posterior.kl_divergence(standard(latents))[0]
    once = model.importance_bound(targets, tf.range(4000), 1).numpy()
    assert once.mean() == pytest.approx(float(elbo), abs=5 * once.std() / np.sqrt(4000))


def test_encodings_are_a_mean_and_a_positive_scale():
    model = stage().model
    mean, scale = (value.numpy() for value in model.encode(images()))
    expected = model.encoder((images() + 1) / 2).numpy()  # the expected targets
    np.testing.assert_allclose(mean, expected[:, :3], atol=1e-6)
    np.testing.assert_allclose(scale, np.exp(expected[:, 3:] / 2), rtol=1e-5)
    assert scale.min() > 0


@pytest.mark.parametrize("pixels", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_a_seed_is_the_same_sample_alone_and_in_a_batch(pixels, network):
    model = stage(pixels=pixels, network=network).model
    batch = model.sample(tf.range(-3, 12))
    assert batch.shape == (15, 8, 8, 1) and np.abs(batch).max() <= 1
    for place in (0, 7, 14):
        alone = model.sample(tf.constant([place - 3]))
        np.testing.assert_allclose(alone[0], batch[place], atol=1e-5)
    flat = batch.numpy().reshape(15, -1)
    assert len(np.unique(flat, axis=0)) == 15


@pytest.mark.parametrize(("pixels", "numbers"), [("bernoulli", 1), ("gaussian", 2)])
@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_the_networks_of_the_recipe(pixels, numbers, network):
    model = stage(pixels=pixels, network=network).model
    assert model.encoder.output_shape == (None, 6)
    assert model.decoder.output_shape == (None, 8, 8, numbers)
    assert model(images()).shape == (40, 8, 8, 1)
    kinds = {type(layer).__name__ for layer in model.encoder.layers}
    assert ("Conv2D" in kinds) == (network == "conv")


def test_the_paper_s_networks():
    model = next(zoo.find("vae").function(load("digits"))).model
    hidden = [layer for layer in model.encoder.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in hidden] == [500, 40]
    assert hidden[0].activation is keras.activations.tanh
    assert model.decoder.count_params() == (20 + 1) * 500 + (500 + 1) * 64


def test_the_rate_decays_to_nothing_over_the_epochs():
    plan = stage(batch_size=100, epochs=2)
    plan.compile()
    optimizer = plan.model.optimizers["elbo"]
    rates = []
    for step in (0, plan.steps_per_epoch, 2 * plan.steps_per_epoch):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([1e-3, 0.5e-3, 0], abs=1e-8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pixels": "poisson"}, "pixels='poisson' is not one of bernoulli, gaussian"),
        ({"network": "resnet"}, "network='resnet' is not one of mlp, conv"),
    ],
)
def test_what_the_recipe_cannot_take(given, message):
    with pytest.raises(InputError, match=message):
        stage(**given)


def test_points_are_no_images():
    with pytest.raises(InputError, match=r"vae makes images, but ring has rows of \(2,\)"):
        next(zoo.find("vae").function(load("ring")))
