"""Some formats at once, all verified, or none of them."""

import functools
import json
import math
from importlib import metadata
from pathlib import Path

from export import card, examples, lite, lite_variants, onnx, saved_model, serving, verify, web
from export.attempt import attempt
from export.errors import DeliveryError, VerificationError
from export.verify import Report, table
from tfgen.errors import InputError, check_choice

__all__ = [
    "FORMATS",
    "QUANTIZE",
    "DeliveryError",
    "Report",
    "VerificationError",
    "deliver",
    "table",
]

FORMATS = ("saved_model", "lite", "onnx", "serving", "web")
USUAL = ("saved_model", "lite")  # the others need packages that not everybody has
QUANTIZE = (*verify.LITE, "advise")


def deliver(
    model,
    data,
    out,
    formats=USUAL,
    name="model",
    *,
    classes=(),
    endpoints=None,
    batch=None,
    quantize="float16",
    compare=False,
    console=None,
):
    """Writes a model's endpoints in some formats, all verified; `out` appears when all is well.

        OUT/README.md      what is there, how large, how exact
        OUT/report.json    the same for programs
        OUT/saved_model/   for TensorFlow Serving and TensorFlow in any language
        OUT/model.tflite   for LiteRT
        OUT/onnx/          for ONNX Runtime and all that reads ONNX: a file an endpoint
        OUT/serving/       the SavedModel with what TensorFlow Serving and its users need
        OUT/web/           a page that runs the model in the browser, with all that it needs

    Args:
        model: a `keras.Model` with `endpoints`, `{name: Endpoint}`, and float32 weights.
        data: the `tfgen.Data` of the model, whose test rows are what is verified with and what
            ranges are taken from; or an array of images; or None, for noise.
        out: the folder to be made.
        formats: some of `FORMATS`.
        name: what the report calls the model.
        classes: the name of each label.
        endpoints: names of those that are delivered, without the weights of the others; None for
            all.
        batch: rows of each call, for compilers that want to know them; None for any number.
        quantize: how LiteRT's weights are kept, see `lite.write`; "advise" takes the way that
            `lite_variants.advise` names.
        compare: whether LiteRT is measured with its weights kept in every way.
        console: a `rich.console.Console` on which all numbers are printed, or None.

    Returns:
        The `Report`.

    Raises:
        InputError: `out` exists, or a format, an endpoint or a quantization is unknown, or the
            format needs a free batch.
        DeliveryError: the model cannot be written in a format.
        VerificationError: what was written does not answer as the model does.
    """
    _among("formats", formats, FORMATS)
    check_choice("quantize", quantize, QUANTIZE)
    if batch and set(formats) - {"saved_model", "lite", "onnx"}:
        raise InputError(f"batch={batch}: serving and web need a free batch, so leave it out")
    chosen = model.endpoints
    if endpoints is not None:
        _among("endpoints", endpoints, chosen)
        chosen = {key: chosen[key] for key in endpoints}
    chosen = {key: endpoint._replace(batch=batch) for key, endpoint in chosen.items()}
    rows = examples.real_rows(chosen, data)
    out = Path(out).absolute()
    _check_absent(out)
    home = next(folder for folder in out.parents if folder.is_dir())
    with attempt(home, prefix=f".{out.name}-") as folder:
        draft = folder / "draft"
        draft.mkdir()
        contents, written, variants, replay = contents_of(name, chosen, classes), {}, [], None

        def place(format):
            """Where files go: what only another format is made from stays out of the draft."""
            return (draft if format in formats else folder) / format

        if {"saved_model", "lite", "serving"} & set(formats):
            saved_model.write(chosen, place("saved_model"))
            if {"saved_model", "serving"} & set(formats):
                written["saved_model"] = place("saved_model")
        if "lite" in formats:
            written["lite"] = draft / "model.tflite"
            if compare or quantize == "advise":
                variants = lite_variants.measure(
                    place("saved_model"), folder / "lite", chosen, rows
                )
                advised = lite_variants.advise(variants)
                if console:
                    console.print(lite_variants.table(variants, advised))
                quantize = advised if quantize == "advise" else quantize
            made = folder / "lite" / f"{quantize}.tflite"
            if made.exists():
                made.rename(written["lite"])
            else:
                lite.write(place("saved_model"), written["lite"], chosen, quantize, rows)
        if {"onnx", "web"} & set(formats):
            written["onnx"] = place("onnx")
            onnx.write(chosen, written["onnx"])
        if "web" in formats:  # its graphs are those of `onnx`, and verified as such
            web.write(written["onnx"], place("web"), contents)
        if "serving" in formats:  # a copy of the SavedModel, which is verified as such
            served = serving.served_name(name)
            serving.write(place("saved_model"), place("serving"), served, chosen, rows)
            replay = functools.partial(serving.replay, place("serving"), served)
        report = verify.verify(chosen, rows, quantize=quantize, replay=replay, **written)
        report = report._replace(variants=variants)
        (draft / "report.json").write_text(_document(contents, report))
        (draft / "README.md").write_text(card.page(name, chosen, report))
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.rename(out)
        except OSError:
            _check_absent(out)  # another delivery was faster
            raise
    if console:
        console.print(table(report))
        if "serving" in formats and served != name:
            console.print(f"clients ask for the model as {served}, which every URL can hold")
    return report


def _check_absent(out):
    if out.exists():
        raise InputError(f"{out} exists already: remove it, or deliver into another folder")


def _among(what, given, known):
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        raise InputError(f"{what}={','.join(given)!r}: give one or more of {', '.join(known)}")


def contents_of(name, endpoints, classes):
    """What a delivery offers, for people and programs that have only the folder."""
    return {
        "model": name,
        "classes": list(classes),
        "endpoints": {
            key: {
                "inputs": [_describe(element, endpoint.batch) for element in endpoint.inputs],
                "outputs": [_describe(element, endpoint.batch) for element in endpoint.outputs],
            }
            for key, endpoint in endpoints.items()
        },
    }


def _document(contents, report):
    """`report.json`: the contents, and how they were found to be."""
    packages = ["tensorflow", "keras", "ai-edge-litert"]
    if "onnx" in report.sizes:
        packages += ["tf2onnx", "onnx", "onnxruntime"]
    document = contents | {
        "differences": [{**row._asdict(), "ok": row.ok} for row in report.rows],
        "bytes": report.sizes,
        "lite_variants": [variant._asdict() for variant in report.variants],
        "versions": {package: metadata.version(package) for package in packages},
    }
    return json.dumps(document, indent=2) + "\n"


def _describe(element, batch):
    # JSON has no infinity: null is an end without a bound, and in a shape a free size.
    low, high = (end if math.isfinite(end) else None for end in (element.low, element.high))
    described = {"name": element.name, "shape": [batch, *element.shape], "dtype": element.dtype}
    sizes = {"sizes_are_multiples_of": element.multiple} if None in element.shape else {}
    return described | {"low": low, "high": high} | sizes
