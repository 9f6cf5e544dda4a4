"""How well translations are learnt where the truth is known, from pairs and without.

    python benchmarks/translation.py

Trains pix2pix on the embedded `digit_pairs` and CycleGAN on `digit_unpaired`, and prints, over all
179 test images, mean absolute errors of images in [-1, 1]: against the true rendering (A -> B) and
the true digit (B -> A), of the way there and back, and of what should stay as it is. Beside them
stand the errors of doing nothing and of the mean training image of the target. A grid of each model
is written to its run. Runs that are there already are only measured.

    python benchmarks/translation.py --facades PATH

Both on facades at 64 pixels: PATH is the folder of the paired set (train/, test/, photo left and
labels right), the unpaired set is `cycle_gan/facades` of TensorFlow Datasets. There the truth is
one of many, so L1 only orders them. `--epochs` shortens either, for a look.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from rich.console import Console
from rich.table import Table

import zoo
from tfgen import figures, metrics
from tfgen.data import load
from tfgen.metrics.evaluation import Measurement
from tfgen.runs import opening, recipes, training

DIGITS = {
    "pix2pix": ("digit_pairs", None, {"width": 16, "jitter": 1.0, "batch_size": 16, "epochs": 12}),
    "cyclegan": (
        "digit_unpaired",
        None,
        {"width": 16, "blocks": 3, "jitter": 1.0, "batch_size": 4, "epochs": 12},
    ),
}
FACADES = {
    "pix2pix": (None, 64, {"width": 32, "direction": "b2a", "batch_size": 1, "epochs": 15}),
    "cyclegan": (
        "tfds:cycle_gan/facades",
        64,
        {"width": 24, "blocks": 4, "batch_size": 1, "epochs": 6},
    ),
}
SHOWN = 8  # rows of a grid


def distance(left, right):
    """The mean absolute error, and its standard error over the rows."""
    rows = metrics.l1(left, right)
    return f"{rows.mean():.4f} ± {rows.std() / np.sqrt(len(rows)):.4f}"


def measure(model, pairs):
    """`{what: error}` on the test rows of paired data, for the directions that the model has."""
    measurement, errors = Measurement(pairs, model), {}
    for way, name in measurement.directions.items():
        here, there = way.upper().split("_TO_")
        rows, truth = measurement.inputs(name)["images"], measurement.truth(name)
        mean = measurement.truth(name, "train").mean(axis=0)
        found = measurement.answer(name)
        errors[f"{here} -> {there}, to the truth"] = distance(found, truth)
        errors[f"{here} -> {there}, doing nothing"] = distance(rows, truth)
        errors[f"{here} -> {there}, the mean image"] = distance(
            np.broadcast_to(mean, truth.shape), truth
        )
        for other in set(measurement.directions.values()) - {name}:
            cycle = measurement.answer(other, images=found)
            errors[f"{here} -> {there} -> {here}, cycle"] = distance(cycle, rows)
            same = measurement.answer(name, images=truth)
            errors[f"{there} -> {there}, identity"] = distance(same, truth)
    return errors


def draw(model, pairs, path):
    """A column each: A, A -> B, A -> B -> A, the true B; with B as the input, the other way."""
    measurement = Measurement(pairs, model, count=SHOWN)
    for name in measurement.directions.values():
        columns = [measurement.inputs(name)["images"], measurement.answer(name)]
        for other in set(measurement.directions.values()) - {name}:
            columns.append(measurement.answer(other, images=columns[1]))
        columns.append(measurement.truth(name))
        figures.save(figures.columns(columns), path / f"{name}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"))
    parser.add_argument("--facades", metavar="PATH", help="the folder of the paired facades")
    parser.add_argument("--models", default="pix2pix,cyclegan")
    parser.add_argument("--epochs", type=int, help="instead of the benchmark's own")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console, task = Console(), "facades" if options.facades else "digits"
    paired = f"pairs:{options.facades}" if options.facades else "digit_pairs"
    results = {}
    for model_name in options.models.split(","):
        name, size, given = (FACADES if options.facades else DIGITS)[model_name]
        given = given | ({"epochs": options.epochs} if options.epochs else {})
        run = options.runs / f"{model_name}-{task}"
        setup = recipes.Setup(name or paired, size, options.seed)
        start = time.perf_counter()
        training.train(zoo.find(model_name), run, given, setup, verbose=2)
        seconds = time.perf_counter() - start
        console.print(
            f"{model_name}, {given}, seed {options.seed}, {os.cpu_count()} cores: {seconds:.0f} s"
        )
        model, data = opening.open_run(run, zoo.find)
        pairs = data if data.paired else load(paired, size)  # those of pix2pix as it turns them
        results[model_name] = measure(model, pairs)
        draw(model, pairs, run)
    table = Table("mean absolute error", *results, title=f"{task}, test images in [-1, 1]")
    for row in dict.fromkeys(key for errors in results.values() for key in errors):
        table.add_row(row, *(errors.get(row, "") for errors in results.values()))
    console.print(table)


if __name__ == "__main__":
    main()
