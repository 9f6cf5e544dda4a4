"""Metrics of samples against a data set, each with the full name of what was measured."""

import functools
from typing import NamedTuple

import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import cache, copies, extractors, frechet, kernels, neighbours, score, sliced

SPLIT = "test"  # the reference: rows that no model here was trained on


class Result(NamedTuple):
    """A number, its spread where it has one, and its full name.

    Attributes:
        metric: a short name, as "fid"; those with several numbers have several results.
        value: a float.
        deviation: over subsets or splits, or None.
        name: metric, features with their resizing, reference, N of either side, seed.
    """

    metric: str
    value: float
    deviation: float | None
    name: str


def evaluate(sample_images, data, names=("fid", "kid"), features=None, count=None, seed=0):
    """Measures samples against the test split of a data set.

    Of samples and reference as many rows are taken as there are of both, at most `count`; what was
    taken is the N of the name. Features of the data are cached by its content.

    Args:
        sample_images: float `[N, ...]`, samples as the rows of `data`: images in [-1, 1] or points.
        data: a `tfgen.data.Data`.
        names: some of `METRICS`.
        features: the name of an extractor; by default the data's own classifier, "random" for
            images without labels, "pixels" for points.
        count: rows of either side.
        seed: an int, that of the samples; subsets and projections use it too.

    Returns:
        A list of `Result`, in the order of `names`.

    Raises:
        InputError: an unknown metric, samples of another shape or range, a NaN, or too few rows.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise InputError(f"There is no metric {unknown[0]!r}. There are: {', '.join(METRICS)}.")
    samples = np.asarray(sample_images)
    if samples.shape[1:] != data.element.shape:
        raise InputError(
            f"The samples are {list(samples.shape)}, but {data.name!r} has rows of "
            f"{list(data.element.shape)}: give samples [N, ...] of that shape."
        )
    measured = Measured(samples, data, extractors.features(features or default(data), data), count)
    results = []
    for name in names:
        for metric, value, deviation, *notes in METRICS[name](measured, seed):
            against = [] if name == "inception_score" else [SPLIT]
            parts = [measured.extractor.name, *against, f"N={measured.count}", *notes]
            full = f"{metric}({', '.join(parts)}, seed={seed})"
            results.append(Result(metric, float(value), deviation, full))
    return results


def default(data):
    """The name of the features that suit a data set best where nothing is downloaded."""
    if not data.has_images:
        return "pixels"
    return f"classifier:{data.name}" if data.classes else "random"


class Measured:
    """The features that metrics ask for, computed when they do."""

    def __init__(self, samples, data, extractor, count):
        self.data, self.extractor = data, extractor
        self.count = min(len(samples), data.size_of(SPLIT), count or len(samples))
        if self.count < 2:
            raise InputError(f"Metrics take at least 2 samples, but N is {self.count}.")
        self.samples = samples[: self.count]

    @functools.cached_property
    def fakes(self):
        return self.extractor(self.samples)

    @functools.cached_property
    def reals(self):
        return reference(self.extractor, self.data, SPLIT, self.count)

    @functools.cached_property
    def train(self):
        return reference(self.extractor, self.data, "train")


def reference(extractor, data, split, count=None):
    """Features of rows of a data set, as `data.rows(split, count)`; cached by content."""
    rows = data.rows(split, count)
    key = cache.key(extractor.identity, rows)
    return cache.array(f"features-{key}", lambda: extractor(rows))


def _fid(measured, seed):
    yield "fid", frechet.fid(measured.reals, measured.fakes), None


def _kid(measured, seed):
    size = max(2, min(1000, measured.count // 2))  # a subset of all would have no spread
    found = kernels.kid(measured.reals, measured.fakes, size=size, seed=seed)
    yield "kid", found.mean, found.deviation, f"subsets of {size}"


def _knn(measured, seed):
    found = neighbours.knn(measured.reals, measured.fakes)
    yield "knn", found.accuracy, None
    yield "knn_real", found.real, None
    yield "knn_generated", found.generated, None


def _precision_recall(measured, seed):
    found = neighbours.precision_recall(measured.reals, measured.fakes)
    yield "precision", found.precision, None, "k=3"
    yield "recall", found.recall, None, "k=3"


def _density_coverage(measured, seed):
    found = neighbours.density_coverage(measured.reals, measured.fakes)
    yield "density", found.density, None, "k=5"
    yield "coverage", found.coverage, None, "k=5"


def _mmd(measured, seed):
    reals, fakes = measured.reals, measured.fakes
    # The width is that of the reals, so that all samples are measured by the same kernel.
    bandwidth = kernels.median_distance(reals)
    yield "mmd", kernels.mmd(reals, fakes, [bandwidth]), None, f"bandwidth={bandwidth:.4g}"


def _sliced_wasserstein(measured, seed):
    value = sliced.sliced_wasserstein(measured.reals, measured.fakes, seed=seed)
    yield "sliced_wasserstein", value, None, "512 projections"


def _inception_score(measured, seed):
    splits = min(10, measured.count)
    found = score.inception_score(measured.extractor.probabilities(measured.samples), splits)
    yield "inception_score", found.mean, found.deviation, f"{splits} splits"


def _memorisation(measured, seed):
    found = copies.memorisation(measured.fakes, measured.train, measured.reals)
    yield "memorisation", found.share, None, f"train={len(measured.train)}"
    yield "memorisation_ratio", found.ratio, None, f"train={len(measured.train)}"


METRICS = {
    "fid": _fid,
    "kid": _kid,
    "knn": _knn,
    "precision_recall": _precision_recall,
    "density_coverage": _density_coverage,
    "mmd": _mmd,
    "sliced_wasserstein": _sliced_wasserstein,
    "inception_score": _inception_score,
    "memorisation": _memorisation,
}
