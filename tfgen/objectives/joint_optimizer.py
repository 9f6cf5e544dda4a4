"""The optimizers of all objectives, as the one that Keras' callbacks know."""

import keras

from tfgen.errors import InputError


class JointOptimizer(keras.optimizers.Optimizer):
    """What callbacks see as `model.optimizer`.

    Its learning rate is that of the first objective whose rate is not 0. Whoever changes it, by
    `assign`, by setting it or by a callback, changes all by the same factor, so that two time
    scales keep their ratio, through 0 and back as well. `model.optimizers[name].learning_rate`
    changes one alone, and so the ratio.

    Args:
        parts: `{objective: optimizer}`, built. (Keras' callbacks take an attribute `optimizers`
            for optimizers whose rates have nothing to do with each other.)
        variables: `{objective: variables}`, those that each was built for.

    Attributes:
        ratios: `{objective: float}`, of each rate to the joint one.
    """

    def __init__(self, parts, variables):
        super().__init__(learning_rate=0.0, name="joint")
        self.parts, self.built, self.hold = parts, True, False
        self._averages = []
        for name, part in parts.items():
            own = getattr(part, "inner_optimizer", part)
            if own.use_ema:
                averages = [v for v in own.variables if v.name.endswith("_average")]
                self._averages += zip(averages, variables[name], strict=True)
        if self._averages:
            # By these names Keras' `SwapEMAWeights` finds them.
            self._model_variables_moving_average, self._trainable_variables = zip(
                *self._averages, strict=True
            )
        rates = {name: _settable(part) for name, part in parts.items()}
        moving = [name for name, rate in rates.items() if rate is None or rate.numpy()]
        first = next(iter([*moving, *parts]), None)
        self.ratios = {name: float(name == first or not moving) for name in parts}
        self._measure()
        self._rate = Rate(self._set)

    @property
    def _first(self):
        return next(name for name, ratio in self.ratios.items() if ratio == 1.0)

    @property
    def learning_rate(self):
        """A variable; the value of now where the first objective follows a schedule.

        Raises:
            InputError: where it is set: an objective follows a schedule, or this is a schedule.
        """
        if not self.parts:
            return self._learning_rate
        first = self.parts[self._first]
        if _settable(first) is None:
            return first.learning_rate
        self._rate.show(first.learning_rate)
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._set(value)

    def _set(self, value):
        if callable(value):
            raise InputError("a learning rate that follows a schedule is set by model.compile")
        scheduled = [name for name, part in self.parts.items() if _settable(part) is None]
        if scheduled:
            raise InputError(
                f"the learning rate of {' and '.join(scheduled)} follows a schedule: compile the "
                "model with a number, as in model.compile(keras.optimizers.Adam(1e-4)), to set it"
            )
        self._measure()
        for name, part in self.parts.items():
            part.learning_rate = float(value) * self.ratios[name]

    def _measure(self):
        """Takes the ratios from the rates, where these tell them."""
        rates = {name: _settable(part) for name, part in self.parts.items()}
        first = rates[self._first] if rates else None
        if first is not None and first.numpy():
            for name, rate in rates.items():
                if rate is not None:
                    self.ratios[name] = float(rate.numpy()) / float(first.numpy())

    @property
    def iterations(self):
        return self.parts[self._first].iterations if self.parts else self._iterations

    @property
    def variables(self):
        return [v for part in self.parts.values() for v in part.variables]

    def build(self, variables):
        """Nothing to do: each optimizer is built for its own variables."""

    def save_own_variables(self, store):
        """Nothing to do, as for loading: Keras saves the parts as such."""

    def load_own_variables(self, store):
        pass

    def finalize_variable_values(self, variables):
        """Puts the moving averages into the weights, where an optimizer keeps them.

        `fit` calls this when it ends; who calls `fit` for a piece of a run sets `hold`.
        """
        if not self.hold:
            for average, variable in self._averages:
                variable.assign(average)

    def swap(self):
        """Exchanges the weights and their moving averages; a second call undoes the first."""
        for average, variable in self._averages:
            value = keras.ops.convert_to_numpy(variable)
            variable.assign(average)
            average.assign(value)


class Rate(keras.Variable):
    """A learning rate that stands for several.

    Args:
        set_all: sets them, a function of the joint rate.
    """

    def __init__(self, set_all):
        super().__init__(0.0, dtype="float32", trainable=False, name="learning_rate")
        self._set_all = set_all

    def assign(self, value):
        self._set_all(value)
        return super().assign(value)

    def show(self, value):
        """Takes the value of the first."""
        super().assign(value)


def _settable(optimizer):
    """The learning rate of an optimizer as a variable; None where it follows a schedule."""
    rate = optimizer.learning_rate
    return rate if isinstance(rate, keras.Variable) else None
