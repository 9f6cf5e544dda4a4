"""The trained models that come with the zoo: planned, trained, measured, packed.

    python benchmarks/exhibits.py --list                  # what is planned, and what is there
    python benchmarks/exhibits.py vae-mnist --minutes 60  # some of it, for an hour at most
    python benchmarks/exhibits.py                         # all that is missing

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

from rich.console import Console
from rich.table import Table

import tfgen
import zoo
from tfgen import figures, files, metrics
from tfgen.endpoint import classes
from tfgen.runs import opening, packing, training

RUNS, EXHIBITS = pathlib.Path("runs/exhibits"), zoo.HERE / "exhibits"
COUNT = 2000  # samples that are measured


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
    "gan-ring": Planned("gan", {"network": "neutral", "epochs": 20}, "ring"),
}


def train(name, planned, steps=None):
    """Trains one, or goes on with it; the seconds that it took in all are kept with the run."""
    folder, start = RUNS / name, time.monotonic()
    setup = tfgen.Setup(planned.data, precision=planned.precision)
    took = folder / "seconds.json"
    before = float(took.read_text()) if took.exists() else 0.0
    try:
        training.train(zoo.find(planned.model), folder, planned.settings, setup, verbose=2)
    finally:
        if folder.exists():
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
            numbers.append((result.name, f"{result.value:.3f}"))
    return [{"what": what, "value": value, "command": command} for what, value in numbers]


def picture(model, data):
    """What is shown of it, a `PIL.Image`."""
    if "sample" not in model.endpoints:
        columns = model.preview(data.batch("test", 8))
        return figures.columns([column.numpy() for column in columns])
    rows, element = opening.samples(model, 64)
    told = classes(model.endpoints["sample"])
    return figures.draw(element, rows, classes=told, **opening.background(data))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
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
        shown = picture(model, data)
        size = packing.pack(model, opening.read_run(folder), EXHIBITS / name, shown, numbers)
        print(f"{name}: {size / 1e6:.2f} MB; {numbers}", flush=True)


if __name__ == "__main__":
    main()
