"""From seeds to latents, from latents to rows, and from images to codes.

All of it works on the endpoints that a model declares: `latents`, `decode` and `encode`. Latents
are vectors, `[N, D]`.
"""

import numpy as np
import tensorflow as tf
from PIL import Image

from tfgen.data import image_files
from tfgen.data.levels import from_levels
from tfgen.endpoint import as_seeds, classes
from tfgen.errors import InputError

ROWS = 250  # of a portion, as memory is not without end
PRIOR = 1000  # draws that show what range the prior has


def decoder(model):
    """The `Endpoint` "decode" of a model, which makes rows of latents.

    Raises:
        InputError: it has none.
    """
    if "decode" not in model.endpoints:
        raise InputError(
            f"this model has no latents to vary: it offers {', '.join(model.endpoints)}"
        )
    return model.endpoints["decode"]


def latents(model, seeds):
    """Draws of a model's prior: float32 `[*S, D]` from seeds `[*S]`.

    Raises:
        InputError: it has none, nothing makes images of them, or there are no such seeds.
    """
    decoder(model)
    if "latents" not in model.endpoints:
        raise InputError(f"this model draws no latents: it offers {', '.join(model.endpoints)}")
    seeds = as_seeds(seeds)
    drawn = model.endpoints["latents"](seeds=tf.constant(seeds.ravel()))["latents"].numpy()
    return drawn.reshape(*seeds.shape, -1)


def decode(model, latents, labels=0):
    """What a model makes of latents.

    Args:
        model: has an endpoint `decode`.
        latents: float32 `[..., D]`.
        labels: ints that broadcast to `[...]`, for models that are told a class.

    Returns:
        float32 `[..., H, W, C]`.

    Raises:
        InputError: nothing makes images of latents, or there is no such class.
    """
    latents, make = np.asarray(latents, "float32"), maker(model)
    shape = latents.shape[:-1]
    flat, labels = latents.reshape(-1, latents.shape[-1]), checked_labels(model, labels, shape)
    run = tf.function(make, reduce_retracing=True, autograph=False)
    portions = [
        run(tf.constant(flat[i : i + ROWS]), tf.constant(labels[i : i + ROWS])).numpy()
        for i in range(0, len(flat), ROWS)
    ]
    made = np.concatenate(portions)
    return made.reshape(*shape, *made.shape[1:])


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


def class_count(model):
    """How many classes latents are decoded with; 0 for a model that is told none."""
    conditions = model.endpoints.get("conditions")
    return classes(decoder(model)) or (classes(conditions) if conditions else 0)


def maker(model):
    """The function from latents `[N, D]` and classes int32 `[N]` to rows, whatever it is told."""
    endpoint = decoder(model)
    names = [element.name for element in endpoint.inputs]

    def make(latents, labels):
        inputs = {"latents": latents, "labels": labels}
        if "conditions" in names:
            inputs |= model.endpoints["conditions"](labels=labels)
        return endpoint(**inputs)[endpoint.outputs[0].name]

    return make


def checked_labels(model, labels, shape):
    """Labels as int32, one for each of `shape`, flat; all of them classes of the model."""
    labels, known = np.asarray(labels, "int32"), class_count(model)
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
            image = image_files.decode(path)
        except Exception as error:  # a decoder may raise anything, given bytes from anywhere
            raise InputError(f"{path} cannot be read as an image: {error}") from None
        if image.shape[:2] != (height, width):
            if height != width:
                raise InputError(f"{path}: expected an image of {width}x{height} pixels")
            image = image_files.fit(image, height)
        if channels == 1:
            image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
        rows.append(image)
    return from_levels(np.stack(rows)).numpy()
