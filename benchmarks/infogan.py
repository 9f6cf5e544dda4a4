"""How well InfoGAN's category finds the digits without a label, over several seeds.

    python benchmarks/infogan.py

Trains InfoGAN on the images of MNIST, three times. The recognition network then sorts the 10,000
test images into categories, which are matched one to one with the digits so that most agree
(Hungarian algorithm); the accuracy is the share that agrees. Beside it stands k-means with 10
clusters on the pixels of the training images, matched in the same way. For each seed the figures
`code_0.png` (category), `code_1.png` and `code_2.png` (continuous codes) go to its run. Runs that
are there are only measured.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import numpy as np
import tensorflow as tf
from rich.console import Console
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

import zoo
from tfgen import figures, load
from tfgen.latents.traversal import codes, traverse
from tfgen.runs import opening, recipes, training

DATA = "mnist"


def matched(clusters, labels, count=10):
    """The share in percent of rows whose cluster is the one matched with their label."""
    table = np.zeros([count, count], int)
    np.add.at(table, (clusters, labels), 1)
    rows, columns = linear_sum_assignment(-table)
    return 100 * table[rows, columns].sum() / len(labels)


def k_means(data):
    images, labels = data.labelled.batch("test")
    flat = [rows.reshape(len(rows), -1) for rows in (data.rows("train", 10_000), images)]
    found = KMeans(10, n_init=10, random_state=0).fit(flat[0])
    return matched(found.predict(flat[1]), labels)


def categories(model, images, portion=500):
    """The most probable category of each image."""
    run = tf.function(lambda rows: tf.argmax(model.recognize(rows)[0], axis=1), autograph=False)
    portions = [run(images[i : i + portion]).numpy() for i in range(0, len(images), portion)]
    return np.concatenate(portions)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("settings", nargs="*", help="key=value, for the recipe")
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/infogan"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    console, data = Console(), load(DATA)
    console.print(f"k-means on pixels: {k_means(data):.2f}%")
    images, labels = data.labelled.batch("test")
    given = dict(pair.split("=") for pair in options.settings)
    found = []
    for seed in range(options.seeds):
        run, start = options.runs / f"seed_{seed}", time.perf_counter()
        training.train(zoo.find("infogan"), run, given, recipes.Setup(DATA, seed=seed), verbose=2)
        seconds = time.perf_counter() - start
        model, _ = opening.open_run(run, zoo.find)
        found.append(matched(categories(model, images), labels))
        for number, code in enumerate(codes(model)[:3]):
            figures.save(figures.table(traverse(model, code)), run / f"code_{number}.png")
        console.print(
            f"infogan {given} seed {seed}: {found[-1]:.2f}% ({seconds:.0f} s of training)"
        )
    console.print(f"mean {np.mean(found):.2f}%, deviation {np.std(found):.2f}")


if __name__ == "__main__":
    main()
