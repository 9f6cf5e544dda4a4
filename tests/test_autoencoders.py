"""Autoencoders: the optima that linear ones have in closed form."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.decomposition import PCA

import zoo
from tfgen.data import from_arrays, load
from tfgen.errors import InputError


def points(count=400, size=5, seed=0):
    """Correlated points around 0."""
    random = np.random.RandomState(seed)
    rows = (random.randn(count, size) @ random.randn(size, size)).astype("float32")
    rows -= rows.mean(axis=0)
    return from_arrays(rows, test=rows[:10])


def start(name, data, **given):
    recipe = zoo.find(name)
    stage = next(recipe.stages(data, recipe.settings(given), 0))
    stage.compile(seed=0)
    return stage


def linear(name, data, **given):
    return start(name, data, widths=(), learning_rate=0.02, **given)


def weights(network):
    """Of a linear network: a matrix and a bias."""
    return network.get_weights()


def test_a_linear_autoencoder_spans_the_principal_components():
    data = points()
    stage = linear("ae", data, latent_dim=2, epochs=150)
    stage.model.fit(stage.batches(), steps_per_epoch=600, shuffle=False, verbose=0)
    rows = data.rows("train")
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
    span = np.linalg.qr(weights(stage.model.decoder)[0].T)[0]
    cosines = np.linalg.svd(span.T @ vectors[:, -2:])[1]
    np.testing.assert_allclose(cosines, 1.0, atol=1e-3)
    error = float(stage.model.error(rows)["squared_error"])
    assert error == pytest.approx(values[:-2].sum(), rel=1e-2)
    # Nothing is better: at the components themselves there is no slope.
    assert error >= values[:-2].sum() * (1 - 1e-5)


def test_the_principal_components_are_an_optimum():
    data = points()
    model, rows = linear("ae", data, latent_dim=2).model, data.rows("train")
    axes = PCA(2).fit(rows).components_
    model.encoder.set_weights([axes.T, np.zeros(2)])
    model.decoder.set_weights([axes, np.zeros(5)])
    with tf.GradientTape() as tape:
        error = model.error(rows)["squared_error"]
    slopes = tape.gradient(error, model.trainable_variables)
    assert max(np.abs(slope).max() for slope in slopes) < 1e-4


@pytest.mark.parametrize("noise", ["masking", "gaussian"])
def test_a_linear_denoiser_is_at_its_closed_form(noise):
    """Gaussian noise: W = S (S + s^2 I)^-1. Masking: W = P Q^-1, of the second moments S."""
    data, amount = points(20_000, 3), 0.4
    stage = linear("dae", data, noise=noise, amount=amount, latent_dim=3)
    model, rows = stage.model, data.rows("train")
    second = rows.T.astype("float64") @ rows / len(rows)
    if noise == "gaussian":
        best = second @ np.linalg.inv(second + amount**2 * np.eye(3))
    else:
        damaged = (1 - amount) ** 2 * second
        np.fill_diagonal(damaged, (1 - amount) * np.diag(second))
        best = (1 - amount) * second @ np.linalg.inv(damaged)
    model.encoder.set_weights([best.T, np.zeros(3)])
    model.decoder.set_weights([np.eye(3), np.zeros(3)])
    spent = []
    with tf.GradientTape() as tape:
        for part in range(20):  # the noise differs from part to part
            damaged = model.damage(rows, tf.range(len(rows)) + part * len(rows))
            spent.append(
                tf.reduce_mean(
                    tf.reduce_sum((rows - model.decoder(model.encoder(damaged))) ** 2, -1)
                )
            )
        error = tf.reduce_mean(spent)
    slopes = tape.gradient(error, model.trainable_variables)
    assert max(np.abs(slope).max() for slope in slopes) < 0.01 * float(error)
    least = np.trace(second - best @ second * (1 if noise == "gaussian" else 1 - amount))
    assert float(error) == pytest.approx(least, rel=0.01)


def test_damage_wipes_out_the_share_that_is_asked_for():
    data = load("digits")
    model, rows = (
        start("dae", data, amount=0.25, latent_dim=4, widths=(8,)).model,
        data.rows("train"),
    )
    damaged = np.array(model.damage(rows, tf.range(len(rows))))
    bright = rows > -1
    assert np.mean(damaged[bright] == -1) == pytest.approx(0.25, abs=0.01)
    assert set(np.unique(damaged[damaged != rows])) == {-1.0}  # black; nothing is scaled
    other = np.array(model.damage(rows, 7 + tf.range(len(rows))))
    assert (damaged != other).any()


def test_nothing_damaged_is_the_autoencoder():
    data = points()
    plain, denoising = (
        start(name, data, latent_dim=2, widths=(4,), **given).model
        for name, given in (("ae", {}), ("dae", {"amount": 0.0}))
    )
    denoising.set_weights(plain.get_weights()[: len(denoising.get_weights())])
    rows = data.rows("train")
    assert float(plain.error(rows)["squared_error"]) == pytest.approx(
        float(denoising.error(rows)["squared_error"]), rel=1e-6
    )


@pytest.mark.parametrize("name", ["ae", "dae"])
def test_other_rows_are_refused(name):
    with pytest.raises(InputError, match=f"{name} takes images or points, but .* two domains"):
        start(name, load("digit_pairs"))
    with pytest.raises(InputError, match="takes images or points, but arrays has tokens"):
        start(name, from_arrays(np.ones([20, 4], "int32")))
