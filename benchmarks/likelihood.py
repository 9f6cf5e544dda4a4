"""How well a VAE knows its data: train it, then bound the log-likelihood of test images.

    python benchmarks/likelihood.py
    python benchmarks/likelihood.py --model iwae --data digits --epochs 30 --set latent_dim=20

Prints the importance-weighted bound (Burda et al., 2016) with 500 samples on the first 1,000 test
images, each binarized once by coins of its gray levels (Salakhutdinov and Murray, 2008) from the
seeds 0 to 999, and the ELBO on the same. A run that is there already is only measured.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from rich.console import Console

import zoo
from tfgen.metrics import likelihood
from tfgen.runs import opening, recipes, training

GIVEN = {"latent_dim": 50, "hidden": 500, "layers": 2, "epochs": 60}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="vae")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--set", nargs="*", default=[], help="settings, key=value")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--run", type=pathlib.Path, help="by default runs/MODEL-DATA")
    parser.add_argument("--samples", type=int, default=500)
    options = parser.parse_args()
    console, setup = Console(), recipes.Setup(options.data)
    run = options.run or pathlib.Path("runs") / f"{options.model}-{options.data}"
    given = dict(pair.split("=", 1) for pair in options.set)
    if options.epochs:
        given["epochs"] = options.epochs
    if options.model == "vae":
        given = GIVEN | given
    start = time.perf_counter()
    training.train(zoo.find(options.model), run, given, setup, verbose=2)
    console.print(f"trained, seed 0, {os.cpu_count()} cores: {time.perf_counter() - start:.0f} s")
    model, data = opening.open_run(run, zoo.find)
    images = tf.stack(list(data.test.take(1000)))
    for samples in (1, options.samples):
        found = likelihood.bound(model, images, samples)
        console.print(f"-log p(x), {found.name}: {-found.value:.2f} ± {found.error:.2f} nats")


if __name__ == "__main__":
    main()
