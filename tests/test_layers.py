"""Layers and shared networks: what they compute, what noise they draw, how they start."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import mirrored
from tfgen import random
from tfgen.errors import InputError
from tfgen.layers.dropout import Dropout
from tfgen.layers.maxout import Maxout
from tfgen.layers.minibatch import MinibatchDiscrimination
from tfgen.layers.noise import GaussianNoise
from tfgen.layers.spectral_norm import SpectralConv2D, SpectralDense, power_iteration
from tfgen.networks import conv, dcgan
from tfgen.networks.mlp import mlp

ROWS = np.random.default_rng(0).normal(size=(12, 7)).astype("float32")


def dropped(layer, rows, step=0, seed=0):
    with random.place(seed, tf.constant(step)):
        return layer(rows, training=True).numpy()


def again(layer):
    """The layer as a file would bring it back."""
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))


def test_maxout_is_the_largest_of_its_linear_functions():
    layer = Maxout(3, 4, bias_initializer="normal")
    found = layer(ROWS).numpy()
    kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
    for unit in range(3):
        own = slice(4 * unit, 4 * unit + 4)
        expected = (ROWS @ kernel[:, own] + bias[own]).max(axis=1)
        np.testing.assert_allclose(found[:, unit], expected, atol=1e-5)


def test_maxout_of_two_opposite_pieces_is_the_absolute_value():
    layer = Maxout(1, 2, kernel_initializer=lambda shape, dtype: tf.constant([[1.0, -1.0]]))
    np.testing.assert_array_equal(layer(ROWS[:, :1]), np.abs(ROWS[:, :1]))


def test_maxout_gives_one_number_a_unit():
    entry = keras.Input([7])
    assert Maxout(3, 4)(entry).shape == (None, 3)
    assert Maxout(3, 4)(ROWS).shape == (12, 3)


def test_maxout_survives_a_file(tmp_path):
    entry = keras.Input([7])
    model = keras.Model(entry, Maxout(3, 4, kernel_initializer="he_normal")(entry))
    model.save(tmp_path / "maxout.keras")
    loaded = keras.saving.load_model(tmp_path / "maxout.keras")
    np.testing.assert_array_equal(model(ROWS), loaded(ROWS))
    assert isinstance(loaded.layers[-1].kernel_initializer, keras.initializers.HeNormal)


def test_dropout_is_off_at_inference():
    np.testing.assert_array_equal(Dropout(0.9)(ROWS, training=False), ROWS)
    np.testing.assert_array_equal(Dropout(0.9)(ROWS), ROWS)


def test_dropout_keeps_the_mean():
    found = dropped(Dropout(0.3), np.ones([200, 50], "float32"))
    assert set(np.unique(found)) == {0, np.float32(1 / 0.7)}
    # The mean of 10,000 has the deviation sqrt(0.3 / 0.7) / 100 = 0.0065.
    assert found.mean() == pytest.approx(1, abs=5 * 0.0065)
    assert np.abs(found.mean(axis=0) - 1).max() < 5 * np.sqrt(0.3 / 0.7 / 200)


def test_dropout_of_rate_0_drops_nothing():
    np.testing.assert_array_equal(dropped(Dropout(0.0), ROWS), ROWS)


def test_masks_are_of_the_row_the_call_the_step_and_the_seed():
    layer, ones = Dropout(0.5), np.ones([4, 64], "float32")
    with random.place(0, tf.constant(0)):
        first, second = layer(ones, training=True).numpy(), layer(ones, training=True).numpy()
    masks = [*first, *second, *dropped(layer, ones, step=1), *dropped(layer, ones, seed=1)]
    assert len(np.unique(masks, axis=0)) == len(masks) == 16
    np.testing.assert_array_equal(first, dropped(layer, ones))


def test_two_halves_on_two_replicas_are_dropped_as_the_whole():
    layer = Dropout(0.5)
    strategy = mirrored()

    def half(context):
        first = 6 * context.replica_id_in_sync_group
        return tf.constant(ROWS[first : first + 6])

    def replica(rows):
        with random.place(0, tf.constant(3)):
            return layer(rows, training=True)

    halves = strategy.experimental_distribute_values_from_function(half)
    results = strategy.experimental_local_results(strategy.run(replica, [halves]))
    assert len(results) == 2
    np.testing.assert_array_equal(np.concatenate(results), dropped(layer, ROWS, step=3))


def test_dropout_survives_serialization():
    layer = again(Dropout(0.25, name="drop"))
    assert layer.rate == 0.25 and layer.name == "drop"
    np.testing.assert_array_equal(dropped(layer, ROWS), dropped(Dropout(0.25), ROWS))


@pytest.mark.parametrize(
    ("size", "expected"),
    [(64, (4, 8, 16, 32, 64)), (28, (7, 14, 28)), (8, (4, 8)), (6, (3, 6)), (32, (4, 8, 16, 32))],
)
def test_heights_double_up_to_the_image(size, expected):
    assert conv.heights((size, size, 1)) == expected


@pytest.mark.parametrize("size", [7, 4, 1])
def test_heights_of_what_cannot_be_halved(size):
    with pytest.raises(InputError, match=rf"images of {size} pixels .* give an even image_size"):
        conv.heights((size, size, 1))


def test_heights_of_what_is_no_square():
    with pytest.raises(
        InputError, match="images of 32x16 pixels are no squares: give an image_size"
    ):
        conv.heights((16, 32, 3))


@pytest.mark.parametrize("image", [(28, 28, 1), (16, 16, 3)])
def test_convolutions_go_from_latents_to_images_and_down(image):
    up, down = conv.generator((5,), image, 4), conv.discriminator(image, 3, 4)
    images = up(np.zeros([2, 5], "float32"))
    assert images.shape == (2, *image)
    assert down(images).shape == (2, 3)


def test_convolutions_double_their_channels_where_they_halve_the_size():
    up, down = conv.generator((5,), (64, 64, 3), 2), conv.discriminator((64, 64, 3), 1, 2)
    kind = (keras.layers.ReLU, keras.layers.LeakyReLU)

    def maps(network):
        return [layer.output.shape[1:] for layer in network.layers if isinstance(layer, kind)]

    assert maps(up) == [(4, 4, 16), (8, 8, 8), (16, 16, 4), (32, 32, 2)]
    assert maps(down) == [(32, 32, 2), (16, 16, 4), (8, 8, 8), (4, 4, 16)]


def kernels(network):
    return [v.numpy().ravel() for v in network.trainable_variables if v.name == "kernel"]


def dcgan_kernels():
    image = tf.TensorSpec([16, 16, 1])  # all that is read of an element is its shape
    networks = dcgan.generator(100, image, width=32), dcgan.discriminator(image, width=32)
    return kernels(networks[0]) + kernels(networks[1])


def test_dcgan_starts_from_a_narrow_gaussian():
    for kernel in dcgan_kernels():
        assert kernel.std() == pytest.approx(0.02, rel=5 / np.sqrt(2 * kernel.size))
        assert abs(kernel.mean()) < 5 * 0.02 / np.sqrt(kernel.size)


def test_kernels_start_independent_of_each_other():
    found = dcgan_kernels() + kernels(mlp([8], [8], [64, 64], initializer="he_normal"))
    for i, one in enumerate(found):
        for other in found[:i]:
            size = min(one.size, other.size)
            correlation = np.corrcoef(one[:size], other[:size])[0, 1]
            assert abs(correlation) < 5 / np.sqrt(size)


def test_an_initializer_that_is_shared_gives_each_kernel_its_own_weights():
    shared = keras.initializers.RandomNormal(stddev=1.0)
    first, second, third = kernels(mlp([8], [8], [8, 8], initializer=shared))
    assert np.abs(first - second).max() > 0.1 and np.abs(second - third).max() > 0.1


def test_mlp_is_its_matrices():
    network = mlp([2, 3], [3, 2], [5, 4], activation="tanh")
    rows = ROWS[:, :6].reshape(12, 2, 3)
    x = rows.reshape(12, 6)
    weights = [v.numpy() for v in network.trainable_variables]
    assert [w.shape for w in weights] == [(6, 5), (5,), (5, 4), (4,), (4, 6), (6,)]
    for i in (0, 2):
        x = np.tanh(x @ weights[i] + weights[i + 1])
    expected = (x @ weights[4] + weights[5]).reshape(12, 3, 2)  # linear at the end
    np.testing.assert_allclose(network(rows), expected, atol=1e-5)


def largest_singular_value(kernel):
    kernel = np.array(kernel)
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


def test_power_iteration_finds_the_largest_singular_value_and_its_slope():
    matrix = tf.constant(np.random.default_rng(3).normal(size=(9, 5)), tf.float32)
    u = tf.ones([5])
    for _ in range(60):
        with tf.GradientTape() as tape:
            tape.watch(matrix)
            largest, u = power_iteration(matrix, u)
    left, values, right = np.linalg.svd(matrix.numpy(), full_matrices=False)
    assert float(largest) == pytest.approx(values[0], rel=1e-5)
    expected = np.outer(left[:, 0], right[0])  # d sigma / dW
    np.testing.assert_allclose(tape.gradient(largest, matrix), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(SpectralDense(5), (4, 7)), (SpectralConv2D(6, 3, 2, "same"), (2, 8, 8, 3))],
    ids=["dense", "convolution"],
)
def test_a_spectral_kernel_is_divided_by_what_the_svd_says(layer, shape):
    rows = tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)
    for _ in range(100):
        layer(rows, training=True)
    kernel = np.array(layer.kernel)
    assert largest_singular_value(layer.normalized(False)) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(
        layer.normalized(False), kernel / largest_singular_value(kernel), rtol=1e-3, atol=1e-6
    )
    plain = type(layer).__mro__[2].from_config(layer.get_config())  # Keras' own layer
    plain.build(shape)
    plain.kernel.assign(kernel / largest_singular_value(kernel))
    np.testing.assert_allclose(layer(rows), plain(rows), atol=1e-3)


@pytest.mark.parametrize("size", [0.0, 1e-9])
def test_a_spectral_kernel_may_be_nothing(size):
    """As after pruning: it stays as it is, learns, and is then normalized as any other."""
    layer = SpectralDense(5, use_bias=False)
    layer.build((None, 7))
    kernel = np.random.default_rng(0).normal(size=(7, 5)).astype("float32")
    layer.kernel.assign(size * kernel)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(ROWS, training=True))
    slope = tape.gradient(total, layer.kernel.value).numpy()
    assert np.isfinite(slope).all() and np.linalg.norm(layer.u) == pytest.approx(
        1 if size else np.linalg.norm(layer.u), rel=1e-5
    )
    if not size:
        assert not layer(ROWS).numpy().any()
        np.testing.assert_allclose(slope, ROWS.sum(axis=0)[:, None].repeat(5, 1), rtol=1e-5)
        layer.kernel.assign(kernel)
    for _ in range(100):
        layer(ROWS, training=True)
    assert largest_singular_value(layer.normalized(False)) == pytest.approx(1, abs=1e-3)


def test_a_spectral_guess_turns_in_training_alone():
    layer = SpectralDense(4, activation="relu")
    layer(ROWS)
    before, kernel = np.array(layer.u), np.array(layer.kernel)
    layer(ROWS, training=False)
    np.testing.assert_array_equal(layer.u, before)
    layer(ROWS, training=True)
    assert np.abs(np.array(layer.u) - before).max() > 1e-3
    np.testing.assert_array_equal(layer.kernel, kernel)  # learned, never overwritten
    assert layer.u.path not in [v.path for v in layer.trainable_variables]
    loaded = again(layer)
    assert isinstance(loaded, SpectralDense) and loaded.units == 4


def test_a_spectral_kernel_is_normalized_in_float32():
    layer = SpectralDense(4, dtype="mixed_bfloat16")
    for _ in range(50):
        found = layer(ROWS, training=True)
    assert found.dtype == "bfloat16" and layer.u.dtype == "float32"
    expected = ROWS @ np.array(layer.kernel) / largest_singular_value(layer.kernel)
    np.testing.assert_allclose(np.array(found, "float32"), expected, atol=0.05)


def minibatch_features(rows, tensor):
    """The sums of the paper, one after the other."""
    m = np.einsum("na,abc->nbc", rows, tensor)
    found = np.zeros(m.shape[:2])
    for i in range(len(m)):
        for j in range(len(m)):
            found[i] += np.exp(-np.abs(m[i] - m[j]).sum(axis=1))
    return np.concatenate([rows, found], axis=1)


def test_minibatch_features_are_those_of_numpy():
    layer = MinibatchDiscrimination(3, 2)
    found = layer(ROWS)
    expected = minibatch_features(ROWS, np.array(layer.tensor).reshape(7, 3, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert layer.compute_output_shape((None, 7)) == (None, 10)
    loaded = again(layer)
    assert (loaded.kernels, loaded.dimensions) == (3, 2)


def test_copies_of_one_row_are_as_close_as_can_be():
    found = MinibatchDiscrimination(3, 2)(np.repeat(ROWS[:1], 5, axis=0))
    np.testing.assert_allclose(found[:, 7:], 5.0)


def test_minibatch_features_see_the_batch_of_all_replicas():
    strategy = mirrored()
    with strategy.scope():
        layer = MinibatchDiscrimination(3, 2)
        layer.build((None, 7))

    @tf.function
    def replica():
        own = tf.distribute.get_replica_context()
        first = 6 * own.replica_id_in_sync_group
        rows = tf.constant(ROWS)[first : first + 6]
        with tf.GradientTape() as tape:
            tape.watch(rows)
            found = layer(rows)
            value = tf.reduce_sum(found * found)
        return found, tape.gradient(value, rows)

    halves, slopes = (
        np.concatenate(strategy.experimental_local_results(x)) for x in strategy.run(replica)
    )
    whole = tf.constant(ROWS)
    with tf.GradientTape() as tape:
        tape.watch(whole)
        found = layer(whole)
        value = tf.reduce_sum(found * found)
    np.testing.assert_allclose(halves, found, rtol=1e-5)
    np.testing.assert_allclose(slopes, tape.gradient(value, whole), rtol=1e-3, atol=1e-4)


def test_noise_is_of_the_row_and_of_training():
    layer = GaussianNoise(0.5)
    np.testing.assert_array_equal(layer(ROWS), ROWS)
    ones = np.ones([400, 25], "float32")
    found = dropped(layer, ones)
    assert found.std() == pytest.approx(0.5, rel=0.05) and found.mean() == pytest.approx(
        1, abs=0.03
    )
    assert not np.array_equal(found, dropped(layer, ones, step=1))
    assert again(layer).deviation == 0.5
