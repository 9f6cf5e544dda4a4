"""What each metric sees: a ladder of known damage to real MNIST test images.

    python benchmarks/ladder.py

One half of the test images is the reference, the other half is damaged: by noise, blur, missing
classes, and copies of training images in place of new ones. Neither half has trained the
classifier whose features are used. Prints the table, and writes docs/ladder.png: each metric's
distance from its value without damage, in standard deviations over random subsets.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from tfgen import load, metrics

# What grows with damage, and what falls with it.
SIGNS = {
    "fid": 1,
    "kid": 1,
    "mmd": 1,
    "sliced_wasserstein": 1,
    "knn": 1,
    "precision": -1,
    "recall": -1,
    "density": -1,
    "coverage": -1,
    "inception_score": -1,
    "memorisation": 1,
}
RUNS = 5  # subsets, for the spread


def noise(images, labels, train, amount, random):
    return np.clip(images + amount * random.randn(*images.shape), -1, 1)


def blur(images, labels, train, amount, random):
    return ndimage.gaussian_filter(images, [0, amount, amount, 0])


def dropped(images, labels, train, amount, random):
    """The classes from 10 - amount on are replaced by images of the others."""
    kept = np.flatnonzero(labels < 10 - amount)
    places = np.where(
        labels < 10 - amount, np.arange(len(images)), random.choice(kept, len(images))
    )
    return images[places]


def copied(images, labels, train, amount, random):
    """A share of the images is replaced by training images."""
    images = images.copy()
    places = random.permutation(len(images))[: round(amount * len(images))]
    images[places] = train[random.permutation(len(train))[: len(places)]]
    return images


LADDERS = {
    "noise": (noise, "deviation, of the range [-1, 1]", (0, 0.1, 0.2, 0.4, 0.8)),
    "blur": (blur, "deviation in pixels", (0, 0.5, 0.75, 1, 1.5)),
    "dropped classes": (dropped, "classes of 10", (0, 1, 2, 5, 9)),
    "copies of training images": (copied, "share", (0, 0.25, 0.5, 0.75, 1)),
}


def measure(extractor, images, reals, train):
    """`{metric: value}` of images against features of reals and of the training images."""
    fakes = extractor(images)
    precise, near = metrics.precision_recall(reals, fakes), metrics.density_coverage(reals, fakes)
    return {
        "fid": metrics.fid(reals, fakes),
        "kid": metrics.kid(reals, fakes, 10, 500).mean,
        "mmd": metrics.mmd(reals, fakes, [8.0]),
        "sliced_wasserstein": metrics.sliced_wasserstein(reals, fakes, 128),
        "knn": metrics.knn(reals, fakes).accuracy,
        "precision": precise.precision,
        "recall": precise.recall,
        "density": near.density,
        "coverage": near.coverage,
        "inception_score": metrics.inception_score(extractor.probabilities(images)).mean,
        "memorisation": metrics.memorisation(fakes, train, reals, k=1).share,
    }


def climb(extractor, rows):
    """`{ladder: {metric: [[value of each run] of each step]}}`."""
    data = load("mnist")
    images, labels = data.labelled.batch("test")
    train = data.rows("train", 10_000)
    real, known = extractor(images), extractor(train)
    values = {name: {metric: [] for metric in SIGNS} for name in LADDERS}
    for name, (damage, _, amounts) in LADDERS.items():
        for amount in amounts:
            runs = []
            for run in range(RUNS):
                random = np.random.RandomState(run)
                order = random.permutation(len(images))[: 2 * rows]
                theirs, ours = order[:rows], order[rows:]
                made = damage(images[ours], labels[ours], train, amount, random)
                runs.append(measure(extractor, made.astype("float32"), real[theirs], known))
            for metric in SIGNS:
                values[name][metric].append([found[metric] for found in runs])
    return values


def steps_seen(values, metric):
    """Each step's distance from the first, towards damage, in deviations of the first; `[steps]`.

    Runs share their subsets from step to step, but the first step's spread is what a reader of a
    single number has to reckon with.
    """
    values = np.array(values)  # [steps, runs]
    return SIGNS[metric] * (values.mean(axis=1) - values[0].mean()) / values[0].std(ddof=1)


def picture(values, extractor, rows):
    figure = Figure(figsize=(11, 8.5), dpi=100, layout="constrained")
    axes = figure.subplots(2, 2)
    for place, (name, (_, unit, amounts)) in zip(axes.flat, LADDERS.items(), strict=True):
        for i, metric in enumerate(SIGNS):
            seen = steps_seen(values[name][metric], metric)
            style = {"linestyle": "-" if i < 5 else "--", "marker": "o" if i < 5 else "s"}
            place.plot(range(len(amounts)), seen, color=f"C{i % 10}", label=metric, **style)
        place.axhspan(-3, 3, color="0.9", zorder=0)
        place.set_yscale("symlog", linthresh=3)
        place.set_xticks(range(len(amounts)), [f"{amount:g}" for amount in amounts])
        place.set(title=name, xlabel=unit, ylabel="standard deviations towards damage")
        place.grid(alpha=0.3)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
    figure.suptitle(f"MNIST, features {extractor.name}, N={rows}; gray: within 3 deviations")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1500, help="of either side")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/ladder.png"))
    options = parser.parse_args()
    console, start = Console(width=140), time.perf_counter()
    extractor = metrics.features("classifier:mnist")
    console.print(f"{extractor.name}: {100 * extractor.accuracy:.2f}% of the test images right")
    values = climb(extractor, options.rows)
    for name, (_, unit, amounts) in LADDERS.items():
        table = Table("metric", *(f"{amount:g}" for amount in amounts), "ranked", title=name)
        table.caption = f"{unit}; mean of {RUNS} subsets"
        for metric in SIGNS:
            means = np.mean(values[name][metric], axis=1)
            seen = steps_seen(values[name][metric], metric)
            ranked = (np.diff(seen) > 0).all() and seen[-1] > 3
            table.add_row(metric, *(f"{mean:.4g}" for mean in means), "yes" if ranked else "no")
        console.print(table)
    picture(values, extractor, options.rows).savefig(options.out)
    console.print(f"{options.out}, {time.perf_counter() - start:.0f} s, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
