"""Commands that measure and compare."""

import pathlib
from typing import Annotated

import typer
from rich.table import Table

import zoo
from tfgen.cli.shared import (
    Overwrite,
    Run,
    check_out,
    console,
    fail,
    pair,
    say,
    start_tensorflow,
)
from tfgen.errors import InputError

app = typer.Typer()


Metrics = Annotated[
    str,
    typer.Option(help="Such as fid,kid,knn,precision_recall; the README has all."),
]
Features = Annotated[
    str | None,
    typer.Option(help="pixels, random, squeezenet, inception-clean, classifier:DATA; see there."),
]
Count = Annotated[int, typer.Option(help="Samples that are measured, at most.", min=2)]


@app.command()
def evaluate(
    run: Run,
    metrics: Metrics = "fid,precision_recall,knn",
    features: Features = None,
    count: Count = 10_000,
    seed: Annotated[int, typer.Option(help="Of the first sample; then the next ones.")] = 0,
    out: Annotated[pathlib.Path | None, typer.Option("--json", help="A file for it.")] = None,
    overwrite: Overwrite = False,
):
    """Measures samples against real images that the run has not seen."""
    if out:
        check_out(out, overwrite)
    start_tensorflow()
    from tfgen import files
    from tfgen import metrics as library
    from tfgen.reports import comparison

    opened = comparison.sample_run(run, zoo.find, count, seed)
    results = library.evaluate(
        opened.samples, opened.data, metrics.split(","), features, count, seed
    )
    table = Table("metric", "value", "full name", box=None)
    for result in results:
        spread = "" if result.deviation is None else f" ± {result.deviation:.2g}"
        table.add_row(result.metric, f"{result.value:.4g}{spread}", result.name)
    console.print(table)
    if out:
        keys = ("model", "settings", "data", "seed")
        document = {"run": str(run), **{key: opened.run[key] for key in keys}}
        document["results"] = [result._asdict() for result in results]
        files.write_json(out, document)
        say(f"written: {out}")


@app.command()
def compare(
    runs: Annotated[list[pathlib.Path], typer.Argument(help="Folders, as made by train.")],
    metrics: Metrics = "fid,precision_recall,knn,memorisation",
    features: Features = None,
    count: Count = 10_000,
    out: Annotated[pathlib.Path, typer.Option(help="A folder for the page.")] = pathlib.Path(
        "report"
    ),
):
    """Makes a page of runs side by side: pictures, curves, and numbers with their spread."""
    if out.exists():
        raise InputError(f"{out} exists already: remove it, or give another --out")
    start_tensorflow()
    from tfgen.reports import comparison

    opened = []
    for run in runs:
        say(f"sampling {run}")
        opened.append(comparison.sample_run(run, zoo.find, count))
    say("measuring")
    say(f"open {comparison.write(opened, out, metrics.split(','), features)}")


@app.command()
def study(
    name: Annotated[
        str, typer.Argument(help="lucic (Are GANs created equal?), or adversarial: all games.")
    ],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value, for all recipes, such as width=16.")
    ] = None,
    data: Annotated[str, typer.Option(help="A name from tfgen data list.")] = "mnist",
    budget: Annotated[float, typer.Option(help="Minutes of training, about.")] = 60.0,
    steps: Annotated[
        int | None, typer.Option(help="Of each training, instead of a budget.", min=1)
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Such as lsgan,wgan_gp; the paper's if absent.")
    ] = None,
    trials: Annotated[int, typer.Option(help="Of each model's search.", min=1)] = 4,
    seeds: Annotated[int, typer.Option(help="From which the best is trained.", min=1)] = 3,
    count: Count = 10_000,
    seed: Annotated[int, typer.Option(help="Of the search.")] = 0,
    workers: Annotated[int, typer.Option(help="Trainings at a time.", min=1)] = 1,
    out: Annotated[pathlib.Path | None, typer.Option(help="Folder; runs/NAME-DATA.")] = None,
):
    """Compares models on equal terms: an equal search for each, then seeds of the best."""
    given = dict(pair(setting) for setting in settings or [])
    start_tensorflow()
    from tfgen.reports import study as library
    from tfgen.runs import recipes

    out = out or pathlib.Path("runs") / f"{name}-{data}"
    try:
        library.run(
            name,
            zoo.find,
            zoo.paths(),
            out,
            recipes.Setup(data, seed=seed),
            given,
            models=models.split(",") if models else None,
            minutes=budget,
            steps=steps,
            trials=trials,
            seeds=seeds,
            count=count,
            workers=workers,
            say=say,
        )
    except KeyboardInterrupt:
        fail(f"stopped: the same command goes on with {out}", 130)
    say(f"{out}/study.md, study.png and report/index.html")
