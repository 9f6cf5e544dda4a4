"""Conditional models: labels reach every player, codes are told, and the layers' formulas."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.conftest import mirrored
from tfgen import random
from tfgen.data import load
from tfgen.data.attributes import stroke
from tfgen.data.levels import binarize
from tfgen.endpoint import Element, Endpoint
from tfgen.errors import InputError
from tfgen.latents.traversal import codes, find, most_varied, traverse
from tfgen.layers.conditional_norm import ConditionalBatchNorm
from tfgen.runs import opening
from zoo.conditional.acgan import discriminator

SMALL = {
    "latent_dim": 4,
    "width": 8,
    "hidden": 16,
    "generator_width": 12,
    "discriminator_width": 8,
    "batch_size": 50,
}
GAMES = [("cgan", {}), ("cgan", {"network": "conv"}), ("acgan", {}), ("projection_gan", {})]
every_game = pytest.mark.parametrize(
    ("name", "given"), GAMES, ids=["-".join([n, *map(str, g.values())]) for n, g in GAMES]
)
PLAYERS = ("discriminator", "generator")


def stage(name, data="digits", **given):
    recipe = zoo.find(name)
    idle = {
        key
        for (chooser, choice), keys in recipe.only.items()
        for key in keys
        if choice != given.get(chooser, recipe.settings({})[chooser])
    }
    small = {key: SMALL[key] for key in SMALL if key in recipe.settings({}) and key not in idle}
    made = next(recipe.function(load(data), **recipe.settings(small | given)))
    made.compile()
    return made


def batch(count=50):
    images, labels = load("digits").labelled.batch("train", count)
    return tf.constant(images), tf.constant(labels, tf.int32)


# Both players


@every_game
def test_the_generator_sees_the_label(name, given):
    model = stage(name, **given).model
    if name == "projection_gan":  # whose classes start alike
        for table in (v for v in model.generator.trainable_variables if v.name == "scales"):
            table.assign(np.random.default_rng(0).uniform(0.5, 1.5, table.shape))
    latents = model.latents(tf.zeros([10], tf.int32))  # the same ten times
    images = model.decode(latents, tf.range(10)).numpy().reshape(10, -1)
    apart = np.abs(images[:, None] - images).max(axis=2) + np.eye(10)
    assert apart.min() > 1e-5


@every_game
def test_the_discriminator_sees_the_label(name, given):
    model = stage(name, **given).model
    images, _ = batch(1)
    images = tf.repeat(images, 10, axis=0)
    if name == "acgan":  # it names the class instead
        assert model.classify(images).shape == (10, 10)
        np.testing.assert_allclose(tf.reduce_sum(model.classify(images), axis=1), 1.0, atol=1e-5)
        return
    logits = model.discriminate(images, tf.range(10)).numpy()
    assert logits.shape == (10, 1) and len(np.unique(logits)) == 10


@every_game
def test_real_and_generated_images_come_with_the_same_labels(name, given):
    """A game in which generated images had other labels would be won by the labels alone."""
    model = stage(name, **given).model
    seen = []
    judge = model.discriminator

    class Spy:
        def __call__(self, inputs):
            seen.append(inputs)
            return judge(inputs)

    object.__setattr__(model, "discriminator", Spy())
    rows = batch()
    with random.place(0, tf.constant(0)):
        model.discriminator_loss(rows)
        model.generator_loss(rows)
    assert len(seen) == 3
    for inputs in seen if name != "acgan" else ():
        np.testing.assert_array_equal(inputs[1], rows[1])


@every_game
@pytest.mark.parametrize("player", PLAYERS)
def test_a_loss_moves_its_own_player_alone(name, given, player):
    model = stage(name, **given).model
    rates = {other: keras.optimizers.SGD(0.1 * (other == player)) for other in PLAYERS}
    before = {p: [np.array(v) for v in getattr(model, p).trainable_variables] for p in PLAYERS}
    model.compile(rates, run_eagerly=True)
    model.train_on_batch(batch(), return_dict=True)
    for other in PLAYERS:
        after = getattr(model, other).trainable_variables
        moved = [
            not np.array_equal(a, np.array(b)) for a, b in zip(before[other], after, strict=True)
        ]
        assert any(moved) if other == player else not any(moved)


def test_labels_that_are_missing_are_told():
    for name in ("cgan", "acgan", "projection_gan", "cvae"):
        with pytest.raises(InputError, match="labels"):
            stage(name, data="swiss_roll")
    with pytest.raises(InputError, match="network='cnn' is not one of mlp, conv"):
        stage("cgan", network="cnn")
    with pytest.raises(InputError, match="attributes='hair' is not one of none, stroke"):
        stage("cvae", attributes="hair")


def test_a_label_out_of_range_is_told():
    model = stage("cgan").model
    for label in (-1, 10):
        with pytest.raises(InputError, match=f"label {label}: its labels are 0 to 9"):
            opening.samples(model, 4, label=label)
    of_three, element = opening.samples(model, 4, label=3)
    truth = model.sample(tf.range(4), tf.fill([4], 3))
    np.testing.assert_allclose(of_three, truth, atol=1e-6)
    assert element.shape == (8, 8, 1)


# AC-GAN, projection


def test_the_auxiliary_terms_are_cross_entropies():
    model = stage("acgan").model
    images, labels = rows = batch()
    with random.place(0, tf.constant(0)):
        terms = model.discriminator_loss(rows)
    with random.place(0, tf.constant(0)):
        fakes = model.sample(random.fresh(images), labels)
    expected = sum(
        -np.log(model.classify(part).numpy()[np.arange(50), labels]).mean()
        for part in (images, fakes)
    )
    assert float(terms["class"]) == pytest.approx(expected, rel=1e-4)
    with random.place(0, tf.constant(0)):
        gain = model.generator_loss(rows)
    own = -np.log(model.classify(fakes).numpy()[np.arange(50), labels]).mean()
    assert float(gain["class"]) == pytest.approx(own, rel=1e-4)
    logits = model.discriminate(fakes).numpy()
    assert float(gain["source"]) == pytest.approx(np.log1p(np.exp(-logits)).mean(), rel=1e-4)


def test_the_label_enters_the_discriminator_by_an_inner_product():
    model = stage("projection_gan").model
    judge = model.discriminator
    images, labels = batch()
    features = keras.Model(judge.inputs, judge.get_layer("features").output)([images, labels])
    vectors = judge.get_layer("v").normalized(False).numpy()[labels]  # v_y
    alone = features.numpy() @ np.array(judge.get_layer("w").normalized(False))
    expected = (vectors * features.numpy()).sum(axis=1) + alone[:, 0]
    np.testing.assert_allclose(judge([images, labels])[:, 0], expected, atol=1e-5)
    assert model.objectives["discriminator"].updates == 5


def test_all_weights_of_the_projection_discriminator_are_normalized():
    """Spectral normalization of every kernel, the class vectors' and the last layer's too."""
    model = stage("projection_gan").model
    images, labels = batch()
    for _ in range(60):
        model.discriminator([images, labels], training=True)
    layers = [layer for layer in model.discriminator.layers if hasattr(layer, "kernel")]
    kernels = [v for v in model.discriminator.trainable_variables if v.name == "kernel"]
    assert len(layers) == len(kernels) and {"v", "w"} <= {layer.name for layer in layers}
    for layer in layers:
        matrix = np.array(layer.normalized(False)).reshape(-1, layer.kernel.shape[-1])
        assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1, abs=0.02)
    judge = model.discriminator
    inner = judge.get_layer("features").input  # what the sum over all places is of
    means, sums = keras.Model(judge.inputs, [inner, judge.get_layer("features").output])(
        [images, labels]
    )
    np.testing.assert_allclose(sums, 16 * means, rtol=1e-5)  # 4 x 4 places


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (32, [16, 32, 64, 128, 256, 512]),
        (64, [16, 32, 64, 128, 256, 512, 512, 512]),
        (8, [16, 32]),
    ],
)
def test_the_channels_of_acgan_stop_where_the_table_does(size, expected):
    network = discriminator(10, Element("images", (size, size, 3)), 16)
    kinds = (layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    assert [layer.filters for layer in kinds] == expected


# Conditional batch normalization


def features(count=24):
    rows = np.random.default_rng(0).normal(2.0, 3.0, [count, 4, 4, 5]).astype("float32")
    return rows, (np.arange(count) % 3).astype("int32")


def test_conditional_batch_norm_is_the_formula():
    rows, labels = features()
    layer = ConditionalBatchNorm(3)
    layer.build([rows.shape, labels.shape])
    rng = np.random.default_rng(1)
    scales, shifts = rng.normal(size=[2, 3, 5]).astype("float32")
    layer.scales.assign(scales)
    layer.shifts.assign(shifts)
    standard = (rows - rows.mean(axis=(0, 1, 2))) / np.sqrt(rows.var(axis=(0, 1, 2)) + 1e-5)
    expected = standard * scales[labels][:, None, None] + shifts[labels][:, None, None]
    np.testing.assert_allclose(layer([rows, labels], training=True), expected, atol=1e-4)


def test_conditional_batch_norm_keeps_statistics_and_teaches_only_the_classes_it_saw():
    rows, _ = features()
    layer = ConditionalBatchNorm(3, momentum=0.0)
    labels = np.zeros(len(rows), "int32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer([rows, labels], training=True) ** 3)
    slope = tape.gradient(loss, layer.scales.value).numpy()
    assert np.abs(slope[0]).min() > 0 and not slope[1:].any()
    standard = (rows - rows.mean(axis=(0, 1, 2))) / np.sqrt(rows.var(axis=(0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(layer([rows, labels]), standard, atol=1e-3)


def test_conditional_batch_norm_survives_a_file_and_vectors(tmp_path):
    entry = [keras.Input([5]), keras.Input([], dtype="int32")]
    model = keras.Model(entry, ConditionalBatchNorm(3)(entry))
    model.layers[-1].scales.assign(np.arange(15.0).reshape(3, 5))
    model.save(tmp_path / "norm.keras")
    loaded = keras.saving.load_model(tmp_path / "norm.keras")
    rows, labels = features()
    inputs = [rows[:, 0, 0], labels]
    np.testing.assert_array_equal(model(inputs), loaded(inputs))


def test_conditional_batch_norm_is_of_all_replicas():
    rows, labels = features()
    alone = ConditionalBatchNorm(3)([rows, labels], training=True)
    strategy = mirrored()
    with strategy.scope():
        layer = ConditionalBatchNorm(3)
        layer.build([rows.shape, labels.shape])
    halves = tf.data.Dataset.from_tensor_slices((rows, labels)).batch(len(rows))
    part = next(iter(strategy.experimental_distribute_dataset(halves)))
    call = tf.function(lambda inputs: layer(list(inputs), training=True))
    answers = strategy.experimental_local_results(strategy.run(call, args=(part,)))
    np.testing.assert_allclose(np.concatenate(answers), alone, atol=1e-5)


# InfoGAN


def test_the_information_bound_is_reached_by_a_perfect_reader():
    model = stage("infogan").model
    latents = model.latents(tf.range(2000))
    noise, category, continuous = model.split(latents)
    assert [part.shape[1] for part in (noise, category, continuous)] == [4, 10, 2]
    perfect = tf.concat([1000.0 * category, continuous], axis=1)
    terms = model.information_loss(perfect, latents)
    # All of the category's entropy is told: L_I = H(c) = log 10.
    assert float(terms["category"]) == pytest.approx(-math.log(10), abs=1e-5)
    constant = 0.5 * math.log(2 * math.pi) - math.log(2)  # a Gaussian of deviation 1 on [-1, 1]
    assert float(terms["continuous"]) == pytest.approx(0.1 * 2 * constant, abs=1e-5)
    ignorant = model.information_loss(tf.zeros_like(perfect), latents)
    assert float(ignorant["category"]) == pytest.approx(0, abs=1e-5)
    assert float(ignorant["continuous"]) > float(terms["continuous"]) + 0.02


def test_the_codes_of_infogan_have_their_prior():
    model = stage("infogan").model
    noise, category, continuous = (
        part.numpy() for part in model.split(model.latents(tf.range(9000)))
    )
    assert set(np.unique(category)) == {0.0, 1.0} and (category.sum(axis=1) == 1).all()
    assert np.abs(category.mean(axis=0) - 0.1).max() < 4 * math.sqrt(0.09 / 9000)
    for part in (noise, continuous):
        assert -1 < part.min() < -0.99 and 0.99 < part.max() < 1
        assert part.std() == pytest.approx(1 / math.sqrt(3), abs=0.01)
    assert abs(np.corrcoef(continuous[:, 0], category[:, 0])[0, 1]) < 4 / math.sqrt(9000)


def test_both_players_of_infogan_gain_by_information():
    model = stage("infogan").model
    images = load("digits").rows("train", 50)
    trunk = model.discriminator.trainable_variables
    for objective in model.objectives.values():
        with random.place(0, tf.constant(0)), tf.GradientTape() as tape:
            terms = objective.loss(tf.constant(images))
            bound = terms["category"] + terms["continuous"]
        assert set(terms) == {"source", "category", "continuous"}
        slopes = tape.gradient(bound, [v.value for v in objective.variables])
        assert sum(s is not None and np.abs(s).max() > 0 for s in slopes) > 4
    heads = {v.path.split("/")[-2] for v in trunk}
    assert len(heads) > 5
    with pytest.raises(InputError, match="multiple of 4 pixels"):
        stage("infogan", data="ring")


# CVAE


def test_the_elbo_of_a_cvae_is_that_of_its_distributions():
    model = stage("cvae").model
    model.prior.layers[-1].kernel.assign(np.random.default_rng(0).normal(size=[10, 8]))
    images, labels = rows = batch()
    with random.place(0, tf.constant(0)):
        terms = model.negative_elbo(rows)
    with random.place(0, tf.constant(0)):
        targets = binarize(images, random.fresh(images))
        noise = random.normal(random.fresh(images), [4])
    conditions = tf.one_hot(labels, 10)
    mean, log_variance = np.split(model.encoder([targets, conditions]).numpy(), 2, axis=1)
    centre, log_spread = np.split(model.prior(conditions).numpy(), 2, axis=1)
    ratio = np.exp(log_variance - log_spread)
    kl = 0.5 * ((mean - centre) ** 2 / np.exp(log_spread) + ratio - 1 - np.log(ratio))
    kl = kl.sum(axis=1).mean()
    assert float(terms["kl"]) == pytest.approx(kl, rel=1e-4)
    logits = model.decoder([mean + np.exp(log_variance / 2) * noise, conditions]).numpy()
    coins = np.logaddexp(0, logits) - targets * logits
    assert float(terms["reconstruction"]) == pytest.approx(
        float(tf.reduce_sum(coins) / 50), rel=1e-4
    )


def test_attributes_are_measured():
    image = np.full([3, 9, 9, 1], -1.0, "float32")
    image[0, 1:8, 4] = 1.0  # upright
    for i in range(9):
        image[1, i, 8 - i] = 1.0  # one to the right for each one up
        image[2, i, i] = 1.0
    slants, inks = stroke(image).numpy().T
    np.testing.assert_allclose(slants, [0.0, 1.0, -1.0], atol=1e-3)
    np.testing.assert_allclose(inks, [7 / 81, 9 / 81, 9 / 81], atol=1e-5)
    assert not stroke(-np.ones([1, 9, 9, 1], "float32")).numpy().any()


def test_attributes_are_conditions():
    made = stage("cvae", attributes="stroke")
    model, (images, labels) = made.model, made.data.batch("train")
    conditions = model.conditions(tf.constant(labels), images).numpy()
    assert conditions.shape == (len(images), 12)
    np.testing.assert_allclose(conditions[:, 10:].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(conditions[:, 10:].std(axis=0), 1, atol=1e-4)
    ends = np.percentile(conditions[:, 10:], (1, 99), axis=0)
    np.testing.assert_allclose(ends, model.ends, atol=1e-4)
    assert not model.conditions(tf.constant([1, 2])).numpy()[:, 10:].any()


# Traversals


def test_a_traversal_varies_one_code_and_nothing_else():
    model = stage("infogan").model
    names = [code.name for code in codes(model)]
    assert names[:4] == ["category", "continuous code 0", "continuous code 1", "latent 1"]
    category, images = find(model, 1), traverse(model, find(model, "category"), rows=3)
    assert images.shape == (3, 10, 8, 8, 1) and category.values.shape == (10, 10)
    latents = model.latents(tf.range(3)).numpy()
    latents[:, 4:14] = np.eye(10)[7]
    np.testing.assert_allclose(images[:, 7], model.generator(latents), atol=1e-5)
    code = find(model, "3")
    images = traverse(model, code, rows=10, seed=5)
    latents = model.latents(tf.range(5, 15)).numpy()
    latents[:, 4:14] = np.eye(10)  # a row for each category
    latents[:, 15] = code.values[9, 0]
    assert code.values[[0, 9], 0].tolist() == [-2.0, 2.0]
    np.testing.assert_allclose(images[:, 9], model.generator(latents), atol=1e-5)


def test_an_attribute_goes_through_the_range_of_the_data():
    model = stage("cvae", attributes="stroke").model
    code = find(model, 1)
    images = traverse(model, code, rows=4)
    assert code.name == "slant" and images.shape == (4, 10, 8, 8, 1)
    low, high = (ends[0] for ends in model.ends)
    slants = model.attributes(load("digits").rows("train"))[:, 0].numpy()
    assert (slants < low).mean() == pytest.approx(0.01, abs=0.002)
    assert (slants > high).mean() == pytest.approx(0.01, abs=0.002)
    np.testing.assert_allclose(
        code.values[:, 0], [low + a / 9 * (high - low) for a in range(10)], rtol=1e-5
    )
    conditions = model.conditions(tf.range(4)).numpy()
    conditions[:, 10] = high
    expected = model.decode(model.latents(tf.range(4)), tf.constant(conditions))
    np.testing.assert_allclose(images[:, -1], expected, atol=1e-5)


def test_latents_run_through_their_prior_and_labels_stay():
    model = stage("cgan").model
    code = find(model, "latent 2")
    images = traverse(model, code, rows=12)
    assert code.values[[0, 9], 0] == pytest.approx([0.02, 0.98], abs=0.02)  # of U(0, 1)
    latents = model.latents(tf.range(12)).numpy()
    latents[:, 1] = code.values[0, 0]
    expected = model.decode(tf.constant(latents), tf.range(12) % 10)
    np.testing.assert_allclose(images[:, 0], expected, atol=1e-5)
    for wrong in (0, 5, "latent 0", "-1"):
        with pytest.raises(InputError, match=rf"code {wrong}: there are 1 to 4: 1 \(latent 1\)"):
            find(model, wrong)


def test_the_codes_that_change_pictures_most_come_first():
    latents, images = Element("latents", (4,)), Element("images", (2, 2, 1), low=-1.0, high=1.0)

    class Linear:
        """A pixel for each latent, which counts as much as `weights` say."""

        weights = tf.constant([1e-3, 0.9, 1e-2, 0.5])

        def latents(self, seeds):
            return random.uniform(seeds, [4])

        @property
        def endpoints(self):
            def decode(z):
                return tf.reshape(z * self.weights, [-1, 2, 2, 1])

            return {"decode": Endpoint(decode, (latents,), (images,))}

    names = [code.name for code in most_varied(Linear(), 3)]
    assert names == ["latent 2", "latent 4", "latent 3"]
