"""Whether conditional models make the class that they are asked for.

    python benchmarks/labels.py

Trains CGAN, AC-GAN, projection GAN and CVAE on MNIST, and a classifier on the real digits that has
nothing to do with them. Prints the classifier's accuracy on the test images, and for each model how
many of 10,000 generated digits, 1,000 a class, it takes for the class that was asked for. Writes
`by_class.png` into each run: a row a class, seeds 0 to 9. Runs that are there are only measured.
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
from tfgen import figures, load
from tfgen.files import replacing
from tfgen.runs import opening, recipes, training

GIVEN = {
    "cgan": {"network": "conv", "width": 32, "epochs": 8},
    "acgan": {"generator_width": 48, "epochs": 10},
    "projection_gan": {"width": 32, "n_critic": 1, "learning_rate": 5e-4, "epochs": 5},
    "cvae": {"latent_dim": 5, "epochs": 12},
}
DATA, SEED = "mnist", 0


def judge(folder, epochs=3):
    """A classifier of real digits, `[N, 28, 28, 1]` to logits `[N, 10]`, kept in a folder."""
    path = folder / "judge.keras"
    if path.exists():
        return keras.saving.load_model(path)
    data = load(DATA)
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential(
        [
            keras.Input(data.element.shape),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(len(data.classes)),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    steps = data.steps_per_epoch(100)
    batches = data.labelled.batches(100, SEED)
    model.fit(batches, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=2)
    with replacing(path) as temporary:
        model.save(temporary)
    return model


def accuracy(classifier, images, labels):
    """The share of images `[N, 28, 28, 1]` that are taken for their label, in percent."""
    found = classifier.predict(images, batch_size=500, verbose=0).argmax(axis=1)
    return 100 * (found == labels).mean()


def measure(name, run, classifier, count=10_000):
    """Label accuracy of `count` generated images, in percent; draws `by_class.png` beside them."""
    model, data = opening.open_run(run, zoo.find)
    images, _ = opening.samples(model, count, SEED)  # the classes in turn
    classes = len(data.classes)
    images_of = [opening.samples(model, 10, SEED, label)[0] for label in range(classes)]
    figures.save(figures.grid(np.concatenate(images_of), columns=10), run / "by_class.png")
    return accuracy(classifier, images, np.arange(count) % classes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="*", default=[], help=f"of {', '.join(GIVEN)}; all")
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/labels"))
    parser.add_argument("--epochs", type=int, help="fewer than the settings of this file")
    options = parser.parse_args()
    console = Console()
    classifier = judge(options.runs)
    data = load(DATA)
    images, labels = data.labelled.batch("test")
    console.print(f"real test images: {accuracy(classifier, images, labels):.2f}% as labelled")
    for name in options.models or GIVEN:
        given = GIVEN[name] | ({"epochs": options.epochs} if options.epochs else {})
        run, start = options.runs / name, time.perf_counter()
        training.train(zoo.find(name), run, given, recipes.Setup(DATA, seed=SEED), verbose=2)
        seconds = time.perf_counter() - start
        found = measure(name, run, classifier)
        settings = " ".join(f"{key}={value}" for key, value in given.items())
        console.print(f"{name} {settings}: {found:.2f}% as asked for ({seconds:.0f} s of training)")


if __name__ == "__main__":
    main()
