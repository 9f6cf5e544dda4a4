"""Errors of trained autoencoders, beside those of as many principal components.

    python benchmarks/reconstruction.py runs/ae-mnist

Prints the mean over test images of the squared error, summed over pixels in [0, 1], of the
autoencoder and of the principal components of the training images; of a denoising one the errors
of damaged images and of what is made of them, too.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import zoo
from tfgen.runs import opening


def error(rows, others):
    """The mean over rows of |x - y|^2, of pixels in [-1, 1] counted as in [0, 1]."""
    return float(np.square((rows - np.reshape(others, rows.shape)) / 2.0).sum() / len(rows))


def components(train, test, count):
    """Test rows on the plane of the first principal components of training rows."""
    train, test = (rows.reshape(len(rows), -1).astype("float64") for rows in (train, test))
    mean = train.mean(axis=0)
    basis = np.linalg.eigh((train - mean).T @ (train - mean))[1][:, ::-1][:, :count]
    return mean + (test - mean) @ basis @ basis.T


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path)
    model, data = opening.open_run(parser.parse_args().run, zoo.find)
    train, test = data.rows("train"), data.rows("test")
    count = model.decoder.input_shape[1]
    print(f"autoencoder, code of {count}: {error(test, model.reconstruct(test)):.2f}")
    if count < test[0].size:
        plane = components(train, test, count)
        print(f"{count} principal components: {error(test, plane):.2f}")
    if hasattr(model, "damage"):
        damaged = np.array(model.damage(test, tf.range(len(test))))
        print(f"damaged images: {error(test, damaged):.2f}")
        print(f"what is made of them: {error(test, model.reconstruct(damaged)):.2f}")


if __name__ == "__main__":
    main()
