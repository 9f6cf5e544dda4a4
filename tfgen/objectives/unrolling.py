"""What an optimizer would do next, as a function: a gradient goes through it.

Keras' own optimizers cannot say it. With TensorFlow they move variables alone, and
`stateless_apply`, which takes tensors, is refused there. So Adam stands here a second time; a test
holds it to Keras'.
"""

import keras
import tensorflow as tf

from tfgen.errors import InputError


def unroll(optimizer, loss, weights, count):
    """The weights after `count` more steps of an optimizer, which itself stays where it is.

    Where the optimizer scales its loss, as in float16, the slopes ahead are scaled too, by an
    eighth of that: a step that overflows cannot be left out here.

    Args:
        optimizer: a built Keras Adam, or an SGD without momentum; alone or in a
            `LossScaleOptimizer`.
        loss: from weights to a scalar, a mean over the local batch.
        weights: a list of tensors, in the order of the optimizer's variables.
        count: an int.

    Returns:
        A list of tensors, differentiable by whatever the loss depends on.

    Raises:
        InputError: another optimizer, or one that also does what is not foreseen.
    """
    scale = tf.maximum(1.0, optimizer.scale_loss(tf.constant(1.0)) / 8.0)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    replica = tf.distribute.get_replica_context()
    step, memory = _rule(optimizer)
    for turn in range(1, count + 1):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = scale * loss(weights)
        slopes = replica.all_reduce("MEAN", tape.gradient(value, weights))
        moved = [
            step(turn, weight, slope / scale, *row)
            for weight, slope, *row in zip(weights, slopes, *memory, strict=True)
        ]
        weights, *memory = map(list, zip(*moved, strict=True))
    return weights


def adam(weight, slope, mean, square, time, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """One step of Adam (Kingma and Ba, 2015, arXiv:1412.6980) as a function of tensors.

    Args:
        weight, slope: tensors of one shape.
        mean, square: of the slope and of its square, as the last step gave them; zeros at first.
        time: number of the step, a float32 scalar, 1 at first.
        rate: the learning rate.

    Returns:
        `(weight, mean, square)` after the step.
    """
    mean = beta_1 * mean + (1 - beta_1) * slope
    square = beta_2 * square + (1 - beta_2) * slope**2
    corrected = rate * tf.sqrt(1 - beta_2**time) / (1 - beta_1**time)
    # Epsilon within: a root has no slope at the 0 of a unit that never fired.
    return weight - corrected * mean / tf.sqrt(square + epsilon**2), mean, square


def _rule(optimizer):
    """A function `(turn, weight, slope, *memory) -> (weight, *memory)`, and the memory now."""
    _refuse_extras(optimizer)
    rate = tf.convert_to_tensor(optimizer.learning_rate)
    if type(optimizer) is keras.optimizers.Adam:
        before = tf.cast(optimizer.iterations.value, tf.float32)
        numbers = optimizer.beta_1, optimizer.beta_2, optimizer.epsilon

        def step(turn, weight, slope, mean, square):
            return adam(weight, slope, mean, square, before + turn, rate, *numbers)

        own = [
            [v.value for v in optimizer.variables if v.name.endswith(kind)]
            for kind in ("_momentum", "_velocity")
        ]
        return step, own
    if type(optimizer) is keras.optimizers.SGD and not optimizer.momentum:
        return lambda turn, weight, slope: (weight - rate * slope,), []
    raise InputError(f"{optimizer.name} cannot be unrolled: take Adam, or SGD without momentum")


EXTRAS = (
    "amsgrad",
    "nesterov",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "gradient_accumulation_steps",
)


def _refuse_extras(optimizer):
    extras = [name for name in EXTRAS if getattr(optimizer, name, None)]
    if extras:
        raise InputError(
            f"{optimizer.name} with {', '.join(extras)} cannot be unrolled: leave that out"
        )
