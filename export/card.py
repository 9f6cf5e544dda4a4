"""What a delivery says of itself, in Markdown: for the folder, and for a model's card."""

import os
from importlib import metadata

import tensorflow as tf

from export import lite_variants

NAMES = {"saved_model": "SavedModel", "lite": "LiteRT", "onnx": "ONNX"}


def page(name, endpoints, report):
    """The README.md of a delivery.

    Args:
        name: of the model.
        endpoints: `{name: Endpoint}`, those delivered.
        report: the `verify.Report`.

    Returns:
        A string.
    """
    rows = (
        (f"`{key}`", *(", ".join(map(_element, side)) for side in (e.inputs, e.outputs)))
        for key, e in endpoints.items()
    )
    parts = [f"# {name}", table(("endpoint", "takes", "gives"), rows), tables(report)]
    return "\n\n".join(parts) + "\n"


def tables(report):
    """The sizes and differences of a `verify.Report`, and what was measured of LiteRT.

    A difference is the largest of a format, in units of the output's scale. Milliseconds are those
    of one row, summed over the endpoints.
    """
    rows = []
    for format, label in NAMES.items():
        apart = [row.relative for row in report.rows if row.format == format and _plain(row)]
        if apart:
            size = _bytes(report.sizes[format])
            rows.append((label, size, f"{max(apart):.1e}"))
    rows.append(("the weights alone, float32", _bytes(report.sizes["weights"]), ""))
    parts = [table(("format", "bytes", "off from Keras, of the output's scale"), rows)]
    if report.variants:
        advised, rows = lite_variants.advise(report.variants), []
        for v in report.variants:
            label = f"{v.quantize} (advised)" if v.quantize == advised else v.quantize
            numbers = (_bytes(v.size), f"{v.error:.1e} in `{v.place}`", f"{v.milliseconds:.2f}")
            rows.append((label, *((v.problem, "", "") if v.problem else numbers)))
        heads = ("LiteRT's weights", "bytes", "error (root mean square)", "ms, all endpoints")
        parts.append(table(heads, rows))
        parts.append(f"Measured on {os.cpu_count()} cores, one thread, {_versions()}.")
    return "\n\n".join(parts)


def table(heads, rows):
    """A Markdown table of strings."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(row):
    """Whether a row tells of numbers, and neither of draws nor of what 8-bit files give."""
    return row.unit == "scale" and not row.endpoint.endswith("_bytes")


def _element(element):
    shape = ", ".join("free" if size is None else str(size) for size in element.shape)
    return f"{element.name} {element.dtype}" + (f" [{shape}]" if shape else "")


def _bytes(size):
    return f"{size:,}"


def _versions():
    return f"TensorFlow {tf.__version__}, LiteRT {metadata.version('ai-edge-litert')}"
