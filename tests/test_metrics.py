"""Metrics against closed forms, against what they must say at the ends, and against references."""

import math
import subprocess
import sys

import numpy as np
import pytest

from tfgen import InputError, metrics
from tfgen.data import synthetic
from tfgen.metrics import copies, frechet, neighbours


def normal(count, width, seed=0, shift=0.0, scale=1.0):
    return scale * np.random.RandomState(seed).randn(count, width) + shift


def whitened(count, width, seed=0):
    """Rows whose mean is exactly 0 and whose covariance is exactly 1."""
    rows = normal(count, width, seed)
    rows -= rows.mean(axis=0)
    return rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows.T))).T


def quietly(function, *args, **kwargs):
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        return function(*args, **kwargs)


# --- Fréchet ---------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [0.0, 0.3, 2.0])
def test_fid_of_a_shift_is_its_square(a):
    rows = whitened(500, 20)
    assert metrics.fid(rows, rows + a) == pytest.approx(20 * a**2, abs=1e-9)


@pytest.mark.parametrize("b", [0.5, 1.0, 3.0])
def test_fid_of_a_scale(b):
    rows = whitened(500, 20)
    assert metrics.fid(rows, b * rows) == pytest.approx(20 * (b - 1) ** 2, abs=1e-9)


def test_fid_of_covariances_that_do_not_commute():
    # In two dimensions tr (A B)^1/2 = sqrt(tr A B + 2 sqrt(det A B)).
    a, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.6], [-0.6, 3.0]])
    expected = math.sqrt(np.trace(a @ b) + 2 * math.sqrt(np.linalg.det(a @ b)))
    assert frechet.trace_of_root(a, b) == pytest.approx(expected, rel=1e-12)
    assert frechet.trace_of_root(b, a) == pytest.approx(expected, rel=1e-12)


def test_fid_does_not_mind_features_that_are_always_0_or_equal():
    reals, fakes = normal(300, 6), normal(300, 6, seed=1, scale=1.2)
    value = metrics.fid(reals, fakes)
    padded = [np.concatenate([x, np.zeros([300, 2]), x[:, :1]], axis=1) for x in (reals, fakes)]
    extra = metrics.fid(padded[0], padded[1]) - value
    # The copied feature adds something, the dead ones nothing: as without them.
    twice = [np.concatenate([x, x[:, :1]], axis=1) for x in (reals, fakes)]
    assert extra == pytest.approx(metrics.fid(*twice) - value, abs=1e-6)


def test_fid_far_from_zero_loses_nothing():
    reals, fakes = normal(500, 8), normal(500, 8, seed=1)
    near, far = metrics.fid(reals, fakes), metrics.fid(reals + 1e6, fakes + 1e6)
    assert far == pytest.approx(near, rel=1e-6)


def test_moments_of_a_stream_are_those_of_the_whole_and_merge():
    rows = normal(5000, 7, shift=3.0) @ normal(7, 7, seed=1)
    stream = metrics.Moments()
    for size, start in ((1, 0), (0, 1), (999, 1), (4000, 1000)):
        stream.update(rows[start : start + size].astype("float32"))
    one, other = metrics.Moments().update(rows[:1234]), metrics.Moments().update(rows[1234:])
    for moments in (one.merge(other).merge(metrics.Moments()), metrics.Moments().merge(one)):
        assert moments.count == 5000
        np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.covariance, np.cov(rows.T), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(stream.covariance, np.cov(rows.T), rtol=1e-5, atol=1e-5)


def test_streaming_fid_is_fid():
    reals, fakes = normal(400, 9), normal(300, 9, seed=1, scale=1.1)
    stream = metrics.FID()
    for part in np.array_split(reals, 7):
        stream.update_reals(part)
    for part in np.array_split(fakes, 3):
        stream.update_fakes(part)
    assert stream.result() == pytest.approx(metrics.fid(reals, fakes), rel=1e-10)
    again = metrics.FID(stream.reals)
    again.update_fakes(reals)
    assert again.result() == pytest.approx(0, abs=1e-9)


def test_fid_of_few_rows_is_refused_unless_it_is_wanted():
    few, others = normal(10, 20), normal(30, 20, seed=1)
    with pytest.raises(InputError, match="at least 21 reals.*KID.*singular=True"):
        metrics.fid(few, others)
    assert metrics.fid(few, few, singular=True) == pytest.approx(0, abs=1e-6)
    a, b = (np.cov(rows.T) for rows in (few, others))
    import scipy.linalg

    apart = few.mean(axis=0) - others.mean(axis=0)
    root = scipy.linalg.sqrtm(a @ b).real
    expected = apart @ apart + np.trace(a + b) - 2 * np.trace(root)
    assert metrics.fid(few, others, singular=True) == pytest.approx(expected, rel=1e-4)
    stream = metrics.FID()
    stream.update_reals(few)
    stream.update_fakes(others)
    assert stream.result(singular=True) == pytest.approx(expected, rel=1e-4)


# --- kernels ---------------------------------------------------------------------------------


def test_kid_and_mmd_worked_by_hand():
    reals, fakes = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    # Kernels (x y + 1)^3: within 1, within 27, across the mean of 1, 1, 8, 27.
    assert metrics.kid(reals, fakes, subsets=3, size=2).mean == pytest.approx(28 - 2 * 37 / 4)
    kernel = [math.exp(-(d**2) / 8) for d in (1, 2, 0)]
    expected = 2 * kernel[0] - 2 * (2 * kernel[0] + kernel[1] + kernel[2]) / 4
    assert metrics.mmd(reals, fakes, [2.0]) == pytest.approx(expected)
    both = (metrics.mmd(reals, fakes, [2.0]) + metrics.mmd(reals, fakes, [0.5])) / 2
    assert metrics.mmd(reals, fakes, [2.0, 0.5]) == pytest.approx(both)


@pytest.mark.parametrize("measure", [lambda x, y: metrics.kid(x, y, 1, 50).mean, metrics.mmd])
def test_kernels_are_unbiased(measure):
    values = [measure(normal(50, 4, 2 * i), normal(50, 4, 2 * i + 1)) for i in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(300)
    assert min(values) < 0 < max(values)
    assert measure(normal(50, 4, 1), normal(50, 4, 2, shift=1.0)) > 5 * np.std(values)


def test_blocks_of_mmd_are_the_whole(monkeypatch):
    reals, fakes = normal(70, 3), normal(50, 3, seed=1)
    whole = metrics.mmd(reals, fakes)
    monkeypatch.setattr("tfgen.metrics.kernels.ROWS", 16)
    assert metrics.mmd(reals, fakes) == pytest.approx(whole, rel=1e-12)


# --- neighbours ------------------------------------------------------------------------------

SETS = {
    "gaussian": (normal(700, 32), normal(600, 32, 1, 0.2)),
    "far from zero": (normal(700, 2, 0, 1e3, 1e-2), normal(600, 2, 1, 1e3, 1e-2)),
    "clusters": (
        np.random.RandomState(0).randint(9, size=[700, 1]) * 50 + normal(700, 3, 1, scale=1e-3),
        np.random.RandomState(2).randint(9, size=[600, 1]) * 50 + normal(600, 3, 3, scale=1e-3),
    ),
    "copies": (np.repeat(normal(70, 5), 10, axis=0), np.repeat(normal(60, 5, 1), 10, axis=0)),
    "outlier": (np.vstack([normal(699, 8), np.full([1, 8], 1e4)]), normal(600, 8, 1)),
}
sets = pytest.mark.parametrize("reals, fakes", SETS.values(), ids=SETS)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS", 128)
    monkeypatch.setattr(neighbours, "POINTS", 96)


@sets
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nearest_is_exact(reals, fakes, dtype, small_blocks):
    reals, fakes = reals.astype(dtype), fakes.astype(dtype)
    true = np.sqrt(np.square(fakes[:, None].astype("float64") - reals).sum(axis=2))
    distances, indices = neighbours.nearest(fakes, reals, 3)
    tiny = 1e-12 * true.max()
    np.testing.assert_allclose(distances, np.sort(true, axis=1)[:, :3], rtol=1e-9, atol=tiny)
    np.testing.assert_allclose(np.take_along_axis(true, indices, 1), distances, atol=tiny)
    own = np.sqrt(np.square(reals[:, None].astype("float64") - reals).sum(axis=2))
    np.fill_diagonal(own, np.inf)
    distances, indices = neighbours.nearest(reals, reals, 3, itself=False)
    np.testing.assert_allclose(distances, np.sort(own, axis=1)[:, :3], rtol=1e-9, atol=tiny)
    assert not (indices == np.arange(len(reals))[:, None]).any()


@sets
def test_balls_are_exact(reals, fakes, small_blocks):
    sizes = neighbours.radii(reals, 5)
    true = np.sqrt(np.square(fakes[:, None] - reals).sum(axis=2))
    for closed, inside in ((True, true <= sizes), (False, true < sizes)):
        found = neighbours.within(fakes, reals, sizes, closed)
        np.testing.assert_array_equal(found, inside.sum(axis=1))


def test_a_ball_is_closed_where_it_should_be():
    points, sizes = np.array([[0.0], [10.0]]), np.array([3.0, 1.0])
    queries = np.array([[3.0], [9.5], [4.0]])
    assert neighbours.within(queries, points, sizes, closed=True).tolist() == [1, 1, 0]
    assert neighbours.within(queries, points, sizes, closed=False).tolist() == [0, 1, 0]


def test_1nn_at_its_ends():
    reals = normal(2000, 4)
    assert metrics.knn(reals, reals) == (0, 0, 0)  # each one's nearest is its copy
    assert metrics.knn(reals, normal(2000, 4, 1, 100.0)) == (1, 1, 1)
    same = metrics.knn(reals, normal(2000, 4, 1))
    assert same == pytest.approx((0.5, 0.5, 0.5), abs=0.04)
    # Collapsed inside the data: the fakes know each other, and the reals are still among reals.
    collapsed = metrics.knn(reals, normal(2000, 4, 1, 1.0, 0.01))
    assert collapsed.generated > 0.99 and collapsed.real > 0.99
    one_point = np.zeros([100, 2])
    assert metrics.knn(one_point, one_point.copy()) == (0.5, 0.5, 0.5)  # ties say nothing


def test_precision_and_recall_at_their_ends():
    reals = normal(1000, 4)
    assert metrics.precision_recall(reals, reals.copy()) == (1, 1)
    assert metrics.precision_recall(reals, reals + 100) == (0, 0)
    half = metrics.precision_recall(reals, normal(1000, 4, 1) * [1, 1, 1, 0.01])
    assert half.precision > 0.9 and half.recall < 0.5  # good but without variety
    found = metrics.density_coverage(reals, normal(1000, 4, 1))
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage == pytest.approx(1 - 2**-5, abs=0.03)
    assert metrics.density_coverage(reals, reals + 100) == (0, 0)
    assert metrics.density_coverage(reals, reals.copy()) == (pytest.approx(1), 1)


# --- others ----------------------------------------------------------------------------------


def test_sliced_wasserstein_of_a_shift_and_of_a_line():
    rows = normal(300, 3)
    shift = np.array([1.0, 2.0, -2.0])
    value = metrics.sliced_wasserstein(rows, rows + shift, projections=20_000)
    assert value == pytest.approx(math.sqrt(9 / 3), rel=0.02)  # the mean of (shift . line)^2
    assert metrics.sliced_wasserstein(rows, rows.copy()) == 0
    # On a line it is the 2-Wasserstein distance: mass 1/2 at 0 and at 1 against 1/3 at 0, 0, 3.
    line = metrics.sliced_wasserstein(np.array([[0.0], [1.0]]), np.array([[0.0], [0.0], [3.0]]))
    assert line == pytest.approx(math.sqrt(1 / 6 * 1 + 1 / 3 * 4))
    assert metrics.sliced_wasserstein(rows, np.repeat(rows, 2, axis=0)) == pytest.approx(0)


def test_inception_score_at_its_ends():
    sure = np.tile(np.eye(10), [100, 1])
    assert metrics.inception_score(sure) == (pytest.approx(10), pytest.approx(0))
    assert metrics.inception_score(np.full([50, 10], 0.1)).mean == pytest.approx(1)
    assert metrics.inception_score(sure[np.zeros(50, int)]).mean == pytest.approx(1)
    # Two splits, of one class and of two: exp(0) and exp(log 2).
    score = metrics.inception_score(np.eye(2)[[0, 0, 0, 1]], splits=2)
    assert score == (pytest.approx(1.5), pytest.approx(0.5))


@pytest.mark.parametrize("name, count", [("ring", 8), ("grid25", 25), ("four_modes", 4)])
def test_modes_of_mixtures(name, count):
    mixture = synthetic.mixture(name)
    points, labels = mixture.draw(5000, np.random.RandomState(0))
    all_of_them = metrics.modes(points, mixture)
    assert all_of_them.found == count
    # Within three deviations lie 1 - exp(-9 / 2) of a plane's Gaussian.
    assert all_of_them.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.005)
    assert metrics.modes(points[labels == 0], mixture).found == 1
    assert metrics.modes(points + 50, mixture) == (0, 0)


def test_errors_of_trajectories():
    truth = np.zeros([2, 3, 2])
    predicted = np.zeros([2, 3, 2])
    predicted[0, :, 0] = [3, 3, 6]
    predicted[0, :, 1] = [4, 4, 8]
    assert metrics.ade(predicted, truth) == pytest.approx((5 + 5 + 10) / 6)
    assert metrics.fde(predicted, truth) == pytest.approx(10 / 2)
    second = np.ones([2, 3, 2])
    both = np.stack([predicted, second])
    assert metrics.ade(both, truth) == pytest.approx(math.sqrt(2) / 2)  # 1st row: b, 2nd row: a
    with pytest.raises(InputError, match=r"scenes are \[1\], but there are 2 trajectories"):
        metrics.ade(both, truth, [0])
    with pytest.raises(InputError, match="of equal N and T"):
        metrics.ade(predicted, truth[:1])


def test_the_best_prediction_is_that_of_a_scene():
    """Sums over all who walk in it, then the least of the predictions, as Social GAN's authors."""
    truth, errors = np.zeros([3, 2, 2]), np.array([[5.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
    predicted = np.zeros([2, 3, 2, 2])
    predicted[..., 0] = errors[..., None]
    predicted[0, 0, 1] = 0  # the first one's last step is right
    # Scene 7 has the first two: sums 2.5 and 1 of the mean errors, 0 and 1 of the last ones.
    assert metrics.ade(predicted, truth, [7, 7, 3]) == pytest.approx((1 + 0) / 3)
    assert metrics.fde(predicted, truth, [7, 7, 3]) == pytest.approx((0 + 0) / 3)
    assert metrics.ade(predicted, truth, [0, 0, 0]) == pytest.approx(2.5 / 3)
    assert metrics.ade(predicted, truth) == 0  # by trajectory


def test_memorisation_knows_copies():
    train, heldout, fresh = normal(500, 4), normal(300, 4, 1), normal(300, 4, 2)
    honest = metrics.memorisation(fresh, train, heldout)
    assert honest.share == pytest.approx(0.5, abs=0.05)
    assert honest.ratio == pytest.approx(1, abs=0.15)
    copied = metrics.memorisation(train[100:200], train, heldout)
    assert copied.share == 1 and copied.ratio == 0
    assert (copied.neighbours[:, 0] == np.arange(100, 200)).all()
    assert metrics.memorisation(fresh + 100, train, heldout).share == 0
    assert metrics.memorisation(heldout, train, heldout).share == pytest.approx(0.5)
    with pytest.raises(InputError, match="hold out other rows"):
        metrics.memorisation(fresh, train, train[:10])


def test_the_picture_of_neighbours_goes_from_near_to_far():
    images = np.linspace(-1, 1, 10)[:, None, None, None] * np.ones([10, 4, 4, 1])
    samples = images[[9, 2]] - [[[[0.05]]], [[[0.01]]]]
    rows = images.reshape(10, -1)
    found = metrics.memorisation(samples.reshape(2, -1), rows, rows + 0.02, k=2)
    pixels = np.asarray(copies.picture(samples, images, found))
    scale = (pixels.shape[1] - 4) // 3
    levels = [[pixels[8 + y * scale, 8 + x * scale] for x in range(3)] for y in range(2)]
    assert levels[0] == [55, 57, 28]  # the second sample is the nearer to its neighbour
    assert levels[1][:2] == [249, 255]


# --- variety ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    """Real digits `[N, 8, 8, 1]`, in an order that knows no class, and their labels."""
    import sklearn.datasets

    bunch = sklearn.datasets.load_digits()
    order = np.random.RandomState(0).permutation(len(bunch.target))
    return (bunch.images[order] / 8 - 1)[..., None].astype("float32"), bunch.target[order]


def test_diversity_counts_rows_that_differ():
    rows = np.eye(20) * 100  # none is like another
    assert metrics.diversity(rows, rows) == pytest.approx(1)
    assert metrics.diversity(np.repeat(rows[:5], 4, axis=0), rows) == pytest.approx(5 / 20)
    assert metrics.diversity(np.zeros([20, 20]), rows) == pytest.approx(1 / 20)
    tokens = np.random.RandomState(0).randint(50, size=[40, 12])
    assert metrics.diversity(np.tile(tokens[:1], [40, 1]), tokens) == pytest.approx(
        1 / 40, rel=0.01
    )
    with pytest.raises(InputError, match="same extractor|features a row"):
        metrics.diversity(rows, rows[:, :5])


def test_real_rows_and_noise_have_not_collapsed(digits):
    images, labels = digits
    reals, others = images[:700], images[700:]
    assert metrics.diversity(others, reals) == pytest.approx(1, abs=0.1)
    assert metrics.collapse(others, reals) is None
    assert metrics.collapse(others[labels[700:] < 5], reals) is None  # half of the classes
    noise = np.random.RandomState(0).uniform(-1, 1, [500, 8, 8, 1])
    assert metrics.collapse(noise, reals) is None  # bad, but of as many kinds as there are


@pytest.mark.parametrize("strength", [0.0, 0.02, 0.1])
def test_a_blot_for_all_seeds_has_collapsed(digits, strength):
    random = np.random.RandomState(0)
    blot = random.uniform(-1, 1, [8, 8, 1]) + strength * random.randn(64, 8, 8, 1)
    assert "alike: 64 of them are worth" in metrics.collapse(blot, digits[0])
    ten = np.repeat(digits[0][:10], 50, axis=0)
    assert "alike: 500 of them are worth 10.0" in metrics.collapse(ten, digits[0][10:])


@pytest.mark.parametrize("label", range(10))
def test_one_class_has_collapsed(digits, label):
    images, labels = digits
    said = metrics.collapse(images[labels == label], images[:700])
    assert said.startswith("samples are of a part of the data only")


@pytest.mark.parametrize("name", ["ring", "grid25", "four_modes"])
def test_one_mode_has_collapsed(name):
    mixture = synthetic.mixture(name)
    reals, _ = mixture.draw(1000, np.random.RandomState(0))
    points, modes = mixture.draw(20_000, np.random.RandomState(1))
    assert metrics.collapse(points, reals) is None
    assert metrics.collapse(points[modes == 1], reals)
    assert metrics.collapse(points[modes < 3], reals) is None or name != "four_modes"


def test_few_rows_and_large_ones():
    random = np.random.RandomState(0)
    reals = random.randn(40, 64, 64, 3)
    assert metrics.collapse(random.randn(40, 64, 64, 3), reals) is None
    assert "are alike" in metrics.collapse(np.repeat(reals[:1], 40, axis=0), reals)
    assert metrics.collapse(np.zeros([8, 64, 64, 3]), reals) is None  # too few to tell


# --- classes ---------------------------------------------------------------------------------


def test_recognised_at_its_ends():
    sure = np.eye(4)[[0, 1, 2, 3, 0, 1, 2, 3]]
    assert metrics.recognised(sure) == (1, pytest.approx(1))
    assert metrics.recognised(sure[[0, 0]]) == (1, 0)
    assert metrics.recognised(np.full([6, 4], 0.25)).share == 0
    mixed = np.array([[0.95, 0.05], [0.6, 0.4], [0.05, 0.95], [0.4, 0.6]])
    assert metrics.recognised(mixed) == (0.5, pytest.approx(1))
    assert metrics.recognised(mixed, sure=0.55).share == 1


def test_accuracies():
    found = np.eye(3)[[1, 1, 2, 0, 0]]
    assert metrics.accuracy(found, [1, 1, 2, 0, 1]) == pytest.approx(0.8)
    assert metrics.matched_accuracy(found, [0, 0, 1, 2, 2]) == 1  # other names for the same classes
    assert metrics.matched_accuracy(found, [0, 0, 0, 2, 2]) == pytest.approx(0.8)
    more = np.eye(5)[[4, 4, 3, 1, 1]]  # more components than labels: some have none
    assert metrics.matched_accuracy(more, [0, 0, 0, 2, 2]) == pytest.approx(0.8)
    with pytest.raises(InputError, match=r"labels are \[2\], but there are 5 rows"):
        metrics.accuracy(found, [0, 1])


def test_one_list_has_all_metrics_and_their_numbers():
    from tfgen.metrics import catalogue

    assert metrics.METRICS is catalogue.METRICS
    for name, metric in metrics.METRICS.items():
        assert name == metric.name and (not metric.home or callable(getattr(metrics, name)))
    for name, number in catalogue.NUMBERS.items():
        assert number.title and number.says, name
        if number.better not in ("higher", "lower", "as real"):
            float(number.better)


def test_what_is_nearer_to_the_best():
    from tfgen.metrics.catalogue import NUMBERS

    assert NUMBERS["fid"].off(1.0) < NUMBERS["fid"].off(2.0)
    assert NUMBERS["kid"].off(-0.001) < NUMBERS["kid"].off(0.002)
    assert NUMBERS["precision"].off(0.9) < NUMBERS["precision"].off(0.8)
    assert NUMBERS["knn"].off(0.45) < NUMBERS["knn"].off(0.6) < NUMBERS["knn"].off(0.0)
    assert NUMBERS["recognised"].off(0.8, 0.75) < NUMBERS["recognised"].off(1.0, 0.75)
    assert NUMBERS["knn"].is_worst(0.9995) and not NUMBERS["knn"].is_worst(0.97)
    assert NUMBERS["recall"].is_worst(0.0) and not NUMBERS["fid"].is_worst(0.0)


# --- pictures --------------------------------------------------------------------------------


def pictures(count=3, size=32, channels=3, seed=0):
    return np.random.RandomState(seed).rand(count, size, size, channels).astype("float32") * 2 - 1


def test_psnr_worked_by_hand():
    a = np.zeros([2, 4, 4, 1], "float32")
    b = a.copy()
    b[1] += 0.2
    assert metrics.psnr(a, b).tolist() == [math.inf, pytest.approx(20.0, abs=1e-5)]
    assert metrics.psnr(a, b, 0, 1)[1] == pytest.approx(20 - 20 * math.log10(2), abs=1e-5)


def test_ssim_of_equal_images_is_1_and_ranges_agree():
    a, b = pictures(), pictures(seed=1)
    np.testing.assert_allclose(metrics.ssim(a, a), 1, atol=1e-6)
    levels = [(x + 1) * 127.5 for x in (a, b)]
    np.testing.assert_allclose(metrics.ssim(a, b), metrics.ssim(*levels, 0, 255), atol=1e-4)


def test_diversity_falls_with_it():
    images = pictures(20, 28, 1)
    assert metrics.ms_ssim_diversity(np.repeat(images[:1], 5, axis=0)) == pytest.approx(1)
    some = metrics.ms_ssim_diversity(images * 0.2 + images[:1] * 0.8)
    assert metrics.ms_ssim_diversity(images) < some < 0.999


# --- bad input -------------------------------------------------------------------------------

ROWS = normal(20, 5)
NAN = np.where(np.arange(5) == 2, np.nan, ROWS)
IMAGES = pictures(4, 16)


@pytest.mark.parametrize(
    "call, problem",
    [
        (lambda: metrics.fid(ROWS[:5], ROWS), "at least 6 reals.*there are 5.*KID"),
        (lambda: metrics.fid(ROWS, ROWS[:, :4]), "5 features a row, but fakes 4"),
        (lambda: metrics.fid(ROWS, NAN), "20 of 20 rows of fakes"),
        (lambda: metrics.fid(ROWS, IMAGES), r"\[4, 16, 16, 3\].*features"),
        (lambda: metrics.fid(ROWS, ROWS[:0]), "fakes has 0 rows"),
        (lambda: metrics.FID().result(), "at least 2 reals"),
        (lambda: metrics.Moments().update(ROWS[:1]).covariance, "at least 2 rows"),
        (lambda: metrics.Moments().update(ROWS).update(ROWS[:, :2]), "2 columns"),
        (lambda: metrics.kid(ROWS, ROWS), "subsets of 1000.*20 reals"),
        (lambda: metrics.mmd(ROWS, ROWS, [0.0]), "bandwidth"),
        (lambda: metrics.knn(ROWS, ROWS[:9]), "take 9 of each"),
        (lambda: metrics.precision_recall(ROWS, ROWS[:3]), "at least 4"),
        (lambda: metrics.density_coverage(ROWS[:5], ROWS), "at least 6"),
        (lambda: metrics.sliced_wasserstein(ROWS, ROWS, 0), "projections 0"),
        (lambda: metrics.inception_score(ROWS), "softmax"),
        (lambda: metrics.inception_score(np.eye(3)), "at least 10"),
        (lambda: metrics.modes(ROWS, synthetic.mixture("ring")), "5 dimensions"),
        (lambda: metrics.psnr(IMAGES, IMAGES[:2]), "same shape"),
        (lambda: metrics.psnr(IMAGES * 5, IMAGES), r"\[-1, 1\]"),
        (lambda: metrics.ssim(IMAGES[:, :8], IMAGES[:, :8]), "11 x 11"),
        (lambda: metrics.ms_ssim_diversity(IMAGES[:1]), "at least 2 images"),
        (lambda: metrics.lpips(IMAGES, IMAGES), "33 x 33"),
    ],
)
def test_bad_input_is_named(call, problem):
    with pytest.raises(InputError, match=problem):
        call()


def test_metrics_on_features_do_without_tensorflow():
    code = (
        "import sys, numpy as np; from tfgen import metrics; x = np.random.randn(50, 3);"
        "metrics.fid(x, x); metrics.kid(x, x, 2, 20); metrics.knn(x, x); metrics.mmd(x, x);"
        "metrics.precision_recall(x, x); metrics.density_coverage(x, x);"
        "metrics.sliced_wasserstein(x, x); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- references, where they are installed ----------------------------------------------------


@pytest.fixture(scope="module")
def skewed():
    """Features like those of a network: not negative, of unequal scales, correlated."""
    scales = np.geomspace(0.05, 2, 64)
    reals = np.maximum(normal(1500, 64) @ normal(64, 64, 1) / 8 * scales, 0)
    fakes = np.maximum(normal(1500, 64, 2) @ normal(64, 64, 1) / 8 * scales[::-1] + 0.05, 0)
    return reals.astype("float32"), fakes.astype("float32")


def test_torch_fidelity_agrees(skewed):
    pytest.importorskip("torch_fidelity", exc_type=ImportError)
    import torch
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    reals, fakes = (torch.tensor(rows.astype("float64")) for rows in skewed)
    statistics = [metric_fid.fid_features_to_statistics(rows) for rows in (reals, fakes)]
    theirs = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    value = theirs["frechet_inception_distance"]
    assert metrics.fid(*skewed) == pytest.approx(value, rel=1e-4)
    theirs = metric_kid.kid_features_to_metric(
        reals, fakes, kid_subsets=10, kid_subset_size=500, rng_seed=7, verbose=False
    )
    ours = metrics.kid(*skewed, subsets=10, size=500, seed=7)  # the same subsets
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours.deviation == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)
    theirs = metric_prc.prc_features_to_metric(fakes, reals, verbose=False)
    ours = metrics.precision_recall(*skewed)
    assert ours == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-6)


def test_clean_fid_agrees(skewed):
    clean = pytest.importorskip("cleanfid.fid", exc_type=ImportError)
    reals, fakes = (rows.astype("float64") for rows in skewed)
    try:
        theirs = clean.fid_from_feats(reals, fakes)
    except (TypeError, ValueError) as error:  # its sqrtm(disp=) is gone from new SciPy
        pytest.skip(f"this clean-fid does not work with this SciPy: {error}")
    assert metrics.fid(reals, fakes) == pytest.approx(theirs, rel=1e-4)
    whole = clean.kernel_distance(reals[:400], fakes[:400], num_subsets=1)
    ours = metrics.kid(reals[:400], fakes[:400], subsets=1, size=400)
    assert ours.mean == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("k", [3, 5])
def test_prdc_agrees(skewed, k):
    prdc = pytest.importorskip("prdc")
    theirs = quietly(prdc.compute_prdc, *(rows.astype("float64") for rows in skewed), k)
    ours = metrics.precision_recall(*skewed, k=k)
    assert ours == (theirs["precision"], theirs["recall"])
    ours = metrics.density_coverage(*skewed, k=k)
    assert ours == (pytest.approx(theirs["density"], rel=1e-12), theirs["coverage"])


def test_scikit_learn_agrees_on_1nn(skewed):
    from sklearn.neighbors import NearestNeighbors

    rows, labels = np.concatenate(skewed).astype("float64"), np.repeat([1, 0], 1500)
    # Without a query each point's neighbours are looked for among the others.
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(rows).kneighbors()[1][:, 0]
    right = labels[nearest] == labels
    expected = (right.mean(), right[:1500].mean(), right[1500:].mean())
    assert metrics.knn(*skewed) == pytest.approx(expected, abs=1e-12)


def test_scikit_image_agrees():
    skimage = pytest.importorskip("skimage.metrics")
    a = pictures(3, 40)
    b = np.clip(a + 0.3 * pictures(3, 40, seed=1), -1, 1)
    settings = {"gaussian_weights": True, "use_sample_covariance": False, "sigma": 1.5}
    theirs = [
        skimage.structural_similarity(
            (x + 1) / 2, (y + 1) / 2, data_range=1.0, channel_axis=-1, **settings
        )
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(metrics.ssim(a, b), theirs, atol=1e-5)
    theirs = [
        skimage.peak_signal_noise_ratio(x, y, data_range=2.0) for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(metrics.psnr(a, b), theirs, rtol=1e-5)
