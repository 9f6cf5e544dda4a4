"""The gallery: a wall of models and a page for each, opened by a real browser."""

import functools
import http.server
import json
import threading

import numpy as np
import pytest
import tensorflow as tf

import tfgen
import zoo
from export import gallery
from tests.test_web import Page, Server, fetched, levels, off, tile  # noqa: F401
from tfgen import figures
from tfgen.errors import InputError

pytest.importorskip("tf2onnx", reason="needs the extra onnx")


def exhibit(name, data, **settings):
    recipe, data = zoo.find(name), tfgen.load(data)
    model = next(recipe.stages(data, recipe.settings(settings))).model
    entry = next(e for e in zoo.entries() if e.name == name)
    picture = figures.grid(np.zeros([9, 8, 8, 1], "float32"))
    told = (entry.family, entry.title, entry.reference, *zoo.objective(name))
    return gallery.Exhibit(f"{name}-tiny", *told, model, data, picture, {"trained by": "<nobody>"})


@pytest.fixture(scope="module")
def exhibits():
    return [
        exhibit("cgan", "digits", network="conv", width=8, latent_dim=4),
        exhibit("pix2pix", "digit_pairs", width=4, jitter=1),
    ]


@pytest.fixture(scope="module")
def site(exhibits, fetched, tmp_path_factory):  # noqa: F811
    out = tmp_path_factory.mktemp("gallery") / "below" / "site"
    gallery.write(exhibits, out, say=lambda text: None)
    return out


def test_one_runtime_and_graphs_that_a_page_needs(site, exhibits):
    found = sorted(str(path.relative_to(site)) for path in site.rglob("*.onnx"))
    assert found == [
        "models/cgan-tiny/onnx/decode.onnx",
        "models/cgan-tiny/onnx/latents.onnx",
        "models/cgan-tiny/onnx/sample.onnx",
        "models/pix2pix-tiny/onnx/translate_a_to_b.onnx",
    ]
    assert len(list(site.rglob("*.wasm"))) == 1
    weights = sum(np.array(v).size for v in exhibits[0].model.generator.variables)
    size = (site / "models/cgan-tiny/onnx/decode.onnx").stat().st_size
    assert size < 3 * weights + 2**14  # in half precision
    assert not list(site.parent.glob(".*"))
    wall = sum(p.stat().st_size for p in (site / "pictures").iterdir())
    wall += sum(
        (site / p).stat().st_size for p in ("index.html", "page/wall.css", "page/style.css")
    )
    assert wall < 1e6
    assert json.loads((site / "models/cgan-tiny/model.json").read_text())["classes"][3] == "3"


def site_runtime(tmp_path):
    """An empty folder in the place of ONNX Runtime Web."""
    (tmp_path / "runtime").mkdir(exist_ok=True)
    return tmp_path / "runtime"


def test_half_precision_is_not_taken_where_it_costs_too_much(exhibits, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "GOOD", 1e-5)
    monkeypatch.setattr(gallery.web, "runtime", lambda: site_runtime(tmp_path))
    gallery.write(exhibits[:1], tmp_path / "site", say=lambda text: None)
    weights = sum(np.array(v).size for v in exhibits[0].model.generator.variables)
    size = (tmp_path / "site/models/cgan-tiny/onnx/decode.onnx").stat().st_size
    assert size > 4 * weights


def test_an_existing_folder_is_not_touched(exhibits, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery.web, "runtime", lambda: site_runtime(tmp_path))
    with pytest.raises(InputError, match="exists already"):
        gallery.write(exhibits, tmp_path)


@pytest.fixture
def address(site):
    """The gallery below a path, as on GitHub Pages."""
    handler = functools.partial(Server, directory=site.parent.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/below/site/"
        server.shutdown()


def test_a_translator_begins_with_an_example(chromium, address, exhibits):
    page = Page(chromium)
    chromium.get(f"{address}models/pix2pix-tiny/index.html")
    page.until("document.getElementById('status').textContent.endsWith('done.')")
    exhibit = exhibits[1]
    images = exhibit.data.rows("test", 1, "a")
    assert off(page.pixels("#before"), levels(images)) == 0
    expected = exhibit.model.translate(tf.constant(images), tf.constant([0]))
    assert off(page.pixels("#after"), levels(expected)) <= 4  # weights in half precision


def test_the_wall_is_searched_and_a_page_draws(chromium, address, exhibits):
    page = Page(chromium)
    chromium.get(address)
    page.until("document.querySelectorAll('.wall img').length === 2")
    page.until("[...document.images].every((image) => image.complete && image.naturalWidth)")
    page.run(
        """const box = document.getElementById('search'); box.value = 'isola 2017';
        box.dispatchEvent(new Event('input'));"""
    )
    shown = "[...document.querySelectorAll('.wall li')].filter((li) => li.offsetParent).length"
    page.until(f"{shown} === 1")
    page.run("document.querySelector('.wall a[href*=cgan]').click()")
    page.until("document.querySelectorAll('#strip canvas').length === 9")
    page.settled()
    assert "<nobody>" in page.run("return document.querySelector('.about').textContent")
    page.type("seed", 7)
    page.settled()
    expected = exhibits[0].model.sample(tf.constant([7]), tf.constant([0]))
    assert off(page.pixels(tile(0)), levels(expected)) <= 2  # weights in half precision
    severe = [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe
