"""Log-likelihoods of a trained Boltzmann machine, its partition function estimated.

    python benchmarks/energy.py runs/rbm-mnist

Prints log Z by annealed importance sampling with three standard errors, and the mean log p of test
and training images in nats, stochastically binarized with the seeds 0, 1, 2, ... log Z is too small
on average, so these are rather too large than too small.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import zoo
from tfgen.data.levels import binarize
from tfgen.runs import opening


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--chains", type=int, default=100)
    parser.add_argument("--temperatures", type=int, default=10_000)
    options = parser.parse_args()
    model, data = opening.open_run(options.run, zoo.find)
    began = time.monotonic()
    log_z, logs = model.log_partition(tf.range(options.chains), options.temperatures)
    log_z, weights = float(log_z), np.exp(logs - np.max(logs))
    error = weights.std(ddof=1) / weights.mean() / len(weights) ** 0.5
    seconds = time.monotonic() - began
    print(f"log Z {log_z:.2f} ± {3 * error:.2f} (three standard errors), {seconds:.0f} s")
    for split in ("test", "train"):
        rows = data.rows(split, 10_000)
        pixels = binarize(rows, tf.range(len(rows))) * 2.0 - 1.0
        log_probs = -np.array(model.free_energy(pixels), "float64") - log_z
        spread = log_probs.std(ddof=1) / len(rows) ** 0.5
        print(f"{split}: {log_probs.mean():.2f} ± {spread:.2f} nats, {len(rows)} images")


if __name__ == "__main__":
    main()
