"""Log-densities of test rows under the models of zoo/density, side by side.

    python benchmarks/density.py --data ring
    python benchmarks/density.py --data digits --models gaussian gmm --set ridge=1e-3

Trains each model on the data and prints, as a Markdown table, the mean log-density of the test rows
in nats with its standard error, that of the training rows, and the seconds that `tfgen.train` took.
Where the data are drawn from a known mixture, the mixture's own density comes first: nothing can be
better on average. Numbers of images are densities of values in [-1, 1].
"""

import argparse
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import numpy as np
import tensorflow_probability as tfp
from rich.console import Console

import zoo
from export.card import table
from tfgen import load
from tfgen.data import synthetic
from tfgen.runs import recipes, training

tfd = tfp.distributions
FAMILY = [name for name in zoo.paths() if zoo.locate(name).parent.name == "density"]
PLANE = ("ring", "grid25")  # mixtures that fill their space


def mean(log_prob, rows, portion=1000):
    """The mean over rows and its standard error."""
    parts = [log_prob(rows[i : i + portion]) for i in range(0, len(rows), portion)]
    values = np.concatenate(parts).astype("float64")
    return f"{values.mean():.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def truth(name):
    """The log-density that points were drawn from."""
    source = synthetic.mixture(name)
    components = tfd.MultivariateNormalDiag(
        source.centres, source.deviation * np.ones_like(source.centres)
    )
    weights = tfd.Categorical(logits=np.zeros(len(source.centres), "float32"))
    return tfd.MixtureSameFamily(weights, components).log_prob


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", default="ring")
    parser.add_argument("--models", nargs="+", default=FAMILY, choices=FAMILY)
    parser.add_argument("--set", nargs="*", default=[], help="key=value, for recipes that have it")
    parser.add_argument("--runs", type=pathlib.Path, help="where runs stay; none by default")
    options = parser.parse_args()
    data, rows = load(options.data), []
    given = dict(pair.split("=") for pair in options.set)
    if options.data in PLANE:
        log_prob = truth(options.data)
        rows.append(("the truth", *(mean(log_prob, data.rows(s)) for s in ("test", "train")), ""))
    for name in options.models:
        recipe = zoo.find(name)
        own = {key: value for key, value in given.items() if key in recipe.settings({})}
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            run = (options.runs or pathlib.Path(folder)) / f"{name}-{options.data}"
            model = training.train(recipe, run, own, recipes.Setup(options.data), verbose=0)
            seconds = time.monotonic() - began
        command = " ".join([name, *(f"{key}={value}" for key, value in own.items())])
        numbers = (mean(model.log_prob, data.rows(split)) for split in ("test", "train"))
        rows.append((f"`{command}`", *numbers, f"{seconds:.0f}"))
    heads = ("model", "nats, test", "nats, training", "seconds")
    Console(width=200).print(table(heads, rows), markup=False, highlight=False)


if __name__ == "__main__":
    main()
