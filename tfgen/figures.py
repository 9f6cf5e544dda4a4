"""Pictures of what models make, as Pillow images: grids, points, curves."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from tfgen.data.levels import to_levels
from tfgen.errors import InputError
from tfgen.files import replacing

SIDE = 800  # pixels: what a grid of small images is enlarged to, at most
GAP = 4  # pixels of white between the images of a grid


def draw(element, rows, reals=None, classes=0):
    """A picture of rows that are as `element` says: a `grid` of images, a `scatter` of points.

    Args:
        element: an `Element` of shape `(H, W, C)` or `(D,)`.
        rows: `[N, *element.shape]`.
        reals: real points, drawn behind; not used for images.
        classes: where not 0, the rows are of the classes 0, 1, 2, … in turn, and each class gets a
            row of the grid, with white at the end where some class has one image less.

    Returns:
        `PIL.Image`.
    """
    if len(element.shape) != 3:
        return scatter(rows, reals)
    if not classes or len(rows) < classes:
        return grid(rows)
    rows = np.asarray(rows)
    white = np.ones([-len(rows) % classes, *rows.shape[1:]], rows.dtype)
    rows = np.concatenate([rows, white]).reshape(-1, classes, *rows.shape[1:])
    return table(rows.swapaxes(0, 1))  # [classes, each, H, W, C]


def grid(images, columns=None, scale=None):
    """Images side by side, row by row, as square a figure as can be.

    Args:
        images: float `[N, H, W, C]` in [-1, 1], C 1 or 3; what is outside is clipped.
        columns: how many in a row.
        scale: each pixel becomes this many squared; by default as many as fit 800 pixels.

    Returns:
        `PIL.Image`, of mode L or RGB.

    Raises:
        InputError: another shape or dtype, no image, or a value that is not finite.
    """
    levels = _levels(images)
    count, height, width, channels = levels.shape
    columns = columns or min(count, math.ceil(math.sqrt(count * height / width)))
    rows = math.ceil(count / columns)
    scale = scale or max(1, SIDE // max(columns * width, rows * height))

    levels = levels.repeat(scale, axis=1).repeat(scale, axis=2)
    high, wide = height * scale + GAP, width * scale + GAP  # of a cell
    canvas = np.full([rows * high + GAP, columns * wide + GAP, channels], 255, "uint8")
    for i, image in enumerate(levels):
        top, left = i // columns * high + GAP, i % columns * wide + GAP
        canvas[top : top + height * scale, left : left + width * scale] = image
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)


def table(images):
    """A `grid` of images whose rows and columns are given: float `[rows, columns, H, W, C]`."""
    return grid(images.reshape(-1, *images.shape[2:]), columns=images.shape[1])


def columns(images):
    """A `table` whose columns are given: each float `[N, H, W, C]`, of one shape."""
    return table(np.stack(images, axis=1))


def rows(samples, columns=16):
    """Rows of images with their names: `{name: float [N, H, W, C]}` -> `PIL.Image`."""
    stack = np.concatenate([images[:columns] for images in samples.values()])
    image = grid(stack, columns, scale=1)
    figure = _figure(9.0, 6.0 * image.height / image.width + 0.3)
    axes = figure.add_subplot()
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    each = (image.height - GAP) / len(samples)
    axes.set_yticks(GAP + (np.arange(len(samples)) + 0.5) * each, samples)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    return _image(figure)


def picture(image):
    """One image, pixel by pixel: float `[H, W, C]` in [-1, 1] -> `PIL.Image`; raises as `grid`."""
    levels = _levels(np.asarray(image)[None])[0]
    return Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)


def _levels(images):
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.dtype.kind in "iub":
        raise InputError(
            f"A grid takes float images [N, H, W, 1 or 3] in [-1, 1], not {images.dtype} "
            f"{list(images.shape)}."
        )
    return to_levels(_finite(images)).numpy()


def scatter(points, reals=None):
    """Points in the plane, over the real ones in gray.

    More dimensions than two are projected on the first two principal components of the reals.
    The frame is that of the reals and half as much again; what lies outside of it is counted.

    Args:
        points: float `[N, D]`, D at least 2.
        reals: float `[M, D]`; by default the points are their own reals.

    Returns:
        `PIL.Image` of 640x640 pixels.

    Raises:
        InputError: another shape, no point, or a value that is not finite.
    """
    points = _points(points)
    others = points if reals is None else _points(reals)
    if points.shape[1] != others.shape[1]:
        raise InputError(
            f"The points have {points.shape[1]} dimensions, but the reals {others.shape[1]}."
        )
    if points.shape[1] > 2:
        centre = others.mean(axis=0)
        axes = np.linalg.svd(others - centre, full_matrices=False)[2][:2]
        points, others = (points - centre) @ axes.T, (others - centre) @ axes.T
    middle = (others.max(axis=0) + others.min(axis=0)) / 2
    half = 0.75 * np.ptp(others, axis=0).max() or 1.0

    figure = _figure(6.4, 6.4)
    axes = figure.add_subplot(aspect="equal")
    axes.set(xlim=middle[0] + [-half, half], ylim=middle[1] + [-half, half])
    if reals is not None:
        axes.scatter(*others.T, s=6, color="0.75", linewidths=0, label="reals")
    axes.scatter(*points.T, s=6, color="tab:blue", linewidths=0, alpha=0.7, label="points")
    if reals is not None:
        axes.legend(loc="upper right", markerscale=3)
    outside = (np.abs(points - middle) > half).any(axis=1).sum()
    if outside:
        axes.set_title(f"{outside} of {len(points)} points are outside", fontsize="medium")
    return _image(figure)


def curves(history, steps=None, logarithmic=()):
    """Terms against epochs: a panel for each objective, a dashed line for validation.

    Args:
        history: `{"objective/term" or "val_objective/term": [value of each epoch]}`, as
            `keras.callbacks.History` has it. A value that is not finite leaves a gap.
        steps: the step of each value, where these are not of epochs.
        logarithmic: the objectives whose values are of different magnitudes.

    Returns:
        `PIL.Image`, 640 pixels wide and 320 high a panel.

    Raises:
        InputError: there is nothing in it.
    """
    panels = {}
    for name in history:
        panels.setdefault(name.removeprefix("val_").rpartition("/")[0], []).append(name)
    if not panels:
        raise InputError("There is nothing to draw: the history is empty.")

    figure = _figure(6.4, 3.2 * len(panels))
    for place, (panel, names) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(len(panels), 1, place)
        colours = {}
        for name in names:
            term = name.removeprefix("val_").rpartition("/")[2]
            colour = colours.setdefault(term, f"C{len(colours)}")
            values = np.asarray(history[name], "float64")
            values[~np.isfinite(values)] = np.nan
            style = "--" if name.startswith("val_") else "-"
            label = f"{term} (validation)" if style == "--" else term
            places = np.arange(1, len(values) + 1) if steps is None else steps
            axes.plot(places, values, style, color=colour, marker=".", label=label)
        if panel in logarithmic:
            axes.set_yscale("log")
        axes.set_title(panel, fontsize="medium", loc="left")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right", framealpha=0.5)
    axes.set_xlabel("epoch" if steps is None else "step")
    return _image(figure)


def save(image, path):
    """Writes an image so that nobody ever reads half of it; makes the folder.

    Args:
        image: `PIL.Image`.
        path: the file; its suffix says the format.

    Raises:
        InputError: a suffix that Pillow does not know.
    """
    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise InputError(f"No image can be written as {path.name!r}: take .png, .jpg or .webp.")
    with replacing(path) as part:
        image.save(part, format=kind)


def _finite(rows):
    """The rows as float32, of which there is at least one and none has a NaN or an infinity."""
    rows = rows.astype("float32")
    if not len(rows):
        raise InputError("There is nothing to draw: no row.")
    bad = (~np.isfinite(rows.reshape(len(rows), -1))).any(axis=1).sum()
    if bad:
        raise InputError(f"{bad} of {len(rows)} rows have values that are not finite (NaN).")
    return rows


def _points(points):
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] < 2:
        raise InputError(f"A scatter takes points [N, D], D at least 2, not {list(points.shape)}.")
    return _finite(points)


def _figure(width, height):
    # Not pyplot: it keeps every figure, and is for one thread.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="tight")


def _image(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
