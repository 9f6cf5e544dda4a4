"""The one train step: a model says what is minimized or updated, and this loop plays it."""

import importlib
import inspect
import itertools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgen import files, random
from tfgen.data.data import described
from tfgen.endpoint import check_names, save
from tfgen.errors import InputError, note
from tfgen.objectives.joint_optimizer import JointOptimizer


class Objective(NamedTuple):
    """A loss, the networks that it trains, and how many updates a step."""

    loss: Callable
    networks: tuple
    updates: int = 1

    @property
    def variables(self):
        return [v for network in self.networks for v in network.trainable_variables]


def minimize(loss, *networks, updates=1):
    """Asks for a small `loss(batch)` of `networks`, and of no others.

    Args:
        loss: takes a batch as the data set gives it; returns a scalar, or a dict of named scalars,
            each the mean over the batch. Their sum is minimized and each is logged.
        networks: what is moved: Keras models or layers, already built.
        updates: how many a step, each on a fresh part of the batch. A batch is cut into as many
            equal parts as the largest `updates`; an objective with fewer sees the first. What is
            logged of a step are the terms of its last update.
    """
    return Objective(loss, networks, updates)


class Update(NamedTuple):
    """A step that assigns what it computes, where there is no gradient to follow."""

    step: Callable
    evaluate: Callable | None = None
    updates: int = 1
    networks: tuple = ()


def update(step, evaluate=None, updates=1):
    """Asks for a `step(batch)` that moves what no gradient moves.

    So expectation maximization, contrastive divergence, a dictionary, a Markov chain, or a closed
    form, as one step on a batch of the whole set, are played by the loop that plays losses.

    Args:
        step: takes a batch as the data set gives it, assigns to variables of the model, and returns
            a scalar or a dict of named scalars, each the mean over the batch. On several replicas
            what is assigned must be the same on all: see `mean_over_replicas`.
        evaluate: gives these terms without an assignment, for `model.evaluate`; None for no terms.
        updates: as in `minimize`.
    """
    return Update(step, evaluate, updates)


def mean_over_replicas(values):
    """The mean of a tensor, or of a structure of them, over all replicas of a strategy."""
    return tf.distribute.get_replica_context().all_reduce("MEAN", values)


def lazily(every, step, penalty):
    """`every * penalty()` once in `every` steps, else 0: the same weight on average.

    Lazy regularization (Karras et al., 2020, arXiv:1912.04958, section 3.1), as a term of a loss.

    Args:
        every: an int.
        step: the model's `step`.
        penalty: a function without arguments that returns a float32 scalar.
    """
    return tf.cond(tf.equal(step % every, 0), lambda: every * penalty(), lambda: 0.0)


def check_keras():
    """Checks that Keras is set up as all models need it.

    Raises:
        InputError: another backend, another type of floats, or channels first.
    """
    backend, order = keras.config.backend(), keras.config.image_data_format()
    if backend != "tensorflow":
        raise InputError(
            f"Keras computes with {backend}, and tfgen's models need TensorFlow: set "
            "KERAS_BACKEND=tensorflow before Keras is imported"
        )
    if keras.config.floatx() != "float32":
        raise InputError(
            f"Keras' floatx is {keras.config.floatx()}, and models are float32: leave it so, and "
            'for less set a policy, keras.config.set_dtype_policy("mixed_bfloat16")'
        )
    if order != "channels_last":
        raise InputError(
            f"Keras' image data format is {order}, and images are [N, H, W, C] here: "
            'keras.config.set_image_data_format("channels_last")'
        )


class Origin(NamedTuple):
    """How a model was made: what a file says of it, so that it can be made again without the data.

    Attributes:
        recipe: the module whose function `recipe` made it, such as "zoo.variational.vae".
        settings: the keywords of the recipe.
        data: what `Data.describe` says of the data that it was given.
        stage: the number of the stage.
    """

    recipe: str
    settings: dict
    data: dict
    stage: int

    def build(self):
        """The model with first weights, not compiled.

        Raises:
            InputError: the recipe is not there, or takes other settings.
        """
        # A file must not choose what is imported: a recipe of the zoo, or what is there already.
        if not (self.recipe.startswith("zoo.") or self.recipe in sys.modules):
            raise InputError(f"the model was made by the recipe in {self.recipe}: import it first")
        try:
            recipe = importlib.import_module(self.recipe).recipe
        except (ImportError, AttributeError):
            raise InputError(
                f"the model was made by the recipe in {self.recipe}, which is not here: "
                "use the version of the zoo that made the file"
            ) from None

        def rows():
            raise InputError(f"a file of a model has no rows of its data, {self.data['name']!r}")

        # JSON has no tuples.
        settings = {k: tuple(v) if isinstance(v, list) else v for k, v in self.settings.items()}
        data = described(self.data, rows)
        try:
            inspect.signature(recipe).bind(data, **settings)
        except TypeError as error:
            raise InputError(f"the recipe in {self.recipe} takes other settings: {error}") from None
        stage = next(itertools.islice(recipe(data, **settings), self.stage, None))
        return stage.built(origin=self).model


@keras.saving.register_keras_serializable("tfgen")
class GenerativeModel(keras.Model):
    """A `keras.Model` whose `objectives` say which loss trains which networks, or what is updated.

    A child builds its networks from `keras.Input`, hands them to `__init__`, and defines
    `objectives`, `endpoints` and `call`, its natural forward pass. Everything of Keras then works:
    `compile`, `fit`, `evaluate`, callbacks, strategies, precision policies. `save` and
    `keras.models.load_model` go on exactly; so that Keras knows the models by name, `tfgen` or
    `zoo` is to be imported after Keras.

    Attributes:
        step: int32 scalar variable, the train steps taken so far.
        optimizers: `{objective: optimizer}`, after `compile`.
        means: `{"objective/term": keras.metrics.Mean}` of the terms seen so far.
        if_diverged: what helps if a term is no longer finite, a clause; "" where nothing is known.
        origin: the `Origin` of a model that a recipe made; else None.
        feed: the `Element` of each column of a batch, a tuple; () where nobody has said.
    """

    if_diverged, feed = "", ()

    def __init__(self, **kwargs):
        check_keras()
        super().__init__(**kwargs)
        self.step = keras.Variable(
            0, dtype="int32", trainable=False, name="step", aggregation="only_first_replica"
        )
        self.optimizers, self.means, self._seed, self._options = {}, {}, 0, {}
        self.origin = None
        self._evaluated = keras.metrics.Sum("evaluated")  # batches, for noise that is fresh
        self._player = _Player(name="player", dtype="float32", autocast=False)
        # Its networks are, from their `keras.Input`; else Keras would call it with a batch of data.
        self.built = self._player.built = True

    @property
    def objectives(self):
        """`{name: Objective or Update}`, played in this order at every step."""
        raise NotImplementedError

    @property
    def endpoints(self):
        """`{name: Endpoint}`: what is served, exported and tested."""
        return {}

    def begin(self, data):
        """Sets what a model must know of its data before the first step; by default nothing.

        It belongs into variables, as it is not called where a trained model is opened.

        Args:
            data: the `tfgen.Data` of its stage.
        """

    def after_step(self, terms):
        """Moves what no gradient moves: a balance, a running mean, a codebook.

        Args:
            terms: `{"objective/term": float32 scalar}` of this step on this replica. What is
                assigned from them under a strategy must be reduced over the replicas first.
                What is added to it is logged with the others.
        """

    def compile(self, optimizer="adam", seed=0, **kwargs):
        """Builds the optimizers; the rest as in Keras.

        Args:
            optimizer: `{objective: optimizer}`, or one optimizer of which each gets a copy.
            seed: an int; all noise of training is a function of it, the step and the row.

        Raises:
            ValueError: the names of the optimizers are not those of the objectives.
        """
        check_names(self.endpoints)
        objectives = {n: o for n, o in self.objectives.items() if isinstance(o, Objective)}
        if not isinstance(optimizer, dict):
            optimizer = keras.optimizers.get(optimizer)
            config = keras.optimizers.serialize(optimizer)
            optimizer = {name: keras.optimizers.deserialize(config) for name in objectives}
        if set(optimizer) != set(objectives):
            raise ValueError(
                f"optimizers are given for {sorted(optimizer)}, "
                f"but the objectives are {sorted(objectives)}: give one to each"
            )
        self._seed, self._options, self.optimizers = seed, kwargs, {}
        scaled = keras.optimizers.LossScaleOptimizer
        for name, objective in objectives.items():
            own = keras.optimizers.get(optimizer[name])
            if self.compute_dtype == "float16" and not isinstance(own, scaled):
                own = scaled(own)
            own.build(objective.variables)
            self.optimizers[name] = own
        variables = {name: objective.variables for name, objective in objectives.items()}
        joint = JointOptimizer(self.optimizers, variables)
        super().compile(optimizer=joint, auto_scale_loss=False, **kwargs)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        *args,
        **kwargs,
    ):
        """As in Keras; what cannot be right is told before the first step.

        Raises:
            InputError: arrays that are not as those that the model was made for: another number of
                them, other shapes, dtypes or ranges; or see `save`, for callbacks.
        """
        self._check_arrays(x, y)
        for callback in tf.nest.flatten(getattr(callbacks, "callbacks", callbacks)):
            saves = isinstance(callback, keras.callbacks.ModelCheckpoint)
            if saves and not callback.save_weights_only:
                self._check_savable(callback.filepath)
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, *args, **kwargs)

    def _check_arrays(self, *given):
        """Checks arrays, of a thousand rows the values too; data sets are checked when traced."""
        arrays = tf.nest.flatten([a for a in given if a is not None])
        if not self.feed or not all(isinstance(a, np.ndarray | tf.Tensor) for a in arrays):
            return
        kept = given[0] if len(given) == 1 or given[1] is None else given
        for element, array in zip(self.feed, _columns(self.feed, kept), strict=True):
            values = np.asarray(array[:1000], "float64")
            low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
            if not np.isfinite(values).all():
                raise InputError(f"{element.name} have NaN or infinite values")
            slack = 1e-3 * (element.high - element.low) if element.dtype == "float32" else 0
            if low < element.low - slack or high > element.high + slack:
                raise InputError(
                    f"{element.name} are from {low:g} to {high:g}, and have to be from "
                    f"{element.low:g} to {element.high:g}: {SCALE}"
                    if element.kind == "images"
                    else f"{element.name} are from {low:g} to {high:g}, and have to be from "
                    f"{element.low:g} to {element.high:g}"
                )
            if element.kind == "images" and element.low < 0 <= low < high:
                note(f"no pixel is below 0, but images are in [-1, 1]: {SCALE}")

    def save(self, filepath, overwrite=True, zipped=None, **kwargs):
        """Writes a `.keras` file, which is whole or absent; arguments as in Keras.

        It holds how the model was made, its weights, optimizers, step and seed: what
        `keras.models.load_model` gives goes on as if nothing had been.

        Raises:
            InputError: the model was made by hand and its class has no `get_config`, or the name
                does not end in ".keras".
        """
        self._check_savable(filepath, zipped)
        if zipped is False or not overwrite or "://" in str(filepath):
            return super().save(filepath, overwrite, zipped, **kwargs)
        with files.replacing(filepath) as temporary:
            return super().save(temporary, **kwargs)

    def _check_savable(self, filepath, zipped=None):
        if zipped is not False and not str(filepath).endswith(".keras"):
            raise InputError(f"a model cannot be saved as {filepath}: let the name end in .keras")
        self.get_config()

    def set_origin(self, origin):
        """Tells the model how it was made: an `Origin`, or None."""
        self.origin = origin
        if origin and keras.saving.get_registered_name(type(self)) == type(self).__name__:
            # All models have one name in files: so their own module need not be imported to load.
            for known in (type(self), GenerativeModel):
                keras.saving.register_keras_serializable("tfgen", "GenerativeModel")(known)

    def get_config(self):
        if self.origin:
            made = self.origin._asdict() | {"data": dict(self.origin.data)}
            return {"origin": made, "dtype": self.dtype_policy.name}
        # What Keras would say of a child of `keras.Model` has the defaults of its arguments.
        if type(self).get_config is GenerativeModel.get_config:
            raise InputError(
                f"this {type(self).__name__} was not made by a recipe, as zoo.vae(data) is, so "
                "that a file cannot say how to make it again: save its weights, "
                'model.save_weights("m.weights.h5"), or give its class a get_config'
            )
        return super().get_config()

    @classmethod
    def from_config(cls, config, custom_objects=None):
        if "origin" not in config:
            return super().from_config(config, custom_objects)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(config["dtype"])
        try:
            return Origin(**config["origin"]).build()
        finally:
            keras.config.set_dtype_policy(before)

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {
            "optimizer": {n: keras.optimizers.serialize(o) for n, o in self.optimizers.items()},
            "ratios": dict(self.optimizer.ratios),
            "seed": self._seed,
            "options": dict(self._options) | {"steps_per_execution": self.steps_per_execution},
        }

    def compile_from_config(self, config):
        optimizers = {n: keras.optimizers.deserialize(o) for n, o in config["optimizer"].items()}
        options = keras.saving.deserialize_keras_object(config["options"])
        self.compile(optimizers, config["seed"], **options)
        self.optimizer.ratios = config["ratios"]

    def export(self, filepath, format="tf_saved_model", verbose=None, **kwargs):
        """Writes a SavedModel whose signatures are the endpoints, of any number of rows.

        `tf.saved_model.load(filepath).sample([0, 1, 2])` then answers without Keras. The package
        `export` writes other formats as well, and proves what it wrote.

        Args:
            filepath: of a folder to be made.
            format, verbose, kwargs: as in Keras, whose way is gone for all other formats, and for
                models without endpoints.
        """
        if format != "tf_saved_model" or kwargs or not self.endpoints:
            return super().export(filepath, format, verbose, **kwargs)
        return save(self.endpoints, filepath, verbose is not False)

    def train_step(self, batch):
        objectives, terms = self.objectives, {}
        parts = split(as_fed(self.feed, batch), self.updates_per_step)
        with random.place(self._seed, self.step.value):
            for name, objective in objectives.items():
                for part in parts[: objective.updates]:
                    if isinstance(objective, Update):
                        values = self._terms(objective.step, part, training=True)
                    else:
                        values = self._descend(objective, part, self.optimizers[name])
                terms |= {f"{name}/{term}": value for term, value in values.items()}
        self.after_step(terms)
        self.step.assign_add(1)
        return self._log(terms)

    def test_step(self, batch):
        batch = as_fed(self.feed, batch)
        terms, turn = {}, tf.cast(self._evaluated.result(), tf.int32)
        with random.place(self._seed, turn, testing=True):
            for name, objective in self.objectives.items():
                values = self._evaluated_terms(objective, batch)
                terms |= {f"{name}/{term}": value for term, value in values.items()}
        self._evaluated.update_state(1)
        return self._log(terms) or {"batches": self._evaluated.result()}  # Keras wants something

    @property
    def updates_per_step(self):
        """How many parts of a batch one step takes: the largest `updates` of the objectives."""
        return max(objective.updates for objective in self.objectives.values())

    def _descend(self, objective, batch, optimizer):
        variables = objective.variables
        # Replicas add up their gradients: each gives its share of the mean.
        share = 1 / tf.distribute.get_strategy().num_replicas_in_sync
        weights = [v.value for v in variables]
        # Nothing is recorded of other networks, through which this loss may go.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            terms = self.terms(objective, batch)
            loss = optimizer.scale_loss(share * tf.add_n(list(terms.values())))
        gradients = tape.gradient(loss, weights)
        # Where a slope is constant, as that of a linear critic is, TensorFlow's graph optimizer
        # forgets that the variable must be read before it is updated.
        with tf.control_dependencies([loss]):
            gradients = [g if g is None else tf.identity(g) for g in gradients]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return terms

    def terms(self, objective, batch, training=True):
        """The named terms of an `Objective`, float32 scalars whose sum is minimized."""
        values = self._terms(objective.loss, batch, training)
        penalties = [p for network in objective.networks for p in network.losses]
        return values | ({"regularization": tf.add_n(penalties)} if penalties else {})

    def _evaluated_terms(self, objective, batch):
        if isinstance(objective, Objective):
            return self.terms(objective, batch, training=False)
        return self._terms(objective.evaluate, batch, False) if objective.evaluate else {}

    def play(self, function, batch, training):
        """Runs `function(batch)` so that `training` reaches every network in it."""
        return self._player(batch, function=function, training=training)

    def _terms(self, function, batch, training):
        values = self.play(function, batch, training)
        values = values if isinstance(values, dict) else {"loss": values}
        return {term: tf.cast(value, tf.float32) for term, value in values.items()}

    def _log(self, terms):
        """The means over the epoch so far."""
        logs = {}
        for name, value in terms.items():
            self.mean(name).update_state(value)
            logs[name] = self.mean(name).result()
        if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            # Keras reduces the logs of several workers along an axis, which a scalar has not.
            logs = {name: value[None] for name, value in logs.items()}
        return logs

    def mean(self, name):
        """The `keras.metrics.Mean` of a term, made when it is first seen."""
        if name not in self.means:
            # In a thread of its own nothing is being traced. TensorFlow traces a function again if
            # variables were made in it.
            with ThreadPoolExecutor(1) as thread:
                self.means[name] = thread.submit(self._made_mean, name).result()
        return self.means[name]

    def _made_mean(self, name):
        with self.distribute_strategy.scope():
            return keras.metrics.Mean(name)

    @property
    def metrics(self):
        return [*self.means.values(), self._evaluated]


class _Player(keras.layers.Layer):
    """Runs a loss or an update as a Keras call, so that `training` reaches every network in it."""

    def call(self, batch, function, training=False):
        return function(batch)


def without_missing(batch):
    """A batch without what `train_on_batch(x)` fills in: `(x, None, None)` is `x`."""
    if not isinstance(batch, tuple):
        return batch
    leaves = tuple(leaf for leaf in batch if leaf is not None)
    return leaves[0] if len(leaves) == 1 else leaves


SCALE = "scale 8-bit pixels by x / 127.5 - 1, or let tfgen.from_arrays do it"


def as_fed(feed, batch):
    """A batch, without what is missing, if it is as the model's data are.

    Args:
        feed: the `Element` of each column; () where nobody has said, and nothing is checked.
        batch: an array or tensor, a tuple of them, or `{column: array}`.

    Returns:
        What losses are given: an array or tensor, or a tuple of several.

    Raises:
        InputError: another number of columns, other names, shapes, or dtypes.
    """
    if not feed:
        return without_missing(batch)
    columns = _columns(feed, batch)
    return columns if len(columns) > 1 else columns[0]


def _columns(feed, batch):
    batch = without_missing(batch)
    names = [element.name for element in feed]
    wanted = " and ".join(f"{e.name} {e.dtype} {e.of_rows}" for e in feed)
    if isinstance(batch, dict):
        if len(set(names)) < len(names) or set(batch) != set(names):
            raise InputError(f"this model is trained on {wanted}, and got {', '.join(batch)}")
        batch = tuple(batch[name] for name in names)
    leaves = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    if len(leaves) != len(feed):
        raise InputError(
            f"this model is trained on {wanted}, and got {len(leaves)} arrays"
            + (": leave out what it has no use for" if len(leaves) > len(feed) else "")
        )
    fed = []
    for element, leaf in zip(feed, leaves, strict=True):
        shape = tf.TensorShape(leaf.shape)
        if not shape[1:].is_compatible_with(element.shape) if shape.rank else True:
            raise InputError(
                f"this model is trained on {wanted}, and got {element.name} of shape {shape}"
            )
        dtype = tf.as_dtype(leaf.dtype)
        if dtype.is_floating != (element.dtype == "float32"):
            hint = f": {SCALE}" if element.kind == "images" else ""
            raise InputError(
                f"this model is trained on {wanted}, and got {element.name} of {dtype.name}{hint}"
            )
        fed.append(leaf if isinstance(leaf, np.ndarray) else tf.cast(leaf, element.dtype))
    return tuple(fed)


def split(batch, parts):
    """Cuts a batch, a tensor or a structure of them, into equal parts.

    Part k has the rows k, k + parts, k + 2 parts, ...: so the parts that two replicas cut from
    their halves are the halves of the parts that one would cut from the whole.

    What remains of a batch whose number of rows is not known beforehand is left out.

    Raises:
        ValueError: the rows cannot be cut evenly.
    """
    if parts == 1:
        return [batch]

    def cut(leaf):
        rows = leaf.shape[0]
        if rows is not None and rows % parts:
            raise ValueError(
                f"a batch of {rows} rows cannot be cut into {parts} equal parts: "
                f"this model takes {parts} parts a step, so use a multiple of {parts}"
            )
        if rows is None:  # the last batch of some may be smaller
            whole = tf.shape(leaf)[0] // parts
            told = f"a batch has fewer rows than the {parts} parts that this model takes a step"
            with tf.control_dependencies([tf.debugging.assert_positive(whole, told)]):
                leaf = leaf[: whole * parts]
        leaf = tf.reshape(leaf, tf.concat([[-1, parts], tf.shape(leaf)[1:]], axis=0))
        return tf.unstack(leaf, parts, axis=1)

    leaves = [cut(leaf) for leaf in tf.nest.flatten(batch)]
    return [tf.nest.pack_sequence_as(batch, part) for part in zip(*leaves, strict=True)]
