"""Commands that pack trained models and show them."""

import pathlib
from typing import Annotated

import typer

import zoo
from tfgen.cli.shared import Run, say, start_tensorflow
from tfgen.errors import InputError

app = typer.Typer()


@app.command()
def pack(
    run: Run,
    out: Annotated[pathlib.Path, typer.Option(help="A folder to be made.")],
    dtype: Annotated[str, typer.Option(help="Of the weights: float16 or float32.")] = "float16",
):
    """Packs a trained model: weights, configuration, a card and a picture, and nothing else."""
    start_tensorflow()
    from tfgen.runs import opening, packing

    if dtype not in packing.DTYPES:
        raise InputError(f"--dtype {dtype}: expected {' or '.join(packing.DTYPES)}")
    model, data = zoo.open_model(run)
    said, picture = opening.read_run(zoo.folder_of(run)), opening.picture(model, data)
    size = packing.pack(model, said, out, picture, dtype=dtype)
    say(f"packed: {out} ({size:,} bytes of weights)")


@app.command()
def push(
    folder: Annotated[pathlib.Path, typer.Argument(help="Of a packed model.")],
    name: Annotated[str, typer.Argument(help="OWNER/NAME on the Hugging Face Hub.")],
    private: Annotated[bool, typer.Option("--private", help="Seen by its owner only.")] = False,
):
    """Uploads a packed model to the Hugging Face Hub, with the account that is logged in there."""
    from tfgen.runs import hub

    say(f"uploaded: {hub.push(folder, name, private)}")


@app.command()
def gallery(
    out: Annotated[pathlib.Path, typer.Option(help="A folder to be made.")],
    only: Annotated[str | None, typer.Option(help="Names, such as vae-mnist,dcgan-digits.")] = None,
):
    """Makes a site of the trained models of the zoo, which draw in the browser."""
    known = zoo.exhibits()
    names = only.split(",") if only else list(known)
    folders = {name: zoo.folder_of(f"zoo:{name}") for name in names}
    start_tensorflow()
    from PIL import Image

    from export import gallery as site
    from tfgen.runs import packing

    entries = {entry.name: entry for entry in zoo.entries()}
    found = []
    for name, folder in folders.items():
        config = packing.read_config(folder)
        model, data = zoo.open_model(folder)
        entry = entries[config["model"]]
        objective, about = zoo.objective(config["model"])
        facts = {"trained by": config["command"], "steps": f"{config['steps']:,}"}
        facts |= {n["what"]: n["value"] for n in config["numbers"]}
        facts["licence of the data"] = config["licence_of_data"]
        picture = Image.open(folder / "samples.png").convert("RGB")
        told = (entry.family, entry.title, entry.reference, objective, about)
        found.append(site.Exhibit(name, *told, model, data, picture, facts))
    found.sort(key=lambda exhibit: (exhibit.family, exhibit.name))
    site.write(found, out, say)
    say(f"open it with: python -m http.server --directory {out}")
