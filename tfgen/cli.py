"""The front door: `tfgen`. TensorFlow is imported inside the commands that need it."""

import json
import os
import pathlib
import re
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import zoo
from tfgen.errors import InputError

# A pipe or a file has no width: rich would cut the tables there at 80 columns.
console = Console(width=None if sys.stdout.isatty() else 200)
errors = Console(stderr=True)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Generative models for TensorFlow and Keras 3: train, look, deliver.",
)
data_app = typer.Typer(no_args_is_help=True, help="The data sets: list them, look at them.")
app.add_typer(data_app, name="data")

Run = Annotated[pathlib.Path, typer.Argument(help="A run's folder, as made by train.")]


def main():
    """Runs the command; what the user can mend ends in one sentence and code 2."""
    # TensorFlow's own log tells of devices and instruction sets, none of which is news.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        app()
    except InputError as error:
        _fail(error, 2)


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


@app.command(context_settings={"ignore_unknown_options": False})
def train(
    model: Annotated[str, typer.Argument(help="A name from tfgen list.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value, for the model's recipe.")
    ] = None,
    data: Annotated[str, typer.Option(help="A name from tfgen data list, or folder:PATH.")] = (
        "digits"
    ),
    image_size: Annotated[int | None, typer.Option(help="Pixels; the set's own if absent.")] = None,
    run: Annotated[pathlib.Path | None, typer.Option(help="Folder; runs/MODEL-DATA.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How often all data are seen.")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps.", min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows of one update.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and noise.")] = 0,
    replicas: Annotated[str, typer.Option(help="auto, or a number of devices.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="float32, mixed_bfloat16 or mixed_float16.")
    ] = "float32",
    minutes: Annotated[float, typer.Option(help="Between two checkpoints, at most.")] = 10.0,
    keep: Annotated[int, typer.Option(help="Checkpoints that stay.", min=1)] = 3,
    doctor: Annotated[
        bool, typer.Option("--doctor", help="Say what goes wrong; doctor.csv and doctor.png.")
    ] = False,
):
    """Trains a model into a run folder; the same command again goes on with the run."""
    given = dict(_pair(setting) for setting in settings or [])
    for key, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value is not None:
            given[key] = value
    zoo.locate(model)  # an unknown name is told before TensorFlow is imported
    _start_tensorflow()
    from tfgen import training
    from tfgen.checkpoints import Diverged

    if replicas != "auto":
        replicas = _positive("replicas", replicas, "auto")
    run = run or pathlib.Path("runs") / f"{model}-{data.replace(':', '-').replace('/', '-')}"
    setup = training.Setup(data, image_size, seed, replicas, precision)
    try:
        training.train(
            zoo.find(model),
            run,
            given,
            setup,
            steps=steps,
            minutes=minutes,
            keep=keep,
            doctor=doctor,
        )
    except Diverged as error:
        _fail(f"training diverged: {error}", 1)
    except KeyboardInterrupt:
        _say(f"\nstopped and saved in {run}: the same command goes on from here")
        sys.exit(130)
    _say(f"trained: {run} (samples/, losses.png, history.csv, events/, checkpoints/)")


@app.command()
def sample(
    run: Run,
    count: Annotated[int, typer.Option(help="How many samples.", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="Of the first; the others count on from it.")] = 0,
    label: Annotated[int | None, typer.Option(help="A class, for models that have them.")] = None,
    out: Annotated[
        pathlib.Path, typer.Option(help="A .png for a grid, a .npy, or a folder.")
    ] = pathlib.Path("samples.png"),
):
    """Draws samples: the seeds SEED, SEED + 1, … give one each."""
    if out.suffix not in (".png", ".npy", ""):
        raise InputError(f"--out {out}: expected a .png, a .npy or a folder without a suffix")
    _start_tensorflow()
    from tfgen import endpoint, training

    model, data = training.open_run(run, zoo.find)
    rows, element = training.samples(model, count, seed, label)
    classes = endpoint.classes(model.endpoints["sample"]) if label is None else 0
    _write(element, rows, out, training.background(data), classes)
    _say(f"{count} samples: {out}")


@app.command()
def traverse(
    run: Run,
    code: Annotated[int, typer.Option(help="Which: the model's own codes, then its latents.")],
    rows: Annotated[int, typer.Option(help="How many latents, from as many seeds.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="Of the first row.")] = 0,
    out: Annotated[pathlib.Path, typer.Option(help="A .png.")] = pathlib.Path("traversal.png"),
):
    """Draws what one code means: it varies from left to right, and nothing else does."""
    _start_tensorflow()
    from tfgen import figures, training
    from tfgen.traverse import traverse

    model, _ = training.open_run(run, zoo.find)
    chosen, images = traverse(model, code, rows, seed)
    figures.save(figures.table(images), out)
    first, last = chosen.values[0].round(2).tolist(), chosen.values[-1].round(2).tolist()
    _say(f"{chosen.name} from {first} to {last}: {out}")


@app.command()
def translate(
    run: Run,
    source: Annotated[pathlib.Path, typer.Option("--input", help="An image, or a folder.")],
    out: Annotated[pathlib.Path, typer.Option(help="A .png for one image, or a folder.")],
    direction: Annotated[str | None, typer.Option(help="a2b or b2a.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first image, for models with noise.")] = 0,
):
    """Translates image files of any size, each under its own name."""
    _start_tensorflow()
    from tfgen import training
    from tfgen.translate import translate

    model, _ = training.open_run(run, zoo.find)
    done = translate(model, source, direction, out, seed, console)
    for file, reason in done.broken.items():
        errors.print(f"skipped {file}: {reason}", markup=False, highlight=False, soft_wrap=True)
    skipped = f", {len(done.broken)} skipped as unreadable" if done.broken else ""
    _say(f"{len(done.written)} translated{skipped}: {out}")


@app.command()
def export(
    run: Run,
    to: Annotated[str, typer.Option(help="Formats: saved_model,lite,onnx,serving,web.")] = (
        "saved_model,lite"
    ),
    out: Annotated[pathlib.Path | None, typer.Option(help="Folder; RUN/export.")] = None,
    quantize: Annotated[
        str, typer.Option(help="LiteRT's weights: none, float16, dynamic, int8, advise.")
    ] = "float16",
    endpoints: Annotated[
        str | None, typer.Option(help="Such as sample,generate; all of them if absent.")
    ] = None,
    batch: Annotated[str, typer.Option(help="Rows of each call: free, or a number.")] = "free",
):
    """Writes the model for servers, devices and browsers, and checks each against Keras."""
    rows = None if batch == "free" else _positive("batch", batch, "free")
    _start_tensorflow()
    from tfgen import training

    model, data = training.open_run(run, zoo.find)
    chosen = endpoints.split(",") if endpoints else None
    options = {"quantize": quantize, "endpoints": chosen, "batch": rows, "compare": True}
    _deliver(model, data, to, out or run / "export", run.resolve().name, **options)


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
):
    """Measures samples against real images that the run has not seen."""
    _start_tensorflow()
    from tfgen import files, report
    from tfgen import metrics as library

    opened = report.open_run(run, zoo.find, count, seed)
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
        _say(f"written: {out}")


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
    _start_tensorflow()
    from tfgen import report

    opened = []
    for run in runs:
        _say(f"sampling {run}")
        opened.append(report.open_run(run, zoo.find, count))
    _say("measuring")
    _say(f"open {report.write(opened, out, metrics.split(','), features)}")


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
    given = dict(_pair(setting) for setting in settings or [])
    _start_tensorflow()
    from tfgen import study as library
    from tfgen import training

    out = out or pathlib.Path("runs") / f"{name}-{data}"
    try:
        library.run(
            name,
            zoo.find,
            out,
            training.Setup(data, seed=seed),
            given,
            models=models.split(",") if models else None,
            minutes=budget,
            steps=steps,
            trials=trials,
            seeds=seeds,
            count=count,
            workers=workers,
            say=_say,
        )
    except KeyboardInterrupt:
        _fail(f"stopped: the same command goes on with {out}", 130)
    _say(f"{out}/study.md, study.png and report/index.html")


@app.command()
def serve(
    out: Annotated[pathlib.Path, typer.Argument(help="A delivery with the format serving.")],
    port: Annotated[int, typer.Option(help="Of REST.")] = 8501,
    host: Annotated[str, typer.Option(help="0.0.0.0 to be reached from elsewhere.")] = "127.0.0.1",
):
    """Serves a delivery on this machine, with TensorFlow Serving's REST."""
    from export import errors, server

    try:
        kit, name = server.find(out)
        _say(f"{name}: http://{host}:{port}/v1/models/{name} (stop with Ctrl-C)")
        sys.exit(server.serve(kit, port, host))
    except errors.DeliveryError as error:
        _fail(error, 1)


@app.command()
def quickstart(
    folder: Annotated[pathlib.Path, typer.Option(help="Where all of it goes.")] = pathlib.Path(
        "runs/quickstart"
    ),
):
    """Trains on real digits, draws samples, delivers and verifies: a few minutes."""
    _start_tensorflow()
    from tfgen import training

    _say("1. training a DCGAN on 1,797 real handwritten digits")
    recipe, setup = zoo.find("dcgan"), training.Setup("digits", image_size=16)
    given = {"width": 32, "epochs": 60, "batch_size": 64, "latent_dim": 32}
    model = training.train(recipe, folder, given, setup)
    rows, element = training.samples(model, 64, seed=0)
    _write(element, rows, folder / "samples.png")
    _say(f"2. what it makes of the seeds 0 to 63: {folder / 'samples.png'}")
    model, data = training.open_run(folder, zoo.find)
    _say("3. delivering it, each endpoint compared with Keras")
    _deliver(model, data, "saved_model,lite", folder / "export", folder.resolve().name)


@app.command()
def interpolate(
    run: Run,
    first: Annotated[int, typer.Option("--from", help="Seed of the left end.")],
    last: Annotated[int, typer.Option("--to", help="Seed of the right end.")],
    path: Annotated[str, typer.Option(help="spherical or linear.")] = "spherical",
    rows: Annotated[int, typer.Option(help="Row k goes from FROM + k to TO + k.", min=1)] = 1,
    columns: Annotated[int, typer.Option(help="Images of a row.", min=2)] = 10,
    label: Annotated[int | None, typer.Option(help="A class, for models that have them.")] = None,
    out: Annotated[pathlib.Path, typer.Option(help="A .png.")] = pathlib.Path("interpolation.png"),
):
    """Draws the way from one sample to another, through the latents between their own."""
    _start_tensorflow()
    from tfgen import latent, training

    if path not in latent.PATHS:
        raise InputError(f"--path {path}: expected {' or '.join(latent.PATHS)}")
    model, _ = training.open_run(run, zoo.find)
    _write_rows(latent.ways(model, first, last, rows, columns, path, label), out)
    _say(f"{rows} {path} ways, from seed {first} to {last}: {out}")


@app.command()
def manifold(
    run: Run,
    count: Annotated[int, typer.Option(help="Images of a side.", min=2)] = 20,
    label: Annotated[int, typer.Option(help="A class, for models that have them.")] = 0,
    out: Annotated[pathlib.Path, typer.Option(help="A .png.")] = pathlib.Path("manifold.png"),
):
    """Draws the map of two latents: even steps of probability, from left to right and upwards."""
    _start_tensorflow()
    from tfgen import latent, training

    model, _ = training.open_run(run, zoo.find)
    _write_rows(latent.manifold(model, count, label), out)
    _say(f"{count} x {count} latents: {out}")


@app.command()
def invert(
    run: Run,
    images: Annotated[
        list[pathlib.Path] | None, typer.Argument(help="Files; the run's own test images if none.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many test images.", min=1)] = 8,
    label: Annotated[int | None, typer.Option(help="The class of all; sought if absent.")] = None,
    restarts: Annotated[int, typer.Option(help="Ways for each image.", min=1)] = 8,
    steps: Annotated[int, typer.Option(help="Of each way.", min=1)] = 500,
    seed: Annotated[int, typer.Option(help="Of the latents to start from.")] = 0,
    out: Annotated[pathlib.Path, typer.Option(help="A .png.")] = pathlib.Path("inversion.png"),
):
    """Finds the samples nearest to given images: above the images, below what was found."""
    _start_tensorflow()
    import numpy as np

    from tfgen import latent, training

    model, data = training.open_run(run, zoo.find)
    rows = latent.read(images, data.element) if images else data.rows("test", count)[0]
    labels = None if label is None else np.full(len(rows), label)
    found = latent.invert(model, rows, labels, restarts, steps, seed=seed)
    _write_rows(np.stack([rows, found.images]), out)
    names = images or [f"test image {i}" for i in range(len(rows))]
    classes = [f", class {k}" for k in found.labels] if latent.told(model) else [""] * len(rows)
    for name, error, chosen in zip(names, found.errors, classes, strict=True):
        _say(f"{name}: mean squared error {error:.4f}{chosen}")
    _say(
        f"{len(rows)} images, mean squared error {found.errors.mean():.4f} "
        f"(of a single restart {found.all_errors.mean():.4f}): {out}"
    )


@app.command()
def edit(
    run: Run,
    last: Annotated[int, typer.Option("--to", help="The class to move to.")],
    first: Annotated[
        int | None, typer.Option("--from", help="The class to move from; all others if absent.")
    ] = None,
    images: Annotated[
        list[pathlib.Path] | None, typer.Argument(help="Files; test images of --from if none.")
    ] = None,
    rows: Annotated[int, typer.Option(help="How many test images.", min=1)] = 8,
    strength: Annotated[float, typer.Option(help="The largest; 1 is the classes' distance.")] = 1.5,
    out: Annotated[pathlib.Path, typer.Option(help="A .png.")] = pathlib.Path("edit.png"),
):
    """Moves images towards a class: each, its reconstruction, and with growing strength."""
    _start_tensorflow()
    import numpy as np

    from tfgen import latent, training

    model, data = training.open_run(run, zoo.find)
    known = len(data.classes)
    for option, value in (("from", first), ("to", last)):
        if value is not None and not 0 <= value < known:
            told = f"are 0 to {known - 1}" if known else "there are none in its data"
            raise InputError(f"--{option} {value}: the classes {told}")
    if first == last:
        raise InputError(f"--from {first} --to {last}: this is no change")
    trained, classes = data.rows("train", 10_000)
    chosen = np.isin(classes, [first, last]) if first is not None else classes >= 0
    codes = latent.encode(model, trained[chosen])
    direction = latent.attribute(codes, classes[chosen] == last)
    if images:
        shown = latent.read(images, data.element)
    else:
        tested, classes = data.rows("test")
        shown = tested[classes == first if first is not None else classes != last][:rows]
    strengths = np.linspace(0.0, strength, 7)
    edited = latent.edit(model, shown, direction, strengths)
    _write_rows(np.concatenate([shown[:, None], edited], axis=1), out)
    origin = "the others" if first is None else data.classes[first]
    _say(f"from {origin} to {data.classes[last]}, with strengths 0 to {strength:g}: {out}")


@app.command()
def arithmetic(
    run: Run,
    plus: Annotated[list[str], typer.Option(help="Seeds of a group to add: 0,1,2.")],
    minus: Annotated[list[str] | None, typer.Option(help="Seeds of one to subtract.")] = None,
    label: Annotated[int, typer.Option(help="A class, for models that have them.")] = 0,
    out: Annotated[pathlib.Path, typer.Option(help="A .png.")] = pathlib.Path("arithmetic.png"),
):
    """Adds and subtracts the means of groups: a row a group, its mean last; below, the result."""
    added = [_seeds("plus", text) for text in plus]
    taken = [_seeds("minus", text) for text in minus or []]
    _start_tensorflow()
    import numpy as np

    from tfgen import latent, training

    model, _ = training.open_run(run, zoo.find)
    groups = [latent.latents(model, seeds) for seeds in added + taken]
    result = latent.arithmetic(groups[: len(added)], groups[len(added) :])
    width = max(map(len, groups))
    # Before it, what lies around it: noise of up to 0.25, as in figure 7 of Radford et al.
    around = result + np.random.default_rng(0).uniform(-0.25, 0.25, [width, len(result)])
    table = np.full([len(groups) + 1, width + 1, len(result)], np.nan, "float32")
    for row, (group, end) in zip(
        table, [(g, g.mean(axis=0)) for g in groups] + [(around, result)], strict=True
    ):
        row[: len(group)], row[-1] = group, end
    images = latent.decode(model, np.nan_to_num(table), label)
    images[np.isnan(table).any(axis=-1)] = 1.0  # white, where a group has fewer than others
    _write_rows(images, out)
    terms = [f"+ mean{tuple(s)}" for s in added] + [f"- mean{tuple(s)}" for s in taken]
    _say(f"{' '.join(terms).removeprefix('+ ')}, in the corner: {out}")


@data_app.command("list")
def list_data():
    """Lists the data sets by name, and whether they are on this machine."""
    from tfgen.data import names

    table = Table("name", "what it is", "where", box=None)
    for row in names.names():
        table.add_row(*row)
    console.print(table)


@data_app.command("show")
def show_data(
    name: Annotated[str, typer.Argument(help="A name from tfgen data list, or folder:PATH.")],
    out: Annotated[pathlib.Path, typer.Option(help="A .png.")] = pathlib.Path("data.png"),
    count: Annotated[int, typer.Option(help="How many.", min=1)] = 64,
    image_size: Annotated[int | None, typer.Option(help="Pixels.")] = None,
):
    """Draws rows of a data set, evenly spread over it."""
    _start_tensorflow()
    from tfgen.data import load

    data = load(name, image_size)
    rows, _ = data.rows("train", count)
    _write(data.element, rows, out)
    shape, classes = data.element.shape, len(data.classes)
    _say(f"{name}: {data.size} rows of {shape}, {classes} classes: {out}")


def _say(text):
    """Prints text as it is: a path may hold brackets, and is to be copied in one piece."""
    console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _fail(text, code):
    errors.print(f"tfgen: {text}", markup=False, highlight=False, emoji=False, soft_wrap=True)
    sys.exit(code)


def _start_tensorflow():
    """Imports TensorFlow, without what it says of devices that are not there."""
    from tfgen.quiet import quiet

    with quiet():
        import tensorflow as tf

        tf.config.list_physical_devices()


def _write(element, rows, out, reals=None, classes=0):
    """Rows as a .npy, as one picture (.png), or as a picture each, pixel by pixel, in a folder."""
    from tfgen import figures, files

    if out.suffix == ".npy":
        import numpy as np

        with files.replacing(out) as temporary:
            np.save(temporary, rows)
    elif out.suffix == ".png":
        figures.save(figures.draw(element, rows, reals, classes), out)
    elif len(element.shape) != 3:
        raise InputError(f"--out {out}: points are no pictures; give a .png or a .npy")
    else:
        for i, row in enumerate(rows):
            figures.save(figures.picture(row), out / f"{i:05d}.png")


def _write_rows(images, out):
    """Images `[rows, columns, H, W, C]` as one picture."""
    from tfgen import figures

    figures.save(figures.table(images), out)


def _deliver(model, data, to, out, name, **options):
    import export

    images, _ = data.rows("test", 128)
    options |= {"classes": data.classes, "console": console}
    try:
        export.deliver(model, images, out, tuple(to.split(",")), name, **options)
    except export.DeliveryError as error:
        _fail(f"nothing was delivered: {error}", 1)
    _say(f"verified and delivered: {out}")


def _pair(setting):
    key, equals, value = setting.partition("=")
    if not equals:
        raise InputError(f"{setting!r} is no key=value; write for example latent_dim=64")
    return key, value


def _seeds(name, text):
    seeds = text.split(",")
    if not all(seed.strip().isdecimal() for seed in seeds):
        raise InputError(f"--{name} {text}: expected seeds with commas between them, like 0,1,2")
    return [int(seed) for seed in seeds]


def _positive(name, text, word):
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--{name} {text}: expected {word} or a number from 1 on")
    return int(text)
