"""Runs side by side: a page of pictures and numbers, to be read on a phone or shown to a class."""

import contextlib
import csv
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from tfgen import figures, metrics
from tfgen.errors import InputError
from tfgen.latents import interpolation
from tfgen.metrics import copies, evaluation, extractors
from tfgen.runs import opening

PAGE = Path(__file__).parent / "pages"
GRID = 64  # samples
WAYS, POINTS = 6, 10  # interpolations, and images of each
MAP = 15  # images of a side of a map
NEAR = 8  # samples beside their neighbours


class Meaning(NamedTuple):
    """What to make of a metric: its name in words, the best value, and what it says."""

    title: str
    best: float
    says: str


MEANINGS = {
    "fid": Meaning("Fréchet distance", 0.0, "of Gaussians fitted to both; lower is better"),
    "kid": Meaning("kernel distance", 0.0, "unbiased, so it may be below 0; lower is better"),
    "knn": Meaning(
        "1-NN accuracy", 0.5, "of telling real from generated: 0.5 is ideal, 1 apart, 0 copies"
    ),
    "knn_real": Meaning("1-NN accuracy, real", 0.5, "low where samples crowd around real ones"),
    "knn_generated": Meaning("1-NN accuracy, generated", 0.5, "high where samples keep together"),
    "precision": Meaning("precision", 1.0, "share of samples that lie among the data"),
    "recall": Meaning("recall", 1.0, "share of the data that lie among the samples"),
    "density": Meaning("density", 1.0, "how deep samples lie among the data; 1 as the data do"),
    "coverage": Meaning("coverage", 1.0, "share of the data with a sample nearby"),
    "mmd": Meaning("maximum mean discrepancy", 0.0, "squared, unbiased; lower is better"),
    "sliced_wasserstein": Meaning("sliced Wasserstein distance", 0.0, "lower is better"),
    "inception_score": Meaning(
        "Inception score", np.inf, "sure of each class, and many classes; higher is better"
    ),
    "memorisation": Meaning(
        "memorisation", 0.5, "share nearer to the training data than unseen data are; 1 copies"
    ),
    "memorisation_ratio": Meaning(
        "distance to the training data", 1.0, "over that of unseen data; 0 copies"
    ),
}


class SampledRun(NamedTuple):
    """A run: its folder, what `run.json` says, its model, its data, and samples `[N, ...]`."""

    folder: Path
    run: dict
    model: object
    data: object
    samples: np.ndarray

    @property
    def alike(self):
        """What runs have in common that differ in their seed alone, as text."""
        keys = ("model", "settings", "data", "image_size", "precision")
        return json.dumps({key: self.run[key] for key in keys}, sort_keys=True)


def sample_run(folder, find, count, seed=0):
    """An `SampledRun` run with `count` samples of the seeds from `seed` on; `find` as in `zoo`."""
    model, data = opening.open_run(folder, find)
    samples, _ = opening.samples(model, count, seed)
    written = json.loads((Path(folder) / "run.json").read_text())
    return SampledRun(Path(folder), written, model, data, samples)


def write(runs, out, names=("fid", "precision_recall"), features=None, seed=0):
    """Writes a static page, `OUT/index.html`, with its pictures and `OUT/results.json`.

    Runs that differ in nothing but their seed share a column, with mean and deviation over them.

    Args:
        runs: a list of `SampledRun`, of equally many samples each.
        out: a folder to be made; it appears when it is complete.
        names, features, seed: as in `metrics.evaluate`.

    Returns:
        The path of the page.

    Raises:
        InputError: `out` exists, or as `metrics.evaluate`.
    """
    out = Path(out).absolute()
    if out.exists():
        raise InputError(f"{out} exists already: remove it, or give another --out")
    groups = {}
    for run in runs:
        groups.setdefault(run.alike, []).append(run)
    measured = [
        [metrics.evaluate(run.samples, run.data, names, features, seed=seed) for run in group]
        for group in groups.values()
    ]
    home = next(folder for folder in out.parents if folder.is_dir())
    with tempfile.TemporaryDirectory(dir=home, prefix=f".{out.name}-") as attempt:
        draft = Path(attempt) / "draft"
        draft.mkdir()
        columns = []
        for number, (group, results) in enumerate(zip(groups.values(), measured, strict=True)):
            pictures = {}
            for title, (picture, says) in _pictures(group[0], features).items():
                file = f"{number}-{title.replace(' ', '-')}.png"
                figures.save(picture, draft / file)
                pictures[title] = {"file": file, "says": says, "size": picture.size}
            columns.append(_column(group, results, pictures))
        page = _page(columns, len(runs[0].samples))
        (draft / "index.html").write_text(page, encoding="utf-8")
        document = [
            {
                "run": str(run.folder),
                **{key: run.run[key] for key in ("model", "settings", "data", "seed")},
                "results": [result._asdict() for result in found],
            }
            for group, results in zip(groups.values(), measured, strict=True)
            for run, found in zip(group, results, strict=True)
        ]
        (draft / "results.json").write_text(json.dumps(document, indent=2) + "\n")
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(out)
    return out / "index.html"


def spread(values):
    """Mean and deviation (n - 1) of the seeds' values; None for the deviation of one."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def _column(group, results, pictures):
    """What the page says of runs that differ in their seeds alone."""
    first = group[0]
    cells = {}
    for alike in zip(*results, strict=True):
        mean, deviation = spread([result.value for result in alike])
        if len(alike) == 1:
            deviation = alike[0].deviation
        cells[alike[0].name] = {"metric": alike[0].metric, "mean": mean, "deviation": deviation}
    return {
        "name": first.folder.name,
        "model": first.run["model"],
        "settings": first.run["settings"],
        "data": first.run["data"],
        "seeds": [run.run["seed"] for run in group],
        "step": int(first.model.step.numpy()),
        "cells": cells,
        "pictures": pictures,
    }


def _page(columns, count):
    rows = {}
    for column in columns:
        for name, cell in column["cells"].items():
            rows.setdefault(name, cell["metric"])
    best = {}
    for name, metric in rows.items():
        goal = MEANINGS[metric].best
        cells = {i: c["cells"][name]["mean"] for i, c in enumerate(columns) if name in c["cells"]}
        # Towards infinity the largest is nearest; one column alone is not told to be the best.
        off = {i: -mean if goal == np.inf else abs(mean - goal) for i, mean in cells.items()}
        best[name] = min(off, key=off.get) if len(off) > 1 else None
    titles = list(dict.fromkeys(title for column in columns for title in column["pictures"]))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        columns=columns, rows=rows, best=best, titles=titles, meanings=MEANINGS, count=count
    )


def _pictures(run, features):
    """`{title: (PIL.Image, what it shows)}`, as far as a model has them."""
    element, found = run.model.endpoints["sample"].outputs[0], {}
    reals = opening.background(run.data)
    found["samples"] = (
        figures.draw(element, run.samples[:GRID], reals),
        f"Seeds 0 to {min(GRID, len(run.samples)) - 1}.",
    )
    if run.data.has_images:
        found["data"] = (figures.grid(run.data.rows("test", GRID)), "Test images, to compare.")
        found["neighbours"] = (
            _neighbours(run, features),
            "Samples from the nearest to the training data to the farthest, each with its three "
            "nearest there.",
        )
        with contextlib.suppress(InputError):  # it makes no images of latents
            found["ways between samples"] = (
                figures.table(interpolation.interpolations(run.model, 0, WAYS, WAYS, POINTS)),
                "Spherical, from seed to seed.",
            )
        with contextlib.suppress(InputError):  # not of two dimensions
            picture = figures.table(interpolation.manifold(run.model, MAP))
            found["map of the latents"] = (picture, "Even steps of probability.")
    for path in [run.folder / "history.csv", *sorted(run.folder.glob("stage_*/history.csv"))]:
        title = ": ".join(["terms of the losses", *path.parent.relative_to(run.folder).parts])
        found[title] = (figures.curves(_history(path)), "Epoch means.")
    if (run.folder / "diagnostics.png").exists():
        from PIL import Image

        picture = Image.open(run.folder / "diagnostics.png")
        found["diagnostics"] = (picture, "What the players make of data and samples.")
    return found


def _neighbours(run, features):
    extractor = extractors.features(features or evaluation.default(run.data), run.data)
    train = run.data.rows("train")
    reference = evaluation.reference(extractor, run.data, "train")
    heldout = evaluation.reference(extractor, run.data, "test", len(run.samples))
    near = copies.memorisation(extractor(run.samples), reference, heldout)
    return copies.picture(run.samples, train, near, NEAR)


def _history(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {term: [float(row[term]) for row in rows] for term in rows[0] if "/" in term}
