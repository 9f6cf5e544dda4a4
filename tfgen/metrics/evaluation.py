"""What a model offers is measured beside a data set: each number with its full name.

What will be measured, and what steps aside and why, is known before anything is drawn or trained.
"""

import dataclasses
import functools
import importlib

import numpy as np

from tfgen.endpoint import asked, classes, in_portions, seeds_from
from tfgen.errors import InputError
from tfgen.metrics import cache, catalogue, checks, extractors, variety
from tfgen.metrics.catalogue import METRICS, NUMBERS
from tfgen.metrics.classifier import silent

SPLIT = "test"  # the reference: rows that no model here was trained on
COUNT, SLOW_COUNT = 10_000, 256  # rows that are measured where no number is given
FEW_CLASSES = 0.5  # of the data's entropy of classes: below it a model has collapsed


@dataclasses.dataclass
class Result:
    """A number, what real data get, and its full name.

    Attributes:
        metric: a short name, as "fid", a key of `catalogue.NUMBERS`.
        value: a float.
        deviation: over subsets or splits, or its standard error; or None.
        real: what real rows of another split get in place of the samples; of what a model offers
            beside samples what `docs/metrics.md` says; None where there is nothing to compare with.
        name: metric, features with their resizing, reference, N of either side, seed.
    """

    metric: str
    value: float
    deviation: float | None
    real: float | None
    name: str


@dataclasses.dataclass
class Evaluation:
    """What was measured.

    Attributes:
        results: a list of `Result`.
        aside: `{metric: why it was not measured}`, a sentence each.
        collapsed: a sentence where the model has collapsed, and no number means much; or None.
        count: rows of samples and of the reference.
        of: the `Measurement`, which has the samples.
    """

    results: list
    aside: dict
    collapsed: str | None
    count: int
    of: object = dataclasses.field(repr=False)

    def document(self):
        """As a dict for JSON, each result with the direction in which it is better."""
        results = [
            dataclasses.asdict(result) | {"better": NUMBERS[result.metric].better}
            for result in self.results
        ]
        return {"collapsed": self.collapsed, "results": results, "stepped_aside": self.aside}


def evaluate(samples, data, names=None, features=None, count=None, seed=0, labels=None, say=silent):
    """Measures samples against the test split of a data set.

    Of samples and reference as many rows are taken as there are of both, at most `count`; what was
    taken is the N of the name. Features of the data are cached by its content. A metric that
    cannot be measured steps aside, with a sentence; FID leaves its place to KID.

    Args:
        samples: `[N, ...]`, as the rows of `data`: images in [-1, 1], points, tokens, …
        data: a `tfgen.Data`.
        names: some of `METRICS`, and "default" for what is measured by default.
        features: the name of an extractor; by default the data's own classifier, "random" for
            images without labels, "pixels" for all other numbers.
        count: rows of either side, by default 10,000.
        seed: an int, that of the samples; subsets and projections use it too.
        labels: int `[N]`, the classes that were asked for, where there are some.
        say: is told what is done, as `classifier.silent`.

    Returns:
        `Evaluation`.

    Raises:
        InputError: an unknown metric, samples of another shape or range, a NaN, or no metric that
            can be measured.
    """
    samples = np.asarray(samples)
    if samples.shape[1:] != data.element.shape:
        raise InputError(
            f"The samples are {list(samples.shape)}, but {data.name!r} has rows of "
            f"{list(data.element.shape)}: give samples [N, ...] of that shape."
        )
    measurement = Measurement(data, None, features, count, seed, say, samples, labels)
    return measurement.of(names)


def evaluate_model(model, data, names=None, features=None, count=None, seed=0, say=silent):
    """Measures what a model offers: its samples, and likelihood, reconstruction, translation, ….

    Classes are asked for as often as the reference has them. Otherwise as `evaluate`.

    Args:
        model: a `GenerativeModel`.
        data: the `tfgen.Data` of its last stage.
        count: rows of either side, by default 10,000, or 256 where the endpoint is slow.
        names, features, seed, say: as in `evaluate`.
    """
    return Measurement(data, model, features, count, seed, say).of(names)


def default(data):
    """The name of the features that suit a data set best where nothing is downloaded."""
    if not data.has_images:
        return "pixels"
    return f"classifier:{data.name}" if data.classes else "random"


class Measurement:
    """What metrics ask for, made when they do: samples, features, answers of a model.

    Args:
        model: a `GenerativeModel`; None for samples alone, which may come later.
        split: real rows of this split take the place of samples.
        others: as in `evaluate`.

    Attributes:
        count: rows of samples and of the reference.
        notes: sentences of what is done otherwise than was asked for.
    """

    def __init__(
        self, data, model=None, features=None, count=None, seed=0, say=silent,
        samples=None, labels=None, split=None,
    ):  # fmt: skip
        self.data, self.model, self.seed, self.say, self.split = data, model, seed, say, split
        self.endpoints = model.endpoints if model else {}
        self.given, self.asked, self.notes = samples, count, []
        self._samples, self._labels, self._answers = samples, labels, {}
        self.extractor_name = features or default(data)
        slow = "sample" in self.endpoints and self.endpoints["sample"].slow
        rows = count or (SLOW_COUNT if slow else COUNT)
        if slow and not count:
            self.notes.append(f"sampling is slow: {rows} rows are measured; give a count for more")
        self.count = min(rows, data.size_of(SPLIT), rows if samples is None else len(samples))

    # What is measured, and what steps aside.

    def plan(self, names=None):
        """What `of` would measure: a tuple of names, and `{name: why it steps aside}`.

        Nothing is drawn, trained or read for it.

        Raises:
            InputError: an unknown metric, or none that can be measured.
        """
        names, chosen, aside = list(names or ["default"]), [], {}
        for name in names:
            if name == "default":
                chosen += [key for key, m in METRICS.items() if m.default and not self._unfit(m)]
            elif name in METRICS:
                chosen.append(name)
            else:
                known = ", ".join(["default", *METRICS])
                raise InputError(f"There is no metric {name!r}. There are: {known}.")
        fitting = []
        for name in dict.fromkeys(chosen):
            reason = self._unfit(METRICS[name]) or self._short(METRICS[name])
            if not reason:
                fitting.append(name)
                continue
            aside[name] = reason
            if name == "fid" and not self._unfit(METRICS["kid"]):
                reason = self._short(METRICS["kid"])
                if not reason and "kid" not in chosen:
                    fitting.append("kid")
                    aside[name] += "; KID, which is unbiased at any number, takes its place"
        if not fitting:
            reasons = "; ".join(f"{name} {reason}" for name, reason in aside.items())
            raise InputError(f"Nothing can be measured: {reasons or self._offer()}.")
        return tuple(fitting), aside

    def of(self, names=None):
        """`Evaluation` of metrics by name."""
        names, aside = self.plan(names)
        results, sampled = [], False
        for name in names:
            metric = METRICS[name]
            sampled |= "sample" in metric.needs
            try:
                found = self._measured(metric)
                reals = self._real(metric) or [each.real for each in found]
            except InputError as error:
                if "sample" in metric.needs:
                    checks.check_finite(self.samples, "the samples")
                aside[name] = str(error)
                continue
            results += [self._result(metric, *pair) for pair in zip(found, reals, strict=True)]
        if not results:
            raise InputError("; ".join(aside.values()))
        collapsed = self.collapsed(results) if sampled else None
        return Evaluation(results, aside, collapsed, self.count, self)

    def collapsed(self, results=()):
        """A sentence if the samples have collapsed, or None."""
        self.say("looking for collapse")
        found = variety.collapse(self.samples, self.rows_of(SPLIT))
        numbers = {result.metric: result for result in results}
        if found or "class_entropy" not in numbers:
            return found
        known, entropy = (numbers[key] for key in ("recognised", "class_entropy"))
        told = known.real and known.value > known.real / 2  # else the classes say nothing
        if told and entropy.value < FEW_CLASSES * entropy.real:
            found = (
                f"samples are of few classes: the entropy of these is {entropy.value:.2f} of its "
                f"maximum, that of the data {entropy.real:.2f}"
            )
        return found

    def _measured(self, metric):
        whose = f" of {self.split} rows" if self.split else ""
        self.say(f"measuring {metric.name}{whose}")
        return list(metric.measure(self))

    def _result(self, metric, found, real):
        parts = {"features": [self.extractor_name], "classifier": [self.classifier_name], "": []}
        parts = parts[metric.of] + ([] if metric.stand_in == SPLIT else [SPLIT])
        parts += [f"N={found.count or self.count}", *found.notes, f"seed={self.seed}"]
        name = f"{found.number}({', '.join(parts)})"
        deviation = None if found.deviation is None else float(found.deviation)
        return Result(found.number, float(found.value), deviation, real, name)

    def _real(self, metric):
        """The numbers of real rows in place of the samples, cached; none where there are few."""
        split = metric.stand_in
        if not split or self.data.size_of(split) < self.count:
            return []
        home = [importlib.import_module(f"tfgen.metrics.{metric.home}")] if metric.home else []
        extractor = {"features": lambda: self.extractor, "classifier": lambda: self.classifier}
        identity = extractor[metric.of]().identity if metric.of else ""
        key = cache.key(
            catalogue, *home, metric.name, identity, self.data.digest, split, f"{self.count}",
            f"{self.seed}",
        )  # fmt: skip

        def make():
            other = Measurement(
                self.data, None, self.extractor_name, self.count, self.seed, self.say, split=split
            )
            return np.array([each.value for each in other._measured(metric)], "float64")

        return cache.array(f"real-{key}", make).tolist()

    def _unfit(self, metric):
        """Why a metric is not one of this model and these data; None if it is."""
        data, offered = self.data, self._offered()
        if not offered.intersection(metric.needs):
            return f"takes {' or '.join(metric.needs)}: {self._offer()}"
        if data.element.kind not in metric.kinds:
            return f"is of {', '.join(metric.kinds)}, but {data.name!r} has {data.element.kind}"
        if "sample" in self.endpoints and "sample" in metric.needs:
            shape = self.endpoints["sample"].outputs[0].shape
            if shape != data.element.shape:
                return (
                    f"compares samples with data, but samples are {list(shape)} and the rows of "
                    f"{data.name!r} {list(data.element.shape)}"
                )
        if metric.labels and not data.classes:
            return f"takes classes, and {data.name!r} has none"
        return metric.asks(self)

    def _short(self, metric):
        """Why there are too few rows for a metric; None if there are enough."""
        if "sample" not in metric.needs:
            return None
        least, why = metric.least, ""
        if metric.beyond == "features":
            width = extractors.width(self.extractor_name, self.data)
            least, why = width + 1, f", more than the {width} features of {self.extractor_name}"
        if self.count >= least:
            return None
        limit = "there are" if self.given is not None else f"{self.data.name!r} has"
        held = self.data.size_of(SPLIT)
        if self.count < held:
            return f"takes at least {least} rows of either side{why}, but N is {self.count}"
        return f"takes at least {least} rows of either side{why}, but {limit} {held} held out"

    def _offered(self):
        if self.model is None:
            return {"sample"}
        bound = {"importance_bound"} if hasattr(self.model, "importance_bound") else set()
        return bound | set(self.endpoints)

    def _offer(self):
        return f"this model offers {', '.join(self.endpoints) or 'nothing'}"

    # What metrics ask for.

    @property
    def directions(self):
        """The endpoints that translate: `{"a_to_b": name, …}`."""
        known = catalogue.DIRECTIONS.items()
        return {way: name for way, name in known if name in self.endpoints}

    @property
    def conditional(self):
        """Whether classes are asked for."""
        if self.split:
            return True
        return (
            self._labels is not None
            or "sample" in self.endpoints
            and bool(classes(self.endpoints["sample"]))
        )

    @functools.cached_property
    def samples(self):
        """`[count, ...]`, of the seeds from `seed` on."""
        if self.split:
            return self.data.rows(self.split, self.count)
        if self._samples is None:
            endpoint = self.endpoints["sample"]
            given = self.sampled_inputs(endpoint)
            say = self.telling("sampling")
            self._samples = in_portions(endpoint, given, say=say)[endpoint.outputs[0].name]
        samples = self._samples[: self.count]
        checks.check_finite(samples, "the samples")
        return samples

    @property
    def labels(self):
        """int `[count]`, the classes that were asked for."""
        if self.split:
            return self.data.rows(self.split, self.count, "labels")
        if self._labels is not None:
            return np.asarray(self._labels)[: self.count]
        return self.sampled_inputs(self.endpoints["sample"])["labels"]

    def sampled_inputs(self, endpoint):
        """What samples are drawn from: seeds, and columns of the reference in an order of the seed.

        So classes are as frequent as in the data. Where the data have no such column, the classes
        come in turn.
        """
        seeds = seeds_from(self.seed, self.count)
        inputs, order = {"seeds": seeds}, np.random.RandomState(self.seed).permutation(self.count)
        for element in endpoint.inputs:
            column = element.column or element.name
            if element.name != "seeds" and column in self.data.columns:
                inputs[element.name] = self.data.rows(SPLIT, self.count, column)[order]
        if classes(endpoint) and "labels" not in inputs:
            inputs["labels"] = asked(endpoint, seeds).numpy()
        return inputs

    def rows_of(self, split):
        """As many real rows as there are samples."""
        return self.data.rows(split, self.count)

    @functools.cached_property
    def extractor(self):
        return extractors.features(self.extractor_name, self.data, self.say)

    @property
    def classifier_name(self):
        return f"classifier:{self.data.name}"

    @functools.cached_property
    def classifier(self):
        return extractors.features(self.classifier_name, self.data, self.say)

    def features(self, rows, whose="samples"):
        """Features of rows, `[N, D]`."""
        return self.extractor(rows, self.telling(f"features of {whose}"))

    @functools.cached_property
    def fakes(self):
        return self._reference(self.split) if self.split else self.features(self.samples)

    @functools.cached_property
    def reals(self):
        return self._reference(SPLIT)

    @functools.cached_property
    def train(self):
        return self._reference("train", whole=True)

    @functools.cached_property
    def probabilities(self):
        """Of the classes, by a classifier of the set, of the samples: `[count, K]`."""
        say = self.telling("classifying samples")
        return self.classifier.probabilities(self.samples, say)

    def telling(self, task):
        """A function that takes how many of how many rows are done."""
        return functools.partial(self.say, task)

    def _reference(self, split, whole=False):
        count = None if whole else self.count
        say = self.telling(f"features of {split} rows")
        return reference(self.extractor, self.data, split, count, say)

    @property
    def rows(self):
        """How many rows are asked for."""
        return self.asked or COUNT

    def inputs(self, endpoint, split=SPLIT):
        """`{name: array}` for an endpoint: seeds, and columns of the data, of equally many rows."""
        made = self.endpoints[endpoint]
        count = self.asked or (SLOW_COUNT if made.slow else COUNT)
        count = None if endpoint == "predict" else count  # scenes are not to be torn apart
        inputs = {
            element.name: self.data.rows(split, count, self._column(element))
            for element in made.inputs
            if element.name != "seeds"
        }
        count = min(map(len, inputs.values()))
        inputs["seeds"] = seeds_from(self.seed, count)
        return {name: rows[:count] for name, rows in inputs.items()}

    def truth(self, endpoint, split=SPLIT):
        """Rows of the column that an endpoint's first output is like."""
        count = len(self.inputs(endpoint, split)["seeds"])
        return self.data.rows(split, count, self._column(self.endpoints[endpoint].outputs[0]))

    def answer(self, endpoint, split=SPLIT, **own):
        """The first output of an endpoint for `inputs`, then kept; or with others among them."""
        if not own and (endpoint, split) in self._answers:
            return self._answers[endpoint, split]
        made, say = self.endpoints[endpoint], self.telling(f"{endpoint} of {split} rows")
        inputs = self.inputs(endpoint, split) | own
        answer = in_portions(made, inputs, say=say)[made.outputs[0].name]
        if not own:
            self._answers[endpoint, split] = answer
        return answer

    @functools.cache  # noqa: B019
    def predictions(self, count):
        """Trajectories predicted `[count, N, T, 2]` and true `[N, T, 2]`, scenes, and straight on.

        Where a row is a scene, "masks" says which of its places are taken, and each that is becomes
        a trajectory; else the column "scenes" says which scene a row is of, if there is one. The
        last is as `[N, T, 2]` what a constant velocity predicts; None where no trajectory is seen.
        """
        inputs, truth = self.inputs("predict"), self.truth("predict")
        many = {name: np.concatenate([rows] * count) for name, rows in inputs.items()}
        many["seeds"] = seeds_from(self.seed, count * len(truth))
        drawn = self.answer("predict", **many)
        drawn = drawn.reshape(count, *truth.shape)
        seen = next((rows for rows in inputs.values() if rows.ndim == truth.ndim), None)
        straight, scenes = None, None
        if seen is not None and seen.shape[-2] > 1:
            last, before = seen[..., -1:, :], seen[..., -2:-1, :]
            straight = last + np.arange(1, truth.shape[-2] + 1)[:, None] * (last - before)
        if truth.ndim == 4:
            taken = np.ones(truth.shape[:2], bool)
            if "masks" in self.data.columns:
                taken = self.data.rows(SPLIT, None, "masks").reshape(taken.shape) > 0
            scenes = np.nonzero(taken)[0]
            drawn, truth = drawn[:, taken], truth[taken]
            straight = None if straight is None else straight[taken]
        elif "scenes" in self.data.columns:
            scenes = self.data.rows(SPLIT, None, "scenes")
        return drawn, truth, scenes, straight

    def _column(self, element):
        """The column of the data that is like an element; its rows, if it names none."""
        column = element.column or element.name
        return column if column in self.data.columns else self.data.feed[0]


def reference(extractor, data, split, count=None, say=None):
    """Features of rows of a data set, as `data.rows(split, count)`; cached by content."""
    rows = data.rows(split, count)
    key = cache.key(extractor.identity, rows)
    return cache.array(f"features-{key}", lambda: extractor(rows, say))
