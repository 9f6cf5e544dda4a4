"""Commands that use a trained model."""

import pathlib
from typing import Annotated

import typer

import zoo
from tfgen.cli.shared import (
    PICTURES,
    ROWS,
    Overwrite,
    Picture,
    Run,
    check_out,
    console,
    errors,
    say,
    seeds,
    start_tensorflow,
    write,
    write_rows,
)
from tfgen.errors import InputError

app = typer.Typer()


@app.command()
def sample(
    run: Run,
    count: Annotated[int, typer.Option(help="How many samples.", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="Of the first; the others count on from it.")] = 0,
    label: Annotated[int | None, typer.Option(help="A class, for models that have them.")] = None,
    out: Annotated[
        pathlib.Path, typer.Option(help="A picture, a .npy, or a folder.")
    ] = pathlib.Path("samples.png"),
    overwrite: Overwrite = False,
):
    """Draws samples: the seeds SEED, SEED + 1, … give one each."""
    check_out(out, overwrite, ROWS, count)
    start_tensorflow()
    from tfgen import endpoint
    from tfgen.runs import opening

    model, data = zoo.open_model(run)
    rows, element = opening.samples(model, count, seed, label)
    classes = endpoint.classes(model.endpoints["sample"]) if label is None else 0
    write(element, rows, out, opening.background(data), classes)
    say(f"{count} samples: {out}")


@app.command()
def traverse(
    run: Run,
    code: Annotated[int, typer.Option(help="Which: the model's own codes, then its latents.")],
    rows: Annotated[int, typer.Option(help="How many latents, from as many seeds.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="Of the first row.")] = 0,
    out: Picture = pathlib.Path("traversal.png"),
    overwrite: Overwrite = False,
):
    """Draws what one code means: it varies from left to right, and nothing else does."""
    check_out(out, overwrite, PICTURES)
    start_tensorflow()
    from tfgen import figures
    from tfgen.latents.traversal import traverse

    model, _ = zoo.open_model(run)
    chosen, images = traverse(model, code, rows, seed)
    figures.save(figures.table(images), out)
    first, last = chosen.values[0].round(2).tolist(), chosen.values[-1].round(2).tolist()
    say(f"{chosen.name} from {first} to {last}: {out}")


@app.command()
def translate(
    run: Run,
    source: Annotated[pathlib.Path, typer.Option("--input", help="An image, or a folder.")],
    out: Annotated[pathlib.Path, typer.Option(help="A .png for one image, or a folder.")],
    direction: Annotated[str | None, typer.Option(help="a2b or b2a.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first image, for models with noise.")] = 0,
    overwrite: Overwrite = False,
):
    """Translates image files of any size, each under its own name."""
    start_tensorflow()
    from tfgen.latents.translation import translate

    model, _ = zoo.open_model(run)
    done = translate(model, source, direction, out, seed, console, overwrite)
    for file, reason in done.broken.items():
        errors.print(f"skipped {file}: {reason}", markup=False, highlight=False, soft_wrap=True)
    skipped = f", {len(done.broken)} skipped" if done.broken else ""
    say(f"{len(done.written)} translated{skipped}: {out}")


@app.command()
def interpolate(
    run: Run,
    first: Annotated[int, typer.Option("--from", help="Seed of the left end.")],
    last: Annotated[int, typer.Option("--to", help="Seed of the right end.")],
    path: Annotated[str, typer.Option(help="spherical or linear.")] = "spherical",
    rows: Annotated[int, typer.Option(help="Row k goes from FROM + k to TO + k.", min=1)] = 1,
    columns: Annotated[int, typer.Option(help="Images of a row.", min=2)] = 10,
    label: Annotated[int | None, typer.Option(help="A class, for models that have them.")] = None,
    out: Picture = pathlib.Path("interpolation.png"),
    overwrite: Overwrite = False,
):
    """Draws the way from one sample to another, through the latents between their own."""
    check_out(out, overwrite, PICTURES)
    start_tensorflow()
    from tfgen.latents import interpolation

    if path not in interpolation.PATHS:
        raise InputError(f"--path {path}: expected {' or '.join(interpolation.PATHS)}")
    model, _ = zoo.open_model(run)
    write_rows(interpolation.interpolations(model, first, last, rows, columns, path, label), out)
    say(f"{rows} {path} ways, from seed {first} to {last}: {out}")


@app.command()
def manifold(
    run: Run,
    count: Annotated[int, typer.Option(help="Images of a side.", min=2)] = 20,
    label: Annotated[int, typer.Option(help="A class, for models that have them.")] = 0,
    out: Picture = pathlib.Path("manifold.png"),
    overwrite: Overwrite = False,
):
    """Draws the map of two latents: even steps of probability, from left to right and upwards."""
    check_out(out, overwrite, PICTURES)
    start_tensorflow()
    from tfgen.latents import interpolation

    model, _ = zoo.open_model(run)
    write_rows(interpolation.manifold(model, count, label), out)
    say(f"{count} x {count} latents: {out}")


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
    out: Picture = pathlib.Path("inversion.png"),
    overwrite: Overwrite = False,
):
    """Finds the samples nearest to given images: above the images, below what was found."""
    check_out(out, overwrite, PICTURES)
    start_tensorflow()
    import numpy as np

    from tfgen.latents import decoding, inversion

    model, data = zoo.open_model(run)
    rows = decoding.read(images, data.element) if images else data.rows("test", count)
    labels = None if label is None else np.full(len(rows), label)
    found = inversion.invert(model, rows, labels, restarts, steps, seed=seed)
    write_rows(np.stack([rows, found.images]), out)
    names = images or [f"test image {i}" for i in range(len(rows))]
    classes = (
        [f", class {k}" for k in found.labels] if decoding.class_count(model) else [""] * len(rows)
    )
    for name, error, chosen in zip(names, found.errors, classes, strict=True):
        say(f"{name}: mean squared error {error:.4f}{chosen}")
    say(
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
    out: Picture = pathlib.Path("edit.png"),
    overwrite: Overwrite = False,
):
    """Moves images towards a class: each, its reconstruction, and with growing strength."""
    check_out(out, overwrite, PICTURES)
    start_tensorflow()
    import numpy as np

    from tfgen.latents import decoding, editing

    model, data = zoo.open_model(run)
    known = len(data.classes)
    for option, value in (("from", first), ("to", last)):
        if value is not None and not 0 <= value < known:
            told = f"are 0 to {known - 1}" if known else "there are none in its data"
            raise InputError(f"--{option} {value}: the classes {told}")
    if first == last:
        raise InputError(f"--from {first} --to {last}: this is no change")
    trained = data.rows("train", 10_000)
    classes = data.rows("train", 10_000, "labels")
    chosen = np.isin(classes, [first, last]) if first is not None else classes >= 0
    codes = decoding.encode(model, trained[chosen])
    direction = editing.attribute(codes, classes[chosen] == last)
    if images:
        shown = decoding.read(images, data.element)
    else:
        tested, classes = data.rows("test"), data.rows("test", column="labels")
        shown = tested[classes == first if first is not None else classes != last][:rows]
    strengths = np.linspace(0.0, strength, 7)
    edited = editing.edit(model, shown, direction, strengths)
    write_rows(np.concatenate([shown[:, None], edited], axis=1), out)
    origin = "the others" if first is None else data.classes[first]
    say(f"from {origin} to {data.classes[last]}, with strengths 0 to {strength:g}: {out}")


@app.command()
def arithmetic(
    run: Run,
    plus: Annotated[list[str], typer.Option(help="Seeds of a group to add: 0,1,2.")],
    minus: Annotated[list[str] | None, typer.Option(help="Seeds of one to subtract.")] = None,
    label: Annotated[int, typer.Option(help="A class, for models that have them.")] = 0,
    out: Picture = pathlib.Path("arithmetic.png"),
    overwrite: Overwrite = False,
):
    """Adds and subtracts the means of groups: a row a group, its mean last; below, the result."""
    added = [seeds("plus", text) for text in plus]
    taken = [seeds("minus", text) for text in minus or []]
    check_out(out, overwrite, PICTURES)
    start_tensorflow()
    import numpy as np

    from tfgen.latents import decoding, editing

    model, _ = zoo.open_model(run)
    groups = [decoding.latents(model, seeds) for seeds in added + taken]
    result = editing.arithmetic(groups[: len(added)], groups[len(added) :])
    width = max(map(len, groups))
    # Before it, what lies around it: noise of up to 0.25, as in figure 7 of Radford et al.
    around = result + np.random.default_rng(0).uniform(-0.25, 0.25, [width, len(result)])
    table = np.full([len(groups) + 1, width + 1, len(result)], np.nan, "float32")
    for row, (group, end) in zip(
        table, [(g, g.mean(axis=0)) for g in groups] + [(around, result)], strict=True
    ):
        row[: len(group)], row[-1] = group, end
    images = decoding.decode(model, np.nan_to_num(table), label)
    images[np.isnan(table).any(axis=-1)] = 1.0  # white, where a group has fewer than others
    write_rows(images, out)
    terms = [f"+ mean{tuple(s)}" for s in added] + [f"- mean{tuple(s)}" for s in taken]
    say(f"{' '.join(terms).removeprefix('+ ')}, in the corner: {out}")
