"""The models of the zoo."""

import json
import re
from typing import Annotated

import typer
from rich.table import Table

import zoo
from tfgen.cli.shared import console

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
