"""A small classifier trained on a data set itself: the honest features of small images.

Inception's features were learnt on photographs of 299 pixels; on digits they see what they know.
A Fréchet distance on these features is not the published FID, and is called so in its name.

A classifier that has seen images of the set alone is sure of noise, too. So it is also shown images
that are none of the set, of which it learns to say that each class is as likely (outlier exposure:
Hendrycks, Mazeika and Dietterich, "Deep anomaly detection with outlier exposure", 2019,
arXiv:1812.04606).
"""

import json

import keras
import numpy as np
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.metrics import cache

WIDTH = 64  # features: few, so that a covariance needs few samples
EPOCHS, STEPS, BATCH = 3, 600, 100  # epochs, but not fewer steps than these
STRANGERS = 50  # images of a batch that are none of the set
GRAINS = (1, 2, 4, 8, None)  # of noise: cells of a side, None for pixels


def silent(task, done=0, total=0):
    """Takes what is being done, and how much of how many, and says nothing."""


def load(data, say=silent):
    """The classifier of a `Data`, trained now or read from the cache.

    Args:
        data: a `Data`.
        say: is told what is done, as `silent`.

    Returns:
        A Keras model, images `[N, H, W, C]` in [-1, 1] to features `[N, 64]` and probabilities
        `[N, classes]`; and its accuracy on the test split, in [0, 1].

    Raises:
        InputError: the data have no images or no labels.
    """
    path = cache.folder() / f"classifier-{identity(data)}.weights.h5"
    model = network(data)
    told = path.with_suffix("").with_suffix(".json")
    try:
        model.load_weights(path)
        return model, json.loads(told.read_text())["accuracy"]
    except (OSError, ValueError, KeyError):  # missing, or broken
        accuracy = train(model, data, say=say)
    with cache.writing(path) as part:
        model.save_weights(part)
    with cache.writing(told) as part:
        part.write_text(json.dumps({"data": data.name, "accuracy": accuracy}) + "\n")
    return model, accuracy


def identity(data):
    """The hash of what the classifier is made of: the training split and this file.

    Raises:
        InputError: the data have no images or no labels.
    """
    if not getattr(data, "classes", ()) or not data.has_images:
        raise InputError(
            f"{data.name!r} has no labelled images to train a classifier on: take the features "
            "random or pixels, or inception for photographs."
        )
    import tfgen.metrics.classifier as code

    rows, labels = (data.splits["train"][column] for column in (data.feed[0], "labels"))
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
    # Each feature has mean 0 and variance 1 on what is seen in training: none dies, none outweighs
    # the others, and KID's kernel is used on the scale that it is made for.
    x = features = keras.layers.BatchNormalization(center=False, scale=False)(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.Dense(len(data.classes), "softmax", kernel_initializer=start())(x)
    return keras.Model(inputs, [features, x])


def train(model, data, seed=0, say=silent):
    """Trains it with Adam and a falling rate; returns its accuracy on the test split."""
    size, classes = min(BATCH, data.size), len(data.classes)
    steps = max(EPOCHS * data.steps_per_epoch(size), STEPS)
    task = f"training the classifier of {data.name}"

    def with_strangers(number, batch):
        images, labels = batch
        others = strangers(images, tf.stack([tf.constant(seed, tf.int64), number]))
        targets = tf.fill([len(others), classes], 1 / classes)
        return tf.concat([images, others], 0), tf.concat([tf.one_hot(labels, classes), targets], 0)

    learner = keras.Model(model.input, model.outputs[1])
    learner.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        keras.losses.CategoricalCrossentropy(),
    )
    told = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: say(task, step + 1, steps)
    )
    batches = data.labelled.batches(size, seed).enumerate().map(with_strangers)
    learner.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[told])
    images, labels = data.rows("test"), data.rows("test", column="labels")
    found = learner.predict(images, batch_size=500, verbose=0).argmax(axis=1)
    return float((found == labels).mean())


def strangers(images, seed):
    """Images that are none of a set: noise of every grain, brightness and strength.

    Args:
        images: a batch of the set, float32 `[N, H, W, C]`.
        seed: int64 `[2]`.

    Returns:
        float32 `[STRANGERS, H, W, C]` in [-1, 1].
    """
    _, height, width, channels = images.shape
    each = STRANGERS // len(GRAINS)

    def normal(stream, count, height, width):
        key = seed + tf.constant([stream, 0], tf.int64)
        return tf.random.stateless_normal([count, height, width, channels], key)

    def uniform(stream, low, high):
        key = seed + tf.constant([stream, 0], tf.int64)
        return tf.random.stateless_uniform([STRANGERS, 1, 1, 1], key, low, high)

    grains = []
    for stream, cells in enumerate(GRAINS):
        noise = normal(stream, each, cells or height, cells or width)
        noise = tf.sign(noise) if stream % 2 else noise
        grains.append(tf.image.resize(noise, [height, width]))
    noise = uniform(11, -1, 1) + uniform(12, 0, 1) * tf.concat(grains, 0)
    fine = uniform(13, 0, 0.3) * normal(10, STRANGERS, height, width)
    return tf.clip_by_value(noise + fine, -1, 1)
