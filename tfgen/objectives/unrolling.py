"""What an optimizer would do next, as a function: a gradient goes through it."""

import keras
import tensorflow as tf

from tfgen.errors import InputError


def unroll(optimizer, loss, weights, count):
    """The weights after `count` more steps of an optimizer, which itself stays where it is.

    Args:
        optimizer: a built Keras Adam, or an SGD without momentum.
        loss: from weights to a scalar, a mean over the local batch.
        weights: a list of tensors, in the order of the optimizer's variables.
        count: an int.

    Returns:
        A list of tensors, differentiable by whatever the loss depends on.

    Raises:
        InputError: another optimizer.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    replica = tf.distribute.get_replica_context()
    step, memory = _rule(optimizer)
    for turn in range(1, count + 1):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = loss(weights)
        slopes = replica.all_reduce("MEAN", tape.gradient(value, weights))
        moved = [step(turn, *row) for row in zip(weights, slopes, *memory, strict=True)]
        weights, *memory = map(list, zip(*moved, strict=True))
    return weights


def _rule(optimizer):
    """A function `(turn, weight, slope, *memory) -> (weight, *memory)`, and the memory now."""
    rate = tf.convert_to_tensor(optimizer.learning_rate)
    if isinstance(optimizer, keras.optimizers.Adam):
        beta_1, beta_2 = optimizer.beta_1, optimizer.beta_2
        before = tf.cast(optimizer.iterations.value, tf.float32)

        def adam(turn, weight, slope, mean, square):
            time = before + turn
            mean = beta_1 * mean + (1 - beta_1) * slope
            square = beta_2 * square + (1 - beta_2) * slope**2
            corrected = rate * tf.sqrt(1 - beta_2**time) / (1 - beta_1**time)
            # Epsilon within: a root has no slope at the 0 of a unit that never fired.
            return weight - corrected * mean / tf.sqrt(square + optimizer.epsilon**2), mean, square

        own = [
            [v.value for v in optimizer.variables if v.name.endswith(kind)]
            for kind in ("_momentum", "_velocity")
        ]
        return adam, own
    if isinstance(optimizer, keras.optimizers.SGD) and not optimizer.momentum:
        return lambda turn, weight, slope: (weight - rate * slope,), []
    raise InputError(f"{optimizer.name} cannot be unrolled: take Adam, or SGD without momentum")
