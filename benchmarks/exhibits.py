"""The trained models that come with the zoo: planned, trained, measured, packed.

    python benchmarks/exhibits.py --list                  # what is planned, and what is there
    python benchmarks/exhibits.py vae-mnist --minutes 60  # some of it, for an hour at most
    python benchmarks/exhibits.py                         # all that is missing
    python benchmarks/exhibits.py --wall                  # the picture of all, and docs/exhibits.md

Each is trained into `runs/exhibits/NAME` by the command that is printed, which can be stopped and
goes on; then it is measured against the test images of its set and packed into
`zoo/exhibits/NAME`. `--again` packs what is trained already anew.
"""

import argparse
import os
import pathlib
import shutil
import time
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

import tfgen
import zoo
from tfgen import figures, files, metrics
from tfgen.runs import opening, packing, training

RUNS, EXHIBITS = pathlib.Path("runs/exhibits"), zoo.HERE / "exhibits"
COUNT = 2000  # samples that are measured
ACROSS, SIDE, LABEL = 16, 28, 220  # images of a row of the wall, their pixels, those of its name
NUMBERS = ("seconds of training, 2 cores", "recognised", "class_entropy", "knn")
TABLE = """# Exhibits

The trained models that come with the zoo: `tfgen sample zoo:NAME`, `zoo.pretrained("NAME")`.
`python benchmarks/exhibits.py NAME` trains, measures and packs one again; its `config.json` has the
command. *Recognised* is the share of 2,000 samples of which a classifier of the set is at least 0.9
sure, beside that of real test images; the entropy of the classes is in parts of the largest; 1-NN
is the accuracy of telling samples from test images in the features of the classifier, 0.5 at best.
Seconds are of 2 cores beside other work, so they are upper bounds.

![Samples of all exhibits](../zoo/exhibits/wall.png)

| name | steps | seconds | recognised | entropy | 1-NN | MB | licence of the data |
|---|---|---|---|---|---|---|---|
"""


class Planned(NamedTuple):
    """An exhibit: its model, settings of the recipe, data, and precision."""

    model: str
    settings: dict
    data: str
    precision: str = "float32"


# Networks that are small enough for 3 MB, and a moving average of the generator's weights.
def _game(model, data="fashion_mnist", **settings):
    return Planned(model, {"ema": 0.999} | settings, data, "mixed_bfloat16")


_NEUTRAL = {"width": 32, "hidden": 128}
PLAN = {
    "vae-mnist": Planned("vae", {"latent_dim": 50, "layers": 2, "epochs": 60}, "mnist"),
    "cvae-mnist": Planned("cvae", {"attributes": "stroke", "epochs": 30}, "mnist"),
    "sngan-fashion_mnist": _game("sngan", **_NEUTRAL, epochs=8),
    "dcgan-fashion_mnist": _game("dcgan", width=32, epochs=12),
    "cgan-mnist": _game("cgan", "mnist", network="conv", width=32, epochs=10),
    "infogan-mnist": _game("infogan", "mnist", **_NEUTRAL, epochs=8),
    "cyclegan-digits": Planned(
        "cyclegan",
        {"width": 16, "blocks": 3, "jitter": 1, "batch_size": 4, "epochs": 12},
        "digit_unpaired",
    ),
    "pix2pix-digits": Planned("pix2pix", {"width": 16, "epochs": 4}, "digit_pairs"),
    "hinge_gan-fashion_mnist": _game("hinge_gan", **_NEUTRAL, epochs=8),
    "wgan_gp-fashion_mnist": _game("wgan_gp", **_NEUTRAL, epochs=16),
    "lsgan-fashion_mnist": _game("lsgan", **_NEUTRAL, epochs=5),
    "acgan-mnist": _game("acgan", "mnist", generator_width=48, epochs=5),
    "dragan-fashion_mnist": _game("dragan", **_NEUTRAL, epochs=5),
    "gaussian-digits": Planned("gaussian", {}, "digits"),
    "gmm-digits": Planned("gmm", {}, "digits"),
    "projection_gan-mnist": _game(
        "projection_gan", "mnist", width=32, n_critic=1, learning_rate=5e-4, epochs=5
    ),
    "gan-mnist": _game("gan", "mnist", network="neutral", **_NEUTRAL, epochs=5),
}


def trained(folder):
    """The checkpoints of a run, which are others after each of its steps."""
    return sorted(path.name for path in folder.glob("checkpoints/*"))


def train(name, planned):
    """Trains one, or goes on with it; the seconds that it took in all are kept with the run."""
    folder, start = RUNS / name, time.monotonic()
    setup = tfgen.Setup(planned.data, precision=planned.precision)
    took = folder / "seconds.json"
    before = float(took.read_text()) if took.exists() else 0.0
    steps_before = trained(folder)
    try:
        training.train(zoo.find(planned.model), folder, planned.settings, setup, verbose=2)
    finally:
        if folder.exists() and trained(folder) != steps_before:
            files.write_json(took, round(before + time.monotonic() - start))
    return folder


def measure(name):
    """`[{"what", "value", "command"}]` of a trained run."""
    command = f"python benchmarks/exhibits.py {name}"
    seconds = (RUNS / name / "seconds.json").read_text().strip()
    numbers = [("seconds of training, 2 cores", seconds)]
    model, data = tfgen.open_run(RUNS / name, zoo.find)
    if "sample" in model.endpoints and data.classes:
        found = metrics.evaluate_model(model, data, ("recognised", "knn"), count=COUNT)
        for result in found.results:
            real = "" if result.real is None else f" (real {result.real:.3f})"
            numbers.append((result.name, f"{result.value:.3f}{real}"))
    return [{"what": what, "value": value, "command": command} for what, value in numbers]


def wall():
    """All exhibits as one picture, a row each: the first thing that `tfgen quickstart` shows."""
    rows, families = {}, {entry.name: entry.family for entry in zoo.entries()}
    configs = {name: packing.read_config(folder) for name, folder in zoo.exhibits().items()}
    order = sorted(configs, key=lambda name: (families[configs[name]["model"]], name))
    for name in order:
        model, data = zoo.open_model(f"zoo:{name}")
        if "sample" in model.endpoints:
            made, _ = opening.samples(model, ACROSS)
        else:  # real images and their translations, in turn
            pairs = model.preview(data.batch("test", ACROSS // 2))
            made = np.stack([pairs[0], pairs[1]], axis=1).reshape(-1, *pairs[0].shape[1:])
        small = tf.image.resize(made[..., :3], [SIDE, SIDE], "nearest")
        rows[name] = tf.image.grayscale_to_rgb(small) if small.shape[-1] == 1 else small
    grid = figures.grid(np.concatenate(list(rows.values())), ACROSS, scale=2)
    picture = Image.new("RGB", (grid.width + LABEL, grid.height), "white")
    picture.paste(grid, (LABEL, 0))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=16)
    for i, name in enumerate(rows):
        place = LABEL - 8, round((i + 0.5) * grid.height / len(rows))
        draw.text(place, name, "black", font, anchor="rm")
    figures.save(picture, EXHIBITS / "wall.png")


def report():
    """The numbers of all exhibits, docs/exhibits.md."""
    lines = []
    for name, folder in zoo.exhibits().items():
        config = packing.read_config(folder)
        numbers = {n["what"].split("(")[0]: n["value"] for n in config["numbers"]}
        cells = [numbers.get(key, "") for key in NUMBERS]
        size = (folder / packing.WEIGHTS).stat().st_size
        lines.append(
            f"| {name} | {config['steps']:,} | {' | '.join(cells)} | {size / 1e6:.2f} "
            f"| {config['licence_of_data'].split(' (')[0]} |\n"
        )
    (EXHIBITS.parents[1] / "docs/exhibits.md").write_text(TABLE + "".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--wall", action="store_true")
    options = parser.parse_args()
    if options.wall:
        wall()
        report()
        return
    unknown = [name for name in options.names if name not in PLAN]
    if unknown:
        parser.error(f"{unknown[0]} is not planned: there are {', '.join(PLAN)}")
    if options.list:
        table = Table("exhibit", "model", "data", "packed", box=None)
        for name, planned in PLAN.items():
            table.add_row(name, planned.model, planned.data, "yes" * (EXHIBITS / name).exists())
        Console().print(table)
        return
    end = time.monotonic() + 60 * options.minutes
    for name in options.names or PLAN:
        if time.monotonic() > end:
            break
        if (EXHIBITS / name).exists() and not options.again:
            continue
        folder = train(name, PLAN[name])
        model, data = tfgen.open_run(folder, zoo.find)
        numbers = measure(name)
        if (EXHIBITS / name).exists():
            shutil.rmtree(EXHIBITS / name)
        shown = opening.picture(model, data)
        size = packing.pack(model, opening.read_run(folder), EXHIBITS / name, shown, numbers)
        print(f"{name}: {size / 1e6:.2f} MB; {numbers}", flush=True)


if __name__ == "__main__":
    main()
