"""Recipes and their stages: what is trained, on what, how, and with which settings."""

import inspect
import math
import re
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated, NamedTuple

import keras

from tfgen.data import Data, from_arrays, load
from tfgen.errors import InputError
from tfgen.model import GenerativeModel, Origin, check_keras


class Stage(NamedTuple):
    """One piece of a recipe: what is trained, on what, how, in which portions, how long.

    Attributes:
        model: a `GenerativeModel`; or, in a recipe of several stages, a function that makes it of
            the trained model of the stage before. Where a run is opened for use it gets None
            instead, as all weights come from the checkpoint of the last stage.
        data: the `Data` whose elements its objectives take.
        optimizer: `{objective: optimizer}`, or one optimizer of which each gets a copy; None where
            nothing is minimized.
        batch_size: rows of one update.
        epochs: how often all data are seen.
        steps_per_execution: steps that run in one call of `fit`, at most: some 10 where a step
            takes milliseconds, as Python's millisecond between two calls then counts.
    """

    model: GenerativeModel | Callable
    data: Data
    optimizer: object
    batch_size: int
    epochs: int
    steps_per_execution: int = 1

    def built(self, before=None, origin=None):
        """The stage with its model made.

        Args:
            before: the model of the stage before, or None.
            origin: the model's `tfgen.model.Origin`; None leaves what it has.
        """
        model = self.model if isinstance(self.model, keras.Model) else self.model(before)
        if origin:
            model.set_origin(origin)
        model.feed = tuple(self.data.columns[column] for column in self.data.feed)
        return self._replace(model=model)

    def compile(self, **kwargs):
        """The model, ready to be trained on the stage's data; `kwargs` as in its `compile`."""
        self.model.compile(self.optimizer, **kwargs)
        self.model.begin(self.data)
        return self.model

    @property
    def rows_per_step(self):
        """Rows of one step: `batch_size` for each update of the busiest objective."""
        return self.batch_size * self.model.updates_per_step

    @property
    def steps_per_epoch(self):
        return self.data.steps_per_epoch(self.rows_per_step)

    def batches(self, seed=0, start=0):
        """The endless stream of batches for `model.fit`, from step `start` on."""
        return self.data.batches(self.rows_per_step, seed, start)


class Tiny(NamedTuple):
    """Settings and data that are small enough for a test of a recipe.

    Attributes:
        settings: `{key: value}`.
        data: a name for `tfgen.load`.
        image_size: pixels, or None for the set's own.
    """

    settings: dict
    data: str = "digits"
    image_size: int | None = None


class Range(NamedTuple):
    """Numbers to draw from, evenly; or evenly in the logarithm."""

    low: float
    high: float
    logarithmic: bool = True


class Candidate(NamedTuple):
    """A row of a study: a model with settings of its own, and what is searched for it.

    Attributes:
        label: of the row.
        settings: `{key: value}`, for all trials.
        ranges: `{key: Range, or a tuple of values}`.
        study: "lucic" for a model of that paper, "adversarial" for the other games.
    """

    label: str
    settings: dict
    ranges: dict
    study: str = "adversarial"


# The types of two settings: a learning rate, None for the one that goes with the network; and the
# moving average of a generator's weights, None for none.
Rate = Annotated[float | None, (0.0, math.inf)]
Average = Annotated[float | None, (0.0, 0.99999)]

# The narrow range of "Are GANs created equal?" (google/compare_gan, its first version, params.py).
LEARNING_RATE = {"learning_rate": Range(1e-4, 1e-3)}

# What settings mean that many recipes have; a recipe's own docstring comes first.
COMMON = {
    "latent_dim": "numbers of a latent, of which a row is made",
    "hidden": "units of a hidden dense layer",
    "width": "channels of the largest feature map; the smaller ones have more",
    "network": "which networks are trained",
    "learning_rate": "of the optimizer",
    "beta_1": "of Adam: the share of its mean slope that stays at each step",
    "beta_2": "of Adam: the share of its mean squared slope that stays at each step",
    "momentum": "of the optimizer: the share of the last step that is made again",
    "ema": "0.999, say: samples come of this moving average of the generator's weights; none for "
    "the weights themselves",
    "n_critic": "updates of the discriminator a step, each on rows of its own",
    "batch_norm": "batch normalization in the discriminator: true or false",
    "batch_size": "rows of one update",
    "epochs": "how often all data are seen",
}


class Recipe(NamedTuple):
    """A model of the zoo by name, with the function that yields its stages.

    Attributes:
        name: of the model.
        function: `recipe(data, **settings)`, a generator of `Stage`s. Its keywords are the
            hyper-parameters. A setting is read as its annotation says, or else as the type of its
            default: an int, a float, a bool, a str, a tuple of one of them (written 1,2,3), or
            any of these or None. `Annotated[int, (low, high)]` says the range; without, what is
            positive by default has to be.
        only: `{(key, value): keys}`: settings that count only where another has a value.
        tiny: `Tiny` settings, one for each variant that the contract of the zoo tests.
        searched: `Candidate`s: the rows of studies that the model fills.
    """

    name: str
    function: Callable
    only: dict = types.MappingProxyType({})
    tiny: tuple = (Tiny({}),)
    searched: tuple = ()

    def same(self, name):
        """Itself, if this is its name: for runs that are to be of the same recipe.

        Raises:
            InputError: it is another name.
        """
        if name != self.name:
            raise InputError(f"that is a run of {name}, not of {self.name}: pack it to use it here")
        return self

    def settings(self, given):
        """All arguments of the recipe: its defaults, overridden by `given`.

        Args:
            given: `{key: value}`; a string is read as the type of the setting.

        Raises:
            InputError: an unknown key, a value of another type or out of range, or a setting that
                the others leave without effect.
        """
        signature = inspect.signature(self.function, eval_str=True)
        parameters = dict(list(signature.parameters.items())[1:])
        defaults = {key: p.default for key, p in parameters.items()}
        settings = dict(defaults)
        for key, value in given.items():
            if key not in settings:
                known = ", ".join(f"{key}={written(value)}" for key, value in defaults.items())
                raise InputError(f"{self.name} has no {key!r}: its recipe takes {known}")
            settings[key] = _read(self.name, parameters[key], value)
        for (chooser, choice), keys in self.only.items():
            idle = [key for key in keys if key in given and settings[key] != defaults[key]]
            elsewhere = {
                key
                for (c, v), ks in self.only.items()
                for key in ks
                if c == chooser and v == settings[chooser]
            }
            idle = [key for key in idle if key not in elsewhere]
            if settings[chooser] != choice and idle:
                raise InputError(
                    f"{self.name}: {idle[0]}={written(settings[idle[0]])} counts only with "
                    f"{chooser}={choice}, but {chooser} is {settings[chooser]}"
                    + (f", which takes {', '.join(sorted(elsewhere))}" if elsewhere else "")
                )
        return settings

    def meanings(self):
        """`{key: what it means}`, of the `Args` of the recipe's docstring and of `COMMON`.

        A line of `Args` is `key: meaning`, or `key, key: meaning`; longer ones go on indented.
        """
        text = inspect.getdoc(self.function) or ""
        lines = re.findall(r"^    (\w+(?:, \w+)*): (.+(?:\n {8}.+)*)", text, re.MULTILINE)
        own = {
            key: " ".join(meaning.split()).rstrip(".")
            for keys, meaning in lines
            for key in keys.split(", ")
        }
        return {key: own.get(key, COMMON.get(key, "")) for key in self.settings({})}

    def __call__(self, data="digits", *, seed=None, **settings):
        """A model of this recipe, compiled and ready for `fit`.

        Args:
            data: a `Data`, a name for `tfgen.load`, or what `tfgen.from_arrays` takes: rows, or
                `(rows, labels)`.
            seed: of the weights and of all noise; None for weights of Keras' generator, see
                `keras.utils.set_random_seed`, and noise of seed 0.
            settings: of the recipe.

        Returns:
            A `GenerativeModel`.

        Raises:
            InputError: settings or data that the recipe does not take, or a recipe of several
                stages, each of which begins with what the one before has learnt.
        """
        check_keras()
        settings = self.settings(settings)
        if isinstance(data, str):
            data = load(data)
        elif not isinstance(data, Data):
            data = from_arrays(*data) if isinstance(data, tuple) else from_arrays(data)
        if seed is not None:
            keras.utils.set_random_seed(seed)
        first, *others = self.function(data, **settings)
        if others:
            raise InputError(
                f"{self.name} is trained in {1 + len(others)} stages, each of which begins with "
                "what the one before has learnt: use "
                f'tfgen.train(zoo.{self.name}, "runs/{self.name}")'
            )
        stage = first.built(origin=self.origin(settings, data.describe(digest=False), 0))
        return stage.compile(seed=seed or 0)

    def origin(self, settings, description, number):
        """The `Origin` of the model of a stage; None where no file can say what the function is.

        Args:
            settings: of the recipe.
            description: what `Data.describe` says.
            number: of the stage.
        """
        module = self.function.__module__
        found = getattr(sys.modules.get(module), "recipe", None) is self.function
        return Origin(module, settings, description, number) if found else None

    def stages(self, data, settings, seed=None):
        """The stages in turn, each made of the one before, which is to be trained by then.

        Args:
            data: a `Data`.
            settings: as the method of this name gives them.
            seed: set before each stage is made, so that its first weights do not depend on what
                was trained before; None to leave Keras' generators as they are.
        """
        check_keras()
        model = None
        if seed is not None:
            keras.utils.set_random_seed(seed % 2**32)
        description = data.describe(digest=False)
        for number, stage in enumerate(self.function(data, **settings)):
            if seed is not None and model:
                keras.utils.set_random_seed(seed % 2**32)
            stage = stage.built(model, self.origin(settings, description, number))
            model = stage.model
            yield stage


class Setup(NamedTuple):
    """How a recipe is carried out; none of it changes what is written in the recipe.

    Attributes:
        data: a name for `tfgen.load`, or a `Data`.
        image_size: pixels, or None for the set's own.
        seed: of the weights, the order of the data and all noise.
        replicas: "auto" for all GPUs, or a number of devices.
        precision: a Keras dtype policy: float32, mixed_bfloat16 or mixed_float16.
        mirror: whether half of the training images are mirrored at random, as fits a small set
            that has no left and right.
        start: the folder of a run or of a packed model whose weights are the first ones; None for
            random ones.
    """

    data: str | Data = "digits"
    image_size: int | None = None
    seed: int = 0
    replicas: str | int = "auto"
    precision: str = "float32"
    mirror: bool = False
    start: str | None = None


def written(value):
    """A setting as it is written on the command line."""
    if isinstance(value, tuple | list):
        return ",".join(map(written, value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _read(model, parameter, value):
    """A setting in its type, and in its range."""
    default, kind, bounds = parameter.default, parameter.annotation, None
    if kind is parameter.empty:
        kind = type(default)
        if kind is tuple:
            kind = tuple[type(default[0]), ...]
    if typing.get_origin(kind) is typing.Annotated:
        kind, bounds = typing.get_args(kind)[:2]
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    place = f"{model}: {parameter.name}"
    value = _cast(place, value, kinds, default)
    numbers = value if isinstance(value, tuple) else (value,)
    if bounds is None:
        firsts = default if isinstance(default, tuple) else (default,)
        bounds = min((_bounds(first) for first in firsts), default=(-math.inf, math.inf))
    for number in numbers:
        numeric = isinstance(number, int | float) and not isinstance(number, bool)
        large = isinstance(number, int) and abs(number) >= 2**31
        if numeric and (large or not (bounds[0] <= number <= bounds[1] and number < math.inf)):
            raise InputError(
                f"{place}={written(value)} is out of range; the default is {written(default)}"
            )
    return value


def _bounds(default):
    """The range of a number whose default is this."""
    if isinstance(default, bool) or not isinstance(default, int | float):
        return -math.inf, math.inf
    least = 1 if isinstance(default, int) else 0
    return (least, math.inf) if default >= least else (-math.inf, math.inf)


def _cast(place, value, kinds, default):
    if types.NoneType in kinds and (value is None or str(value).lower() == "none"):
        return None
    for kind in kinds:
        try:
            if kind is bool:
                return {"true": True, "false": False}[str(value).lower()]
            if typing.get_origin(kind) is tuple:
                parts = value.split(",") if isinstance(value, str) else value
                return tuple(typing.get_args(kind)[0](part) for part in parts)
            if kind is not types.NoneType and (kind is not int or not _has_fraction(value)):
                return kind(value)
        except (KeyError, ValueError, TypeError):
            continue
    names = " or ".join(_name(kind) for kind in kinds)
    raise InputError(f"{place}={value!r} is no {names}; the default is {written(default)}")


def _has_fraction(value):
    return isinstance(value, float) and value != int(value)


def _name(kind):
    if typing.get_origin(kind) is tuple:
        return f"list of {typing.get_args(kind)[0].__name__}, such as 1,2"
    return "none" if kind is types.NoneType else kind.__name__
