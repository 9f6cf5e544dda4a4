"""All metrics in one list: what each measures, of what, and what to make of its numbers.

The command line's help, the names of `tfgen.metrics`, `evaluate` and the pages are made from it. It
imports nothing, so that they answer at once: each metric imports what it needs when it is measured.
"""

import importlib
import math
from collections.abc import Callable
from typing import NamedTuple

NUMERIC = ("images", "points", "trajectories", "videos", "masks", "numbers")  # that have distances


class Number(NamedTuple):
    """One number of a metric.

    Attributes:
        title: in words.
        better: "higher", "lower", "as real", or what it should be near to, as "0.5".
        says: what to make of it.
        worst: the value where nothing is right, or None where there is no such end.
    """

    title: str
    better: str
    says: str
    worst: float | None = None

    def off(self, value, real=None):
        """How far a value is from the best: the less, the better."""
        if self.better == "higher":
            return -value
        if self.better == "as real":
            return math.inf if real is None else abs(value - real)
        return abs(value - (0.0 if self.better == "lower" else float(self.better)))

    def is_worst(self, value):
        """Whether a value is that of samples of which nothing is right, or nearly."""
        return self.worst is not None and abs(value - self.worst) <= 0.01


class Found(NamedTuple):
    """What a metric has measured.

    Attributes:
        number: which of its numbers.
        value: a float.
        deviation: over subsets or splits, or its standard error; or None.
        notes: what else belongs into its name.
        real: the reference value, where the metric makes it itself; or None.
        count: the rows, where they are not those of all metrics.
    """

    number: str
    value: float
    deviation: float | None = None
    notes: tuple = ()
    real: float | None = None
    count: int | None = None


class Metric(NamedTuple):
    """A metric, or some numbers that are measured together.

    Attributes:
        name: what it is asked for by.
        home: the module of `tfgen.metrics` with the function of this name; "" where there is none.
        measure: a generator of `Found` of an `evaluation.Measurement`.
        of: what the extractor "features" gives, or the "classifier" of the set; or "" for neither.
        needs: endpoints of a model, or "importance_bound"; one of them suffices.
        kinds: of the data.
        labels: whether it takes the classes of the data.
        default: whether it is measured where no metrics are named.
        least: rows of either side.
        beyond: "features" where there must also be more rows than features.
        stand_in: real rows of this split are measured in place of samples, to compare with.
        asks: what else it takes: from a `Measurement` to a sentence that tells why not, or None.
    """

    name: str
    home: str
    measure: Callable
    of: str = "features"
    needs: tuple = ("sample",)
    kinds: tuple = NUMERIC
    labels: bool = False
    default: bool = False
    least: int = 2
    beyond: str = ""
    stand_in: str = "train"
    asks: Callable = lambda measurement: None


# Metrics of samples: m is an `evaluation.Measurement`.


def _fid(m):
    from tfgen.metrics.frechet import fid

    yield Found("fid", fid(m.reals, m.fakes))


def _fid_singular(m):
    from tfgen.metrics.frechet import fid

    yield Found("fid_singular", fid(m.reals, m.fakes, singular=True))


def _kid(m):
    from tfgen.metrics.kernels import kid

    size = max(2, min(1000, m.count // 2))  # a subset of all would have no spread
    found = kid(m.reals, m.fakes, size=size, seed=m.seed)
    yield Found("kid", found.mean, found.deviation, (f"subsets of {size}",))


def _mmd(m):
    from tfgen.metrics.kernels import median_distance, mmd

    # The width is that of the reals, so that all samples are measured by the same kernel.
    width = median_distance(m.reals)
    yield Found("mmd", mmd(m.reals, m.fakes, [width]), notes=(f"bandwidth={width:.4g}",))


def _sliced_wasserstein(m):
    from tfgen.metrics.sliced import sliced_wasserstein

    value = sliced_wasserstein(m.reals, m.fakes, seed=m.seed)
    yield Found("sliced_wasserstein", value, notes=("512 projections",))


def _precision_recall(m):
    from tfgen.metrics.neighbours import precision_recall

    found = precision_recall(m.reals, m.fakes)
    yield Found("precision", found.precision, notes=("k=3",))
    yield Found("recall", found.recall, notes=("k=3",))


def _density_coverage(m):
    from tfgen.metrics.neighbours import density_coverage

    found = density_coverage(m.reals, m.fakes)
    yield Found("density", found.density, notes=("k=5",))
    yield Found("coverage", found.coverage, notes=("k=5",))


def _knn(m):
    from tfgen.metrics.neighbours import knn

    found = knn(m.reals, m.fakes)
    yield Found("knn", found.accuracy)
    yield Found("knn_real", found.real)
    yield Found("knn_generated", found.generated)


def _memorisation(m):
    from tfgen.metrics.copies import memorisation

    found, notes = memorisation(m.fakes, m.train, m.reals), (f"train={len(m.train)}",)
    yield Found("memorisation", found.share, notes=notes)
    yield Found("memorisation_ratio", found.ratio, notes=notes)


def _inception_score(m):
    from tfgen.metrics.score import inception_score

    splits = min(10, m.count)
    found = inception_score(m.extractor.probabilities(m.samples), splits)
    yield Found("inception_score", found.mean, found.deviation, (f"{splits} splits",))


def _recognised(m):
    from tfgen.metrics.recognition import recognised

    found = recognised(m.probabilities)
    yield Found("recognised", found.share, notes=("at least 0.9 sure",))
    yield Found("class_entropy", found.entropy)


def _conditional_accuracy(m):
    from tfgen.metrics.recognition import accuracy

    yield Found("conditional_accuracy", accuracy(m.probabilities, m.labels))


def _diversity(m):
    from tfgen.metrics.variety import ROWS, diversity

    yield Found("diversity", diversity(m.samples, m.rows_of("test")), count=min(m.count, ROWS))


def _modes(m):
    from tfgen.data.synthetic import mixture
    from tfgen.metrics.mixtures import modes

    known = mixture(m.data.name)
    found = modes(m.samples, known)
    yield Found("modes", found.found, notes=(f"of {len(known.centres)}",))
    yield Found("high_quality", found.high_quality, notes=("within 3 deviations",))


def _ms_ssim_diversity(m):
    from tfgen.metrics.image_pairs import ms_ssim_diversity

    yield Found(
        "ms_ssim_diversity", ms_ssim_diversity(m.samples, seed=m.seed), notes=("1000 pairs",)
    )


# Metrics of what else a model offers.


def _likelihood(m):
    from tfgen.metrics import likelihood

    if "log_prob" in m.endpoints:
        sides = [likelihood.mean("log_prob", m.answer("log_prob", split)) for split in SPLITS]
        yield _bound("log_likelihood", sides)
        return
    for number, samples in (("elbo", 1), ("iwae", 50)):
        sides = []
        for split in SPLITS:
            batch, say = m.data.batch(split, min(m.rows, 1000)), m.telling(f"{number} of {split}")
            sides.append(likelihood.bound(m.model, batch, samples, m.seed, say))
        yield _bound(number, sides, (f"{samples} samples",) if samples > 1 else ())


def _bound(number, sides, notes=()):
    test, train = sides
    return Found(number, test.value, test.error, notes, train.value, len(test.rows))


def _reconstruction(m):
    import numpy as np

    found, truth = m.answer("reconstruct"), m.truth("reconstruct")
    if truth.dtype.kind == "i":
        yield Found("wrong_tokens", (found != truth).mean(), count=len(found))
        return
    middle = m.truth("reconstruct", "train").mean(axis=0)
    errors = [float(np.square(rows - truth).mean()) for rows in (found, middle)]
    yield Found("reconstruction", errors[0], real=errors[1], count=len(found))


def _classification_accuracy(m):
    from tfgen.metrics.recognition import accuracy

    yield _of_labels(m, "classification_accuracy", "classify", accuracy)


def _matched_accuracy(m):
    from tfgen.metrics.recognition import matched_accuracy

    endpoint = "components" if "components" in m.endpoints else "recognize"
    yield _of_labels(m, "matched_accuracy", endpoint, matched_accuracy)


def _of_labels(m, number, endpoint, measure):
    """An accuracy on test rows; beside it the share of the most frequent class."""
    import numpy as np

    found = m.answer(endpoint)
    labels = m.data.rows("test", len(found), "labels")
    most = np.bincount(labels).max() / len(labels)
    return Found(number, measure(found, labels), real=float(most), count=len(labels))


SPLITS = ("test", "train")
DIRECTIONS = {"a_to_b": "translate_a_to_b", "b_to_a": "translate_b_to_a"}


def _to_the_truth(name, home):
    """Measures translations against the images that they should be, with the input beside them."""

    def of(m):
        measure = getattr(importlib.import_module(f"tfgen.metrics.{home}"), name)
        for direction, endpoint in m.directions.items():
            found, truth = m.answer(endpoint), m.truth(endpoint)
            inputs, values = m.inputs(endpoint)["images"], measure(found, truth)
            real = float(measure(inputs, truth).mean()) if inputs.shape == truth.shape else None
            error = values.std() / math.sqrt(len(values))
            yield Found(f"{name}_{direction}", values.mean(), error, (), real, len(values))

    return of


def _cycle(m):
    from tfgen.metrics.image_pairs import l1

    for (direction, there), back in zip(
        m.directions.items(), reversed(m.directions.values()), strict=True
    ):
        found = m.answer(back, images=m.answer(there))
        values = l1(found, m.inputs(there)["images"])
        error = values.std() / math.sqrt(len(values))
        yield Found(f"cycle_{direction[0]}", values.mean(), error, count=len(values))


def _translated_kid(m):
    from tfgen.metrics.kernels import kid

    for direction, endpoint in m.directions.items():
        sides = m.truth(endpoint), m.answer(endpoint), m.inputs(endpoint)["images"]
        rows = min(map(len, sides))
        reals, found, inputs = (m.features(side[:rows]) for side in sides)
        size = max(2, min(1000, rows // 2))
        value, real = (kid(reals, side, size=size, seed=m.seed) for side in (found, inputs))
        notes = (f"subsets of {size}",)
        yield Found(f"kid_{direction}", value.mean, value.deviation, notes, real.mean, rows)


def _paths(name):
    """ADE or FDE of the best of 20 predictions by scene, with a constant velocity beside it."""

    def of(m):
        from tfgen.metrics import trajectories

        measure = getattr(trajectories, name)
        predicted, truth, scenes, straight = m.predictions(20)
        real = None if straight is None else measure(straight, truth, scenes)
        of_what = "scene" if scenes is not None else "trajectory"
        notes = (f"best of 20 by {of_what}",)
        yield Found(name, measure(predicted, truth, scenes), None, notes, real, len(truth))

    return of


# What some ask for beside rows and endpoints: a sentence where they do not get it.


def _probabilities(m):
    if m.extractor_name.partition(":")[0].partition("-")[0] in ("classifier", "inception"):
        return None
    return f"takes the features of a classifier, and {m.extractor_name} is none"


def _conditional(m):
    return None if m.conditional else "takes samples of classes that were asked for"


def _mixture(m):
    known = m.data.name in ("ring", "grid25", "four_modes")
    return None if known else "takes a mixture whose modes are known: ring, grid25 or four_modes"


def _large(pixels):
    def asks(m):
        side = min(m.data.element.shape[:2])
        return None if side >= pixels else f"takes images of at least {pixels} x {pixels} pixels"

    return asks


def _truth(m):
    return None if m.data.has_domains and m.data.paired else "takes pairs, whose truth is known"


def _truth_and_large(m):
    return _truth(m) or _large(11)(m)


def _weights(m):
    from tfgen.errors import InputError
    from tfgen.metrics import perceptual, squeezenet, weights

    try:
        weights.find(perceptual.LINEAR_FILE)
        weights.find(squeezenet.TORCH_FILE)
    except InputError as error:
        return f"takes trained weights: {error}"
    return _truth(m) or _large(33)(m)


def _both_ways(m):
    return None if len(m.directions) == 2 else "takes translations in both directions"


def _both(name, title, better, says):
    """The numbers of both directions of translation."""
    return {
        f"{name}_{way}": Number(f"{title}, {way[0].upper()} to {way[-1].upper()}", better, says)
        for way in DIRECTIONS
    }


_LOWER, _HIGHER = "lower is better", "higher is better"
_BOUND = f"on the log-likelihood, in nats; {_HIGHER}"
NUMBERS = {
    "fid": Number("Fréchet distance", "lower", f"of Gaussians fitted to both; {_LOWER}"),
    "fid_singular": Number(
        "Fréchet distance of singular covariances",
        "lower",
        "of fewer rows than features: far too large, it means something beside equal N only",
    ),
    "kid": Number("kernel distance", "lower", f"unbiased, so it may be below 0; {_LOWER}"),
    "precision": Number("precision", "higher", "share of samples that lie among the data", 0.0),
    "recall": Number("recall", "higher", "share of the data that lie among the samples", 0.0),
    "knn": Number(
        "1-NN accuracy",
        "0.5",
        "of telling real from generated: 0.5 is ideal, 1 apart, 0 copies",
        1.0,
    ),
    "knn_real": Number(
        "1-NN accuracy, real", "0.5", "low where samples crowd around real ones", 1.0
    ),
    "knn_generated": Number(
        "1-NN accuracy, generated", "0.5", "high where samples keep together", 1.0
    ),
    "density": Number("density", "1", "how deep samples lie among the data; 1 as the data do", 0.0),
    "coverage": Number("coverage", "higher", "share of the data with a sample nearby", 0.0),
    "mmd": Number("maximum mean discrepancy", "lower", f"squared, unbiased; {_LOWER}"),
    "sliced_wasserstein": Number(
        "sliced Wasserstein distance", "lower", f"optimal transport along lines; {_LOWER}"
    ),
    "diversity": Number(
        "diversity", "1", "different samples there are, over different rows of the data", 0.0
    ),
    "recognised": Number(
        "recognised", "as real", "share of which a classifier of the set is at least 0.9 sure", 0.0
    ),
    "class_entropy": Number(
        "entropy of the classes",
        "as real",
        "over its maximum: 1 where all are as frequent, 0 where there is one",
        0.0,
    ),
    "conditional_accuracy": Number(
        "classes as asked for",
        "higher",
        "share that a classifier of the set takes for what was asked for",
        0.0,
    ),
    "inception_score": Number(
        "Inception score", "higher", f"sure of each class, and many classes; {_HIGHER}"
    ),
    "memorisation": Number(
        "memorisation", "0.5", "share nearer to the training data than unseen data are; 1 copies"
    ),
    "memorisation_ratio": Number(
        "distance to the training data", "1", "over that of unseen data; 0 copies"
    ),
    "modes": Number("modes found", "higher", "of those of the mixture", 0.0),
    "high_quality": Number("high quality", "as real", "share of samples at a mode, any", 0.0),
    "ms_ssim_diversity": Number(
        "MS-SSIM of pairs", "as real", "likeness of two samples; 1 where all are alike", 1.0
    ),
    "log_likelihood": Number("log-likelihood", "higher", f"of test rows, in nats; {_HIGHER}"),
    "elbo": Number("evidence lower bound", "higher", _BOUND),
    "iwae": Number("importance-weighted bound", "higher", f"tighter, {_BOUND}"),
    "reconstruction": Number(
        "reconstruction error", "lower", f"mean square of a value's; {_LOWER}"
    ),
    "wrong_tokens": Number("wrong tokens", "lower", f"share that comes back as another; {_LOWER}"),
    "classification_accuracy": Number(
        "accuracy of classify", "higher", "share of test rows that get their label", 0.0
    ),
    "matched_accuracy": Number(
        "accuracy of classes that were found",
        "higher",
        "without labels: each component or category is matched with one label",
        0.0,
    ),
    "ade": Number("average displacement error", "lower", f"of predicted places; {_LOWER}"),
    "fde": Number("final displacement error", "lower", f"at the last step; {_LOWER}"),
    "cycle_a": Number("cycle of A", "lower", f"absolute error there and back; {_LOWER}"),
    "cycle_b": Number("cycle of B", "lower", f"absolute error there and back; {_LOWER}"),
    **_both("l1", "absolute error", "lower", f"to the truth, of values in [-1, 1]; {_LOWER}"),
    **_both("psnr", "PSNR", "higher", f"to the truth, in decibels; {_HIGHER}"),
    **_both("ssim", "SSIM", "higher", f"likeness to the truth; {_HIGHER}"),
    **_both("lpips", "LPIPS", "lower", f"distance to the truth; {_LOWER}"),
    **_both("kid", "kernel distance", "lower", f"to the other domain, unbiased; {_LOWER}"),
}

_CLASSIFIED = {"of": "classifier", "kinds": ("images",), "labels": True, "stand_in": "test"}
_MODEL = {"of": "", "kinds": (*NUMERIC, "tokens"), "default": True, "stand_in": ""}
_TRANSLATION = _MODEL | {"needs": tuple(DIRECTIONS.values()), "kinds": ("images",)}
_POINTS = _MODEL | {"kinds": ("points",), "stand_in": "test"}
_PATHS = _MODEL | {"needs": ("predict",), "kinds": ("trajectories",)}

METRICS = {
    metric.name: metric
    for metric in (
        Metric("fid", "frechet", _fid, default=True, beyond="features"),
        Metric("fid_singular", "", _fid_singular),
        Metric("kid", "kernels", _kid, least=4),
        Metric("precision_recall", "neighbours", _precision_recall, least=4, default=True),
        Metric("knn", "neighbours", _knn, default=True),
        Metric("density_coverage", "neighbours", _density_coverage, least=6),
        Metric("mmd", "kernels", _mmd),
        Metric("sliced_wasserstein", "sliced", _sliced_wasserstein),
        Metric("diversity", "variety", _diversity, of="", kinds=(*NUMERIC, "tokens"), default=True),
        Metric("recognised", "recognition", _recognised, default=True, **_CLASSIFIED),
        Metric(
            "conditional_accuracy",
            "",
            _conditional_accuracy,
            asks=_conditional,
            default=True,
            **_CLASSIFIED,
        ),
        Metric(
            "inception_score",
            "score",
            _inception_score,
            kinds=("images",),
            stand_in="test",
            asks=_probabilities,
        ),
        Metric("memorisation", "copies", _memorisation, stand_in=""),
        Metric("modes", "mixtures", _modes, asks=_mixture, **_POINTS),
        Metric(
            "ms_ssim_diversity",
            "image_pairs",
            _ms_ssim_diversity,
            of="",
            kinds=("images",),
            stand_in="test",
            asks=_large(11),
        ),
        Metric("likelihood", "", _likelihood, needs=("log_prob", "importance_bound"), **_MODEL),
        Metric("reconstruction", "", _reconstruction, needs=("reconstruct",), **_MODEL),
        Metric(
            "classification_accuracy",
            "",
            _classification_accuracy,
            needs=("classify",),
            labels=True,
            **_MODEL,
        ),
        Metric(
            "matched_accuracy",
            "recognition",
            _matched_accuracy,
            needs=("components", "recognize"),
            labels=True,
            **_MODEL,
        ),
        Metric(
            "l1", "image_pairs", _to_the_truth("l1", "image_pairs"), asks=_truth, **_TRANSLATION
        ),
        Metric(
            "psnr", "image_pairs", _to_the_truth("psnr", "image_pairs"), asks=_truth, **_TRANSLATION
        ),
        Metric(
            "ssim",
            "image_pairs",
            _to_the_truth("ssim", "image_pairs"),
            asks=_truth_and_large,
            **_TRANSLATION,
        ),
        Metric(
            "lpips",
            "perceptual",
            _to_the_truth("lpips", "perceptual"),
            asks=_weights,
            **_TRANSLATION,
        ),
        Metric("cycle", "", _cycle, asks=_both_ways, **_TRANSLATION),
        Metric("translated_kid", "", _translated_kid, least=4, **_TRANSLATION | {"of": "features"}),
        Metric("ade", "trajectories", _paths("ade"), **_PATHS),
        Metric("fde", "trajectories", _paths("fde"), **_PATHS),
    )
}
