"""The objectives of adversarial training against their theory: divergences, distances, balances."""

import ast
import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import zoo
from tfgen.data import load
from tfgen.endpoint import Element
from tfgen.errors import InputError
from tfgen.networks import neutral
from tfgen.networks.mlp import mlp
from tfgen.objectives import losses, penalties
from zoo.adversarial import began, f_gan, fisher_gan, wgan_gp
from zoo.adversarial.gan import GAN

OBJECTIVES = [
    "lsgan",
    "wgan",
    "wgan_gp",
    "hinge_gan",
    "f_gan",
    "fisher_gan",
    "dragan",
    "ebgan",
    "began",
    "bgan",
    "gogan",
]
SMALL = {"latent_dim": 4, "hidden": 16, "width": 8, "batch_size": 16}
POINTS = Element("points", (2,))


def stages(name, data="digits", **given):
    recipe = zoo.find(name)
    return recipe.stages(load(data), recipe.settings(SMALL | given))


def step(stage):
    """One step of training, eagerly, as tracing would take longer; returns the terms."""
    stage.compile(run_eagerly=True)
    history = stage.model.fit(stage.batches(), steps_per_epoch=1, shuffle=False, verbose=0).history
    return {term: values[0] for term, values in history.items()}


def constant(*point):
    """A generator that makes one point, whatever the latents are."""
    x = entry = keras.Input([4])
    x = keras.layers.Dense(2, kernel_initializer="zeros")(x)
    network = keras.Model(entry, x)
    network.layers[-1].bias.assign(point)
    return network


def optimize(model, reals, steps, rate):
    """Trains the critic alone on the same rows; returns the terms that it reaches."""
    rates = keras.optimizers.schedules.CosineDecay(rate, steps)
    players = {
        "discriminator": keras.optimizers.Adam(rates),
        "generator": keras.optimizers.SGD(0.0),
    }
    model.compile(players, steps_per_execution=100)
    batches = tf.data.Dataset.from_tensors(tf.constant(reals, tf.float32)).repeat()
    model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model.evaluate(batches, steps=100, verbose=0, return_dict=True)


# f-GAN: f(u) by name, and the divergence between Gaussians as the integral of q f(p / q).

CONVEX = {
    "kl": lambda u: u * np.log(u),
    "reverse_kl": lambda u: -np.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "squared_hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "jensen_shannon": lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2),
    "gan": lambda u: u * np.log(u) - (u + 1) * np.log(u + 1),
}
# The best V(x), from log p(x) / q(x): where g_f(V) = f'(p / q).
BEST = {
    "kl": lambda ratio: 1 + ratio,
    "reverse_kl": lambda ratio: ratio,
    "pearson": lambda ratio: 2 * (np.exp(ratio) - 1),
    "squared_hellinger": lambda ratio: ratio / 2,
    "jensen_shannon": lambda ratio: ratio,
    "gan": lambda ratio: ratio,
}
P, Q = stats.norm(0, 1), stats.norm(0.7, 1.3)
every_divergence = pytest.mark.parametrize("name", f_gan.DIVERGENCES)


def places(count):
    """Points of equal probability: means over them are integrals."""
    middles = (np.arange(count) + 0.5) / count
    return P.ppf(middles), Q.ppf(middles)


def divergence(name):
    x, width = np.linspace(-15, 15, 200_001, retstep=True)
    with np.errstate(all="ignore"):
        values = Q.pdf(x) * CONVEX[name](P.pdf(x) / Q.pdf(x))
    return np.nansum(values) * width


def column(values):
    return tf.constant(values[:, None], tf.float32)


def test_the_divergences_are_the_known_ones():
    kl = math.log(1.3) + (1 + 0.7**2) / (2 * 1.3**2) - 0.5
    assert divergence("kl") == pytest.approx(kl, rel=1e-6)
    coefficient = math.sqrt(2 * 1.3 / (1 + 1.3**2)) * math.exp(-(0.7**2) / (4 * (1 + 1.3**2)))
    assert divergence("squared_hellinger") == pytest.approx(2 - 2 * coefficient, rel=1e-6)
    # Where p = q, GAN's value is -log 4, and every divergence is 0.
    for name, convex in CONVEX.items():
        assert convex(1.0) == pytest.approx(-math.log(4) if name == "gan" else 0.0)
    difference = divergence("jensen_shannon") - divergence("gan")
    assert difference == pytest.approx(math.log(4), rel=1e-6)


@every_divergence
def test_conjugates_are_conjugate(name):
    outputs = np.linspace(-1.5, 1.5, 13)
    chosen = f_gan.DIVERGENCES[name]
    slopes = chosen.activation(tf.constant(outputs)).numpy()
    u = np.logspace(-6, 4, 400_001)
    highest = [(u * slope - CONVEX[name](u)).max() for slope in slopes]  # f*(t), by its definition
    np.testing.assert_allclose(chosen.conjugate(tf.constant(outputs)), highest, atol=1e-5)


@every_divergence
def test_conjugates_are_conjugate_where_exponentials_are_bent(name):
    """Far out, too, f* is that of the activation, which still goes on to where f* is finite."""
    outputs = np.array([-40.0, -9.0, -4.0, 4.0, 9.0, 40.0])
    chosen = f_gan.DIVERGENCES[name]
    t, found = (f(tf.constant(outputs)).numpy() for f in chosen)
    conjugates = {  # of the paper's table
        "kl": lambda t: np.exp(t - 1),
        "reverse_kl": lambda t: -1 - np.log(-t),
        "pearson": lambda t: t**2 / 4 + t,
        "squared_hellinger": lambda t: t / (1 - t),
        "jensen_shannon": lambda t: -np.log(2 - np.exp(t)),
        "gan": lambda t: -np.log(1 - np.exp(t)),
    }
    with np.errstate(divide="ignore"):
        expected = conjugates[name](t)
    well = np.isfinite(expected) & (np.abs(expected) < 30)  # rounding of t near its end
    np.testing.assert_allclose(found[well], expected[well], rtol=1e-3, atol=1e-9)
    assert (np.diff(t) > 0).all() or name in ("jensen_shannon", "gan")
    assert np.abs(t).max() < 1e3 and np.abs(found).max() < 1e3


@pytest.mark.parametrize("name", ["kl", "reverse_kl", "squared_hellinger"])
def test_exponentials_of_a_divergence_have_bounded_slopes(name):
    outputs = tf.constant(np.linspace(-200, 200, 4001), tf.float32)
    for function in f_gan.DIVERGENCES[name]:
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            values = function(outputs)
        slopes = tape.gradient(values, outputs).numpy()
        assert np.isfinite(values).all() and (slopes > 0).all()
        assert slopes.max() == pytest.approx(math.exp(3), rel=1e-3) or slopes.max() == 1.0
    near = np.linspace(-3, 3, 61)  # as in the paper's table
    np.testing.assert_allclose(f_gan.growth(tf.constant(near)), np.exp(near), rtol=1e-12)
    np.testing.assert_allclose(f_gan.log_growth(tf.constant(near)), near, rtol=1e-12)
    far = np.array([-50.0, -5.0, 5.0, 50.0])
    np.testing.assert_allclose(
        np.log(f_gan.growth(tf.constant(far))), f_gan.log_growth(tf.constant(far)), rtol=1e-12
    )


@every_divergence
def test_the_best_critic_attains_the_divergence(name):
    best = [column(BEST[name](P.logpdf(x) - Q.logpdf(x))) for x in places(200_000)]
    loss = f_gan.loss(f_gan.DIVERGENCES[name])
    value = -float(loss.discriminator(*best))
    assert value == pytest.approx(divergence(name), rel=0.02)
    for other in ([v + 0.1 for v in best], [1.1 * v - 0.05 for v in best]):
        assert -float(loss.discriminator(*other)) < value


@every_divergence
def test_a_trained_critic_attains_the_divergence(name):
    critic = mlp([1], [1], [16, 16], activation="tanh")
    loss = f_gan.loss(f_gan.DIVERGENCES[name])
    reals, fakes = (column(x) for x in places(2_000))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, 400))
    optimizer.build(critic.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss.discriminator(critic(reals), critic(fakes))
        variables = [v.value for v in critic.trainable_variables]
        optimizer.apply(tape.gradient(value, variables), critic.trainable_variables)
        return value

    for _ in range(400):
        value = step()
    assert -float(value) == pytest.approx(divergence(name), rel=0.02)


def test_an_unknown_divergence_is_refused_by_name():
    with pytest.raises(InputError, match="divergence='hellinger' is not one of kl, reverse_kl"):
        next(stages("f_gan", divergence="hellinger"))


# WGAN: the distance of two point masses.


@pytest.mark.parametrize("weight", [10.0, 100.0])
def test_the_penalized_critic_of_two_points_measures_their_distance(weight):
    critic = mlp([2], [1], [32], activation="relu")
    model = wgan_gp.WGANGP(constant(1.2, 1.6), critic, POINTS, 1, weight)
    terms = optimize(model, np.zeros([64, 2]), 400, 0.02)
    # On the way of length 2 a slope s gives 2 s - weight (s - 1)^2, at best s = 1 + 1 / weight.
    slope = 1 + 1 / weight
    assert -terms["discriminator/wasserstein"] == pytest.approx(2 * slope, rel=0.02)
    assert terms["discriminator/penalty"] == pytest.approx(1 / weight, rel=0.3)


def test_the_clipped_critic_measures_it_up_to_a_factor():
    critic = penalties.clipped(mlp([2], [1], []), 0.01)
    model = GAN(constant(1.2, -1.6), critic, POINTS, losses.wasserstein)
    terms = optimize(model, np.zeros([8, 2]), 200, 0.005)
    # The best weights of a linear critic are at the corners of the box.
    assert -terms["discriminator/loss"] == pytest.approx(0.01 * (1.2 + 1.6), rel=1e-4)


def test_all_weights_of_the_critic_are_clipped_and_no_others():
    stage = next(stages("wgan", "ring", learning_rate=0.1))
    assert stage.rows_per_step == 5 * 16  # each of the five updates sees a part of its own
    step(stage)
    largest = {
        player: max(np.abs(v).max() for v in getattr(stage.model, player).get_weights())
        for player in ("discriminator", "generator")
    }
    assert largest["discriminator"] == pytest.approx(0.01)
    assert largest["generator"] > 0.1


@pytest.mark.parametrize("name", ["wgan_gp", "dragan"])
def test_a_penalized_critic_with_batch_normalization_is_refused(name):
    model = next(stages(name)).model
    normalized = neutral.discriminator(model.element, hidden=16, width=8)
    rest = {"n_critic": 1} if name == "wgan_gp" else {}
    with pytest.raises(InputError, match="the critic has batch normalization"):
        type(model)(model.generator, normalized, model.element, weight=10.0, **rest)


# Fisher GAN: the best linear critic in closed form.


def test_fishers_constraint_holds_at_the_optimum():
    reals = np.random.RandomState(0).randn(256, 2) * [1.0, 0.5] + [1.0, 0.5]
    fake = np.array([-0.5, 1.0])
    model = fisher_gan.FisherGAN(constant(*fake), mlp([2], [1], []), POINTS, 1, rho=0.02)
    terms = optimize(model, reals, 1_000, 0.05)

    # Critics <w, x> + b, so rows (x, 1): w = S^-1 d / |S^-1/2 d| with S the mean second moment.
    rows, fakes = np.c_[reals, np.ones(256)], np.array([[*fake, 1.0]])
    moments = (rows.T @ rows / 256 + fakes.T @ fakes) / 2
    difference = rows.mean(axis=0) - fakes[0]
    distance = math.sqrt(difference @ np.linalg.solve(moments, difference))
    assert -terms["discriminator/distance"] == pytest.approx(distance, rel=0.01)
    scores = [model.discriminator(tf.constant(x, tf.float32)).numpy() for x in (reals, fake[None])]
    assert sum((s**2).mean() for s in scores) / 2 == pytest.approx(1.0, abs=0.02)
    # There the slopes by w cancel: d = 2 l S w, so the distance is 2 l.
    assert float(model.multiplier.value) == pytest.approx(distance / 2, rel=0.02)


def test_the_multiplier_moves_in_training_alone():
    multiplier = fisher_gan.Multiplier(0.5)
    assert float(multiplier(tf.constant(3.0), training=False)) == 0.25 * 4
    assert float(multiplier.value) == 0.0
    multiplier(tf.constant(3.0), training=True)
    assert float(multiplier.value) == 0.5 * 2
    assert float(multiplier(tf.constant(3.0), training=False)) == 1.0 * 2 + 0.25 * 4


# Hinge: how often each player moves.


def test_the_generator_of_the_hinge_may_move_more_often():
    stage = next(stages("hinge_gan", "ring", n_generator=10))
    assert stage.rows_per_step == 10 * 16 and stage.model.objectives["discriminator"].updates == 1
    stage.compile(run_eagerly=True)
    stage.model.fit(stage.batches(), steps_per_epoch=2, shuffle=False, verbose=0)
    optimizers = stage.model.optimizers
    assert int(optimizers["generator"].iterations) == 20
    assert int(optimizers["discriminator"].iterations) == 2


# Autoencoders as discriminators.


def test_energies_are_distances_of_reconstructions():
    model = next(stages("ebgan")).model
    rows = tf.constant(load("digits").rows("train", 6))
    reconstructions, codes = model.discriminator(rows)
    assert reconstructions.shape == rows.shape and codes.shape == (6, 4)
    expected = np.sqrt((np.array(rows - reconstructions) ** 2).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(model.energy(rows), expected, rtol=1e-5)


@pytest.mark.parametrize(("margin", "missing"), [(3.0, 0.0), (7.0, 2.0)])
def test_energy_beyond_the_margin_is_enough(margin, missing):
    model = next(stages("ebgan", "ring", margin=margin)).model
    model.energy = lambda rows: 5.0 + 0.0 * rows[:, 0]  # whatever they are
    terms = model.discriminator_loss(tf.zeros([4, 2]))
    assert float(terms["real"]) == 5.0 and float(terms["fake"]) == missing


def test_errors_are_means_over_pixels():
    model = next(stages("began")).model
    rows = tf.constant(load("digits").rows("train", 6))
    expected = np.abs(rows - model.discriminator(rows)[0]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(model.error(rows), expected, rtol=1e-5)


def test_k_moves_to_the_balance():
    entry = keras.Input([2])
    network = keras.Model(entry, [entry, entry])
    model = began.BEGAN(constant(0, 0), network, POINTS, gamma=0.5, rate=0.1)

    def moved(real, fake):
        terms = {"discriminator/real": tf.constant(real), "generator/loss": tf.constant(fake)}
        model.after_step(terms)
        return float(terms["balance/k"]), float(terms["balance/M"])

    assert moved(0.8, 0.3) == pytest.approx((0.1 * 0.1, 0.8 + 0.1))
    assert moved(0.4, 0.3) == pytest.approx((0.01 - 0.1 * 0.1, 0.4 + 0.1), abs=1e-7)
    assert moved(0.2, 0.9) == pytest.approx((0.0, 0.2 + 0.8))  # not below 0
    for _ in range(30):
        k, _ = moved(1.0, 0.1)
    assert k == 1.0  # nor above 1


def test_k_weighs_the_samples_and_is_logged():
    stage = next(stages("began", "ring"))
    stage.model.k.assign(0.25)
    logs = step(stage)
    assert logs["discriminator/fake"] < 0.0 < logs["discriminator/real"]
    difference = 0.5 * logs["discriminator/real"] - logs["generator/loss"]
    assert logs["balance/k"] == pytest.approx(0.25 + 1e-3 * difference, rel=1e-5)
    convergence = logs["discriminator/real"] + abs(difference)
    assert logs["balance/M"] == pytest.approx(convergence, rel=1e-5)


# The gang.


def test_the_next_of_the_gang_starts_where_the_last_ended():
    gang = stages("gogan", members=3, clip=0.05)
    first = next(gang)
    step(first)
    second = next(gang)
    for player in ("generator", "discriminator"):
        weights = [getattr(stage.model, player).get_weights() for stage in (first, second)]
        assert all(map(np.array_equal, *weights))
    before = first.model.generator.get_weights() + first.model.discriminator.get_weights()
    step(second)
    after = first.model.generator.get_weights() + first.model.discriminator.get_weights()
    assert all(map(np.array_equal, before, after))
    assert not np.array_equal(second.model.generator.get_weights()[0], before[0])
    assert [network.name for network in next(gang).model.rivals] == ["generator", "discriminator"]
    assert next(gang, None) is None


def test_the_gang_ranks_data_above_the_samples_of_the_rival():
    gang = stages("gogan", margin=0.3, weight=0.5)
    rival, model = next(gang).model, next(gang).model
    rows = load("digits").rows("train", 16)
    seen = {}
    model.rivals[0] = lambda latents, training: seen.setdefault("fakes", rival.sample(tf.range(16)))
    terms = model.discriminator_loss(tf.constant(rows))
    scores = [rival.discriminator(x).numpy() for x in (rows, seen["fakes"])]
    expected = 0.5 * np.maximum(0.0, 0.6 + scores[1] - scores[0]).mean()
    assert float(terms["ranking"]) == pytest.approx(expected, rel=1e-5)


# How the family is written.


def test_recipes_share_their_names():
    for name in OBJECTIVES:
        settings = zoo.find(name).settings({})
        shared = {"latent_dim", "hidden", "width", "learning_rate", "ema", "batch_size", "epochs"}
        assert shared <= set(settings)
        assert (settings["latent_dim"], settings["hidden"], settings["width"]) == (64, 1024, 64)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_play_on_points(name):
    stage = next(stages(name, "ring"))
    assert np.isfinite(list(step(stage).values())).all()
    assert stage.model.sample(tf.range(5)).shape == (5, 2)


def bodies(path):
    """The statements of a file's functions, a line each; without signatures and docstrings."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines += "\n".join(ast.unparse(statement) for statement in body).splitlines()
    return lines


def test_no_run_of_six_lines_stands_in_two_files():
    runs = {}
    for name in OBJECTIVES:
        lines = bodies(zoo.locate(name))
        runs[name] = {tuple(lines[i : i + 6]) for i in range(len(lines) - 5)}
    for one, other in itertools.combinations(OBJECTIVES, 2):
        assert not runs[one] & runs[other], (one, other)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_costs_few_lines(name):
    text = zoo.locate(name).read_text()
    assert len(bodies(zoo.locate(name))) < 60
    assert "train_step" not in text and "GradientTape" not in text


# Networks

CONVOLUTIONAL = ["lsgan", "wgan", "wgan_gp", "hinge_gan", "fisher_gan", "dragan", "bgan", "gogan"]


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_objectives_also_play_on_networks_of_dcgan(name):
    data = load("digits", 16)
    recipe = zoo.find(name)
    stages_of = recipe.stages(data, recipe.settings({"network": "dcgan", "width": 8}))
    model = next(stages_of).model
    kinds = [type(layer) for layer in model.discriminator.layers]
    assert keras.layers.Conv2D in kinds and kinds.count(keras.layers.Dense) == 1
    normalized = keras.layers.BatchNormalization in kinds
    assert normalized == (name in ("lsgan", "hinge_gan", "fisher_gan"))
    if "batch_norm" in recipe.settings({}):
        given = {"network": "dcgan", "width": 8, "batch_norm": not normalized}
        other = next(recipe.stages(data, recipe.settings(given))).model
        kinds = [type(layer) for layer in other.discriminator.layers]
        assert (keras.layers.BatchNormalization in kinds) != normalized
    with pytest.raises(InputError, match="hidden=99 counts only with network=neutral"):
        recipe.settings({"network": "dcgan", "hidden": 99})
    assert model.discriminator(model.sample(tf.range(3))).shape == (3, 1)
    with pytest.raises(InputError, match="network='dcgam' is not one of neutral, dcgan"):
        next(recipe.function(data, network="dcgam"))


def test_the_standard_networks_of_sngan_double_three_times():
    recipe = zoo.find("sngan")
    model = next(recipe.function(load("digits", 32), network="standard")).model
    heights = [layer.output.shape[1] for layer in model.generator.layers if layer.output.ndim == 4]
    assert sorted(set(heights)) == [4, 8, 16, 32]
    # Table 3 with one channel: dense 128 x 8,192, then 512, 256, 128, 64 channels; 3, 4 wide.
    kernels = [w.shape for w in model.discriminator.trainable_variables if len(w.shape) == 4]
    assert [tuple(shape) for shape in kernels] == [
        (3, 3, 1, 64),
        (4, 4, 64, 64),
        (3, 3, 64, 128),
        (4, 4, 128, 128),
        (3, 3, 128, 256),
        (4, 4, 256, 256),
        (3, 3, 256, 512),
    ]
    with pytest.raises(InputError, match=r"multiples of 8, not \(12, 12, 1\): give an image_size"):
        next(recipe.function(load("digits", 12), network="standard"))
    with pytest.raises(InputError, match="network='dcgan' is not one of neutral, standard"):
        next(recipe.function(load("digits"), network="dcgan"))
