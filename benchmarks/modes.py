"""How many modes of a mixture adversarial models find, and how well.

    python benchmarks/modes.py

Trains each model of `zoo/adversarial` and `zoo/inference` that takes points, and the plain GAN with
each remedy, on a ring of 8 Gaussians and a grid of 25. All have the same two hidden layers of 128
units, latents, rate, batches and number of steps, but for ALI, which has the networks, latents and
rate of its authors' experiment, and are trained from several seeds. Counts as in
VEEGAN (Srivastava et al., 2017, arXiv:1705.07761, section 4.1): of 2,500 samples those are of
high quality that are within 3 deviations of the nearest mode, and a mode is found if it is the
nearest to at least one of these.

Prints the medians over the seeds. Writes `modes.csv`, and for each mixture a figure as figure 2 of
Metz et al. (2017, arXiv:1611.02163): the samples of seed 0 over time, a row a method, the data at
the end.
"""

import argparse
import concurrent.futures
import csv
import functools
import multiprocessing
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
from tfgen import load, metrics, random
from tfgen.data.synthetic import mixture
from tfgen.errors import InputError
from tfgen.files import replacing
from tfgen.objectives import stabilisation
from zoo.adversarial.f_gan import DIVERGENCES
from zoo.adversarial.gan import GAN

SAMPLES = 2_500
# For all: what the comparison is not about. Of the optimizers each keeps its kind and its betas.
SHARED = {"latent_dim": 32, "batch_size": 64, "learning_rate": 2e-3}
# The discriminator's, in the game that collapses: the generator outruns it (Metz et al., 2017).
SLOW = 4e-4
NEUTRAL = SHARED | {"network": "neutral"}
OWN = {
    "gan": {"gan": NEUTRAL, "minimax gan": NEUTRAL | {"loss": "minimax"}},
    "dragan": {"dragan": {}, "dragan weight=0.1": {"weight": 0.1}},
    # Of its divergences, "gan" is the plain GAN.
    "f_gan": {f"f_gan {name}": {"divergence": name} for name in DIVERGENCES if name != "gan"},
    # `Game` plays the first stage only.
    "gogan": {"gogan, first member": {}},
    "unrolled_gan": {
        f"unrolled_gan k={k}": {"k": k, "discriminator_rate": SLOW} for k in (0, 1, 5)
    },
    "minibatch_gan": {"minibatch_gan": {"kernels": 16}},
    "semi_supervised_gan": {"semi_supervised_gan": {"labelled": 200}},
    "bigan": {"bigan": {"hidden": 128}},
    "ali": {"ali": {"latent_dim": 2, "learning_rate": 1e-4, "beta_1": 0.8}},  # its paper's
}


def methods():
    """`{label: function of data that yields stages}` of all that can be compared.

    First those of which both players learn equally fast, then, marked "slow D", some whose
    discriminator does not keep up; `unrolled_gan k=0` is the plain one of these.
    """
    found = {}
    for name, path in zoo.paths().items():
        if path.parent.name in ("adversarial", "inference"):
            recipe = zoo.find(name)
            shared = {key: SHARED[key] for key in SHARED if key in recipe.settings({})}
            for label, own in OWN.get(name, {name: {}}).items():
                found[label] = functools.partial(recipe.function, **(shared | own))
    for label, change in REMEDIES.items():
        found[f"gan, {label}"] = functools.partial(changed, found["gan"], change)
    for name in ("minibatch_gan", "sngan", "wgan_gp"):
        found[f"{name}, slow D"] = functools.partial(slowed, found[name])
    return found


def changed(function, change, data):
    """The stages of a GAN with a remedy, a function of the model."""
    for stage in function(data):
        yield stage._replace(model=change(stage.model))


def one_sided(model):
    model.adversarial = stabilisation.one_sided(model.adversarial)
    return model


def noisy(model):
    model.adversarial = stabilisation.noisy(model.adversarial)
    return model


def spherical(model):
    draw = model.latents
    model.latents = lambda seeds: stabilisation.on_sphere(draw(seeds))
    return model


class InstanceNoise(GAN):
    """A GAN whose discriminator sees all points blurred, less so from step to step."""

    def __init__(self, model):
        super().__init__(model.generator, model.discriminator, model.element, model.adversarial)

    def blurred(self, points):
        deviation = stabilisation.falling(0.5, self.step.value, 2_000)
        return self.discriminator(stabilisation.instance_noise(points, deviation))

    def discriminator_loss(self, reals):
        fakes = self.sample(random.fresh(reals))
        return self.adversarial.discriminator(self.blurred(reals), self.blurred(fakes))

    def generator_loss(self, reals):
        return self.adversarial.generator(self.blurred(self.sample(random.fresh(reals))))


REMEDIES = {
    "one-sided labels": one_sided,
    "noisy labels": noisy,
    "spherical z": spherical,
    "instance noise": InstanceNoise,
}


def slowed(function, data):
    """The stages with a discriminator that learns a fifth as fast as the generator."""
    for stage in function(data):
        rates = {"discriminator": SLOW, "generator": SHARED["learning_rate"]}
        kind, config = type(stage.optimizer), stage.optimizer.get_config()
        yield stage._replace(
            optimizer={
                player: kind.from_config(config | {"learning_rate": rate})
                for player, rate in rates.items()
            }
        )


class Game:
    """A stage that is compiled once and played with several seeds: tracing takes longer."""

    def __init__(self, make, data):
        self.make, self.data = make, data
        self.stage = self.fresh(0)
        self.stage.model.steps_per_execution = self.stage.steps_per_execution
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


def measure(data_name, label, seeds, steps, looks):
    """A method from all seeds: what it found, the samples of seed 0, and the seconds.

    Returns:
        `([(modes, quality) of each seed], [points of each look], seconds)`; or a text that says why
        the method takes no points.
    """
    start = time.perf_counter()
    data, mix = load(data_name), mixture(data_name)
    try:
        game = Game(methods()[label], data)
    except InputError as error:
        return str(error)
    runs = [game.play(seed, steps, looks) for seed in range(seeds)]
    keras.backend.clear_session()
    return [count(run[-1], mix) for run in runs], runs[0], time.perf_counter() - start


def count(points, mix):
    """Modes and share of high quality; none of a model that diverged."""
    return metrics.modes(points, mix) if np.isfinite(points).all() else (0, 0.0)


def one_thread():
    """The networks are small: a core does more for a second method than for the same one."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="*", help="names as in the table; all")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/modes"))
    parser.add_argument("--data", nargs="*", default=["ring", "grid25"])
    parser.add_argument("--steps", type=int, default=4_000, help="updates of the generator")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--looks", type=int, default=8, help="pictures of a row")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="methods at a time")
    options = parser.parse_args()
    console, results = Console(), []
    labels = options.models or list(methods())
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(options.workers, spawn, one_thread) as pool:
        jobs = {
            (name, label): pool.submit(
                measure, name, label, options.seeds, options.steps, options.looks
            )
            for name in options.data
            for label in labels
        }
        rows = {name: {} for name in options.data}
        for (name, label), job in jobs.items():
            answer = job.result()
            if isinstance(answer, str):
                console.print(f"{label} takes no points: {answer}", soft_wrap=True)
                continue
            found, rows[name][label], seconds = answer
            modes, quality = np.median(found, axis=0) * (1, 100)
            results.append([name, label, modes, quality, *(f[0] for f in found), round(seconds)])
            console.print(
                f"{name} {label}: {modes:g} modes {[f[0] for f in found]}, "
                f"{quality:.1f}% of high quality, {seconds:.0f} s",
                soft_wrap=True,
            )
    for name, found in rows.items():
        show(found, mixture(name), options.looks, options.out / f"{name}.png")
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
