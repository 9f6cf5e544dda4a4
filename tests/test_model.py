"""The one train step: who is moved, by what, with which data and noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import verify
from tests.conftest import mirrored
from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint, check_names
from tfgen.errors import InputError
from tfgen.model import (
    GenerativeModel,
    lazily,
    mean_over_replicas,
    minimize,
    split,
    update,
)


def dense(inputs, *units, norm=False):
    """A small network from `keras.Input`."""
    x = entry = keras.Input([inputs])
    for i, width in enumerate(units):
        x = keras.layers.Dense(width)(x)
        if i < len(units) - 1:
            if norm:
                x = keras.layers.BatchNormalization(momentum=0.5, synchronized=True)(x)
            x = keras.layers.Activation("tanh")(x)
    return keras.Model(entry, keras.layers.Activation("linear", dtype="float32")(x))


class Game(GenerativeModel):
    """A least-squares GAN on points of the plane, with noise in both players."""

    def __init__(self, updates=1, norm=False):
        super().__init__()
        self.generator = dense(2, 8, 2, norm=norm)
        self.critic = dense(2, 8, 1, norm=norm)
        self.updates_of_critic, self.seen = updates, []

    @property
    def objectives(self):
        return {
            "critic": minimize(self.critic_loss, self.critic, updates=self.updates_of_critic),
            "generator": minimize(self.generator_loss, self.generator),
        }

    @property
    def endpoints(self):
        points = Element("points", (2,))
        return {"sample": Endpoint(self.sample, (SEEDS,), (points,))}

    def sample(self, seeds):
        return self.generator(random.normal(seeds, [2]))

    def critic_loss(self, points):
        self.seen.append(("critic", points.shape[0]))
        fakes = self.sample(random.fresh(points))
        return {
            "real": tf.reduce_mean((self.critic(points) - 1) ** 2),
            "fake": tf.reduce_mean(self.critic(fakes) ** 2),
        }

    def generator_loss(self, points):
        self.seen.append(("generator", points.shape[0]))
        return tf.reduce_mean((self.critic(self.sample(random.fresh(points))) - 1) ** 2)

    def call(self, latents):
        return self.generator(latents)


POINTS = np.random.default_rng(0).normal(size=(640, 2)).astype("float32")


def batches(size=64):
    return tf.data.Dataset.from_tensor_slices(POINTS).batch(size, drop_remainder=True)


def values(variables):
    return [np.array(v) for v in variables]


def differences(before, after):
    return [np.abs(a - b).max() for a, b in zip(before, after, strict=True)]


def trained(model, optimizer, data=None, epochs=1, **compiled):
    model.compile(optimizer, **compiled)
    history = model.fit(batches() if data is None else data, epochs=epochs, verbose=0).history
    return values(model.variables), history


def test_objectives_in_order_with_fresh_parts():
    model = Game(updates=5)
    model.compile("sgd", run_eagerly=True)
    model.train_on_batch(POINTS[:40])
    assert model.seen == [("critic", 8)] * 5 + [("generator", 8)]


def test_parts_are_disjoint_and_complete():
    parts = split({"x": tf.range(12), "y": tf.range(12) * 10}, 3)
    assert sorted(np.concatenate([p["x"] for p in parts])) == list(range(12))
    assert all(np.array_equal(p["x"] * 10, p["y"]) for p in parts)
    with pytest.raises(ValueError, match="batch of 10 rows cannot be cut into 4"):
        split(tf.zeros([10, 2]), 4)


@pytest.mark.parametrize("mover", ["critic", "generator"])
def test_each_objective_moves_only_its_networks(mover):
    model = Game()
    still = {"critic": 0.0, "generator": 0.0}
    optimizer = {n: keras.optimizers.SGD(0.1 if n == mover else 0.0) for n in still}
    before = {n: values(getattr(model, n).trainable_variables) for n in still}
    trained(model, optimizer)
    for name in still:
        moved = differences(before[name], values(getattr(model, name).trainable_variables))
        assert all(d > 0 for d in moved) if name == mover else max(moved) == 0


def test_the_sum_of_the_terms_is_what_moves():
    model = Game()
    weights = model.critic.trainable_variables
    with tf.GradientTape() as tape, random.place(3, tf.constant(0)):
        terms = model.critic_loss(tf.constant(POINTS[:64]))
        loss = terms["real"] + terms["fake"]
    expected = [v - 0.1 * g for v, g in zip(weights, tape.gradient(loss, weights), strict=True)]
    sgd = {"critic": keras.optimizers.SGD(0.1), "generator": keras.optimizers.SGD(0.0)}
    model.compile(sgd, seed=3)
    logs = model.train_on_batch(POINTS[:64], return_dict=True)
    assert max(differences(expected, values(weights))) < 1e-7
    assert logs["critic/real"] == pytest.approx(float(terms["real"]), rel=1e-6)
    assert set(logs) == {"critic/real", "critic/fake", "generator/loss"}


def test_training_reaches_every_network():
    model = Game(norm=True)
    statistics = model.generator.non_trainable_variables + model.critic.non_trainable_variables
    before = values(statistics)
    model.compile("sgd")
    model.evaluate(batches(), verbose=0)
    assert max(differences(before, values(statistics))) == 0
    model.fit(batches(), verbose=0)
    assert min(differences(before, values(statistics))) > 0


def test_the_forward_pass_stays_natural():
    model = Game(norm=True)
    trained(model, "adam")
    expected = model.generator(POINTS[:5], training=False)
    assert np.allclose(model(POINTS[:5]), expected, atol=1e-6)
    assert np.allclose(model.predict(POINTS[:5], verbose=0), expected, atol=1e-6)


@pytest.mark.parametrize("updates", [1, 5])
def test_two_replicas_equal_one(updates):
    def run():
        keras.utils.set_random_seed(1)
        return trained(Game(updates, norm=True), keras.optimizers.SGD(0.1), batches(60))

    one, history = run()
    with mirrored().scope():
        two, mirrored_history = run()
    assert max(differences(one, two)) < 1e-5
    for name, means in history.items():
        assert mirrored_history[name] == pytest.approx(means, abs=1e-5)


def test_noise_is_fresh_in_every_row_call_step_and_replica():
    def draw(step, calls, testing=False, seed=0):
        with random.place(seed, tf.constant(step), testing):
            return [random.fresh(POINTS[:8]).numpy() for _ in range(calls)]

    keys = np.concatenate(draw(0, 3) + draw(1, 3) + draw(0, 3, True) + draw(0, 3, seed=1))
    assert len(np.unique(keys, axis=0)) == len(keys) == 96
    assert np.array_equal(draw(5, 2), draw(5, 2))


def test_same_seed_same_run_other_seed_other_run():
    def run(seed):
        keras.utils.set_random_seed(1)
        return trained(Game(), "adam", seed=seed)[0]

    assert max(differences(run(4), run(4))) == 0
    assert max(differences(run(4), run(5))) > 1e-4


def test_evaluation_noise_is_fresh_in_each_batch_and_repeats():
    model = Game()
    model.compile("sgd")
    same = tf.data.Dataset.from_tensors(POINTS[:64]).repeat(2)
    once = model.evaluate(same.take(1), verbose=0, return_dict=True)
    twice = model.evaluate(same, verbose=0, return_dict=True)
    assert once["critic/real"] == pytest.approx(twice["critic/real"])
    assert once["critic/fake"] != twice["critic/fake"]
    assert twice == model.evaluate(same, verbose=0, return_dict=True)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = Game(norm=True)
        before = values(model.trainable_variables)
        _, history = trained(model, keras.optimizers.SGD(0.01), epochs=2)
        scaled = [isinstance(o, keras.optimizers.LossScaleOptimizer) for o in _optimizers(model)]
        assert all(scaled) == any(scaled) == (policy == "mixed_float16")
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(v.dtype == "float32" for v in model.trainable_variables)
    moved = differences(before, values(model.trainable_variables))
    assert min(d for d, b in zip(moved, before, strict=True) if b.any()) > 0
    assert history["generator/loss"][-1] < history["generator/loss"][0]


def _optimizers(model):
    return list(model.optimizers.values())


def test_loss_scaling_leaves_the_step_unchanged():
    def run(optimizer):
        keras.utils.set_random_seed(1)
        return trained(Game(), optimizer)[0]

    plain = run({n: keras.optimizers.SGD(0.1) for n in ("critic", "generator")})
    scaled = run(
        {
            n: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
            for n in ("critic", "generator")
        }
    )
    assert max(differences(plain, scaled)) < 1e-5


@pytest.mark.parametrize("options", [{"jit_compile": True}, {"steps_per_execution": 5}])
def test_compile_options_do_not_change_the_result(options):
    def run(**options):
        keras.utils.set_random_seed(1)
        return trained(Game(), keras.optimizers.SGD(0.1), **options)[0]

    assert max(differences(run(jit_compile=False), run(**options))) < 1e-5


def test_schedules_and_moving_averages():
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    average = keras.optimizers.SGD(decay, use_ema=True, ema_momentum=0.9)
    model = Game()
    model.compile(average)
    raw = []

    class Before(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raw[:] = values(model.generator.trainable_variables)

    model.fit(batches(), verbose=0, callbacks=[Before()])
    own = model.optimizers["generator"]
    averages = values(v for v in own.variables if v.name.endswith("_average"))
    assert max(differences(averages, values(model.generator.trainable_variables))) == 0
    assert max(differences(raw, averages)) > 0
    assert float(own.learning_rate) == pytest.approx(0.1 * 0.5**10)


def test_the_callbacks_of_keras(tmp_path):
    class Rates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append([float(o.learning_rate) for o in _optimizers(self.model)])

    rates, model = [], Game()
    model.compile({"critic": keras.optimizers.SGD(0.4), "generator": keras.optimizers.SGD(0.1)})
    history = model.fit(
        batches(),
        epochs=4,
        verbose=0,
        validation_data=batches().take(2),
        callbacks=[
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
            Rates(),
            keras.callbacks.ReduceLROnPlateau("val_generator/loss", mode="min", patience=1),
            keras.callbacks.EarlyStopping(
                "val_generator/loss", mode="min", min_delta=100, patience=2
            ),
            keras.callbacks.ModelCheckpoint(tmp_path / "c.weights.h5", save_weights_only=True),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.TensorBoard(tmp_path / "events"),
            keras.callbacks.BackupAndRestore(tmp_path / "backup"),
            keras.callbacks.TerminateOnNaN(),
        ],
    ).history
    assert np.allclose(rates[:2], [[0.2, 0.05], [0.1, 0.025]])  # both halved, the ratio kept
    assert len(history["val_critic/real"]) == 3  # stopped early
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    assert list((tmp_path / "events").rglob("*tfevents*"))
    twin = Game()
    twin.load_weights(tmp_path / "c.weights.h5")
    assert max(differences(values(model.weights), values(twin.weights))) == 0


def scheduler(rate):
    return keras.callbacks.LearningRateScheduler(lambda epoch: rate)


def plateau():
    return keras.callbacks.ReduceLROnPlateau("critic/real", mode="max", patience=1, min_delta=9)


WAYS = {
    "assigned": lambda model: model.optimizer.learning_rate.assign(1e-3),
    "multiplied": lambda model: model.optimizer.learning_rate.assign_add(-0.039),
    "set": lambda model: setattr(model.optimizer, "learning_rate", 1e-3),
    "a warm-up": lambda model: [
        setattr(model.optimizer, "learning_rate", rate) for rate in (0.0, 0, 1e-3)
    ],
    "scheduler": lambda model: model.fit(batches(), verbose=0, callbacks=[scheduler(1e-3)]),
    "scheduled warm-up": lambda model: [
        model.fit(batches(), verbose=0, callbacks=[scheduler(rate)]) for rate in (0.0, 1e-3)
    ],
    "plateau": lambda model: (
        model.optimizer.learning_rate.assign(1e-2),
        model.fit(batches(), epochs=2, verbose=0, callbacks=[plateau()]),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_change_the_rate_keeps_two_time_scales(way):
    model = Game()
    rates = {"critic": keras.optimizers.SGD(0.04), "generator": keras.optimizers.Adam(0.01)}
    model.compile(rates)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.04)
    WAYS[way](model)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3, rel=1e-5)
    assert [float(o.learning_rate) for o in _optimizers(model)] == pytest.approx(
        [1e-3, 2.5e-4], rel=1e-5
    )
    before = values(model.trainable_variables)
    model.fit(batches(), verbose=0)
    moved = differences(before, values(model.trainable_variables))
    assert np.isfinite(moved).all() and max(moved) < 0.02 and min(moved) > 0


def test_rates_on_two_replicas():
    with mirrored().scope():
        model = Game()
        model.compile({"critic": keras.optimizers.SGD(0.4), "generator": keras.optimizers.SGD(0.1)})
        model.fit(batches(60), verbose=0, callbacks=[scheduler(1e-3)])
    assert [o.learning_rate.numpy() for o in _optimizers(model)] == pytest.approx([1e-3, 2.5e-4])
    model.optimizer.learning_rate.assign(0.04)
    assert model.optimizers["generator"].learning_rate.numpy() == pytest.approx(0.01)


def test_a_rate_of_zero_moves_nothing_and_leads_nobody():
    model = Game()
    model.compile({"critic": keras.optimizers.SGD(0.0), "generator": keras.optimizers.SGD(0.1)})
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    model.optimizer.learning_rate = 0.2
    assert [float(o.learning_rate) for o in _optimizers(model)] == pytest.approx([0.0, 0.2])
    model.compile(keras.optimizers.Adam(0.0))
    before = values(model.trainable_variables)
    model.fit(batches(), verbose=0)
    assert max(differences(before, values(model.trainable_variables))) == 0
    model.optimizer.learning_rate = 0.3
    assert [float(o.learning_rate) for o in _optimizers(model)] == pytest.approx([0.3, 0.3])


def test_one_rate_may_be_changed_alone_and_the_ratio_is_then_another():
    model = Game()
    model.compile({"critic": keras.optimizers.SGD(0.4), "generator": keras.optimizers.SGD(0.1)})
    model.optimizers["generator"].learning_rate = 0.2
    assert float(model.optimizer.learning_rate) == pytest.approx(0.4)
    model.optimizer.learning_rate = 0.1
    assert float(model.optimizers["generator"].learning_rate) == pytest.approx(0.05)


def test_a_rate_that_follows_a_schedule_is_not_set():
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model = Game()
    model.compile({"critic": keras.optimizers.SGD(0.4), "generator": keras.optimizers.SGD(decay)})
    with pytest.raises(InputError, match="rate of generator follows a schedule: compile"):
        model.optimizer.learning_rate = 0.1
    assert float(model.optimizers["critic"].learning_rate) == pytest.approx(0.4)
    model.compile("sgd")
    with pytest.raises(InputError, match="schedule is set by model.compile"):
        model.optimizer.learning_rate = decay


def test_swapping_moving_averages():
    model = Game()
    model.compile(keras.optimizers.SGD(0.1, use_ema=True))
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    model.fit(batches(), epochs=2, verbose=0, callbacks=[swap])
    own = model.optimizers["critic"]
    averages = values(v for v in own.variables if v.name.endswith("_average"))
    assert max(differences(averages, values(model.critic.trainable_variables))) == 0


def test_regularizers_are_a_term():
    model = Game()
    model.generator = keras.Sequential(
        [keras.Input([2]), keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.5))]
    )
    model.compile("sgd")
    kernel = model.generator.layers[0].kernel.numpy()
    logs = model.train_on_batch(POINTS[:64], return_dict=True)
    assert logs["generator/regularization"] == pytest.approx(0.5 * (kernel**2).sum(), rel=1e-5)
    assert "critic/regularization" not in logs


def test_lazily_keeps_the_mean():
    terms = [float(lazily(4, tf.constant(step), lambda: tf.constant(3.0))) for step in range(8)]
    assert terms == [12, 0, 0, 0, 12, 0, 0, 0]


def test_lazily_in_a_loss():
    class Lazy(Game):
        def critic_loss(self, points):
            penalty = lazily(4, self.step, lambda: tf.reduce_sum(self.critic(points) ** 2))
            return super().critic_loss(points) | {"penalty": penalty}

    model = Lazy()
    model.compile("sgd")
    penalties = [
        float(model.train_on_batch(POINTS[:64], return_dict=True)["critic/penalty"])
        for _ in range(5)
        if model.reset_metrics() is None
    ]
    assert [p > 0 for p in penalties] == [True, False, False, False, True]
    assert int(model.step.value) == 5


def test_optimizers_must_be_named_after_objectives():
    with pytest.raises(ValueError, match=r"\['critics'\].*\['critic', 'generator'\]"):
        Game().compile({"critics": keras.optimizers.SGD()})


class Scores(GenerativeModel):
    """A critic whose last layer has a slope that no weight has a part in."""

    def __init__(self):
        super().__init__()
        x = entry = keras.Input([8, 8, 1])
        x = keras.layers.LeakyReLU()(keras.layers.Conv2D(8, 5, 2, "same")(x))
        x = keras.layers.Dense(1, use_bias=False)(keras.layers.Flatten()(x))
        self.critic = keras.Model(entry, x)

    @property
    def objectives(self):
        return {"critic": minimize(self.critic_loss, self.critic, updates=4)}

    def critic_loss(self, images):
        return tf.reduce_mean(self.critic(0.1 * images)) - tf.reduce_mean(self.critic(images))


def test_weights_are_read_before_they_are_updated():
    """TensorFlow 2.21's graph optimizer loses that order; a step then depends on the threads."""
    model, seen = Scores(), set()
    model.compile(keras.optimizers.SGD(0.01), seed=0)
    images = np.random.default_rng(0).normal(size=[64, 8, 8, 1]).astype("float32")
    before = [np.array(v) for v in model.critic.trainable_variables]
    for _ in range(300):
        for variable, value in zip(model.critic.trainable_variables, before, strict=True):
            variable.assign(value)
        model.train_on_batch(images)
        seen.add(b"".join(np.array(v).tobytes() for v in model.critic.trainable_variables))
    assert len(seen) == 1


class Means(GenerativeModel):
    """A running mean of the data, moved without a gradient, and a weight with one."""

    def __init__(self, updates=1):
        super().__init__()
        self.mean_of_data = self.add_weight(
            (2,), "zeros", trainable=False, aggregation="only_first_replica"
        )
        self.bias = dense(2, 2)
        self.times = updates

    @property
    def objectives(self):
        return {
            "mean": update(self.move, self.distance, updates=self.times),
            "bias": minimize(lambda rows: tf.reduce_mean(self.bias(rows) ** 2), self.bias),
        }

    def distance(self, rows):
        mean = mean_over_replicas(tf.reduce_mean(rows, axis=0))
        return {"distance": tf.norm(self.mean_of_data.value - mean)}

    def move(self, rows):
        terms = self.distance(rows)
        mean = mean_over_replicas(tf.reduce_mean(rows, axis=0))
        self.mean_of_data.assign(0.5 * (self.mean_of_data + mean))
        return terms

    @property
    def endpoints(self):
        return {}

    def call(self, rows):
        return self.bias(rows)


def test_an_update_moves_what_no_gradient_moves():
    model = Means()
    model.compile(keras.optimizers.SGD(0.1))
    assert set(model.optimizers) == {"bias"}
    logs = model.train_on_batch(POINTS[:64], return_dict=True)
    mean = POINTS[:64].mean(axis=0)
    np.testing.assert_allclose(model.mean_of_data.numpy(), mean / 2, rtol=1e-5)
    assert logs["mean/distance"] == pytest.approx(np.linalg.norm(mean), rel=1e-5)
    before = values(model.variables)
    logs = model.evaluate(POINTS[:64], batch_size=64, verbose=0, return_dict=True)
    assert logs["mean/distance"] == pytest.approx(np.linalg.norm(mean) / 2, rel=1e-4)
    weights = [v for v in model.weights if v is not model.step]
    assert max(differences(before[: len(weights)], values(model.variables)[: len(weights)])) == 0


def test_updates_take_parts_of_the_batch_and_replicas_agree():
    def run():
        keras.utils.set_random_seed(0)
        return trained(Means(updates=4), keras.optimizers.SGD(0.1), batches(80))[0]

    one = run()
    with mirrored().scope():
        two = run()
    assert max(differences(one, two)) < 1e-6


def test_a_model_may_have_no_loss_at_all():
    class Alone(Means):
        @property
        def objectives(self):
            return {"mean": update(self.move)}

    model = Alone()
    model.compile()
    model.fit(batches(), epochs=2, verbose=0)
    assert np.linalg.norm(model.mean_of_data - POINTS.mean(axis=0)) < 0.2
    assert float(model.optimizer.learning_rate) == 0.0 and int(model.step.numpy()) == 20
    assert "mean/distance" not in model.evaluate(batches(), verbose=0, return_dict=True)


@pytest.mark.parametrize(
    ("name", "element", "told"),
    [("smaple", "points", "'smaple': 'sample'"), ("sample", "imges", "'imges': 'images'")],
)
def test_a_slip_in_a_well_known_name_is_an_error(name, element, told):
    class Slipped(Game):
        @property
        def endpoints(self):
            return {name: Endpoint(self.sample, (SEEDS,), (Element(element, (2,)),))}

    with pytest.raises(ValueError, match=told):
        Slipped().compile()
    check_names({"own": Endpoint(tf.identity, (Element("voices"),), (Element("melodies"),))})


def test_keras_own_export_gives_the_endpoints(tmp_path, capsys):
    model, seeds = Game(), [3, 1, 4]
    model.export(tmp_path / "exported")
    assert "sample" in capsys.readouterr().out
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    for answer in (loaded.sample(seeds), loaded.signatures["sample"](seeds=tf.constant(seeds))):
        np.testing.assert_allclose(answer["points"], model.sample(seeds), atol=1e-6)
    with verify.session(tmp_path / "exported") as run:
        answer = run("serving_default", {"seeds": np.int32(seeds)})
        np.testing.assert_allclose(answer["points"], model.sample(seeds), atol=1e-6)
    model.export(tmp_path / "silent", verbose=False)
    assert not capsys.readouterr().out
    with pytest.raises(ValueError, match="Unrecognized format"):
        model.export(tmp_path / "other", format="tf")


def test_the_private_names_of_keras_that_are_used_are_there():
    assert callable(keras.Model._flatten_layers)  # tfgen.objectives.penalties
    optimizer = keras.optimizers.Adam(use_ema=True)
    optimizer.build(dense(2, 3).trainable_variables)
    # JointOptimizer shows these two to `SwapEMAWeights`, and finds others by the variables' names.
    averages = zip(
        optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True
    )
    assert all(average.name.endswith("_average") for _, average in averages)
    ends = [v.name.rpartition("_")[2] for v in optimizer.variables[2:]]
    assert sorted(ends) == ["average"] * 2 + ["momentum"] * 2 + ["velocity"] * 2
