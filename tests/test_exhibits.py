"""The trained models that come with the zoo: whole, small, and what they are shown to be."""

import ast
import functools
import http.server
import pathlib
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfgen
import zoo
from tests.test_cli import run
from tests.test_web import Page, Server, fetched, levels, off, tile  # noqa: F401
from tfgen.data.names import LICENCES
from tfgen.runs import opening, packing

EXHIBITS, SETUP = zoo.exhibits(), pathlib.Path(__file__).parents[1] / "setup.py"
MOST, ALL = 3e6, 60e6  # bytes of one, and of all
SHIPPED = ("CC BY-SA 3.0", "MIT", "CC BY 4.0")  # licences whose data may have taught what we ship


@pytest.fixture(params=EXHIBITS)
def exhibit(request):
    """The name of an exhibit, its model and its data."""
    return request.param, *zoo.open_model(f"zoo:{request.param}")


def test_it_draws_its_picture_and_offers_all_its_endpoints(exhibit):
    name, model, data = exhibit
    stored = Image.open(EXHIBITS[name] / "samples.png")
    drawn = opening.picture(model, data)
    assert stored.size == drawn.size
    levels = [np.asarray(image.convert("RGB"), "float32") for image in (stored, drawn)]
    # The picture is of weights in full precision.
    assert abs(levels[0] - levels[1]).mean() < 1
    assert levels[0].std() > 10


def test_its_page_draws_in_a_browser_what_keras_draws(exhibit, chromium, fetched, tmp_path):  # noqa: F811
    pytest.importorskip("tf2onnx", reason="needs the extra onnx")
    name, model, data = exhibit
    assert run("gallery", "--only", name, "--out", tmp_path / "site") == 0
    handler = functools.partial(Server, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = Page(chromium)
        chromium.get(f"http://127.0.0.1:{server.server_port}/site/models/{name}/index.html")
        if "sample" in model.endpoints:
            page.settled()
            page.type("seed", 7)
            page.settled()
            images, _ = opening.samples(model, 1, seed=7)
            drawn = page.pixels(tile(0))
        else:
            page.until("document.getElementById('status').textContent.endsWith('done.')")
            translate = next(e for n, e in model.endpoints.items() if n.startswith("translate"))
            rows = {"images": data.rows("test", 1, "a"), "seeds": np.zeros(1, "int32")}
            given = {key: tf.constant(rows[key]) for key in translate.specs}
            images = next(iter(translate(**given).values())).numpy()
            drawn = page.pixels("#after")
        server.shutdown()
    assert off(drawn, levels(images)) <= 4  # of 256
    severe = [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe


@pytest.mark.parametrize("name", EXHIBITS)
def test_what_it_says_of_itself(name):
    config = packing.read_config(EXHIBITS[name])
    assert name == f"{config['model']}-{name.partition('-')[2]}"
    assert config["licence_of_data"] == LICENCES[config["data"]]
    assert config["licence_of_data"].startswith(SHIPPED)
    assert config["steps"] > 0 and config["numbers"]
    assert f"--data {config['data']}" in config["command"]
    card = (EXHIBITS[name] / "README.md").read_text()
    assert config["command"] in card and config["licence_of_data"] in card
    files = {path.name: path.stat().st_size for path in EXHIBITS[name].iterdir()}
    assert set(files) == {"config.json", "model.safetensors", "README.md", "samples.png"}
    assert sum(files.values()) < MOST


def test_all_are_small_enough_for_a_clone():
    assert sum(p.stat().st_size for p in (zoo.HERE / "exhibits").rglob("*") if p.is_file()) < ALL


def test_pretrained_is_quick_in_a_new_process():
    program = """
import time
import keras, tensorflow, tfgen, zoo
start = time.process_time()
zoo.pretrained("cgan-mnist")
print(time.process_time() - start)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) < 2


def test_fit_goes_on_from_it():
    name = "cgan-mnist"
    model = zoo.pretrained(name)
    images = np.random.default_rng(0).integers(0, 256, [64, 28, 28, 1], "uint8")
    data = tfgen.from_arrays(images, np.arange(64, dtype="int32") % 10)
    step = int(model.step.numpy())
    before = [np.array(v) for v in model.generator.trainable_variables]
    model.fit(data.labelled.batches(32), steps_per_epoch=2, shuffle=False, verbose=0)
    after = [np.array(v) for v in model.generator.trainable_variables]
    moved = [abs(a - b).max() for a, b in zip(after, before, strict=True)]
    assert int(model.step.numpy()) == step + 2
    assert 0 < max(moved) < 0.01  # from its weights, by two steps of Adam


def test_an_installed_zoo_has_them_all():
    """What setup.py says of files of the zoo takes in each file of the exhibits."""
    text = re.search(r"package_data=({.*?}),\n    python", SETUP.read_text(), re.DOTALL)
    patterns = ast.literal_eval(text.group(1))["zoo"]
    found = {path for pattern in patterns for path in zoo.HERE.glob(pattern)}
    assert {path for path in (zoo.HERE / "exhibits").rglob("*") if path.is_file()} <= found
