"""How many modes of a mixture adversarial models find, and how well.

    python benchmarks/modes.py

Trains each model of `zoo/adversarial` that takes points, and the plain GAN of non-saturating loss,
on a ring of 8 Gaussians and a grid of 25. All have the same two hidden layers of 128 units, and the
same latents, rate, batches and number of steps, and are trained from several seeds. Counts as in
VEEGAN (Srivastava et al., 2017, arXiv:1705.07761, section 4.1): of 2,500 samples those are of
high quality that are within 3 deviations of the nearest mode, and a mode is found if it is the
nearest to at least one of these.

Prints the medians over the seeds. Writes `modes.csv`, and for each mixture a figure as figure 2 of
Metz et al. (2017, arXiv:1611.02163): the samples of seed 0 over time, a row a method, the data at
the end.
"""

import argparse
import csv
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import zoo
from tfgen import load, losses, metrics
from tfgen.data.synthetic import mixture
from tfgen.errors import InputError
from tfgen.files import replacing
from tfgen.networks import neutral
from tfgen.training import Stage
from zoo.adversarial.gan import GAN

SAMPLES = 2_500
# For all: what the comparison is not about. Of the optimizers each keeps its kind and its betas.
SHARED = {"latent_dim": 32, "batch_size": 64, "learning_rate": 1e-3}
# Unrolling is about a discriminator that follows slowly: its rate is a fifth of the generator's.
SLOW = {"learning_rate": 2e-3, "discriminator_rate": 4e-4}
OWN = {
    "unrolled_gan": [{"k": k} for k in (0, 1, 5)],
    "minibatch_gan": [{"kernels": 16}],
    "semi_supervised_gan": [{"labelled": 200}],
}


def plain(data, latent_dim, batch_size, learning_rate):
    """The GAN of non-saturating loss on the neutral networks."""
    model = GAN(
        neutral.generator(latent_dim, data.element),
        neutral.discriminator(data.element),
        data.element,
        losses.non_saturating,
    )
    optimizer = keras.optimizers.Adam(learning_rate, 0.5)
    yield Stage(model, data, optimizer, batch_size, 1, together=10)


def methods():
    """`{name: function of data that yields stages}` of all that can be compared."""
    found = {"gan": (plain, SHARED)}
    for name, path in zoo.paths().items():
        if path.parent.name != "adversarial" or name == "gan":
            continue
        recipe = zoo.find(name)
        known = {key: value for key, value in SHARED.items() if key in recipe.settings({})}
        for own in OWN.get(name, [{}]):
            label = f"{name} k={own['k']}" if "k" in own else name
            slow = SLOW if "discriminator_rate" in recipe.settings({}) else {}
            found[label] = (recipe.function, known | slow | own)
    return found


class Game:
    """A stage that is compiled once and played with several seeds: tracing takes longer."""

    def __init__(self, make, data):
        self.make, self.data = make, data
        self.stage = self.fresh(0)
        self.stage.model.steps_per_execution = self.stage.together
        self.draw = tf.function(self.stage.model.sample, autograph=False)

    def fresh(self, seed):
        keras.utils.set_random_seed(seed)
        stage = next(iter(self.make(self.data)))
        stage.compile()
        return stage

    def play(self, seed, steps, looks):
        """Trains anew; samples `[SAMPLES, D]` after each of `looks` equal pieces."""
        model, start = self.stage.model, self.fresh(seed).model
        for own, other in ((model, start), (model.optimizer, start.optimizer)):
            for variable, value in zip(own.variables, other.variables, strict=True):
                variable.assign(value)
        model.step.assign(seed * 1_000_000)  # the noise is a function of the step
        seen = []
        model.fit(
            self.stage.batches(seed),
            epochs=looks,
            steps_per_epoch=steps // looks,
            shuffle=False,
            verbose=0,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_epoch_end=lambda epoch, logs: seen.append(
                        self.draw(tf.range(SAMPLES)).numpy()
                    )
                )
            ],
        )
        return seen


def show(rows, mix, looks, path):
    """The picture: `{method: [points of each look]}`, and the data in the last column."""
    side = 1.5 * np.abs(mix.centres).max()
    figure = Figure(figsize=(1.1 * looks + 3.1, 1.1 * len(rows)), dpi=100)
    places = figure.subplots(len(rows), looks + 1, squeeze=False)
    figure.subplots_adjust(
        left=2.0 / (1.1 * looks + 3.1), right=1, bottom=0, top=1, wspace=0, hspace=0
    )
    truth, _ = mix.draw(1000, np.random.RandomState(0))
    for axes, (name, columns) in zip(places, rows.items(), strict=True):
        for place, points in zip(axes, [*columns, truth], strict=True):
            place.scatter(*points[:1000].T, s=1.5, linewidths=0, alpha=0.6)
            place.set(xlim=(-side, side), ylim=(-side, side), xticks=[], yticks=[])
        axes[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="*", help="names as in the table; all")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/modes"))
    parser.add_argument("--data", nargs="*", default=["ring", "grid25"])
    parser.add_argument("--steps", type=int, default=3_200, help="updates of the generator")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--looks", type=int, default=8, help="pictures of a row")
    options = parser.parse_args()
    console, results = Console(), []
    for name in options.data:
        data, mix, rows = load(name), mixture(name), {}
        for label, (function, settings) in methods().items():
            if options.models and label not in options.models:
                continue
            start = time.perf_counter()
            try:
                game = Game(lambda data, f=function, s=settings: f(data, **s), data)
            except InputError as error:
                console.print(f"{label} takes no points: {error}")
                continue
            found = []
            for seed in range(options.seeds):
                columns = game.play(seed, options.steps, options.looks)
                found.append(metrics.modes(columns[-1], mix))
                rows.setdefault(label, columns)
            modes, quality = np.median(found, axis=0) * (1, 100)
            seconds = time.perf_counter() - start
            results.append([name, label, modes, quality, *(f[0] for f in found), round(seconds)])
            console.print(
                f"{name} {label}: {modes:g} modes {[f[0] for f in found]}, "
                f"{quality:.1f}% of high quality, {seconds:.0f} s"
            )
            keras.backend.clear_session()
        show(rows, mix, options.looks, options.out / f"{name}.png")
    with replacing(options.out / "modes.csv") as path, open(path, "w", newline="") as file:
        seeds = [f"modes_{seed}" for seed in range(options.seeds)]
        csv.writer(file).writerows(
            [["data", "model", "modes", "quality", *seeds, "seconds"], *results]
        )
    table = Table("data", "model", "modes", "high quality")
    for row in results:
        table.add_row(row[0], row[1], f"{row[2]:g}", f"{row[3]:.1f}%")
    console.print(table)


if __name__ == "__main__":
    main()
