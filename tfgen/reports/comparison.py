"""Runs side by side: a page of pictures and numbers, to be read on a phone or shown to a class."""

import contextlib
import csv
import json
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
from PIL import Image

from tfgen import figures, files
from tfgen.errors import InputError
from tfgen.latents import interpolation
from tfgen.metrics import copies, evaluation
from tfgen.metrics.catalogue import NUMBERS
from tfgen.metrics.classifier import silent
from tfgen.runs import opening

PAGE = Path(__file__).parent / "pages"
GRID = 64  # samples
PREVIEWED = 8  # rows, of a model without samples
WAYS, POINTS = 6, 10  # interpolations, and images of each
MAP = 15  # images of a side of a map
NEAR = 8  # samples beside their neighbours


class OpenedRun(NamedTuple):
    """A run: its folder, what `run.json` says, its model and its data."""

    folder: Path
    run: dict
    model: object
    data: object

    @property
    def alike(self):
        """What runs have in common that differ in their seed alone, as text."""
        keys = ("model", "settings", "data", "image_size", "precision")
        return json.dumps({key: self.run.get(key) for key in keys}, sort_keys=True)


def open_run(folder, find):
    """An `OpenedRun` of the folder of a run or of a packed model; `find` as in `zoo`."""
    model, data = opening.open_run(folder, find)
    return OpenedRun(Path(folder), opening.read_run(Path(folder)), model, data)


def measure(runs, names=None, features=None, count=None, seed=0, say=silent):
    """Measures runs: a list of `metrics.Evaluation`, one for each.

    What can be measured is looked at for all of them before anything is sampled.

    Args:
        runs: a list of `OpenedRun`.
        names, features, count, seed, say: as in `metrics.evaluate_model`.

    Raises:
        InputError: as `metrics.evaluate_model`; the message begins with the run.
    """
    measurements = [
        evaluation.Measurement(run.data, run.model, features, count, seed, say) for run in runs
    ]
    found = []
    for run, measurement in zip(runs, measurements, strict=True):
        with _named(run, runs):
            measurement.plan(names)
    for number, (run, measurement) in enumerate(zip(runs, measurements, strict=True), start=1):
        if len(runs) > 1:
            say(f"run {number} of {len(runs)}: {run.folder}")
        with _named(run, runs):
            found.append(measurement.of(names))
    return found


@contextlib.contextmanager
def _named(run, runs):
    """Begins an error with the run that it is of, where there are several."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{run.folder}: {error}" if len(runs) > 1 else str(error)) from None


def document(run, found):
    """What was measured of a run, as a dict for JSON."""
    keys = ("model", "settings", "data", "seed")
    return {"run": str(run.folder), **{key: run.run[key] for key in keys}, **found.document()}


def write(runs, measured, out, say=silent):
    """Writes a static page, `OUT/index.html`, with its pictures and `OUT/results.json`.

    Runs that differ in nothing but their seed share a column, with mean and deviation over them.

    Args:
        runs: a list of `OpenedRun`.
        measured: what `measure` gives of them.
        out: a folder to be made; it appears when it is complete.
        say: is told what is done.

    Returns:
        The path of the page.

    Raises:
        InputError: `out` exists.
    """
    out = Path(out).absolute()
    groups = {}
    for run, found in zip(runs, measured, strict=True):
        groups.setdefault(run.alike, []).append((run, found))
    with files.new_folder(out) as draft:
        columns = []
        for number, group in enumerate(groups.values()):
            pictures = {}
            for title, picture, says in _pictures(*group[0], say):
                file = f"{number}-{title.replace(' ', '-')}.png"
                figures.save(picture, draft / file)
                pictures[title] = {"file": file, "says": says, "size": picture.size}
            columns.append(_column(group, pictures))
        counts = sorted({found.count for found in measured})
        (draft / "index.html").write_text(_page(columns, counts), encoding="utf-8")
        told = [document(*pair) for group in groups.values() for pair in group]
        (draft / "results.json").write_text(json.dumps(told, indent=2) + "\n")
    return out / "index.html"


def spread(values):
    """Mean and deviation (n - 1) of the seeds' values; None for the deviation of one."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def _column(group, pictures):
    """What the page says of runs that differ in their seeds alone."""
    first, cells = group[0][0], {}
    for _, found in group:
        for result in found.results:
            cells.setdefault(result.name, []).append(result)
    for name, results in cells.items():
        mean, deviation = spread([result.value for result in results])
        deviation = results[0].deviation if len(results) == 1 else deviation
        kept = {"metric": results[0].metric, "real": results[0].real}
        cells[name] = kept | {"mean": mean, "deviation": deviation}
    return {
        "name": first.folder.name,
        "model": first.run["model"],
        "settings": first.run["settings"],
        "data": first.run["data"],
        "seeds": [run.run["seed"] for run, _ in group],
        "step": int(first.model.step.numpy()),
        "cells": cells,
        "pictures": pictures,
        "collapsed": list(dict.fromkeys(found.collapsed for _, found in group if found.collapsed)),
        "aside": {name: reason for _, found in group for name, reason in found.aside.items()},
    }


def _page(columns, counts):
    rows = {}
    for column in columns:
        for name, cell in column["cells"].items():
            row = rows.setdefault(name, {"metric": cell["metric"], "real": cell["real"]})
            row["number"] = NUMBERS[cell["metric"]]
    for name, row in rows.items():
        row["best"] = _best(name, row, columns)
    titles = list(dict.fromkeys(title for column in columns for title in column["pictures"]))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        columns=columns, rows=rows, titles=titles, counts=counts
    )


def _best(name, row, columns):
    """The place of the column with the best number, or None.

    None is best of one column, where nothing is right, and of samples that have collapsed.
    """
    cells = {i: column["cells"][name]["mean"] for i, column in enumerate(columns)
             if name in column["cells"]}  # fmt: skip
    sound = {
        i: row["number"].off(mean, row["real"])
        for i, mean in cells.items()
        if not columns[i]["collapsed"] and not row["number"].is_worst(mean)
    }
    return min(sound, key=sound.get) if sound and len(cells) > 1 else None


def _pictures(run, found, say):
    """Yields title, `PIL.Image` and what it shows, as far as a model has them."""
    say(f"drawing {run.folder}")
    endpoints, data, measurement = run.model.endpoints, run.data, found.of
    if "sample" in endpoints:
        element, samples = endpoints["sample"].outputs[0], measurement.samples[:GRID]
        told = f"Seeds {measurement.seed} to {measurement.seed + len(samples) - 1}."
        if measurement.conditional:
            told += " Classes as frequent as in the data."
        yield "samples", figures.draw(element, samples, **opening.background(data)), told
    elif hasattr(run.model, "preview"):
        columns = [np.asarray(rows) for rows in run.model.preview(data.batch("test", PREVIEWED))]
        yield "preview", figures.columns(columns), "Test images, and what becomes of them."
    if "sample" in endpoints and data.element.kind != "points":  # which lie behind the samples
        picture = figures.draw(data.element, data.rows("test", GRID), **opening.background(data))
        yield "data", picture, f"Test {data.element.kind}, to compare."
    if "sample" in endpoints and data.has_images:
        with contextlib.suppress(InputError):  # rows that are held out may be copies themselves
            near = copies.memorisation(measurement.fakes, measurement.train, measurement.reals)
            yield (
                "neighbours",
                copies.picture(measurement.samples, data.rows("train"), near, NEAR),
                "Samples from the nearest to the training data to the farthest, each with its "
                "three nearest there.",
            )
        with contextlib.suppress(InputError):  # it makes no images of latents
            ways = interpolation.interpolations(run.model, 0, WAYS, WAYS, POINTS)
            yield "ways between samples", figures.table(ways), "Spherical, from seed to seed."
        with contextlib.suppress(InputError):  # not of two dimensions
            picture = figures.table(interpolation.manifold(run.model, MAP))
            yield "map of the latents", picture, "Even steps of probability."
    for path in [run.folder / "history.csv", *sorted(run.folder.glob("stage_*/history.csv"))]:
        if path.exists():
            title = ": ".join(["terms of the losses", *path.parent.relative_to(run.folder).parts])
            yield title, figures.curves(_history(path)), "Epoch means."
    if (run.folder / "diagnostics.png").exists():
        picture = Image.open(run.folder / "diagnostics.png")
        yield "diagnostics", picture, "What the players make of data and samples."


def _history(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {term: [float(row[term]) for row in rows] for term in rows[0] if "/" in term}
