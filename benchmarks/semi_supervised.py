"""What unlabelled images are worth to a classifier that knows 100 labels.

    python benchmarks/semi_supervised.py

Trains `semi_supervised_gan` with the paper's dense networks on MNIST, 100 images labelled, and its
discriminator's network alone on the same 100 images, for as many steps. Prints the errors of both
on the 10,000 test images, for each choice of the 100, and their means. Runs that are there are only
measured. The paper trains for 300 epochs and reports 93 +- 6.5 wrong test images, 0.93% (table 1).
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import numpy as np
from rich.console import Console

import zoo
from tfgen import load, metrics
from tfgen.model import minimize
from tfgen.runs import opening, recipes, training
from zoo.adversarial.semi_supervised_gan import SemiSupervisedGAN

DATA, LABELLED, BATCH, RATE = "mnist", 100, 100, 3e-3


def error(model, data):
    """The share in percent of test images whose most probable class is not their label."""
    (found,) = metrics.evaluate_model(model, data, ["classification_accuracy"]).results
    return 100 * (1 - found.value)


class Alone(SemiSupervisedGAN):
    """The classifier without a game: it sees the labelled images and no others."""

    @property
    def objectives(self):
        return {"classifier": minimize(self.class_loss, self.discriminator)}


def supervised(data, seed, given):
    """The same network with the same labels, optimizer and number of steps."""
    keras.utils.set_random_seed(seed)
    stage = next(zoo.find("semi_supervised_gan").function(data, **given))
    game = stage.model
    model = Alone(game.generator, game.discriminator, game.element, game.known)
    stage = stage._replace(model=model)
    stage.compile(seed=seed, steps_per_execution=stage.steps_per_execution)
    model.fit(
        stage.batches(seed),
        epochs=stage.epochs,
        steps_per_epoch=stage.steps_per_epoch,
        shuffle=False,
        verbose=0,
    )
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/semi_supervised"))
    parser.add_argument("--seeds", type=int, default=1, help="choices of the 100 images")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    console, data, found = Console(), load(DATA), []
    for seed in range(1, options.seeds + 1):
        given = {"network": "dense", "labelled": LABELLED, "labels_seed": seed, "batch_size": BATCH}
        given |= {"learning_rate": RATE, "epochs": options.epochs}
        run, start = options.runs / f"seed_{seed}", time.perf_counter()
        setup = recipes.Setup(DATA, seed=seed)
        training.train(zoo.find("semi_supervised_gan"), run, given, setup, verbose=2)
        seconds = time.perf_counter() - start
        model, _ = opening.open_run(run, zoo.find)
        alone = supervised(data, seed, given)
        found.append((error(model, data), error(alone, data)))
        console.print(
            f"images of seed {seed}: {found[-1][0]:.2f}% wrong with, {found[-1][1]:.2f}% without "
            f"unlabelled images, {options.epochs} epochs, {seconds:.0f} s of training"
        )
    console.print("mean: {:.2f}% and {:.2f}%".format(*np.mean(found, axis=0)))


if __name__ == "__main__":
    main()
