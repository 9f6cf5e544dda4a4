"""Commands that use a trained model."""

import math
import pathlib
from typing import Annotated

import typer

import zoo
from tfgen.cli.shared import (
    PICTURES,
    ROWS,
    Label,
    Overwrite,
    Picture,
    Rows,
    Run,
    Seed,
    busy,
    check_out,
    check_rows,
    class_number,
    class_words,
    console,
    errors,
    open_model,
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
    count: Annotated[
        int | None, typer.Option(help="How many; 64, or a few less for classes alike.", min=1)
    ] = None,
    seed: Seed = 0,
    label: Label = None,
    out: Rows = pathlib.Path("samples.png"),
    overwrite: Overwrite = False,
):
    """Draws samples: the seeds SEED, SEED + 1, … give one each. Each class gets a row."""
    check_out(out, overwrite, ROWS, count or 64)
    model, data = open_model(run)
    from tfgen import endpoint
    from tfgen.runs import opening

    number = class_number("label", label, data)
    sampler = model.endpoints.get("sample")
    classes = endpoint.classes(sampler) if sampler and number is None else 0
    count = count or max(1, 64 // max(1, classes)) * max(1, classes)
    if sampler:
        check_rows(count, sampler.outputs[0])
    with busy("drawing"):
        rows, element = opening.samples(model, count, seed, number)
    write(element, rows, out, opening.background(data), classes)
    of = "" if number is None else f" of {class_words(number, data)}"
    say(f"{count} samples{of}: {out}")


@app.command()
def traverse(
    run: Run,
    code: Annotated[
        str | None,
        typer.Option(help="Name or number, from 1 on: the model's own codes, then its latents."),
    ] = None,
    rows: Annotated[
        int, typer.Option(help="How many seeds; or without --code, how many codes.", min=1)
    ] = 10,
    seed: Seed = 0,
    out: Picture = pathlib.Path("traversal.png"),
    overwrite: Overwrite = False,
):
    """Draws what one code means: it varies from left to right, and nothing else does.

    Without --code each row is another code, of those that change pictures most.
    """
    check_out(out, overwrite, PICTURES)
    model, _ = open_model(run)
    import numpy as np

    from tfgen.latents import decoding, traversal

    check_rows(rows * traversal.COLUMNS, decoding.decoder(model).outputs[0])
    chosen = [] if code is None else [traversal.find(model, code)]
    with busy("drawing"):
        if chosen:
            images = traversal.traverse(model, chosen[0], rows, seed)
        else:
            chosen = traversal.most_varied(model, rows, seed)
            images = np.concatenate([traversal.traverse(model, c, 1, seed) for c in chosen])
    write_rows(images, out)
    for shown in chosen:
        first, last = (", ".join(f"{x:.2f}" for x in shown.values[end]) for end in (0, -1))
        say(f"{shown.name} from {first} to {last}")
    say(f"{len(images)} {'seeds' if code else 'codes'}: {out}")


@app.command()
def translate(
    run: Run,
    source: Annotated[pathlib.Path, typer.Option("--input", help="An image, or a folder.")],
    out: Annotated[pathlib.Path, typer.Option(help="A .png for one image, or a folder.")],
    direction: Annotated[str | None, typer.Option(help="a2b or b2a.")] = None,
    seed: Seed = 0,
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
    label: Label = None,
    out: Picture = pathlib.Path("interpolation.png"),
    overwrite: Overwrite = False,
):
    """Draws the way from one sample to another, through the latents between their own."""
    if path not in ("spherical", "linear"):
        raise InputError(f"--path {path}: expected spherical or linear")
    check_out(out, overwrite, PICTURES)
    model, data = open_model(run)
    from tfgen.latents import decoding, interpolation

    number = class_number("label", label, data)
    check_rows(rows * columns, decoding.decoder(model).outputs[0])
    with busy("drawing"):
        images = interpolation.interpolations(model, first, last, rows, columns, path, number)
    write_rows(images, out)
    of = "" if number is None else f" of {class_words(number, data)}"
    say(f"{rows} {path} ways{of}, from seed {first} to {last}: {out}")


@app.command()
def manifold(
    run: Run,
    count: Annotated[int, typer.Option(help="Images of a side.", min=2)] = 20,
    label: Label = None,
    out: Picture = pathlib.Path("manifold.png"),
    overwrite: Overwrite = False,
):
    """Draws the map of two latents: even steps of probability, from left to right and upwards."""
    check_out(out, overwrite, PICTURES)
    model, data = open_model(run)
    from tfgen.latents import decoding, interpolation

    number = class_number("label", label, data)
    check_rows(count**2, decoding.decoder(model).outputs[0])
    with busy("drawing"):
        images = interpolation.manifold(model, count, number or 0)
    write_rows(images, out)
    of = f" of {class_words(number or 0, data)}" if decoding.class_count(model) else ""
    say(f"{count} x {count} latents{of}: {out}")


@app.command()
def invert(
    run: Run,
    images: Annotated[
        list[pathlib.Path] | None, typer.Argument(help="Files; the run's own test images if none.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many test images.", min=1)] = 8,
    label: Annotated[
        str | None, typer.Option(help="The class of all, by name or number; sought if absent.")
    ] = None,
    restarts: Annotated[int, typer.Option(help="Ways for each image.", min=1)] = 8,
    steps: Annotated[int, typer.Option(help="Of each way.", min=1)] = 500,
    seed: Seed = 0,
    out: Picture = pathlib.Path("inversion.png"),
    overwrite: Overwrite = False,
):
    """Finds the samples nearest to given images: above the images, below what was found."""
    check_out(out, overwrite, PICTURES)
    model, data = open_model(run)
    import numpy as np

    from tfgen.latents import decoding, inversion

    number = class_number("label", label, data)
    rows = decoding.read(images, data.element) if images else data.rows("test", count)
    check_rows(len(rows) * restarts, data.element)
    labels = None if number is None else np.full(len(rows), number)
    with busy("searching"):
        found = inversion.invert(model, rows, labels, restarts, steps, seed=seed)
    write_rows(np.stack([rows, found.images]), out)
    names = images or [f"test image {i}" for i in range(len(rows))]
    told = decoding.class_count(model)
    classes = [f", {class_words(int(k), data)}" if told else "" for k in found.labels]
    for name, error, chosen in zip(names, found.errors, classes, strict=True):
        say(f"{name}: mean squared error {error:.4f}{chosen}")
    say(
        f"{len(rows)} images, mean squared error {found.errors.mean():.4f} "
        f"(of a single restart {found.all_errors.mean():.4f}): {out}"
    )


@app.command()
def edit(
    run: Run,
    to: Annotated[str, typer.Option(help="The class to move to, by name or number.")],
    origin: Annotated[
        str | None, typer.Option("--from", help="The class to move from; all others if absent.")
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
    if not math.isfinite(strength):
        raise InputError(f"--strength {strength}: expected a finite number")
    model, data = open_model(run)
    import numpy as np

    from tfgen.latents import decoding, editing

    known = len(data.classes)
    first, last = class_number("from", origin, data), class_number("to", to, data)
    for option, value in (("from", first), ("to", last)):
        if value is not None and not 0 <= value < known:
            told = f"the classes are 0 to {known - 1}" if known else "there are none in its data"
            raise InputError(f"--{option} {value}: {told}")
    if first == last:
        raise InputError(f"--from {origin} --to {to}: this is no change")
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
        if not len(shown):
            raise InputError(f"no test image is of {class_words(first, data)}: give some files")
    strengths = np.linspace(0.0, strength, 7)
    with busy("drawing"):
        edited = editing.edit(model, shown, direction, strengths)
    write_rows(np.concatenate([shown[:, None], edited], axis=1), out)
    left = "the others" if first is None else class_words(first, data)
    say(f"from {left} to {class_words(last, data)}, with strengths 0 to {strength:g}: {out}")


@app.command()
def arithmetic(
    run: Run,
    plus: Annotated[list[str], typer.Option(help="Seeds of a group to add: 0,1,2.")],
    minus: Annotated[list[str] | None, typer.Option(help="Seeds of one to subtract.")] = None,
    label: Label = None,
    out: Picture = pathlib.Path("arithmetic.png"),
    overwrite: Overwrite = False,
):
    """Adds and subtracts the means of groups: a row a group, its mean last; below, the result."""
    added = [seeds("plus", text) for text in plus]
    taken = [seeds("minus", text) for text in minus or []]
    check_out(out, overwrite, PICTURES)
    model, data = open_model(run)
    import numpy as np

    from tfgen.latents import decoding, editing

    number = class_number("label", label, data) or 0
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
    images = decoding.decode(model, np.nan_to_num(table), number)
    images[np.isnan(table).any(axis=-1)] = 1.0  # white, where a group has fewer than others
    write_rows(images, out)
    terms = [f"+ mean{tuple(s)}" for s in added] + [f"- mean{tuple(s)}" for s in taken]
    of = f" of {class_words(number, data)}" if decoding.class_count(model) else ""
    say(f"{' '.join(terms).removeprefix('+ ')}{of}, in the corner: {out}")
