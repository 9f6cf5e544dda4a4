"""What a model offers is measured: which metrics fit, which step aside, what their numbers are."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tfgen import InputError, load, metrics
from tfgen.data.data import of_arrays
from tfgen.data.splits import hold_out
from tfgen.endpoint import SEEDS, Element, Endpoint, labels
from tfgen.metrics import evaluation, extractors
from tfgen.metrics.catalogue import METRICS, NUMBERS


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
    extractors._kept.clear()


class Offers:
    """A model, as far as it is measured."""

    def __init__(self, **endpoints):
        self.endpoints = endpoints


def sampler(rows, element, slow=False):
    """A `sample` endpoint that gives row n of an array to seed n."""
    table = tf.constant(rows)
    return Endpoint(lambda seeds: tf.gather(table, seeds), (SEEDS,), (element,), slow=slow)


def values(found):
    return {result.metric: result.value for result in found.results}


def noise(count=200, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, [count, 8, 8, 1]).astype("float32")


# Samples


def test_numbers_have_their_full_names_and_what_real_rows_get(digits):
    train = digits.rows("train", 300)
    names = ("fid", "kid", "knn", "memorisation", "inception_score")
    found = metrics.evaluate(train, digits, names, "random", count=170, seed=3)
    assert found.count == 170 and set(found.aside) == {"inception_score"}
    by_name = {result.metric: result for result in found.results}
    assert by_name["fid"].name == "fid(random, test, N=170, seed=3)"
    assert by_name["kid"].name == "kid(random, test, N=170, subsets of 85, seed=3)"
    assert by_name["kid"].deviation > 0 and by_name["fid"].deviation is None
    assert by_name["memorisation"].value == 1 and by_name["memorisation_ratio"].value == 0
    assert by_name["memorisation"].real is None
    reals, others = digits.rows("test", 170), digits.rows("train", 170)
    rows = [metrics.features("random")(x) for x in (reals, train[:170], others)]
    assert by_name["fid"].value == pytest.approx(metrics.fid(*rows[:2]), rel=1e-4)
    assert by_name["fid"].real == pytest.approx(metrics.fid(rows[0], rows[2]), rel=1e-4)
    assert by_name["knn"].real == pytest.approx(metrics.knn(rows[0], rows[2]).accuracy, abs=0.01)


def test_noise_is_told_from_digits(digits):
    good, bad = (
        metrics.evaluate(x, digits, ["default", "density_coverage", "inception_score"])
        for x in (digits.rows("train", 179), noise(179))
    )
    assert not good.aside and not bad.aside and not good.collapsed
    numbers = {result.metric: NUMBERS[result.metric] for result in good.results}
    real = {result.metric: result.real for result in good.results}
    for key, number in numbers.items():
        off = [number.off(values(found)[key], real[key]) for found in (good, bad)]
        assert off[0] < off[1], key
    assert values(bad)["recognised"] < 0.03 < 0.9 < real["recognised"]
    names = {result.metric: result.name for result in good.results}
    assert names["recognised"] == (
        "recognised(classifier:digits, N=179, at least 0.9 sure, seed=0)"
    )
    assert (
        names["inception_score"] == "inception_score(classifier:digits, N=179, 10 splits, seed=0)"
    )


def test_reference_values_are_computed_once(digits, monkeypatch):
    first = metrics.evaluate(noise(), digits, ["mmd"], "pixels")
    calls, mmd = [], METRICS["mmd"]

    def counted(measurement):
        calls.append(measurement.split)
        return mmd.measure(measurement)

    monkeypatch.setitem(METRICS, "mmd", mmd._replace(measure=counted))
    again = metrics.evaluate(noise(seed=1), digits, ["mmd"], "pixels")
    assert calls == [None] and again.results[0].real == first.results[0].real


def test_classes_are_asked_for_as_the_data_have_them(digits):
    def draw(seeds, classes):
        levels = tf.cast(classes, tf.float32) / 10
        return tf.zeros([tf.shape(seeds)[0], 8, 8, 1]) + levels[:, None, None, None]

    endpoint = Endpoint(draw, (SEEDS, labels(10)), (digits.element,))
    few = digits.rows("test", 60, "labels")
    for seed in (0, 1):
        measurement = evaluation.Measurement(digits, Offers(sample=endpoint), count=60, seed=seed)
        asked = measurement.labels
        assert np.bincount(asked).tolist() == np.bincount(few).tolist()
        np.testing.assert_allclose(measurement.samples[:, 0, 0, 0], asked / 10, atol=1e-6)
    again = evaluation.Measurement(digits, Offers(sample=endpoint), count=60, seed=1)
    np.testing.assert_array_equal(again.labels, asked)
    other = evaluation.Measurement(digits, Offers(sample=endpoint), count=60, seed=0)
    assert (other.labels != asked).any()


def test_conditional_samples_are_taken_for_what_was_asked(digits):
    rows, classes = digits.rows("train", 179), digits.rows("train", 179, "labels")
    found = metrics.evaluate(rows, digits, ["conditional_accuracy"], labels=classes)
    assert found.results[0].value > 0.95 and found.results[0].real > 0.95
    wrong = metrics.evaluate(rows, digits, ["conditional_accuracy"], labels=(classes + 1) % 10)
    assert wrong.results[0].value < 0.05
    with pytest.raises(InputError, match="takes samples of classes that were asked for"):
        metrics.evaluate(rows, digits, ["conditional_accuracy"])


def test_points_of_a_mixture():
    data = load("ring")
    found = metrics.evaluate(data.rows("train", 3000), data)
    numbers = values(found)
    assert numbers["fid"] < 0.02 and numbers["modes"] == 8 and not found.collapsed
    names = [result.name for result in found.results]
    assert "fid(pixels, test, N=3000, seed=0)" in names
    modes = data.rows("train", column="labels")
    one = metrics.evaluate(data.rows("train")[modes == 2][:1000], data)
    assert values(one)["modes"] == 1 and one.collapsed


def test_trajectories_and_tokens_are_measured():
    random = np.random.RandomState(0)
    paths = random.randn(400, 6, 2).cumsum(axis=1).astype("float32")
    data = of_arrays("paths", hold_out(trajectories=paths))
    found = metrics.evaluate(paths[:40], data)
    assert {"fid", "knn", "precision", "diversity"} <= set(values(found))
    tokens = of_arrays("tokens", hold_out(tokens=random.randint(9, size=[400, 12])))
    found = metrics.evaluate(tokens.rows("train", 40), tokens, ["diversity", "fid"])
    assert list(values(found)) == ["diversity"]
    assert found.aside["fid"].endswith("but 'tokens' has tokens")


# What steps aside


def small(count=400):
    """A set of so many pictures without classes, a tenth of them held out."""
    random = np.random.RandomState(0)
    return of_arrays("faces", hold_out(images=random.randint(0, 256, [count, 12, 12, 1], "uint8")))


def test_a_small_set_is_measured_by_what_few_rows_allow():
    data = small()
    assert data.size_of("test") == 40
    model = Offers(sample=sampler(data.rows("train", 100), data.element))
    said = []
    found = metrics.evaluate_model(model, data, say=lambda *state: said.append(state))
    assert found.count == 40 and {"kid", "precision", "knn", "diversity"} <= set(values(found))
    assert found.aside == {
        "fid": "takes at least 129 rows of either side, more than the 128 features of random, but "
        "'faces' has 40 held out; KID, which is unbiased at any number, takes its place"
    }
    assert ("sampling", 40, 40) in said and ("measuring knn",) in said
    document = found.document()
    assert document["stepped_aside"] == found.aside and document["results"][0]["better"]


def test_what_is_measured_is_known_before_anything_is_done():
    data = small()

    def never(*args):
        pytest.fail("drawn before it was known what for")

    model = Offers(sample=Endpoint(never, (SEEDS,), (data.element,)))
    measurement = evaluation.Measurement(data, model)
    names, aside = measurement.plan()
    assert "kid" in names and "fid" in aside
    names, aside = measurement.plan(["fid", "fid_singular", "density_coverage"])
    assert names == ("kid", "fid_singular", "density_coverage")
    with pytest.raises(InputError, match="no metric 'fit'.*default, fid"):
        measurement.plan(["fit"])
    with pytest.raises(InputError, match="Nothing.*recognised takes classes, and 'faces' has none"):
        measurement.plan(["recognised"])
    tiny = evaluation.Measurement(small(20), None)
    with pytest.raises(InputError, match="density_coverage takes at least 6 rows .* 2 held out"):
        tiny.plan(["density_coverage"])


def test_a_fid_of_few_rows_says_so_in_its_name():
    data = small()
    found = metrics.evaluate(data.rows("train", 40), data, ["fid_singular"])
    assert found.results[0].name == "fid_singular(random, test, N=40, seed=0)"


def test_a_metric_that_fails_leaves_the_others():
    images = np.repeat(
        np.random.RandomState(0).randint(0, 256, [5, 12, 12, 1], "uint8"), 80, axis=0
    )
    data = of_arrays("copies", hold_out(images=images))
    samples = np.random.RandomState(1).uniform(-1, 1, [40, 12, 12, 1])
    found = metrics.evaluate(samples, data, ["memorisation", "knn"], "pixels")
    assert "hold out other rows" in found.aside["memorisation"] and "knn" in values(found)


@pytest.mark.parametrize(
    "call, problem",
    [
        (lambda data: metrics.evaluate(noise(9), data, ["fit"]), "no metric 'fit'.*fid"),
        (lambda data: metrics.evaluate(noise(9)[:, :4], data), r"\[8, 8, 1\]"),
        (lambda data: metrics.evaluate(noise(1), data, ["mmd"], "random"), "at least 2 .* N is 1"),
        (lambda data: metrics.evaluate(noise() * np.nan, data, ["mmd"]), "200 of 200 rows|179 of"),
        (lambda data: metrics.evaluate(noise() * 3, data, ["mmd"]), r"stated as \[-1, 1\]"),
        (lambda data: metrics.evaluate_model(Offers(), data), "this model offers nothing"),
    ],
)
def test_bad_input_is_named(call, problem, digits):
    with pytest.raises(InputError, match=problem):
        call(digits)


def test_a_slow_sampler_is_asked_for_less(digits, monkeypatch):
    monkeypatch.setattr(evaluation, "SLOW_COUNT", 20)
    model = Offers(sample=sampler(digits.rows("train", 300), digits.element, slow=True))
    measurement = evaluation.Measurement(digits, model)
    assert measurement.count == 20 and len(measurement.samples) == 20
    assert measurement.notes == ["sampling is slow: 20 rows are measured; give a count for more"]
    asked = evaluation.Measurement(digits, model, count=50)
    assert asked.count == 50 and not asked.notes


def test_a_collapsed_model_is_named(digits):
    blot = noise(1) + 0.02 * np.random.RandomState(1).randn(200, 8, 8, 1).astype("float32")
    blot = np.clip(blot, -1, 1)
    found = metrics.evaluate_model(Offers(sample=sampler(blot, digits.element)), digits)
    assert "alike" in found.collapsed and found.document()["collapsed"] == found.collapsed
    three = digits.rows("train")[digits.rows("train", column="labels") == 3]
    found = metrics.evaluate(three, digits, ["recognised"])
    assert "part of the data" in found.collapsed


def test_few_classes_are_collapse_too(digits, monkeypatch):
    monkeypatch.setattr(evaluation.variety, "collapse", lambda samples, reals: None)
    rows, classes = digits.rows("train"), digits.rows("train", column="labels")
    found = metrics.evaluate(rows[classes < 2], digits, ["recognised"])
    assert "samples are of few classes: the entropy of these is 0.3" in found.collapsed
    assert metrics.evaluate(rows, digits, ["recognised"]).collapsed is None
    assert metrics.evaluate(noise(), digits, ["recognised"]).collapsed is None


# What else models offer


def test_a_log_density_is_measured_on_test_and_training_rows(digits):
    def log_prob(images):
        return -tf.reduce_sum(tf.square(images), axis=(1, 2, 3))

    endpoint = Endpoint(log_prob, (digits.element,), (Element("log_prob"),))
    (result,) = metrics.evaluate_model(Offers(log_prob=endpoint), digits).results
    expected = -np.square(digits.rows("test")).sum(axis=(1, 2, 3))
    assert result.name == "log_likelihood(test, N=179, seed=0)"
    assert result.value == pytest.approx(expected.mean(), rel=1e-5)
    assert result.deviation == pytest.approx(expected.std(ddof=1) / np.sqrt(179), rel=1e-4)
    train = -np.square(digits.rows("train")).sum(axis=(1, 2, 3))
    assert result.real == pytest.approx(train.mean(), rel=1e-5)


@pytest.mark.parametrize("name", ["vae", "cvae"])
def test_bounds_of_autoencoders(name, digits):
    recipe = zoo.find(name)
    given = recipe.settings({"latent_dim": 2, "hidden": 8})
    stage = next(recipe.stages(digits, given, seed=0))
    found = metrics.evaluate_model(stage.model, stage.data, ["likelihood", "reconstruction"])
    numbers = {result.metric: result for result in found.results}
    elbo, iwae = numbers["elbo"], numbers["iwae"]
    assert elbo.name == "elbo(test, N=179, seed=0)"
    assert iwae.name == "iwae(test, N=179, 50 samples, seed=0)"
    assert -64 < elbo.value < iwae.value < 0  # coins of even odds are 64 log 2 = 44.4 nats
    images, truth = digits.rows("test"), numbers["reconstruction"].value
    inputs = (images,) if name == "vae" else (images, digits.rows("test", column="labels"))
    again = np.square(stage.model.reconstruct(*map(tf.constant, inputs)) - images).mean()
    assert truth == pytest.approx(again, rel=1e-4)
    middle = np.square(digits.rows("train").mean(axis=0) - images).mean()
    assert numbers["reconstruction"].real == pytest.approx(middle, rel=1e-3)


def test_the_bound_of_a_conditional_autoencoder_is_below_the_likelihood(digits):
    """Whose latents do nothing: then p(x|y) is known, and every bound is exact or below."""
    recipe = zoo.find("cvae")
    stage = next(recipe.stages(digits, recipe.settings({"latent_dim": 2, "hidden": 8}), seed=0))
    model = stage.model
    for weight in model.decoder.weights[-2:]:
        weight.assign(tf.zeros_like(weight))  # each pixel a fair coin
    from tfgen.metrics import likelihood

    batch = stage.data.batch("test", 50)
    exact = -64 * np.log(2)
    one, many = (likelihood.bound(model, batch, samples) for samples in (1, 300))
    assert one.value < exact + 0.05 and many.value == pytest.approx(exact, abs=0.05)
    assert abs(many.value - exact) <= abs(one.value - exact) + 0.01


def test_classifiers_are_compared_with_the_labels(digits):
    table = {
        rows.tobytes(): label for rows, label in zip(*digits.labelled.batch("test"), strict=True)
    }

    def classify(images):
        found = [table[rows.tobytes()] for rows in images.numpy()]
        return tf.one_hot((np.array(found) + 1) % 10, 10)  # right, but for the names

    def eager(images):
        return tf.ensure_shape(tf.py_function(classify, [images], tf.float32), [None, 10])

    probabilities = Element("probabilities", (10,))
    endpoint = Endpoint(eager, (digits.element,), (probabilities,))
    most = np.bincount(digits.rows("test", column="labels")).max() / 179
    found = metrics.evaluate_model(Offers(classify=endpoint, components=endpoint), digits)
    numbers = {result.metric: result for result in found.results}
    assert numbers["classification_accuracy"].value == 0
    assert numbers["matched_accuracy"].value == 1
    assert numbers["matched_accuracy"].real == pytest.approx(most)


def test_translations_are_compared_with_the_truth():
    pairs = load("digit_pairs")
    a, b = (pairs.element._replace(column=column) for column in "ab")
    there = Endpoint(lambda images: -images, (a,), (b,))
    back = Endpoint(lambda images: -images, (b,), (a,))
    model = Offers(translate_a_to_b=there, translate_b_to_a=back)
    found = metrics.evaluate_model(model, pairs)
    numbers = {result.metric: result for result in found.results}
    rows, truth = pairs.batch("test")
    assert numbers["l1_a_to_b"].value == pytest.approx(abs(-rows - truth).mean(), rel=1e-4)
    assert numbers["l1_a_to_b"].real == pytest.approx(abs(rows - truth).mean(), rel=1e-4)
    assert numbers["psnr_a_to_b"].value == pytest.approx(metrics.psnr(-rows, truth).mean())
    assert numbers["cycle_a"].value < 1e-6 and "ssim_a_to_b" in numbers
    assert numbers["kid_b_to_a"].value > 0
    assert "fid" not in found.aside and "lpips" not in found.aside  # not of it, so no word


def test_without_pairs_there_is_no_truth():
    data = load("digit_unpaired")
    a, b = (data.element._replace(column=column) for column in "ab")
    model = Offers(translate_a_to_b=Endpoint(lambda images: images, (a,), (b,)))
    found = metrics.evaluate_model(model, data)
    assert list(values(found)) == ["kid_a_to_b"]
    result = found.results[0]
    assert result.value == pytest.approx(result.real)  # the input as it is
    with pytest.raises(InputError, match="psnr takes pairs, whose truth is known"):
        metrics.evaluate_model(model, data, ["psnr"])


def walks():
    """60 people who walk straight on: five places that are seen, and four to come."""
    random = np.random.RandomState(0)
    places = random.randn(60, 1, 2) + random.randn(60, 1, 2) * np.arange(9)[:, None]
    columns = {"trajectories": places[:, :5].astype("float32"), "future": places[:, 5:]}
    columns["future"] = columns["future"].astype("float32")
    return of_arrays("walks", {"train": columns, "test": columns}, feed=tuple(columns))


def test_predictions_are_the_best_of_twenty():
    data = walks()
    seen = Element("trajectories", (5, 2))
    future = Element("trajectories", (4, 2), column="future")

    def predict(rows, seeds):
        velocity = rows[:, -1:] - rows[:, -2:-1]
        straight = rows[:, -1:] + velocity * tf.range(1.0, 5.0)[None, :, None]
        wrong = tf.cast(seeds // 60 % 20 != (seeds % 60) % 20, tf.float32)  # once in twenty right
        return straight + wrong[:, None, None]

    model = Offers(predict=Endpoint(predict, (seen, SEEDS), (future,)))
    found = metrics.evaluate_model(model, data)
    numbers = {result.metric: result for result in found.results}
    assert numbers["ade"].name == "ade(test, N=60, best of 20 by trajectory, seed=0)"
    assert numbers["ade"].value == pytest.approx(0, abs=1e-5)
    assert numbers["fde"].real == pytest.approx(0, abs=1e-5)  # they walk straight on
    rows = data.rows

    def with_scenes(split, count=None, column=None):
        return np.arange(60) // 3 if column == "scenes" else rows(split, count, column)

    object.__setattr__(data, "rows", with_scenes)
    object.__setattr__(data, "columns", data.columns | {"scenes": Element("scenes", (), "int32")})
    found = metrics.evaluate_model(model, data)
    # Of three in a scene one is right at a time, and the others are off by the root of two.
    assert values(found)["ade"] == pytest.approx(2 / 3 * np.sqrt(2), abs=1e-4)
    assert "best of 20 by scene" in found.results[0].name


def test_every_number_that_is_measured_is_in_the_list(digits):
    known = set(NUMBERS)
    train = digits.rows("train", 179)
    classes = digits.rows("train", 179, "labels")
    everything = [n for n, m in METRICS.items() if "sample" in m.needs and n != "modes"]
    found = metrics.evaluate(train, digits, everything, labels=classes)
    assert set(values(found)) <= known and set(found.aside) == {"ms_ssim_diversity"}
    assert "at least 11 x 11 pixels" in found.aside["ms_ssim_diversity"]
