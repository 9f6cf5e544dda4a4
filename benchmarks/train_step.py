"""What the one train step costs: `fit` against the same networks in a hand-written loop.

    python benchmarks/train_step.py

Prints seconds a step (the least of several rounds, taken in turns) and ratios to the
hand-written `tf.function` loop: a DCGAN (28 x 28, batch 64) and a VAE (784-400-20, batch 128), on
random numbers. PyTorch's eager step stands beside them where torch is installed.
"""

import argparse
import contextlib
import importlib.util
import os
import pathlib
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import zoo
from tfgen.data import load

GIVEN = {
    "dcgan": {"width": 64, "batch_size": 64},
    "vae": {"hidden": 400, "batch_size": 128},
}


class Images:
    """Rows of noise in the place of a data set: the cost of a step does not depend on them."""

    def __init__(self, rows):
        digits = load("digits", image_size=28)
        self.name, self.element, self.classes = "noise", digits.element, ()
        self.gray_share = 0.0  # VAE would tell of it
        self.rows = np.random.default_rng(0).uniform(-1, 1, [rows, 28, 28, 1]).astype("float32")

    def steps_per_epoch(self, rows):
        return 1

    def batches(self, rows, seed=0, start=0):
        return tf.data.Dataset.from_tensors(tf.constant(self.rows[:rows])).repeat().prefetch(2)


def stage_of(name):
    keras.utils.set_random_seed(0)
    return next(zoo.find(name).function(Images(256), **GIVEN[name]))


def under_fit(name, steps, together, policy="float32"):
    """Seconds a step of `model.fit`, as a function to call again and again."""
    keras.config.set_dtype_policy(policy)
    stage = stage_of(name)
    model = stage.compile(steps_per_execution=together)
    keras.config.set_dtype_policy("float32")
    batches = stage.batches()

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.times.append(time.perf_counter())

    clock = Clock()

    def run():
        # The first call opens the iterator, which is not what a step costs.
        clock.times = []
        count = steps + together
        model.fit(batches, steps_per_epoch=count, shuffle=False, verbose=0, callbacks=[clock])
        return (clock.times[-1] - clock.times[0]) / steps

    return run


def by_hand(name, steps):
    """The same arithmetic without `GenerativeModel`: networks, tapes and optimizers alone."""
    stage = stage_of(name)
    model = stage.model
    images = stage.batches()
    if name == "dcgan":
        step = dcgan_step(model.generator, model.discriminator)
    else:
        step = vae_step(model.encoder, model.decoder)
    one = tf.function(step)
    iterator = iter(images)

    def run():
        one(next(iterator))
        start = time.perf_counter()
        for _ in range(steps):
            terms = one(next(iterator))
        [float(term) for term in terms]
        return (time.perf_counter() - start) / steps

    return run


def dcgan_step(generator, discriminator):
    players = {}
    for name, network in (("d", discriminator), ("g", generator)):
        players[name] = keras.optimizers.Adam(2e-4, 0.5)
        players[name].build(network.trainable_variables)

    def move(name, network, tape, loss):
        gradients = tape.gradient(loss, network.trainable_variables)
        players[name].apply_gradients(zip(gradients, network.trainable_variables, strict=True))

    def step(images):
        with tf.GradientTape() as tape:
            fakes = generator(tf.random.uniform([64, 100], -1, 1), training=True)
            reals = discriminator(images, training=True)
            fakes = discriminator(fakes, training=True)
            d_loss = tf.reduce_mean(tf.nn.softplus(-reals)) + tf.reduce_mean(tf.nn.softplus(fakes))
        move("d", discriminator, tape, d_loss)
        with tf.GradientTape() as tape:
            fakes = generator(tf.random.uniform([64, 100], -1, 1), training=True)
            g_loss = tf.reduce_mean(tf.nn.softplus(-discriminator(fakes, training=True)))
        move("g", generator, tape, g_loss)
        return d_loss, g_loss

    return step


def vae_step(encoder, decoder):
    variables = encoder.trainable_variables + decoder.trainable_variables
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(variables)

    def step(images):
        targets = tf.cast(tf.random.uniform(images.shape) < (images + 1) / 2, tf.float32)
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(encoder(targets, training=True), 2, axis=-1)
            latents = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
            logits = decoder(latents, training=True)
            cross = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
            likelihood = tf.reduce_mean(tf.reduce_sum(cross, axis=[1, 2, 3]))
            divergence = tf.exp(log_variance) + mean**2 - 1 - log_variance
            kl = tf.reduce_mean(0.5 * tf.reduce_sum(divergence, axis=-1))
            loss = likelihood + kl
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return likelihood, kl

    return step


@contextlib.contextmanager
def by_torch(name, steps):
    """PyTorch's eager step of the same shapes, in a process of its own.

    TensorFlow and PyTorch in one process end in a segmentation fault, with some of their versions.
    """
    peer = subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).with_name("torch_step.py"), name, str(steps)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run():
        print(file=peer.stdin, flush=True)
        return float(peer.stdout.readline())

    try:
        yield run
    finally:
        peer.stdin.close()
        peer.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=list(GIVEN), help="one model instead of both")
    options = parser.parse_args()
    rounds = options.rounds
    table = Table("step", "seconds", "ratio", box=None, title=f"least of {rounds} rounds")
    for name, steps in {"dcgan": 20, "vae": 200}.items():
        if options.only not in (None, name):
            continue
        runs = {
            "hand-written tf.function": by_hand(name, steps),
            "fit, 10 steps together": under_fit(name, steps, 10),
            "fit, step by step": under_fit(name, steps, 1),
            "fit, mixed_bfloat16": under_fit(name, steps, 10, "mixed_bfloat16"),
        }
        with contextlib.ExitStack() as stack:
            if importlib.util.find_spec("torch"):
                runs["PyTorch, eager"] = stack.enter_context(by_torch(name, steps))
            else:
                Console(stderr=True).print("torch is not installed: its row is left out")
            for run in runs.values():
                run()
            least = dict.fromkeys(runs, float("inf"))
            for _ in range(rounds):
                for label, run in runs.items():
                    least[label] = min(least[label], run())
        for label, seconds in least.items():
            ratio = seconds / least["hand-written tf.function"]
            table.add_row(f"{name}: {label}", f"{seconds:.4f}", f"{ratio:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
