"""The delivery of trained runs, measured, and told in the cards of their models.

    python benchmarks/cards.py RUN ...

Each run is delivered as SavedModel, LiteRT and ONNX, with its weights in LiteRT kept in every way.
The tables take the place of what stands in the section "Delivered" of the card, `zoo/*/<model>.md`,
or become that section. A model that has several runs should be given one.
"""

import argparse
import json
import os
import re
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import export
import zoo
from export import card
from tfgen.runs import opening

HEAD = "## Delivered"
FORMATS = ("saved_model", "lite", "onnx")


def class_count(path, section):
    """The text of a card with `section` as its last part but the notes on serving."""
    text = path.read_text()
    old = re.compile(rf"{HEAD}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if old.search(text):
        return old.sub(lambda match: section, text)
    before, serving, after = text.partition("## Serving")
    return before + section + serving + after


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("runs", nargs="+", type=Path)
    for run in parser.parse_args().runs:
        written = json.loads((run / "run.json").read_text())
        name, settings, data = (written[key] for key in ("model", "settings", "data"))
        defaults = zoo.find(name).settings({})
        changed = [f"{key}={value}" for key, value in settings.items() if value != defaults[key]]
        model, data_set = opening.open_run(run, zoo.find)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            report = export.deliver(model, data_set, out, FORMATS, name, compare=True)
        command = " ".join(["tfgen train", name, *changed, "--data", data])
        command += f" --image-size {written['image_size']}" if written["image_size"] else ""
        section = f"{HEAD}\n\n`{command}`, then `tfgen export`:\n\n{card.tables(report)}\n\n"
        path = zoo.locate(name).with_suffix(".md")
        path.write_text(class_count(path, section))
        print(f"{run}: {path}")


if __name__ == "__main__":
    main()
