"""Commands that train."""

import pathlib
import shlex
import shutil
import sys
from typing import Annotated

import typer

import zoo
from tfgen.cli.settings import models, read_settings
from tfgen.cli.shared import (
    Seed,
    above_zero,
    deliver,
    fail,
    positive,
    progress,
    say,
    start_tensorflow,
    usual_folder,
    write,
)
from tfgen.data import names

app = typer.Typer()

# Half a minute on two cores. Told the class and averaged over its last steps, a small GAN draws
# digits that a classifier recognises; without both it takes far longer.
QUICK = {
    "network": "conv",
    "width": 32,
    "ema": 0.99,
    "learning_rate": 5e-4,
    "epochs": 60,
    "batch_size": 50,
}


@app.command()
def train(
    model: Annotated[
        str,
        typer.Argument(
            help="A name from tfgen list; tfgen show tells its settings.", autocompletion=models
        ),
    ],
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
    seed: Seed = 0,
    replicas: Annotated[str, typer.Option(help="auto, or a number of devices.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="float32, mixed_bfloat16 or mixed_float16.")
    ] = "float32",
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Mirror half of the training images at random.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="A trained model whose weights are the first: a run, a packed model, zoo:NAME or "
            "hf:OWNER/NAME. Its settings hold where no others are given.",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(help="Between two checkpoints, at most.", callback=above_zero)
    ] = 10.0,
    keep: Annotated[int, typer.Option(help="Checkpoints that stay.", min=1)] = 3,
    diagnose: Annotated[
        bool,
        typer.Option("--diagnose", help="Say what goes wrong."),
    ] = False,
):
    """Trains a model into a run folder; the same command again goes on with the run."""
    given = read_settings(model, settings or [], {"epochs": epochs, "batch_size": batch_size})
    names.check(data)
    if replicas != "auto":
        replicas = positive("replicas", replicas, "auto")
    run = run or usual_folder(model, data)
    start_tensorflow()
    from tfgen.runs import recipes, training
    from tfgen.runs.checkpoints import Diverged

    setup = recipes.Setup(data, image_size, seed, replicas, precision, mirror, start)
    options: dict = {}
    if start is not None:
        from tfgen.runs import starting

        folder = zoo.folder_of(start)
        given = starting.settings_of(folder, model) | given
        options["weights"] = lambda: starting.weights_of(folder, zoo.find)
    options |= {"steps": steps, "minutes": minutes, "keep": keep, "diagnose": diagnose}
    try:
        with progress() as (tell, every):
            training.train(zoo.find(model), run, given, setup, **options, say=tell, every=every)
    except Diverged as error:
        fail(f"training diverged: {error}", 1)
    except KeyboardInterrupt:
        kept = any((run / "checkpoints").glob("*.npz"))
        words = f"stopped and saved in {run}: the same command goes on from here"
        say(words if kept else "stopped before the first step: nothing was saved")
        sys.exit(130)
    left = ("samples/", "losses.png", "history.csv", "diagnostics.png", "events/", "checkpoints/")
    say(f"trained: {run} ({', '.join(name for name in left if (run / name).exists())})")


@app.command()
def quickstart(
    folder: Annotated[pathlib.Path, typer.Option(help="Where all of it goes.")] = pathlib.Path(
        "runs/quickstart"
    ),
):
    """Trains on real digits, draws samples, delivers and verifies: a few minutes."""
    start_tensorflow()
    from tfgen import files
    from tfgen.runs import opening, recipes, training

    wall = folder / "zoo.png"
    say(f"1. what the trained models draw that come with the zoo: {wall}")
    with files.replacing(wall) as temporary:
        shutil.copyfile(zoo.HERE / "exhibits" / "wall.png", temporary)
    say("2. training a conditional GAN on 1,797 real handwritten digits")
    recipe, setup = zoo.find("cgan"), recipes.Setup("digits", image_size=16)
    run = folder / "run"
    with progress() as (tell, every):
        model = training.train(recipe, run, QUICK, setup, say=tell, every=every)
    rows, element = opening.samples(model, 60, seed=0)
    write(element, rows, folder / "samples.png", classes=10)
    say(f"3. what it makes of the seeds 0 to 59, a row a class: {folder / 'samples.png'}")
    if (folder / "export").exists():
        say(f"4. delivered already: {folder / 'export'}")
    else:
        model, data = opening.open_run(run, zoo.find)
        say("4. delivering it, each endpoint compared with Keras")
        deliver(model, data, "saved_model,lite", folder / "export", folder.resolve().name)
    say("next:")
    say("  tfgen sample zoo:cgan-mnist --label 7 --out sevens.png   # a trained model of the zoo")
    say("  tfgen train dcgan --data folder:PATH --run runs/mine     # on pictures of your own")
    say(f"  tfgen evaluate {shlex.quote(str(run))}   # how good the digits are, in numbers")
