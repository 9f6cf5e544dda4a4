"""What latents are good for: ways between two, a map of them, arithmetic, editing, inversion.

All of it works on the endpoints that a model declares: `latents` with `generate` or `decode`, and
`encode` for what begins with images. Latents are vectors, `[N, D]`.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from tfgen import random
from tfgen.data import pictures
from tfgen.endpoint import classes
from tfgen.errors import InputError
from tfgen.traverse import decoder

ROWS = 250  # of a portion, as memory is not without end
PRIOR = 1000  # draws that show what range the prior has


def lerp(first, last, count=10):
    """Straight ways: (1 - a) first + a last, with a from 0 to 1.

    Args:
        first, last: float `[..., D]`.
        count: points of each way, both ends included.

    Returns:
        float32 `[..., count, D]`.
    """
    first, last, a = _ends(first, last, count)
    return ((1 - a) * first + a * last).astype("float32")


def slerp(first, last, count=10):
    """Ways along the great circle, at an even pace (Shoemake, SIGGRAPH 1985).

    A Gaussian of many dimensions has its mass on a sphere, and a straight way leaves it: in the
    middle it is nearer to 0, by sqrt(2), than samples ever are (White, 2016, arXiv:1609.04468). The
    formula is taken for ends of any length, as there. Two that point in the same or in opposite
    directions have no one great circle, and get the straight way.

    Args and what is returned: as `lerp`.
    """
    first, last, a = _ends(first, last, count)
    lengths = (np.linalg.norm(end, axis=-1, keepdims=True) for end in (first, last))
    first_length, last_length = (np.maximum(length, 1e-12) for length in lengths)
    cosine = np.sum(first / first_length * last / last_length, axis=-1, keepdims=True)
    angle = np.arccos(np.clip(cosine, -1, 1))
    straight = np.sin(angle) < 1e-6
    sine = np.where(straight, 1.0, np.sin(angle))
    way = (np.sin((1 - a) * angle) * first + np.sin(a * angle) * last) / sine
    return np.where(straight, (1 - a) * first + a * last, way).astype("float32")


PATHS = {"spherical": slerp, "linear": lerp}


def _ends(first, last, count):
    """The ends as float64 `[..., 1, D]`, and the shares of the second one, `[count, 1]`."""
    first, last = (np.asarray(end, "float64")[..., None, :] for end in (first, last))
    return first, last, np.linspace(0.0, 1.0, count)[:, None]


def latents(model, seeds):
    """Draws of a model's prior: float32 `[*S, D]` from int32 seeds `[*S]`.

    Raises:
        InputError: it has none, or nothing makes images of them.
    """
    decoder(model)
    if "latents" not in model.endpoints:
        raise InputError(f"this model draws no latents: it offers {', '.join(model.endpoints)}")
    seeds = np.asarray(seeds, "int32")
    drawn = model.endpoints["latents"](seeds=tf.constant(seeds.ravel()))["latents"].numpy()
    return drawn.reshape(*seeds.shape, -1)


def decode(model, latents, labels=0):
    """What a model makes of latents.

    Args:
        model: has an endpoint `decode` or `generate`.
        latents: float32 `[..., D]`.
        labels: ints that broadcast to `[...]`, for models that are told a class.

    Returns:
        float32 `[..., H, W, C]`.

    Raises:
        InputError: nothing makes images of latents, or there is no such class.
    """
    latents, make = np.asarray(latents, "float32"), _maker(model)
    shape = latents.shape[:-1]
    flat, labels = latents.reshape(-1, latents.shape[-1]), _labels(model, labels, shape)
    run = tf.function(make, reduce_retracing=True, autograph=False)
    portions = [
        run(tf.constant(flat[i : i + ROWS]), tf.constant(labels[i : i + ROWS])).numpy()
        for i in range(0, len(flat), ROWS)
    ]
    made = np.concatenate(portions)
    return made.reshape(*shape, *made.shape[1:])


def ways(model, first, last, rows=1, columns=10, path="spherical", label=None):
    """Images on the way from the latents of some seeds to those of others.

    Args:
        model: see `decode`.
        first, last: ints; row k goes from seed `first + k` to seed `last + k`.
        rows, columns: how many.
        path: a name of `PATHS`.
        label: an int, the class of all; None for the classes in turn, where there are some.

    Returns:
        float32 `[rows, columns, H, W, C]`.

    Raises:
        InputError: as `latents` and `decode` do.
    """
    turn = np.arange(rows)
    ends = (latents(model, seed + turn) for seed in (first, last))
    known = told(model)
    labels = turn % known if label is None and known else label or 0
    return decode(model, PATHS[path](*ends, columns), np.broadcast_to(labels, [columns, rows]).T)


def encode(model, images):
    """The mean codes of images.

    Args:
        model: has an endpoint `encode` that takes nothing but images.
        images: float32 `[N, H, W, C]` in [-1, 1].

    Returns:
        float32 `[N, D]`.

    Raises:
        InputError: it encodes nothing, or wants to be told the class.
    """
    endpoint = model.endpoints.get("encode")
    if endpoint is None:
        raise InputError(
            f"this model encodes no images: it offers {', '.join(model.endpoints)}; take a vae"
        )
    if len(endpoint.inputs) > 1:
        raise InputError(
            "this model is told the class of what it encodes, so that its codes do not hold it: "
            "change the label instead, with tfgen sample --label"
        )
    run = tf.function(endpoint.function, reduce_retracing=True, autograph=False)
    parts = (tf.constant(images[i : i + ROWS]) for i in range(0, len(images), ROWS))
    codes = (run(part) for part in parts)
    return np.concatenate([code[0] if isinstance(code, tuple) else code for code in codes])


def manifold(model, count=20, label=0):
    """The map of a plane of latents: even steps of probability, through the inverse Gaussian CDF.

    As in figure 4 of Kingma and Welling (2014, arXiv:1312.6114). The share of latents between two
    neighbours is the same everywhere, so that the map shows what samples look like.

    Args:
        model: its latents have two dimensions, and are standard normal.
        count: points of a side; the first is at the CDF's value 1 / (2 count).
        label: an int, for models that are told a class.

    Returns:
        float32 `[count, count, H, W, C]`: the first latent grows to the right, the second upwards.

    Raises:
        InputError: other latents.
    """
    prior = latents(model, range(PRIOR))
    if prior.shape[1] != 2:
        raise InputError(
            f"a map has two dimensions, but the latents of this model have {prior.shape[1]}: "
            "train with latent_dim=2, or look at single dimensions with tfgen traverse"
        )
    tenths = tf.math.ndtri(np.linspace(0.1, 0.9, 9)).numpy()
    if np.abs(np.quantile(prior, np.linspace(0.1, 0.9, 9), axis=0).T - tenths).max() > 0.25:
        raise InputError(
            "the latents of this model are not standard normal, so this is no map of them: "
            "look at single dimensions with tfgen traverse"
        )
    steps = tf.math.ndtri((np.arange(count) + 0.5) / count).numpy()
    return decode(model, np.stack(np.meshgrid(steps, steps[::-1]), axis=-1), label)


def arithmetic(plus, minus=()):
    """Sums and differences of the means of groups: smiling woman - woman + man.

    Radford et al. (2016, arXiv:1511.06434, section 6.3.2) take three latents a group, because
    single ones were not stable.

    Args:
        plus, minus: lists of groups, each float `[N, D]`.

    Returns:
        float32 `[D]`.
    """
    total = sum(np.mean(group, axis=0) for group in plus)
    return np.float32(total - sum(np.mean(group, axis=0) for group in minus))


def attribute(codes, has):
    """The direction of an attribute: the mean code of those that have it, less that of the others.

    Larsen et al. (2016, arXiv:1512.09300).

    Args:
        codes: float `[N, D]`.
        has: bool `[N]`.

    Returns:
        float32 `[D]`.

    Raises:
        InputError: all have it, or none.
    """
    has = np.asarray(has, bool)
    if has.all() or not has.any():
        raise InputError(
            f"{has.sum()} of {len(has)} images have the attribute: its direction wants both kinds"
        )
    return arithmetic([codes[has]], [codes[~has]])


def edit(model, images, direction, strengths):
    """Images encoded, moved along a direction, and decoded.

    Args:
        model: has endpoints `encode` and `decode`.
        images: float32 `[N, H, W, C]` in [-1, 1].
        direction: float `[D]`, as `attribute` gives it.
        strengths: S floats; 0 is the reconstruction, 1 the whole difference.

    Returns:
        float32 `[N, S, H, W, C]`.
    """
    moves = np.asarray(strengths, "float32")[:, None] * direction  # [S, D]
    return decode(model, encode(model, images)[:, None] + moves)


class Inversion(NamedTuple):
    """What `invert` found for N images: of all restarts, the best one each.

    Attributes:
        latents: float32 `[N, D]`.
        labels: int32 `[N]`, the classes that it was made with; 0 where there are none.
        images: float32 `[N, H, W, C]`, what the model makes of these.
        errors: float32 `[N]`, mean squared differences of pixels in [-1, 1].
        all_errors: float32 `[N, restarts]`, of every restart.
    """

    latents: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    errors: np.ndarray
    all_errors: np.ndarray


def invert(model, images, labels=None, restarts=8, steps=500, rate=0.05, seed=0):
    """Latents whose images come nearest to given ones, by backpropagation to z.

    min_z |G(z) - x|^2 from several draws of the prior (Creswell and Bharath, 2016,
    arXiv:1611.05644), by Adam with a cosine decay. A number that leaves the range of the prior is
    drawn anew in it, by stochastic clipping (Lipton and Tripathi, 2017, arXiv:1702.04782). That
    range is the one of 1,000 draws. A model that is told a class is also asked which: the restarts
    take the classes in turn. What is found is the nearest point that the way came by.

    Args:
        model: has endpoints `latents` and `generate` or `decode`.
        images: float32 `[N, H, W, C]` in [-1, 1].
        labels: int `[N]`, the classes where they are known.
        restarts: ways for each image; at least as many as classes where these are sought.
        steps: of each way.
        rate: of Adam, at the start.
        seed: an int.

    Returns:
        `Inversion`.

    Raises:
        InputError: images of another shape, or as `latents` and `decode`.
    """
    shape = decoder(model).outputs[0].shape
    images = np.asarray(images, "float32")
    if images.shape[1:] != shape:
        raise InputError(f"images of {images.shape[1:]}: this model makes such of {shape}")
    known = told(model)
    if known and labels is None:
        restarts = max(restarts, known)
        sought = np.tile(np.arange(restarts) % known, [len(images), 1])
    else:
        sought = np.asarray(0 if labels is None else labels)
        sought = np.broadcast_to(sought.reshape(-1, 1), [len(images), restarts])
    sought = _labels(model, sought, sought.shape).reshape(sought.shape)  # [N, restarts]

    prior, make = latents(model, range(PRIOR)), _maker(model)
    low, high = prior.min(axis=0), prior.max(axis=0)

    @tf.function(reduce_retracing=True, autograph=False)
    def descend(start, targets, classes, seeds):
        def step(number, z, mean, square, best, found):
            with tf.GradientTape() as tape:
                tape.watch(z)
                errors = _errors(make(z, classes), targets)
            slope = tape.gradient(errors, z)  # each row's own, as no row sees another
            better = errors < best
            best, found = tf.where(better, errors, best), tf.where(better[:, None], z, found)
            # Adam (Kingma and Ba, 2015, algorithm 1), of tensors that a loop can carry.
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            turn = tf.cast(number, tf.float32)
            corrected = mean / (1 - 0.9 ** (turn + 1)), square / (1 - 0.999 ** (turn + 1))
            decay = 0.5 + 0.5 * tf.cos(math.pi * turn / steps)
            z -= rate * decay * corrected[0] / (tf.sqrt(corrected[1]) + 1e-8)
            anew = low + (high - low) * random.uniform(seeds, low.shape, stream=number)
            z = tf.where((z < low) | (z > high), anew, z)
            return number + 1, z, mean, square, best, found

        nothing = tf.zeros_like(start)
        worst = tf.fill(tf.shape(start)[:1], math.inf)
        state = 0, start, nothing, nothing, worst, start
        *_, best, found = tf.while_loop(lambda number, *_: number < steps, step, state)
        return best, found

    found, errors = [], []
    each = max(1, 2 * ROWS // restarts)  # images in one loop, with all their restarts
    for i in range(0, len(images), each):
        part = images[i : i + each]
        seeds = np.arange(len(part) * restarts, dtype="int32") + (seed + i * restarts)
        best, z = descend(
            tf.constant(latents(model, seeds)),
            tf.repeat(part, restarts, axis=0),
            tf.constant(sought[i : i + each].ravel()),
            tf.constant(seeds),
        )
        errors.append(best.numpy().reshape(-1, restarts))
        found.append(z.numpy().reshape(-1, restarts, z.shape[-1]))
    errors, found = np.concatenate(errors), np.concatenate(found)
    rows, winner = np.arange(len(images)), errors.argmin(axis=1)
    z, labels = found[rows, winner], sought[rows, winner]
    return Inversion(z, labels, decode(model, z, labels), errors[rows, winner], errors)


def _errors(made, targets):
    return tf.reduce_mean((made - targets) ** 2, axis=list(range(1, len(targets.shape))))


def _maker(model):
    """The function from latents `[N, D]` and classes int32 `[N]` to rows, whatever it is told."""
    endpoint = decoder(model)
    names = [element.name for element in endpoint.inputs]

    def make(latents, labels):
        inputs = {"latents": latents, "labels": labels}
        if "conditions" in names:
            inputs |= model.endpoints["conditions"](labels=labels)
        return endpoint(**inputs)[endpoint.outputs[0].name]

    return make


def told(model):
    """How many classes latents are decoded with; 0 for a model that is told none."""
    conditions = model.endpoints.get("conditions")
    return classes(decoder(model)) or (classes(conditions) if conditions else 0)


def _labels(model, labels, shape):
    """Labels as int32, one for each of `shape`, flat; all of them classes of the model."""
    labels, known = np.asarray(labels, "int32"), told(model)
    wrong = labels[(labels < 0) | (labels >= max(1, known))]
    if wrong.size:
        hint = f"its labels are 0 to {known - 1}" if known else "this model has no classes"
        raise InputError(f"label {wrong.flat[0]}: {hint}")
    return np.broadcast_to(labels, shape).ravel()


def read(paths, element):
    """Image files as rows that are like `element`.

    Args:
        paths: of files. An image of another size is cut to its middle square and scaled.
        element: an `Element` of shape `(H, W, C)`.

    Returns:
        float32 `[N, H, W, C]` in [-1, 1].

    Raises:
        InputError: a file is missing or no image, or the element is no square.
    """
    height, width, channels = element.shape
    rows = []
    for path in paths:
        try:
            image = pictures.decode(path)
        except Exception as error:  # a decoder may raise anything, given bytes from anywhere
            raise InputError(f"{path} cannot be read as an image: {error}") from None
        if image.shape[:2] != (height, width):
            if height != width:
                raise InputError(f"{path}: expected an image of {width}x{height} pixels")
            image = pictures.fit(image, height)
        if channels == 1:
            image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
        rows.append(image)
    return np.stack(rows).astype("float32") / 127.5 - 1.0
