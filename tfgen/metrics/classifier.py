"""A small classifier trained on a data set itself: the honest features of small images.

Inception's features were learnt on photographs of 299 pixels; on digits they see what they know.
A Fréchet distance on these features is not the published FID, and is called so in its name.
"""

import json

import keras
import numpy as np

from tfgen.errors import InputError
from tfgen.metrics import cache

WIDTH = 64  # features: few, so that a covariance needs few samples
EPOCHS, STEPS, BATCH = 3, 600, 100  # epochs, but not fewer steps than these


def load(data):
    """The classifier of a `Data`, trained now or read from the cache.

    Returns:
        A Keras model, images `[N, H, W, C]` in [-1, 1] to features `[N, 64]` and probabilities
        `[N, classes]`; and its accuracy on the test split, in [0, 1].

    Raises:
        InputError: the data have no images or no labels.
    """
    if not getattr(data, "classes", ()) or not data.has_images:
        raise InputError(
            f"{data.name!r} has no labelled images to train a classifier on: take the features "
            "random or pixels, or inception for photographs."
        )
    model, path = network(data), cache.folder() / f"classifier-{identity(data)}.weights.h5"
    told = path.with_suffix("").with_suffix(".json")
    try:
        model.load_weights(path)
        return model, json.loads(told.read_text())["accuracy"]
    except (OSError, ValueError, KeyError):  # missing, or broken
        accuracy = train(model, data)
    with cache.writing(path) as part:
        model.save_weights(part)
    with cache.writing(told) as part:
        part.write_text(json.dumps({"data": data.name, "accuracy": accuracy}) + "\n")
    return model, accuracy


def identity(data):
    """The hash of what the classifier is made of: the training split and this file."""
    import tfgen.metrics.classifier as code

    rows, labels = (data.splits["train"][column] for column in ("images", "labels"))
    return cache.key(code, keras.__version__, np.asarray(rows), np.asarray(labels))


def network(data):
    """Convolutions of 3 x 3 with pooling until 7 pixels are left, and 64 normalized units."""
    seeds = iter(range(100))  # an initializer of its own seed leaves the global one alone

    def start():
        return keras.initializers.HeUniform(seed=next(seeds))

    x = inputs = keras.Input(data.element.shape)
    width = 32
    while min(x.shape[1:3]) > 7:
        x = keras.layers.Conv2D(
            width, 3, padding="same", activation="relu", kernel_initializer=start()
        )(x)
        x = keras.layers.MaxPooling2D()(x)
        width = min(2 * width, 128)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(WIDTH, use_bias=False, kernel_initializer=start())(x)
    # Each feature has mean 0 and variance 1 on the data: none dies, none outweighs the others, and
    # KID's kernel is used on the scale that it is made for.
    x = features = keras.layers.BatchNormalization(center=False, scale=False)(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.Dense(len(data.classes), "softmax", kernel_initializer=start())(x)
    return keras.Model(inputs, [features, x])


def train(model, data, seed=0):
    """Trains it with Adam and a falling rate; returns its accuracy on the test split."""
    steps_per_epoch = data.steps_per_epoch(min(BATCH, data.size))
    steps = max(EPOCHS * steps_per_epoch, STEPS)
    learner = keras.Model(model.input, model.outputs[1])
    learner.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(),
    )
    batches = data.labelled.batches(min(BATCH, data.size), seed)
    learner.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
    images, labels = data.rows("test"), data.rows("test", column="labels")
    found = learner.predict(images, batch_size=500, verbose=0).argmax(axis=1)
    return float((found == labels).mean())
