"""Features of images by name, computed batch by batch while the next one is read."""

import math

import numpy as np
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.metrics import cache, checks, classifier, squeezenet, weights

NAMES = (
    "inception-clean",
    "inception-tf1",
    "squeezenet-clean",
    "classifier:DATA",
    "pixels",
    "random",
)
BATCH = 64
RANDOM = 4 * 32  # features of fixed random weights
INCEPTION_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
INCEPTION_ADDRESS = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/" + INCEPTION_FILE
)


class Extractor:
    """Images `[N, H, W, C]` in [-1, 1] to features float32 `[N, D]`.

    Attributes:
        name: what belongs into the name of a result: the network and how images are resized.
        identity: a string that changes when the features may: for caches.
        accuracy: of a classifier on the test split of its data, in [0, 1]; else None.
    """

    def __init__(self, name, network, identity, accuracy=None):
        self.name, self.identity, self.accuracy = name, identity, accuracy
        self._run = tf.function(network, autograph=False)  # features, or with probabilities

    def __call__(self, images, say=None):
        """Features of an array of images, or of a `tf.data.Dataset` of batches of them.

        Args:
            images: float `[N, H, W, C]` in [-1, 1]; "pixels" takes any rows `[N, ...]` of numbers.
            say: is told how many of how many are done.

        Returns:
            float32 `[N, D]`.

        Raises:
            InputError: another shape or range, no row, or a NaN.
        """
        return self._all(images, 0, say)

    def probabilities(self, images, say=None):
        """Class probabilities float32 `[N, K]`, for `inception_score`; otherwise as a call.

        Raises:
            InputError: as a call, or these features come from no classifier.
        """
        return self._all(images, 1, say)

    def stream(self, batches):
        """Yields the features of each batch of a `tf.data.Dataset`, for `Moments.update`."""
        return self._stream(batches, 0)

    def _stream(self, batches, which):
        for batch in batches.prefetch(tf.data.AUTOTUNE):
            yield self._answer(self._checked(batch.numpy()), which)

    def _all(self, images, which, say):
        if isinstance(images, tf.data.Dataset):
            parts = list(self._stream(images, which))
        else:
            images, parts = self._checked(images), []
            for start in range(0, len(images), BATCH):
                parts.append(self._answer(images[start : start + BATCH], which))
                if say:
                    say(min(start + BATCH, len(images)), len(images))
        if not parts:
            raise InputError("There are no images to take features of: the data set is empty.")
        return np.concatenate(parts)

    def _checked(self, images):
        return checks.images(images, "images")

    def _answer(self, batch, which):
        any_batch = tf.TensorSpec([None, *batch.shape[1:]], tf.float32)  # the last is smaller
        run = self._run.get_concrete_function(any_batch)
        answer = run(tf.convert_to_tensor(batch, tf.float32))
        answer = answer if isinstance(answer, tuple | list) else (answer,)
        if which >= len(answer):
            raise InputError(
                f"{self.name} has no classes, and so no probabilities: take the features "
                "classifier:<data>, or inception for photographs."
            )
        return answer[which].numpy()


class Pixels(Extractor):
    """The values themselves, `[N, D]`: of images, points, trajectories, videos."""

    def __init__(self):
        super().__init__("pixels", lambda rows: tf.reshape(rows, [tf.shape(rows)[0], -1]), "pixels")

    def _checked(self, images):
        images = np.asarray(images)
        if images.ndim == 4:
            return checks.images(images, "images")
        if images.dtype.kind in "iu":
            raise InputError(
                f"The rows are {images.dtype} {list(images.shape)}: tokens have no distances, so "
                "there are no features of them."
            )
        checks.rows(images.reshape(len(images), -1), "rows", least=1)
        return images


def width(name, data):
    """How many features a row has: known before any network is."""
    kind = name.partition(":")[0].partition("-")[0]
    known = {"inception": 2048, "squeezenet": 512, "random": RANDOM, "classifier": classifier.WIDTH}
    return known.get(kind) or math.prod(data.element.shape)


def features(name, data=None, say=classifier.silent):
    """An `Extractor` by name.

        inception-clean    2048  Keras' Inception-v3 (ImageNet), pooled; also as "inception"
        inception-tf1      2048  the same, resized in another way
        squeezenet-clean    512  SqueezeNet 1.1 (ImageNet, its authors'), pooled; "squeezenet"
        classifier:DATA      64  a classifier trained on that set; "classifier" with `data`
        pixels                D  the values, of rows of numbers of any kind
        random              128  convolutions with fixed random weights, for any size of image

    `clean` resizes antialiased and bicubic, as Pillow (Parmar, Zhang and Zhu 2022,
    arXiv:2104.11222); `tf1` bilinear without antialiasing and with TensorFlow 1's corners, as the
    first FID. Neither network is the one of the published FID, which is a TensorFlow graph of 2015:
    compare with values of the same name only.

    Args:
        name: one of these.
        data: the `Data` of a classifier, by default `tfgen.load(DATA)`.
        say: is told of the training of a classifier, as `classifier.silent`.

    Returns:
        An `Extractor`.

    Raises:
        InputError: another name, weights that cannot be had, or data without labelled images.
    """
    kind, _, rest = name.partition(":")
    if kind == "classifier":
        return _classifier(rest, data, say)
    aliases = {"inception": "inception-clean", "squeezenet": "squeezenet-clean"}
    makers = {
        "inception-clean": lambda: _inception("inception-clean", clean),
        "inception-tf1": lambda: _inception("inception-tf1", tf1),
        "squeezenet-clean": _squeezenet,
        "pixels": Pixels,
        "random": _random,
    }
    name = aliases.get(name, name)
    if name not in makers:
        raise InputError(f"There are no features {name!r}. There are: {', '.join(NAMES)}.")
    return _made(name, makers[name])


_kept = {}  # networks are loaded once in a process


def _made(name, make):
    if name not in _kept:
        _kept[name] = make()
    return _kept[name]


def _classifier(rest, data, say):
    if data is None:
        if not rest:
            raise InputError("Which data? Say classifier:mnist, or give the data.")
        from tfgen.data import load

        data = load(rest)
    if rest and rest != data.name:
        raise InputError(
            f"The features classifier:{rest} are those of the set {rest!r}, but the data given are "
            f"{data.name!r}: give no data, or say classifier:{data.name}."
        )
    name = f"classifier:{data.name}"
    identity = f"{name} {classifier.identity(data)}"

    def make():
        model, accuracy = classifier.load(data, say)
        return Extractor(name, model, identity, accuracy)

    return _made(identity, make)


def _inception(name, resize):
    model = _made("inception", _inception_network)  # which both ways of resizing share

    def network(images):
        return model(resize(rgb(images), 299))

    return Extractor(name, network, f"{name} {_identity(model)}")


def _inception_network():
    import keras

    path = weights.find(INCEPTION_FILE, INCEPTION_ADDRESS)
    model = keras.applications.InceptionV3(weights=str(path))
    return keras.Model(model.input, [model.get_layer("avg_pool").output, model.output])


def _squeezenet():
    model = squeezenet.caffe()

    def pooled(images):
        return tf.reduce_mean(model(clean(rgb(images), 227))[-1], axis=(1, 2))

    return Extractor("squeezenet-clean", pooled, f"squeezenet-clean {_identity(model)}")


def _identity(model):
    import tfgen.metrics.extractors as code

    return cache.key(code, *model.get_weights())


def _random():
    """Three strided convolutions, leaky relu, and the means of the four quarters of the maps."""
    import tfgen.metrics.extractors as code

    def network(images):
        draw, x = np.random.RandomState(0), images
        for _ in range(3):
            kernel = draw.randn(5, 5, x.shape[-1], 32) * np.sqrt(2 / (25 * x.shape[-1]))
            x = tf.nn.leaky_relu(tf.nn.conv2d(x, kernel.astype("float32"), 2, "SAME"))
        x = tf.image.resize(x, [2, 2], "area")
        return tf.reshape(x, [-1, RANDOM])

    return Extractor("random", network, f"random {cache.key(code)}")


def rgb(images):
    """Gray images with their channel three times; others as they are.

    Raises:
        InputError: neither 1 nor 3 channels.
    """
    if images.shape[-1] == 1:
        return tf.image.grayscale_to_rgb(images)
    if images.shape[-1] != 3:
        raise InputError(
            f"These features take images of 1 or 3 channels, not {images.shape[-1]}: "
            "take random or pixels."
        )
    return images


def clean(images, size):
    """Resized with a bicubic filter as wide as the pixels that it merges, clipped to [-1, 1]."""
    images = tf.image.resize(images, [size, size], "bicubic", antialias=True)
    return tf.clip_by_value(images, -1.0, 1.0)


def tf1(images, size):
    """Resized as TensorFlow 1 did: bilinear, no antialiasing, the first corners aligned."""
    return tf.compat.v1.image.resize_bilinear(images, [size, size])
