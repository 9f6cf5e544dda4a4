"""The one train step: a model says what is minimized or updated, and this loop plays it."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen import random
from tfgen.endpoint import check_names, save
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


class GenerativeModel(keras.Model):
    """A `keras.Model` whose `objectives` say which loss trains which networks, or what is updated.

    A child builds its networks from `keras.Input`, hands them to `__init__`, and defines
    `objectives`, `endpoints` and `call`, its natural forward pass. Everything of Keras then works:
    `compile`, `fit`, `evaluate`, callbacks, strategies, precision policies.

    Attributes:
        step: int32 scalar variable, the train steps taken so far.
        optimizers: `{objective: optimizer}`, after `compile`.
        means: `{"objective/term": keras.metrics.Mean}` of the terms seen so far.
        if_diverged: what helps if a term is no longer finite, a clause; "" where nothing is known.
    """

    if_diverged = ""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.step = keras.Variable(
            0, dtype="int32", trainable=False, name="step", aggregation="only_first_replica"
        )
        self.optimizers, self.means, self._seed = {}, {}, 0
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
        self._seed, self.optimizers = seed, {}
        for name, objective in objectives.items():
            own = keras.optimizers.get(optimizer[name])
            if keras.config.dtype_policy().compute_dtype == "float16":
                own = keras.optimizers.LossScaleOptimizer(own)
            own.build(objective.variables)
            self.optimizers[name] = own
        variables = {name: objective.variables for name, objective in objectives.items()}
        joint = JointOptimizer(self.optimizers, variables)
        super().compile(optimizer=joint, auto_scale_loss=False, **kwargs)

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
        parts = split(without_missing(batch), self.updates_per_step)
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
        terms, turn = {}, tf.cast(self._evaluated.result(), tf.int32)
        with random.place(self._seed, turn, testing=True):
            for name, objective in self.objectives.items():
                values = self._evaluated_terms(objective, without_missing(batch))
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
            with tf.init_scope():
                self.means[name] = keras.metrics.Mean(name)
        return self.means[name]

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


def split(batch, parts):
    """Cuts a batch, a tensor or a structure of them, into equal parts.

    Part k has the rows k, k + parts, k + 2 parts, ...: so the parts that two replicas cut from
    their halves are the halves of the parts that one would cut from the whole.

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
        leaf = tf.reshape(leaf, tf.concat([[-1, parts], tf.shape(leaf)[1:]], axis=0))
        return tf.unstack(leaf, parts, axis=1)

    leaves = [cut(leaf) for leaf in tf.nest.flatten(batch)]
    return [tf.nest.pack_sequence_as(batch, part) for part in zip(*leaves, strict=True)]
