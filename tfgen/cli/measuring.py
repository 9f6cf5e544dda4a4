"""Commands that measure and compare."""

import pathlib
from typing import Annotated

import typer
from rich.table import Table

import zoo
from tfgen.cli.progress import Progress
from tfgen.cli.shared import (
    Overwrite,
    Run,
    Seed,
    above_zero,
    check_out,
    console,
    errors,
    fail,
    pair,
    say,
    start_tensorflow,
    usual_folder,
)
from tfgen.errors import InputError
from tfgen.metrics.catalogue import METRICS, NUMBERS

app = typer.Typer()


def metrics_help():
    """The names of all metrics, those that are measured by default first."""
    default = ", ".join(name for name, metric in METRICS.items() if metric.default)
    others = ", ".join(name for name, metric in METRICS.items() if not metric.default)
    return (
        f"Names with commas between them. default: what fits model and data, of {default}. "
        f"Others: {others}."
    )


Metrics = Annotated[str, typer.Option(help=metrics_help())]
Features = Annotated[
    str | None,
    typer.Option(help="pixels, random, squeezenet, inception-clean or classifier:DATA."),
]
Count = Annotated[
    int | None,
    typer.Option(help="Rows that are measured, at most: 10,000, or 256 if it is slow.", min=2),
]


@app.command()
def evaluate(
    run: Run,
    metrics: Metrics = "default",
    features: Features = None,
    count: Count = None,
    seed: Seed = 0,
    out: Annotated[pathlib.Path | None, typer.Option("--json", help="A file for it.")] = None,
    overwrite: Overwrite = False,
):
    """Measures what a model offers on data that it has not seen: samples, likelihood, and more."""
    if out:
        check_out(out, overwrite)
    errors.print("starting TensorFlow")
    start_tensorflow()
    from tfgen import files
    from tfgen.reports import comparison

    with Progress() as progress:
        progress(f"opening {run}")
        opened = comparison.open_run(zoo.folder_of(run), zoo.find)
        (found,) = comparison.measure([opened], metrics.split(","), features, count, seed, progress)
    for note in found.of.notes:
        say(note)
    if found.collapsed:
        say(f"COLLAPSED: {found.collapsed}. Whatever the numbers say, the samples are not good")
    console.print(numbers(found.results))
    for name, reason in found.aside.items():
        say(f"{name} steps aside: {reason}")
    if out:
        files.write_json(out, comparison.document(opened, found))
        say(f"written: {out}")


def numbers(results):
    """A table: each number with what real data get, its direction, and its full name."""
    table = Table("metric", "value", "real data", "better", "full name", box=None)
    for result in results:
        spread = "" if result.deviation is None else f" ± {result.deviation:.2g}"
        better = NUMBERS[result.metric].better
        better = better if better[0].isalpha() else f"near {better}"
        real = "" if result.real is None else f"{result.real:.4g}"
        table.add_row(result.metric, f"{result.value:.4g}{spread}", real, better, result.name)
    return table


@app.command()
def compare(
    runs: Annotated[
        list[pathlib.Path], typer.Argument(help="Runs or packed models, as evaluate takes them.")
    ],
    metrics: Metrics = "default,memorisation",
    features: Features = None,
    count: Count = None,
    out: Annotated[pathlib.Path, typer.Option(help="A folder for the page.")] = pathlib.Path(
        "report"
    ),
):
    """Makes a page of runs side by side: pictures, curves, and numbers with their spread."""
    if out.exists():
        raise InputError(f"{out} exists already: remove it, or give another --out")
    errors.print("starting TensorFlow")
    start_tensorflow()
    from tfgen.reports import comparison

    with Progress() as progress:
        opened = []
        for run in runs:
            progress(f"opening {run}")
            opened.append(comparison.open_run(zoo.folder_of(run), zoo.find))
        found = comparison.measure(opened, metrics.split(","), features, count, say=progress)
        page = comparison.write(opened, found, out, progress)
    for run, evaluation in zip(opened, found, strict=True):
        if evaluation.collapsed:
            say(f"{run.folder} has COLLAPSED: {evaluation.collapsed}")
        for name, reason in evaluation.aside.items():
            say(f"{run.folder}: {name} steps aside: {reason}")
    say(f"open {page}")


@app.command()
def study(
    name: Annotated[
        str, typer.Argument(help="lucic (Are GANs created equal?), or adversarial: all games.")
    ],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value, for all recipes, such as width=16.")
    ] = None,
    data: Annotated[str, typer.Option(help="A name from tfgen data list.")] = "mnist",
    budget: Annotated[
        float, typer.Option(help="Minutes of training, about.", callback=above_zero)
    ] = 60.0,
    steps: Annotated[
        int | None, typer.Option(help="Of each training, instead of a budget.", min=1)
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Such as lsgan,wgan_gp; the paper's if absent.")
    ] = None,
    trials: Annotated[int, typer.Option(help="Of each model's search.", min=1)] = 4,
    seeds: Annotated[int, typer.Option(help="From which the best is trained.", min=1)] = 3,
    count: Count = 10_000,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Trainings at a time.", min=1)] = 1,
    out: Annotated[pathlib.Path | None, typer.Option(help="Folder; runs/NAME-DATA.")] = None,
):
    """Compares models on equal terms: an equal search for each, then seeds of the best."""
    given = dict(pair(setting) for setting in settings or [])
    errors.print("starting TensorFlow")
    start_tensorflow()
    from tfgen.reports import study as library
    from tfgen.runs import recipes

    out = out or usual_folder(name, data)
    try:
        with Progress() as progress:
            progress("training")
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
                say=progress.line,
            )
    except KeyboardInterrupt:
        fail(f"stopped: the same command goes on with {out}", 130)
    say(f"{out}/study.md, study.png and report/index.html")
