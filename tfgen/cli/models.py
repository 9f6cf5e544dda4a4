"""The models of the zoo, and what is known of one or of a run."""

import csv
import json
import math
import pathlib
import re
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

import zoo
from tfgen import files
from tfgen.cli.settings import keywords, models, written
from tfgen.cli.shared import busy, console, say, start_tensorflow
from tfgen.runs import run_file

app = typer.Typer()


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
):
    """Lists the models of the zoo."""
    entries = zoo.entries()
    if as_json:
        print(json.dumps([entry._asdict() for entry in entries], indent=2))
        return
    table = Table("model", "family", "what it is", "year", "paper", box=None)
    for entry in entries:
        paper = re.search(r"arXiv:\S+?(?=[.,]?$)", entry.reference)
        year = re.search(r"\b(?:19|20)\d\d\b", entry.reference)
        table.add_row(
            f"[bold]{entry.name}", entry.family, entry.title, year[0], paper[0] if paper else ""
        )
    console.print(table)


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="A model, or a run's folder.", autocompletion=models)],
):
    """Tells of a model: what its settings mean. Or of a run: how large it is and how far."""
    if (pathlib.Path(what) / run_file.NAME).exists():
        _show_run(pathlib.Path(what))
    else:
        _show_model(what)


def _show_model(name):
    entry = next(e for e in zoo.entries() if e.name == zoo.locate(name).stem)
    say(f"{entry.name}: {entry.title}\n{entry.reference}\n")
    start_tensorflow()
    with busy(f"{name} is being read"):
        meanings = zoo.find(name).meanings()
    table = Table("key", "default", "meaning", box=None)
    for key, default in keywords(name).items():
        table.add_row(f"[bold]{key}", written(default), meanings.get(key, ""))
    console.print(table)
    say(f"\ntfgen train {name} KEY=VALUE … --data NAME; its card: zoo/{entry.family}/{name}.md")


def _show_run(folder):
    run = run_file.found(folder)
    described, table = run["described"], Table("", "", box=None, show_header=False)

    def row(name, value):
        table.add_row(f"[bold]{name}", Text(str(value)))

    row("model", run["model"])
    row("settings", " ".join(f"{key}={written(v)}" for key, v in run["settings"].items()))
    sizes = (
        f"{max(described['sizes'][split].values()):,} rows to {use}"
        for split, use in (("train", "train on"), ("test", "test with"))
    )
    row("data", f"{run['data']}: {', '.join(sizes)}")
    if described["classes"]:
        row("classes", ", ".join(f"{i} {name}" for i, name in enumerate(described["classes"])))
    row("seed, precision", f"{run['seed']}, {run['precision']}")
    saved = sorted((folder / "checkpoints").glob("*.npz"))
    if saved:
        shapes = [
            shape
            for key, (shape, dtype) in files.shapes(saved[-1]).items()
            if key.startswith("model/") and dtype.kind == "f"
        ]
        row("parameters", f"{sum(map(math.prod, shapes)):,}")
    for place in [folder, *sorted(folder.glob("stage_*"))]:
        if (place / "history.csv").exists():
            with open(place / "history.csv", newline="") as file:
                last = list(csv.DictReader(file))[-1]
            stage = place.name.replace("_", " ") + ": " if place != folder else ""
            of = f" of {run['settings']['epochs']}" if "epochs" in run["settings"] else ""
            row("trained", f"{stage}{last['epoch']}{of} epochs, {int(last['step']):,} steps")
            terms = (f"{k} {float(v):.4g}" for k, v in last.items() if "/" in k)
            row("last losses", ", ".join(terms))
    row("made with", ", ".join(f"{k} {v}" for k, v in run.get("versions", {}).items()))
    row("revision", run.get("revision"))
    console.print(table)
