"""The data sets: list them, look at them."""

import pathlib
from typing import Annotated

import typer
from rich.table import Table

from tfgen.cli.shared import (
    ROWS,
    Overwrite,
    Rows,
    busy,
    check_out,
    console,
    say,
    start_tensorflow,
    write,
)

app = typer.Typer()


@app.command("list")
def list_data():
    """Lists the data sets by name, and whether they are on this machine."""
    from tfgen.data import names

    table = Table("name", "what it is", "where", box=None)
    for row in names.names():
        table.add_row(*row)
    console.print(table)


@app.command("show")
def show_data(
    name: Annotated[str, typer.Argument(help="A name from tfgen data list, or folder:PATH.")],
    out: Rows = pathlib.Path("data.png"),
    count: Annotated[int, typer.Option(help="How many.", min=1)] = 64,
    image_size: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    overwrite: Overwrite = False,
):
    """Draws rows of a data set, evenly spread over it."""
    check_out(out, overwrite, ROWS, count)
    from tfgen.data import names

    names.check(name)
    start_tensorflow()
    from tfgen.data import load
    from tfgen.runs import opening

    with busy(f"{name} is being read"):
        data = load(name, image_size)
    rows = data.rows("train", count)
    write(data.element, rows, out, opening.background(data))
    shape, classes = data.element.shape, len(data.classes)
    say(f"{name}: {data.size} rows of {shape}, {classes} classes: {out}")
    if any(class_name != str(i) for i, class_name in enumerate(data.classes)):
        say(f"classes: {', '.join(f'{i} {name}' for i, name in enumerate(data.classes))}")
