"""Densities without a gradient: their closed forms, and the libraries that fit the same."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

import zoo
from tests.conftest import mirrored
from tfgen.data import from_arrays, load
from tfgen.data.synthetic import mixture
from tfgen.endpoint import Element
from tfgen.errors import InputError
from tfgen.runs.checkpoints import Diverged
from tfgen.runs.recipes import Setup
from tfgen.runs.training import train
from zoo.density._density import moments
from zoo.density.gmm import GMM, DiagonalGMM

tfd = tfp.distributions


def points(count=300, size=3, seed=0):
    """Correlated points, with some more for testing."""
    random = np.random.RandomState(seed)
    rows = random.randn(count + 100, size) @ random.randn(size, size) + random.randn(size)
    return from_arrays(rows[:count].astype("float32"), test=rows[count:].astype("float32"))


def blobs(count=600, seed=0):
    """Three round heaps in the plane that overlap."""
    random = np.random.RandomState(seed)
    centres = np.array([[0.0, 0.0], [2.0, 1.0], [-1.0, 2.0]])
    rows = centres[random.randint(3, size=count)] + 0.6 * random.randn(count, 2)
    return from_arrays(rows.astype("float32"), test=rows[:10].astype("float32"))


def stages(name, data, **given):
    recipe = zoo.find(name)
    return recipe.stages(data, recipe.settings(given), 0)


def start(name, data, **given):
    """The first stage, ready to be fitted."""
    stage = next(stages(name, data, **given))
    stage.compile(seed=0)
    return stage


def fit(stage, steps=None):
    """Trains a stage; the terms of each step."""
    steps = steps or stage.epochs * stage.steps_per_epoch
    history = stage.model.fit(
        stage.batches(), epochs=steps, steps_per_epoch=1, shuffle=False, verbose=0
    )
    return history.history


def fitted(name, data, **given):
    stage = start(name, data, **given)
    fit(stage)
    return stage.model


def integral(model, low, high, count=400):
    """Of exp(log_prob) over a square in the plane, by the middles of small squares."""
    ticks = low + (high - low) * (np.arange(count) + 0.5) / count
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2).astype("float32")
    parts = [np.exp(model.log_prob(part).numpy().astype("float64")) for part in np.split(grid, 40)]
    return np.sum(parts) * ((high - low) / count) ** 2


# Gaussian


def test_gaussian_is_the_mean_and_the_covariance():
    data = points()
    model, rows = fitted("gaussian", data, ridge=0.0), data.rows("train").astype("float64")
    covariance = np.cov(rows, rowvar=False, bias=True)
    np.testing.assert_allclose(model.centre, rows.mean(axis=0), rtol=1e-6)
    factor = np.array(model.factor, "float64")
    np.testing.assert_allclose(factor @ factor.T, covariance, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(factor @ np.array(model.inverse), np.eye(3), atol=1e-5)
    truth = stats.multivariate_normal(rows.mean(axis=0), covariance)
    tests = data.rows("test")
    np.testing.assert_allclose(model.log_prob(tests), truth.logpdf(tests), rtol=1e-5)


def test_no_gaussian_is_more_likely():
    """The slope of the mean log-density is 0 at the closed form."""
    data = points()
    model, rows = fitted("gaussian", data, ridge=0.0), tf.constant(data.rows("train"))
    centre, factor = tf.constant(model.centre), tf.constant(model.factor)
    with tf.GradientTape() as tape:
        tape.watch((centre, factor))
        mean = tf.reduce_mean(tfd.MultivariateNormalTriL(centre, factor).log_prob(rows))
    slopes = tape.gradient(mean, (centre, factor))
    assert max(np.abs(slope).max() for slope in slopes) < 1e-5


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_term_is_the_mean_log_density_after_the_step(ridge):
    stage = start("gaussian", points(), ridge=ridge)
    (term,) = fit(stage)["likelihood/log_prob"]
    rows = stage.data.rows("train")
    assert term == pytest.approx(float(tf.reduce_mean(stage.model.log_prob(rows))), rel=1e-5)
    variance = np.array(stage.model.factor[0, 0]) ** 2
    assert variance == pytest.approx(rows[:, 0].var() + ridge, rel=1e-5)


def test_moments_are_the_same_on_replicas_of_unequal_numbers_of_rows():
    rows = tf.constant(points(301).rows("train"))
    whole = moments(rows)
    strategy = mirrored()
    parts = iter([rows[:151], rows[151:]])
    halves = strategy.experimental_distribute_values_from_function(lambda _: next(parts))
    both = strategy.run(tf.function(moments), (halves,))
    for one, two in zip(whole, both, strict=True):
        for value in strategy.experimental_local_results(two):
            np.testing.assert_allclose(value, one, rtol=1e-12)


def test_portions_of_rows_add_up(monkeypatch):
    rows = tf.constant(points(101).rows("train"))
    whole = moments(rows)
    monkeypatch.setattr("zoo.density._density.PORTION", 3 * 7)  # numbers: 7 rows at once, 3 left
    for one, two in zip(whole, tf.function(moments)(rows), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-12)


def test_gaussian_samples_have_its_moments():
    data = points(size=2)
    model = fitted("gaussian", data)
    rows = data.rows("train")
    samples = model.sample(tf.range(20_000)).numpy()
    np.testing.assert_allclose(samples.mean(axis=0), rows.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(samples.T), np.cov(rows.T), atol=0.05)
    np.testing.assert_allclose(model.decode(model.encode(rows)), rows, atol=1e-5)
    assert np.cov(np.array(model.encode(rows)).T, bias=True) == pytest.approx(np.eye(2), abs=1e-3)
    assert integral(model, -12.0, 12.0) == pytest.approx(1.0, abs=1e-3)


def test_a_gaussian_of_images_stays_in_their_range():
    model = fitted("gaussian", load("digits"))
    samples = model.sample(tf.range(50)).numpy()
    assert samples.shape == (50, 8, 8, 1)
    assert samples.min() == -1.0 and samples.max() == 1.0  # clipped
    # Where digits never have ink the Gaussian has none either.
    never = (load("digits").rows("train") == -1).all(axis=0)
    assert never.any() and np.abs(samples[:, never] + 1).max() < 0.01


@pytest.mark.parametrize("name", ["gaussian", "gmm"])
@pytest.mark.parametrize(
    ("rows", "given", "told"),
    [
        (np.ones([20, 2]), {"ridge": 0.0}, "20 rows of arrays, of 2 .* is singular: take a ridge"),
        (np.eye(5)[:4], {"ridge": 0.0}, "4 rows of arrays, of 5 numbers each, is singular"),
        (np.ones([20, 12_000]), {}, r"full covariances of 12000 numbers take \d+.\d GiB, but"),
    ],
)
def test_covariances_that_cannot_be_had_are_named(name, rows, given, told):
    rows = rows.astype("float32")
    data = from_arrays(rows, test=rows)
    given = given | ({"components": 2} if name == "gmm" else {})
    with pytest.raises(InputError, match=told):
        start(name, data, **given)


@pytest.mark.parametrize("name", ["gaussian", "gmm", "kde"])
def test_other_rows_are_refused(name):
    tokens = from_arrays(np.ones([20, 4], "int32"))
    for data, told in ((load("digit_pairs"), "has images of two domains"), (tokens, "has tokens")):
        with pytest.raises(InputError, match=f"{name} is a density of images or points.*{told}"):
            start(name, data)
    model = start(name, points()).model
    with pytest.raises(InputError, match=r"rows of the shape \[4\] .* points of the shape \[3\]"):
        model.log_prob(np.ones([2, 4], "float32"))


# Gaussian mixture


def as_sklearn(model, **kwargs):
    """scikit-learn's mixture that starts where `model` is."""
    weights = np.exp(np.array(model.log_weights, "float64"))
    factors = np.array(model.factors, "float64")
    if factors.ndim == 3:
        kind = "full"
        precisions = np.linalg.inv(factors @ factors.transpose(0, 2, 1))
    else:
        kind, precisions = "diag", 1.0 / factors**2
    return GaussianMixture(
        model.components,
        covariance_type=kind,
        reg_covar=model.ridge,
        weights_init=weights / weights.sum(),
        means_init=np.array(model.centres, "float64"),
        precisions_init=precisions,
        **kwargs,
    )


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("steps", [1, 10])
def test_steps_of_em_are_those_of_scikit_learn(covariance, steps):
    stage = start("gmm", blobs(), components=3, covariance=covariance, ridge=1e-3)
    model, rows = stage.model, stage.data.rows("train")
    other = as_sklearn(model, max_iter=steps, tol=0.0).fit(rows.astype("float64"))
    fit(stage, steps)
    np.testing.assert_allclose(model.centres, other.means_, atol=1e-5)
    np.testing.assert_allclose(np.exp(model.log_weights), other.weights_, atol=1e-6)
    np.testing.assert_allclose(np.diff(model.ends, prepend=0), other.weights_, atol=1e-6)
    now = as_sklearn(model).precisions_init
    np.testing.assert_allclose(now, other.precisions_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.log_prob(rows), other.score_samples(rows), atol=1e-4)
    np.testing.assert_allclose(model.shares(rows), other.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("begin", ["kmeans++", "random"])
def test_the_likelihood_never_falls(covariance, begin):
    stage = start("gmm", blobs(), components=4, covariance=covariance, start=begin, ridge=0.0)
    terms = fit(stage, 40)["em/log_prob"]
    assert np.diff(terms).min() > -2e-6 and terms[-1] > terms[0] + 0.1
    assert np.mean(stage.model.log_prob(stage.data.rows("train"))) >= terms[-1] - 2e-6


def test_em_finds_the_modes_of_the_ring():
    model = fitted("gmm", load("ring"), components=8, epochs=10)
    truth = mixture("ring")
    distances = np.linalg.norm(np.array(model.centres)[:, None] - truth.centres, axis=-1)
    assert sorted(distances.argmin(axis=1)) == list(range(8)) and distances.min(axis=1).max() < 0.01
    np.testing.assert_allclose(np.exp(model.log_weights), 1 / 8, atol=0.01)
    deviations = np.exp(np.array(model.log_dets) / 2)
    np.testing.assert_allclose(deviations, truth.deviation, rtol=0.02)
    # The samples: of all modes in equal parts, as wide as they are.
    samples = model.sample(tf.range(4000)).numpy()
    nearest = np.linalg.norm(samples[:, None] - truth.centres, axis=-1)
    assert np.bincount(nearest.argmin(axis=1)) / 4000 == pytest.approx(1 / 8, abs=0.02)
    assert np.sqrt((nearest.min(axis=1) ** 2).mean() / 2) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_samples_of_a_mixture_have_its_moments(covariance):
    model = fitted("gmm", blobs(), components=3, covariance=covariance, epochs=20)
    rows = blobs().rows("train").astype("float64")
    samples = model.sample(tf.range(30_000)).numpy()
    # Of all rows, the mean and the variances are those of the data at every step of EM.
    np.testing.assert_allclose(samples.mean(axis=0), rows.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(samples.var(axis=0), rows.var(axis=0), atol=0.04)
    # A sample has the density of its component: the components' shares come out.
    shares = np.array(model.shares(samples)).mean(axis=0)
    np.testing.assert_allclose(shares, np.exp(model.log_weights), atol=0.01)
    assert integral(model, -6.0, 7.0) == pytest.approx(1.0, abs=1e-3)


def test_one_component_is_the_gaussian():
    data = points()
    one, other = fitted("gmm", data, components=1, epochs=1), fitted("gaussian", data)
    np.testing.assert_allclose(one.centres[0], other.centre, atol=1e-6)
    np.testing.assert_allclose(one.factors[0], other.factor, atol=1e-6)


def test_the_shares_are_the_slopes_of_the_log_density():
    """Fisher's identity: d log p(x) / d log w_k, of weights that are not normalized, is r_nk."""
    model, rows = fitted("gmm", blobs(), components=3, epochs=5), blobs().rows("test")
    log_weights = model.log_weights.value
    with tf.GradientTape() as tape:
        tape.watch(log_weights)
        log_prob = model.log_prob(rows)
    slopes = tape.gradient(log_prob, log_weights)
    np.testing.assert_allclose(slopes, np.sum(model.shares(rows), axis=0), rtol=1e-5)


def test_components_of_their_own_ask_for_variances_only():
    element = Element("points", (5,))
    full, diagonal = GMM(element, 3), DiagonalGMM(element, 3)
    assert full.factors.shape == (3, 5, 5) and diagonal.factors.shape == (3, 5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"components": 301}, "components=301, but arrays has 300 rows: take fewer"),
        ({"covariance": "ful"}, "covariance='ful' is not one of full, diagonal"),
        ({"start": "kmeans"}, r"start='kmeans' is not one of kmeans\+\+, random"),
        ({"ridge": "-1"}, "ridge=-1.0 is out of range"),
    ],
)
def test_mixtures_that_cannot_be_had_are_named(given, told):
    with pytest.raises(InputError, match=told):
        start("gmm", points(), **given)


def test_a_component_that_shrinks_to_a_row_is_named(tmp_path):
    rows = points().rows("train")
    rows[:20] = rows[0]
    setup = Setup(from_arrays(rows))
    given = {"components": 30, "ridge": 0.0}
    with pytest.raises(
        Diverged, match="em/narrowest became nan at step .*: take a ridge, or fewer"
    ):
        train(zoo.find("gmm"), tmp_path / "run", given, setup, verbose=0)


# Probabilistic principal component analysis


def covariance(model):
    """C = W W^T + s^2 I."""
    weights, deviation = np.array(model.weights_, "float64"), float(model.deviation)
    return weights @ weights.T + deviation**2 * np.eye(model.size)


def test_ppca_is_the_closed_form_of_the_paper():
    data = points(size=6)
    model, rows = fitted("ppca", data, components=2), data.rows("train")
    values = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    assert float(model.deviation) ** 2 == pytest.approx(values[2:].mean(), rel=1e-5)
    found = np.linalg.eigvalsh(covariance(model))[::-1]
    np.testing.assert_allclose(found[:2], values[:2], rtol=1e-5)
    # scikit-learn divides by N - 1.
    other = PCA(2).fit(rows.astype("float64")).get_covariance() * (1 - 1 / len(rows))
    np.testing.assert_allclose(covariance(model), other, atol=1e-5)
    truth = stats.multivariate_normal(rows.mean(axis=0), covariance(model))
    np.testing.assert_allclose(model.log_prob(rows), truth.logpdf(rows), rtol=1e-4)
    most = -0.5 * (6 * np.log(2 * np.pi) + np.log(values[:2]).sum())
    most -= 0.5 * (4 * np.log(values[2:].mean()) + 6)
    assert np.mean(model.log_prob(rows)) == pytest.approx(most, rel=1e-6)


def test_the_term_of_ppca_is_the_mean_log_density():
    stage = start("ppca", points(size=6), components=2)
    (term,) = fit(stage)["likelihood/log_prob"]
    assert term == pytest.approx(np.mean(stage.model.log_prob(stage.data.rows("train"))), rel=1e-6)


def test_em_of_ppca_never_falls_and_ends_at_the_closed_form():
    data = points(size=6)
    closed, stage = fitted("ppca", data, components=2), start("ppca", data, components=2, fit="em")
    terms = fit(stage, 400)["em/log_prob"]
    assert np.diff(terms).min() > -2e-6 and terms[-1] > terms[0] + 0.1
    np.testing.assert_allclose(covariance(stage.model), covariance(closed), atol=1e-4)
    rows = data.rows("train")
    assert terms[-1] == pytest.approx(np.mean(closed.log_prob(rows)), abs=1e-5)


def test_a_step_of_em_is_that_of_the_paper():
    stage = start("ppca", points(size=5), components=2, fit="em")
    model, rows = stage.model, stage.data.rows("train").astype("float64")
    weights, noise = np.array(model.weights_, "float64"), float(model.deviation) ** 2
    spread = np.cov(rows.T, bias=True)
    inverse = np.linalg.inv(weights.T @ weights + noise * np.eye(2))
    fitted_ = spread @ weights
    fitted_ = fitted_ @ np.linalg.inv(noise * np.eye(2) + inverse @ weights.T @ fitted_)
    left = np.trace(spread - spread @ weights @ inverse @ fitted_.T) / 5
    fit(stage, 1)
    np.testing.assert_allclose(model.weights_, fitted_, rtol=1e-4, atol=1e-5)
    assert float(model.deviation) ** 2 == pytest.approx(left, rel=1e-5)


@pytest.mark.parametrize("kind", ["closed", "em"])
def test_ppca_projects_as_pca_does(kind):
    data = points(size=6)
    stage, rows = start("ppca", data, components=2, fit=kind), data.rows("train")
    steps = 1 if kind == "closed" else 400
    stage.model.fit(stage.batches(), steps_per_epoch=steps, shuffle=False, verbose=0)
    model = stage.model
    other = PCA(2).fit(rows)
    nearest = other.inverse_transform(other.transform(rows))
    np.testing.assert_allclose(model.reconstruct(rows), nearest, atol=1e-3)
    # The mean of the posterior is shorter than the nearest point of the plane.
    shrunk = np.linalg.norm(model.decode(model.encode(rows)) - model.centre, axis=1)
    assert (shrunk < np.linalg.norm(nearest - model.centre, axis=1)).all()


def test_samples_of_ppca_have_its_covariance():
    model = fitted("ppca", points(size=4), components=2)
    samples = model.sample(tf.range(20_000)).numpy()
    np.testing.assert_allclose(np.cov(samples.T), covariance(model), atol=0.15)


@pytest.mark.parametrize(
    ("rows", "components", "told"),
    [
        (np.eye(9)[:4], 4, "components=4, but arrays has 4 rows of 9 numbers: take fewer than 4"),
        (np.ones([20, 3]), 3, "has 20 rows of 3 numbers: take fewer than 3"),
    ],
)
def test_components_that_rows_cannot_have_are_named(rows, components, told):
    rows = rows.astype("float32")
    with pytest.raises(InputError, match=told):
        start("ppca", from_arrays(rows, test=rows), components=components)


def test_rows_of_fewer_directions_than_components_are_named(tmp_path):
    rows = points(size=2).rows("train") @ np.float32([[1, 0, 1, 2], [0, 1, 1, 3]])
    setup = Setup(from_arrays(rows))
    with pytest.raises(Diverged, match="likelihood/log_prob became nan .*: take fewer components"):
        train(zoo.find("ppca"), tmp_path / "run", {"components": 2}, setup, verbose=0)


# Kernel density estimate


def test_kde_is_that_of_scikit_learn():
    data = points(200)
    model = fitted("kde", data, bandwidth=0.3)
    other = KernelDensity(bandwidth=0.3, atol=0, rtol=0).fit(data.rows("train"))
    tests = data.rows("test")
    np.testing.assert_allclose(model.log_prob(tests), other.score_samples(tests), atol=1e-3)
    assert float(model.bandwidth) == pytest.approx(0.3)


def test_the_search_picks_the_bandwidth_of_scikit_learn():
    data = points(203)  # folds of unequal size
    stage = start("kde", data, lowest=0.02, highest=5.0, candidates=12)
    terms = fit(stage)
    grid = {"bandwidth": np.geomspace(0.02, 5.0, 12)}
    other = GridSearchCV(KernelDensity(atol=0, rtol=0), grid).fit(data.rows("train"))
    assert float(stage.model.bandwidth) == pytest.approx(other.best_params_["bandwidth"], rel=1e-6)
    # A fold's score is a sum of log-densities, and the grid's their mean over five folds.
    mean = other.best_score_ * 5 / 203
    assert terms["search/log_prob"][0] == pytest.approx(mean, rel=1e-5)


def test_the_digits_of_the_lecture_have_its_bandwidth():
    """scikit-learn's example: 3.79 for pixels of 0 to 16, of 15 principal components."""
    images = (load_digits().images[..., None] / 8.0 - 1.0).astype("float32")
    model = fitted("kde", from_arrays(images, test=images[:5]), components=15)
    assert 8.0 * float(model.bandwidth) == pytest.approx(3.79269, abs=1e-4)
    other = PCA(15).fit(images.reshape(-1, 64))
    density = KernelDensity(bandwidth=float(model.bandwidth), atol=0, rtol=0)
    density.fit(other.transform(images.reshape(-1, 64)))
    expected = density.score_samples(other.transform(images[:5].reshape(-1, 64)))
    np.testing.assert_allclose(model.log_prob(images[:5]), expected, atol=1e-3)


def test_samples_of_a_kde_are_rows_and_noise():
    data = points(200, size=2)
    model, rows = fitted("kde", data, bandwidth=0.5), data.rows("train")
    samples = model.sample(tf.range(20_000)).numpy()
    np.testing.assert_allclose(samples.mean(axis=0), rows.mean(axis=0), atol=0.05)
    spread = np.cov(rows.T, bias=True) + 0.25 * np.eye(2)
    np.testing.assert_allclose(np.cov(samples.T), spread, atol=0.1)
    assert integral(model, -12.0, 12.0) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"bandwidth": 0.0}, "bandwidth=0: it is a deviation and has to be above 0"),
        ({"lowest": 2.0}, "lowest=2 is above highest=1.25"),
        ({"folds": 301}, "folds=301, but arrays has 300 rows: take 2 to 300"),
        ({"components": 4}, "components=4, but arrays has 300 rows of 3 numbers: take 1 to 3"),
    ],
)
def test_kernel_densities_that_cannot_be_had_are_named(given, told):
    with pytest.raises(InputError, match=told):
        start("kde", points(), **given)
