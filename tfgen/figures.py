"""Pictures of what models make, as Pillow images: each kind of data as it is looked at; curves."""

import math
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfgen.data.levels import to_levels
from tfgen.errors import InputError
from tfgen.files import replacing

SIDE = 800  # pixels: what a grid of small images is enlarged to, at most
GAP = 4  # pixels of white between the images of a grid
FRAMES = 10  # of a video in a strip
STRIPS = 16  # videos in a picture
LINE = 90  # characters
MOVING = ("GIF", "WEBP", "PNG")  # formats of several images that are seen in turn
GOLDEN = 0.6180339887  # of a turn: hues of numbers that follow each other lie far apart


def draw(element, rows, reals=None, classes=0, words=()):
    """A picture of rows, whatever they are.

        images        a grid
        masks         a grid in black and white
        tokens        lines of text, or where they have no words coloured squares
        points        a scatter, or of single numbers a histogram
        trajectories  their paths, side by side
        videos        the first `STRIPS` of them as strips of `FRAMES` frames; see `animation`

    Args:
        element: an `Element`, whose kind says how its rows are drawn.
        rows: `[N, *element.shape]`.
        reals: of points, real ones that are drawn behind; of trajectories, what was observed before
            each, `[N, S, D]`; not used for others.
        classes: where not 0, the rows are of the classes 0, 1, 2, … in turn, and each class gets a
            row of the grid, with white at the end where some class has one image less.
        words: what each token is called; "" for one that is not written, such as padding.

    Returns:
        `PIL.Image`.

    Raises:
        InputError: there is no row, one has a value that is not finite, or they are of no kind that
            is drawn.
    """
    rows, kind = np.asarray(rows), element.kind
    if kind == "numbers":
        raise InputError(f"{element.name} are numbers, which are not drawn: take .npy.")
    if kind == "points":
        return histogram(rows, reals) if rows.shape[1:] == (1,) else scatter(rows, reals)
    if kind == "trajectories":
        return paths(rows, reals)
    if kind == "videos":
        return strips(rows[:STRIPS])
    if kind == "tokens" and len(words):
        return text(rows, words)
    return _by_class(cells(element, rows), classes)


def cells(element, rows):
    """Rows of a kind that has a picture each, as images: float `[N, H, W, C]` in [-1, 1].

    Raises:
        InputError: the kind has none.
    """
    if element.kind == "images":
        return np.asarray(rows)
    if element.kind == "masks":
        return 2 * np.asarray(rows, "float32") - 1
    if element.kind == "tokens":
        return coloured(np.asarray(rows))
    raise InputError(
        f"A row of {element.kind} has no picture of its own: give a .png for all, or a .npy."
    )


def _by_class(images, classes):
    """A grid with a row a class, of images of the classes in turn."""
    if not classes or len(images) < classes:
        return grid(images)
    white = np.ones([-len(images) % classes, *images.shape[1:]], images.dtype)
    images = np.concatenate([images, white]).reshape(-1, classes, *images.shape[1:])
    return table(images.swapaxes(0, 1))  # [classes, each, H, W, C]


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


def coloured(tokens):
    """Tokens as pixels, each number in a colour of its own.

    Args:
        tokens: int `[N, T]`, or maps of codes `[N, H, W]`.

    Returns:
        float32 `[N, 1, T, 3]`, or `[N, H, W, 3]`, in [-1, 1].
    """
    tokens = tokens[:, None] if tokens.ndim == 2 else tokens
    hue = 2 * np.pi * GOLDEN * tokens[..., None]
    light = 0.15 + 0.7 * (tokens[..., None] * math.sqrt(2) % 1)  # hues come near each other again
    waves = np.cos(hue - 2 * np.pi * np.arange(3) / 3)
    return (2 * (light + waves * np.minimum(light, 1 - light)) - 1).astype("float32")


def text(tokens, words):
    """Tokens as numbered lines of text.

    Args:
        tokens: int `[N, T]`; one outside of `words` is shown as its number.
        words: what each is called. They are written with blanks between them, unless all are
            single characters.

    Returns:
        `PIL.Image` of mode RGB.

    Raises:
        InputError: no row, or maps of codes.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or not len(tokens):
        raise InputError(f"Text is drawn of tokens [N, T], not {list(tokens.shape)}.")
    blank = "" if max(map(len, words)) < 2 else " "
    lines = []
    for number, row in enumerate(tokens.tolist()):
        known = [words[t] if 0 <= t < len(words) else f"<{t}>" for t in row]
        line = blank.join(filter(None, known)).replace("\n", "\u23ce")
        pieces = textwrap.wrap(line, LINE) or [""]
        lines += [(str(number) if i == 0 else "", piece) for i, piece in enumerate(pieces)]
    font, high = _font(14), 20
    left = font.getlength("000") + 4 * GAP
    width = max(int(left + font.getlength(piece)) for _, piece in lines) + 2 * GAP
    picture = Image.new("RGB", (max(width, 200), high * len(lines) + 2 * GAP), "white")
    pen = ImageDraw.Draw(picture)
    for i, (number, piece) in enumerate(lines):
        top = GAP + i * high
        pen.text((left - 2 * GAP, top), number, "#999999", font, anchor="ra")
        pen.text((left, top), piece, "black", font)
    return picture


def _font(size):
    from matplotlib import get_data_path

    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def paths(trajectories, observed=None):
    """Trajectories side by side: each in a cell of its own, all at one scale.

    A path runs from a ring to a dot; each step has a mark. What was observed before it is gray.

    Args:
        trajectories: float `[N, T, D]`. One coordinate is drawn over time; of more than two the two
            first principal components.
        observed: float `[N, S, D]`, or None.

    Returns:
        `PIL.Image`, about 800 pixels wide.

    Raises:
        InputError: another shape, no row, or a value that is not finite.
    """
    after = np.asarray(trajectories)
    if after.ndim != 3 or not after.shape[1]:
        raise InputError(f"Paths are drawn of [N, T, D], not {list(after.shape)}.")
    after, count = _finite(after), len(after)
    seen = 0 if observed is None else observed.shape[1]
    whole = after if observed is None else np.concatenate([_finite(observed), after], axis=1)
    if whole.shape[2] == 1:
        steps = np.linspace(0, np.ptp(whole) or 1.0, whole.shape[1], dtype="float32")
        whole = np.concatenate([np.broadcast_to(steps[None, :, None], whole.shape), whole], axis=2)
    elif whole.shape[2] > 2:
        flat = whole.reshape(-1, whole.shape[2])
        axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)[2][:2]
        whole = (whole - flat.mean(axis=0)) @ axes.T
    low, high = whole.min(axis=1), whole.max(axis=1)
    middle, size = (low + high) / 2, 1.15 * (high - low).max(axis=0)
    size = np.maximum(size, 0.1 * size.max()) if size.max() > 0 else np.ones(2)
    columns = min(count, math.ceil(math.sqrt(count * size[1] / size[0])))
    rows = math.ceil(count / columns)
    place = np.stack([np.arange(count) % columns, -(np.arange(count) // columns)], axis=1) * size
    whole = whole - middle[:, None] + place[:, None]

    width = 8.0 if columns > 1 else 5.0
    figure = _figure(width, min(16.0, max(1.0, width * rows * size[1] / (columns * size[0]))))
    axes = figure.add_subplot(aspect="equal")
    axes.set(
        xlim=(-0.5 * size[0], (columns - 0.5) * size[0]),
        ylim=((0.5 - rows) * size[1], 0.5 * size[1]),
    )
    for i in range(columns + 1):
        axes.axvline((i - 0.5) * size[0], color="0.9", linewidth=0.8, clip_on=False)
    for i in range(rows + 1):
        axes.axhline((0.5 - i) * size[1], color="0.9", linewidth=0.8, clip_on=False)
    mark = max(1.0, min(4.0, 24.0 / columns))
    for path in whole:
        if seen:
            axes.plot(*path[: seen + 1].T, "-", color="0.6", marker=".", markersize=mark)
        axes.plot(*path[max(0, seen - 1) :].T, "-", color="tab:blue", marker=".", markersize=mark)
        axes.plot(*path[0], "o", color="0.3", markerfacecolor="white", markersize=1.5 * mark)
        axes.plot(*path[-1], "o", color="tab:blue", markersize=1.5 * mark)
    axes.set_axis_off()
    return _image(figure)


def strips(videos):
    """Videos as rows of frames, the first and the last and some between.

    Args:
        videos: float `[N, T, H, W, C]` in [-1, 1], C 1 or 3.

    Returns:
        `PIL.Image`; raises as `grid`.
    """
    return table(videos[:, _frames(_videos(videos).shape[1])])


def animation(videos):
    """Videos side by side, as they run.

    Args:
        videos: float `[N, T, H, W, C]` in [-1, 1], C 1 or 3.

    Returns:
        A list of `PIL.Image`, a `grid` for each frame; `save` writes it as one file.

    Raises:
        InputError: as `grid`.
    """
    return [grid(frame) for frame in _videos(videos).swapaxes(0, 1)]


def _videos(videos):
    videos = np.asarray(videos)
    if videos.ndim != 5 or 0 in videos.shape:
        raise InputError(f"Videos are [N, T, H, W, C], not {list(videos.shape)}.")
    return videos


def _frames(count):
    return np.unique(np.linspace(0, count - 1, FRAMES).round().astype(int))


def histogram(numbers, reals=None):
    """How often numbers occur, beside the real ones in gray.

    The bins are those of the reals and half as much again; what lies outside of them is counted.

    Args:
        numbers: float `[N, 1]`.
        reals: float `[M, 1]`; by default the numbers are their own reals.

    Returns:
        `PIL.Image` of 640x400 pixels.

    Raises:
        InputError: another shape, no number, or one that is not finite.
    """
    numbers = _one_column(numbers)
    others = numbers if reals is None else _one_column(reals)
    middle, half = (others.max() + others.min()) / 2, 0.75 * np.ptp(others) or 1.0
    bins = np.linspace(middle - half, middle + half, 61)
    figure = _figure(6.4, 4.0)
    axes = figure.add_subplot(xlim=bins[[0, -1]], ylabel="share of a bin")
    if reals is not None:
        axes.hist(
            others, bins, weights=np.full(len(others), 1 / len(others)), color="0.75", label="reals"
        )
    axes.hist(
        numbers,
        bins,
        weights=np.full(len(numbers), 1 / len(numbers)),
        histtype="step",
        color="tab:blue",
        label="points",
    )
    outside = (np.abs(numbers - middle) > half).sum()
    if outside:
        axes.set_title(f"{outside} of {len(numbers)} points are outside", fontsize="medium")
    if reals is not None:
        axes.legend(loc="upper right")
    return _image(figure)


def _one_column(numbers):
    numbers = np.asarray(numbers)
    if numbers.ndim != 2 or numbers.shape[1] != 1:
        raise InputError(f"A histogram takes numbers [N, 1], not {list(numbers.shape)}.")
    return _finite(numbers)[:, 0]


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


def save(image, path, seconds=0.1):
    """Writes an image so that nobody ever reads half of it; makes the folder.

    Args:
        image: `PIL.Image`; or a list of them, which move one after the other, again and again.
        path: the file; its suffix says the format.
        seconds: how long each of several is seen.

    Raises:
        InputError: a suffix that Pillow does not know, or whose format does not move.
    """
    path, moves = Path(path), isinstance(image, list)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in (MOVING if moves else Image.SAVE):
        known = ".gif or .webp" if moves else ".png, .jpg or .webp"
        raise InputError(f"No image can be written as {path.name!r}: take {known}.")
    with replacing(path) as part:
        if moves:
            each = round(1000 * seconds)
            image[0].save(
                part, format=kind, save_all=True, append_images=image[1:], duration=each, loop=0
            )
        else:
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
