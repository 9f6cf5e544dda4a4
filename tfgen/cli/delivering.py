"""Commands that deliver and serve."""

import pathlib
from typing import Annotated

import typer

import zoo
from tfgen.cli.shared import Run, check_rows, deliver, fail, open_model, positive, say
from tfgen.errors import InputError

app = typer.Typer()


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
        str | None, typer.Option(help="Such as sample,decode; all of them if absent.")
    ] = None,
    batch: Annotated[str, typer.Option(help="Rows of each call: free, or a number.")] = "free",
):
    """Writes the model for servers, devices and browsers, and checks each against Keras."""
    rows = None if batch == "free" else positive("batch", batch, "free")
    folder = zoo.folder_of(run)
    if out is None and folder != run:
        raise InputError(f"--out: say where {run} is to be delivered")
    out = out or run / "export"
    if out.exists():
        raise InputError(f"{out} exists already: remove it, or deliver into another folder")
    model, data = open_model(run)
    for endpoint in model.endpoints.values() if rows else ():
        for element in (*endpoint.inputs, *endpoint.outputs):
            check_rows(rows, element)
    chosen = endpoints.split(",") if endpoints else None
    options = {"quantize": quantize, "endpoints": chosen, "batch": rows, "compare": True}
    deliver(model, data, to, out, folder.resolve().name, **options)


@app.command()
def serve(
    out: Annotated[pathlib.Path, typer.Argument(help="A delivery with the format serving.")],
    port: Annotated[int, typer.Option(help="Of REST.")] = 8501,
    host: Annotated[str, typer.Option(help="0.0.0.0 to be reached from elsewhere.")] = "127.0.0.1",
):
    """Serves a delivery on this machine, with TensorFlow Serving's REST."""
    from export import errors, server

    try:
        server.serve(out, port, host, say)
    except errors.DeliveryError as error:
        fail(error, 1)
