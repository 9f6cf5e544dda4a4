"""Learning rates as functions of the step."""

import keras


@keras.saving.register_keras_serializable("tfgen")
class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """`rate` for the first half of `steps`, then down to 0 by a line (Zhu et al., 2017)."""

    def __init__(self, rate, steps):
        super().__init__()
        self.rate, self.steps = rate, steps

    def __call__(self, step):
        passed = keras.ops.cast(step, "float32") / self.steps
        return self.rate * keras.ops.clip(2.0 * (1.0 - passed), 0.0, 1.0)

    def get_config(self):
        return {"rate": self.rate, "steps": self.steps}
