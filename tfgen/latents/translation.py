"""Image files through a trained translator: of any size, one by one, under their own names."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image
from rich.progress import track

from tfgen import figures
from tfgen.data import image_files
from tfgen.errors import InputError
from tfgen.networks.resnet import LEAST

ENDPOINTS = {"a2b": "translate_a_to_b", "b2a": "translate_b_to_a"}
PROBE, ROWS = 64, 101  # sides, and rows that no kernel has, of images on which memory is estimated
COPIES = 3  # of the largest feature map that there are at a time


class Translated(NamedTuple):
    """`written`: paths; `broken`: `{path of the input: why}`."""

    written: list
    broken: dict


def translate(model, source, direction, out, seed=0, console=None, overwrite=False):
    """Writes the translation of each image of `source`.

    An image whose height or width is no multiple of what the networks need, or too small for them,
    is continued by its mirror image, and what comes out is cut to its own size. One that is broken,
    or too large for the memory, is passed over.

    Args:
        model: has `endpoints`, some of them in `ENDPOINTS`.
        source: an image file, or a folder: its images, also those in folders within it.
        direction: "a2b" or "b2a"; None where the model has but one.
        out: for a file, a file or a folder; for a folder, a folder. Names and folders are kept;
            what is no .png there is named so, as JPEG would change the pixels.
        seed: an int, of the noise, for models that have some: the n-th image gets seed + n.
        console: a `rich.console.Console` for a progress bar, or None for none.
        overwrite: whether files that are there already may be replaced; an input never is.

    Returns:
        `Translated`.

    Raises:
        InputError: the model does not translate so, there is no image, none can be translated,
            several would be written to one file, or a file would be lost.
    """
    endpoint = _endpoint(model, direction)
    targets = _targets(Path(source).expanduser(), Path(out).expanduser())
    _check_kept(targets, overwrite)
    entry = endpoint.inputs[0]
    noisy = len(endpoint.inputs) > 1

    @tf.function(reduce_retracing=True, autograph=False)
    def run(images, seeds):
        tensors = {"images": images} | ({"seeds": seeds} if noisy else {})
        return endpoint(**tensors)[endpoint.outputs[0].name]

    room, written, broken = None, [], {}
    files = enumerate(targets.items())
    if console:
        files = track(files, "translating", len(targets), console=console)
    for number, (file, target) in files:
        seeds = tf.constant([(seed + number) % 2**31], tf.int32)
        try:
            with Image.open(file) as picture:
                pixels = picture.width * picture.height
            room = room or _room(run, entry)
            if pixels > room:
                side = int(room**0.5)
                raise InputError(
                    f"it has {pixels / 1e6:.0f} million pixels, and the memory here is enough for "
                    f"{room / 1e6:.0f} million, such as {side}x{side}: scale it down"
                )
            image = _read(file, entry.shape[-1])
            height, width = image.shape[:2]
            answer = run(tf.constant(_padded(image, entry.multiple)[None]), seeds).numpy()
            picture = figures.picture(answer[0, :height, :width])
        except Exception as error:  # a decoder may raise anything, given bytes from anywhere
            reason = str(error).strip().split("\n\n")[-1].splitlines()  # of TensorFlow's the point
            broken[file] = reason[0] if reason else type(error).__name__
            continue
        figures.save(picture, target)
        written.append(target)
    if not written:
        first = next(iter(broken))
        raise InputError(
            f"none of {len(broken)} files can be translated: {str(first)!r} ({broken[first]})"
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
    found = [file.path for file in image_files.find(source)]
    if out.resolve() != source.resolve():  # what was made before is not made of again
        found = [file for file in found if out.resolve() not in file.resolve().parents]
    if not found:
        raise InputError(f"--input {source}: no image in it")
    targets = {file: _png(out / file.relative_to(source)) for file in found}
    if len(set(targets.values())) < len(targets):
        seen = set()
        twice = next(t for t in targets.values() if t in seen or seen.add(t))
        raise InputError(f"--input {source}: several images would be written to {twice}")
    return targets


def _check_kept(targets, overwrite):
    """Raises an InputError if a file of the user would be lost."""
    inputs = {_identity(file) for file in targets if file.exists()}
    there = [target for target in targets.values() if target.exists()]
    lost = [target for target in there if _identity(target) in inputs]
    if lost:
        raise InputError(
            f"{_and_more(lost)} would be written over, and is an input: give another --out"
        )
    if there and not overwrite:
        raise InputError(f"{_and_more(there)} exists already: give another --out, or --overwrite")


def _identity(path):
    status = path.stat()
    return status.st_dev, status.st_ino


def _and_more(paths):
    return f"{paths[0]}{f' (and {len(paths) - 1} more)' if len(paths) > 1 else ''}"


def _png(path, suffix=""):
    if suffix:
        raise InputError(f"--out {path.parent}: expected a .png, or a folder without a suffix")
    return path.with_suffix(".png")


def _room(run, entry):
    """How many pixels of an image half of the memory bears, an estimate.

    A pixel takes `COPIES` of what it takes in the largest tensor.
    """
    side = -(-PROBE // entry.multiple) * entry.multiple
    images = tf.TensorSpec([ROWS, side, side, entry.shape[-1]])
    graph = run.get_concrete_function(images, tf.TensorSpec([ROWS], tf.int32)).graph
    shapes = [t.shape for op in graph.get_operations() for t in op.outputs]
    maps = [
        s.num_elements() for s in shapes if s.is_fully_defined() and s.rank == 4 and s[0] == ROWS
    ]
    each = COPIES * 4 * max(maps) / (ROWS * side**2)
    return int(image_files.memory() / 2 / each)


def _read(file, channels):
    """float32 `[H, W, channels]` in [-1, 1]; gray is taken from colours as Pillow does."""
    image = image_files.decode(file)
    if channels == 1:
        image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    return image.astype("float32") / 127.5 - 1.0


def _padded(image, multiple):
    sizes = [-(-max(size, LEAST) // multiple) * multiple for size in image.shape[:2]]
    high, wide = (size - own for size, own in zip(sizes, image.shape[:2], strict=True))
    return np.pad(image, [(0, high), (0, wide), (0, 0)], "symmetric")
