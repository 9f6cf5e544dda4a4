"""How well a VAE knows MNIST: train it, then bound the log-likelihood of test images.

    python benchmarks/likelihood.py

Prints the importance-weighted bound (Burda et al., 2016) with 500 samples on the first 1,000 test
images, each binarized once by coins of its gray levels (Salakhutdinov and Murray, 2008) from the
seeds 0 to 999, and the ELBO on the same. A run that is there already is only measured.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from rich.console import Console

import zoo
from tfgen import training

GIVEN = {"latent_dim": 50, "hidden": 500, "layers": 2, "epochs": 60}


def nats(model, images, samples, rows=100):
    """Mean of -log p(x), bounded by the model's `importance_bound`, and its standard error."""

    @tf.function
    def bound(images, seeds):
        return model.importance_bound(model.targets(images, seeds), seeds + 10_000, samples)

    portions = [
        -bound(images[i : i + rows], tf.range(i, i + rows)).numpy()
        for i in range(0, len(images), rows)
    ]
    values = np.concatenate(portions)
    return values.mean(), values.std() / np.sqrt(len(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=pathlib.Path, default=pathlib.Path("runs/vae-mnist"))
    parser.add_argument("--samples", type=int, default=500)
    options = parser.parse_args()
    console, setup = Console(), training.Setup("mnist")
    start = time.perf_counter()
    training.train(zoo.find("vae"), options.run, GIVEN, setup, verbose=2)
    console.print(f"trained, seed 0, {os.cpu_count()} cores: {time.perf_counter() - start:.0f} s")
    model, data = training.open_run(options.run, zoo.find)
    images = tf.stack(list(data.test.take(1000)))
    for samples in (1, options.samples):
        mean, error = nats(model, images, samples)
        console.print(f"bound with {samples} samples: {mean:.2f} ± {error:.2f} nats")


if __name__ == "__main__":
    main()
