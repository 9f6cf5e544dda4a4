"""Image files through a trained translator: of any size, one by one, under their own names."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image
from rich.progress import track

from tfgen import figures
from tfgen.data import image_files
from tfgen.data.levels import from_levels, to_levels
from tfgen.errors import InputError

ENDPOINTS = {"a2b": "translate_a_to_b", "b2a": "translate_b_to_a"}


class Translated(NamedTuple):
    """`written`: paths; `broken`: `{path of the input: why}`."""

    written: list
    broken: dict


def translate(model, source, direction, out, seed=0, console=None):
    """Writes the translation of each image of `source`.

    An image whose height or width is no multiple of what the networks need is continued by its
    mirror image, and what comes out is cut to its own size.

    Args:
        model: has `endpoints`, some of them in `ENDPOINTS`.
        source: an image file, or a folder: its images, also those in folders within it.
        direction: "a2b" or "b2a"; None where the model has but one.
        out: for a file, a file or a folder; for a folder, a folder. Names and folders are kept;
            what is no .png there is named so, as JPEG would change the pixels.
        seed: an int, of the noise, for models that have some: the n-th image gets seed + n.
        console: a `rich.console.Console` for a progress bar, or None for none.

    Returns:
        `Translated`.

    Raises:
        InputError: the model does not translate so, there is no image, none can be read, or
            several would be written to one file.
    """
    endpoint = _endpoint(model, direction)
    targets = _targets(Path(source).expanduser(), Path(out).expanduser())
    channels = endpoint.inputs[0].shape[-1]
    noisy = len(endpoint.inputs) > 1

    @tf.function(reduce_retracing=True, autograph=False)
    def run(images, seeds):
        tensors = {"images": images} | ({"seeds": seeds} if noisy else {})
        return endpoint(**tensors)[endpoint.outputs[0].name]

    written, broken = [], {}
    files = enumerate(targets.items())
    if console:
        files = track(files, "translating", len(targets), console=console)
    for number, (file, target) in files:
        try:
            image = _read(file, channels)
        except Exception as error:  # a decoder may raise anything, given bytes from anywhere
            broken[file] = str(error)
            continue
        height, width = image.shape[:2]
        padded = _padded(image, endpoint.inputs[0].multiple)
        seeds = tf.constant([(seed + number) % 2**31], tf.int32)
        answer = run(tf.constant(padded[None]), seeds).numpy()
        figures.save(_picture(answer[0, :height, :width]), target)
        written.append(target)
    if not written:
        first = next(iter(broken))
        raise InputError(
            f"none of {len(broken)} files can be read as an image: {str(first)!r} ({broken[first]})"
        )
    return Translated(written, broken)


def _endpoint(model, direction):
    known = [key for key, value in ENDPOINTS.items() if value in model.endpoints]
    if direction is None and len(known) == 1:
        direction = known[0]
    if direction not in known:
        offer = f"it can {' and '.join(known)}" if known else "it translates nothing"
        raise InputError(f"direction {direction!r}: not with this model, {offer}")
    return model.endpoints[ENDPOINTS[direction]]


def _targets(source, out):
    """`{file: where its translation goes}`."""
    if source.is_file():
        single = out.suffix.lower() == ".png"
        return {source: out if single else _png(out / source.name, out.suffix)}
    if not source.is_dir():
        raise InputError(f"--input {source}: there is no such file or folder")
    if out.suffix:
        raise InputError(f"--out {out}: a folder of images needs a folder, without a suffix")
    files = [
        file
        for file in sorted(source.rglob("*"))
        if file.suffix.lower() in image_files.SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(source).parts)
    ]
    if not files:
        raise InputError(f"--input {source}: no image in it ({', '.join(image_files.SUFFIXES)})")
    targets = {file: _png(out / file.relative_to(source)) for file in files}
    if len(set(targets.values())) < len(targets):
        seen = set()
        twice = next(t for t in targets.values() if t in seen or seen.add(t))
        raise InputError(f"--input {source}: several images would be written to {twice}")
    return targets


def _png(path, suffix=""):
    if suffix:
        raise InputError(f"--out {path.parent}: expected a .png, or a folder without a suffix")
    return path.with_suffix(".png")


def _read(file, channels):
    """float32 `[H, W, channels]` in [-1, 1]; gray is taken from colours as Pillow does."""
    image = image_files.decode(file)
    if channels == 1:
        image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    return from_levels(image).numpy()


def _padded(image, multiple):
    high, wide = (-size % multiple for size in image.shape[:2])
    return np.pad(image, [(0, high), (0, wide), (0, 0)], "symmetric")


def _picture(image):
    levels = to_levels(image).numpy()
    return Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
