"""The browser: a real one opens the page, and its pictures are those of Keras."""

import functools
import http.server
import json
import shutil
import subprocess
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import export
from export import onnx, web
from export.errors import DeliveryError
from tests.test_export import IMAGES, LATENTS, Model, constant, files, one_endpoint, trained, upward
from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint, labels

pytest.importorskip("tf2onnx", reason="needs the extra onnx")
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")

CLASSES = 3
PHOTOS = Element("images", (None, None, 3), low=-1.0, high=1.0)


class Everything(Model):
    """Samples of classes, their latents, and translations: all that a page can show."""

    @property
    def endpoints(self):
        classes = labels(CLASSES)
        return {
            "sample": Endpoint(self.sample, (SEEDS, classes), (IMAGES,)),
            "latents": Endpoint(self.latents, (SEEDS,), (LATENTS,)),
            "decode": Endpoint(self.decode, (LATENTS, classes), (IMAGES,)),
            "translate_a_to_b": Endpoint(self.translator, (PHOTOS,), (PHOTOS,)),
            "translate_b_to_a": Endpoint(lambda images: -images, (PHOTOS,), (PHOTOS,)),
        }

    def latents(self, seeds):
        return random.normal(seeds, LATENTS.shape)

    def decode(self, latents, labels):
        return self.generator(latents + 2.0 * tf.one_hot(labels, LATENTS.shape[0]))

    def sample(self, seeds, labels):
        return self.decode(self.latents(seeds), labels)


def translator():
    x = images = keras.Input(PHOTOS.shape)
    x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(x)
    x = keras.layers.Conv2DTranspose(3, 3, 2, "same", activation="tanh")(x)
    return trained(keras.Model(images, x))


@pytest.fixture(scope="module")
def model():
    return Everything(generator=upward(), translator=translator())


@pytest.fixture(scope="module")
def fetched():
    """Skips where ONNX Runtime Web is neither in the cache nor to be had."""
    try:
        return web.runtime()
    except DeliveryError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def site(model, fetched, tmp_path_factory):
    """The folder of the page."""
    out = tmp_path_factory.mktemp("delivery") / "out"
    export.deliver(model, None, out, formats=["web"], name="everything", classes=["shoe", "bag"])
    return out / "web"


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Says nothing."""


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Server, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Page:
    """The page in a browser, and what one does there."""

    def __init__(self, driver):
        self.driver = driver

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, condition):
        """Waits for a JavaScript expression to be true."""
        self._wait(lambda: self.run(f"return {condition}"), condition)

    @staticmethod
    def _wait(look, what):
        end = time.monotonic() + 240  # the machine may have other things to do
        while not look():
            assert time.monotonic() < end, f"waited in vain: {what}"
            time.sleep(0.05)

    def open(self, address, width=1280):
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(address)
        self.until("document.querySelectorAll('#strip canvas').length === 9")
        self.settled()
        return self

    def settled(self):
        """Waits until the grid is drawn: the status then counts it."""
        self.until("/^[0-9]+ samples/.test(document.getElementById('status').textContent)")

    def type(self, id, text):
        self.run("document.getElementById('status').textContent = ''")
        script = """const box = document.getElementById(arguments[0]); box.value = arguments[1];
            box.dispatchEvent(new Event('input'));"""
        self.run(script, id, str(text))

    def choose(self, group, text):
        self.run("document.getElementById('status').textContent = ''")
        script = """[...document.getElementById(arguments[0]).querySelectorAll('label')]
            .find((label) => label.textContent === arguments[1]).click()"""
        self.run(script, group, text)

    def pixels(self, selector):
        """What a canvas shows: uint8 `[H, W, 3]`."""
        script = """const canvas = document.querySelector(arguments[0]);
            const { width, height } = canvas;
            const data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
            return [height, width, ...data];"""
        height, width, *data = self.run(script, selector)
        return np.array(data, "uint8").reshape(height, width, 4)[..., :3]

    def changed(self, selector, before):
        """Waits until a canvas shows something else, and gives it."""
        self._wait(lambda: not np.array_equal(self.pixels(selector), before), f"{selector} changes")
        return self.pixels(selector)


@pytest.fixture
def page(chromium, address):
    yield Page(chromium).open(address)
    severe = [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe


def levels(images):
    """Images in [-1, 1] as a screen has them: `[H, W, 3]` of the first."""
    gray = np.clip(np.round((np.asarray(images)[0] + 1) * 127.5), 0, 255)
    return np.broadcast_to(gray, [*gray.shape[:2], 3])


def tile(place):
    return f"#grid button:nth-child({place + 1}) canvas"


def off(left, right):
    return abs(left.astype(int) - right).max()


def test_a_seed_is_the_picture_that_it_is_in_keras(page, model):
    page.type("seed", 7)
    page.settled()
    for place, seed in enumerate((7, 8, 9, 10)):  # the classes in turn
        expected = model.sample(tf.constant([seed]), tf.constant([place % CLASSES]))
        assert off(page.pixels(tile(place)), levels(expected)) <= 1
    page.type("seed", -(2**31))
    page.settled()
    expected = model.sample(tf.constant([-(2**31)]), tf.constant([0]))
    assert off(page.pixels(tile(0)), levels(expected)) <= 1


def test_class_buttons_choose_the_class(page, model):
    page.choose("classes", "bag")
    page.settled()
    expected = model.sample(tf.constant([0]), tf.constant([1]))
    assert off(page.pixels(tile(0)), levels(expected)) <= 1
    page.choose("classes", "2")
    page.settled()
    for seed in (0, 1):
        expected = model.sample(tf.constant([seed]), tf.constant([2]))
        assert off(page.pixels(tile(seed)), levels(expected)) <= 1
    assert page.run("return document.querySelectorAll('#classes input').length") == CLASSES + 1


@pytest.mark.parametrize("width", [390, 500, 600, 1024, 1280])
def test_sliders_are_wide_enough_to_be_moved(chromium, address, width):
    page = Page(chromium).open(address, width)
    script = "return [...document.querySelectorAll('#sliders input')].map((s) => s.offsetWidth)"
    assert min(page.run(script)) >= 100


def test_sliders_and_the_map_move_the_latents(page, model):
    start = page.pixels("#picture")
    latents = model.latents(tf.constant([0])).numpy()
    assert off(start, levels(model.decode(latents, tf.constant([0])))) <= 1
    assert page.run("return document.querySelectorAll('[data-code]').length") == LATENTS.shape[0]
    script = """const slider = document.querySelector('[data-code="3"]'); slider.value = 1.5;
        slider.dispatchEvent(new Event('input'));"""
    page.run(script)
    moved = page.changed("#picture", start)
    latents[0, 3] = page.run("return Number(document.querySelector('[data-code=\"3\"]').value)")
    assert abs(latents[0, 3] - 1.5) < 0.01
    assert off(moved, levels(model.decode(latents, tf.constant([0])))) <= 2  # a slider has steps

    pad = page.driver.find_element("id", "pad")
    actions = webdriver.ActionChains(page.driver)
    actions.move_to_element(pad).click_and_hold().move_by_offset(40, -30).release().perform()
    dragged = page.changed("#picture", moved)
    values = page.run(
        "return [0, 1].map((i) => Number(document.querySelector(`[data-code='${i}']`).value))"
    )
    assert values[0] > 0 and values[1] > 0  # right of the middle, and above it
    pad.send_keys(webdriver.Keys.ARROW_LEFT)  # the keyboard does it too, and tells
    pushed = page.changed("#picture", dragged)
    assert "latent 1" in page.run("return document.getElementById('status').textContent")
    page.run("document.getElementById('reset').click()")
    assert off(page.changed("#picture", pushed), start) == 0


def test_the_way_between_two_seeds_ends_at_both(page, model):
    for end, seed in (("first", 0), ("last", 1)):
        expected = model.sample(tf.constant([seed]), tf.constant([0]))
        assert off(page.pixels(f"#strip canvas:{end}-child"), levels(expected)) <= 1
    before = page.pixels("#step")
    page.type("way", 0.25)
    after = page.changed("#step", before)
    assert off(after, page.pixels("#strip canvas:nth-child(3)")) <= 1


def test_a_picture_of_ones_own_is_translated(page, model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, [64, 128, 3]).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    before = page.pixels("#after")
    script = "const s = document.getElementById('size'); s.value = '128'"
    page.run(script)
    page.driver.find_element("id", "file").send_keys(str(tmp_path / "mine.png"))
    after = page.changed("#after", before)
    expected = model.translator(pixels[None] / np.float32(127.5) - 1)
    assert off(page.pixels("#before"), pixels) == 0
    assert off(after, levels(expected)) <= 1
    page.choose("functions", "translate b to a")
    assert off(page.changed("#after", after), 255 - pixels.astype(int)) <= 1
    (tmp_path / "broken.png").write_text("no picture")
    page.driver.find_element("id", "file").send_keys(str(tmp_path / "broken.png"))
    page.until("document.querySelector('[role=alert]')?.textContent.includes('broken.png')")


@pytest.mark.parametrize("width", [390, 1280])
def test_every_width_and_every_finger(width, chromium, address):
    page = Page(chromium).open(address, width)
    assert page.run("return document.documentElement.scrollWidth") <= width
    small = page.run("""return [...document.querySelectorAll('button, select, input')]
        .filter((e) => e.checkVisibility() && !e.closest('.choice, #drop'))
        .map((e) => [e.outerHTML, e.getBoundingClientRect()])
        .filter(([_, box]) => box.height < 24 || box.right > innerWidth).map(([text]) => text)""")
    assert not small
    nameless = page.run("""
        return [...document.querySelectorAll('button, select, input, [tabindex]')]
        .filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel))
        .map((e) => e.outerHTML)""")
    assert not nameless
    before = page.pixels(tile(0))
    page.run("document.getElementById('more').click()")
    page.changed(tile(0), before)


def test_a_page_of_samples_alone(chromium, fetched, tmp_path):
    network = upward()
    model = one_endpoint(lambda s: network(random.normal(s, LATENTS.shape)), network=network)
    export.deliver(model, None, tmp_path / "out", formats=["web"])
    handler = functools.partial(Server, directory=tmp_path / "out" / "web")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = Page(chromium)
        page.driver.get(f"http://127.0.0.1:{server.server_port}/")
        page.settled()
        shown = page.run(
            "return [...document.querySelectorAll('section:not([hidden])')].map(s => s.id)"
        )
        assert shown == ["samples"]
        expected = model.endpoints["sample"].function(tf.constant([3]))
        assert off(page.pixels(tile(3)), levels(expected)) <= 1
        server.shutdown()


def test_the_folder_needs_nothing_else(site):
    assert sorted(path.name for path in site.iterdir()) == sorted(
        [path.name for path in web.PAGE.iterdir()] + ["model.json", "onnx", "runtime"]
    )
    assert sorted(path.name for path in (site / "runtime").iterdir()) == sorted(web.RUNTIME)
    assert sorted(path.parent for path in site.parent.glob("web/*/sample.onnx")) == [site / "onnx"]
    contents = json.loads((site / "model.json").read_text())
    assert contents["model"] == "everything"
    assert set(contents["endpoints"]) == {path.stem for path in (site / "onnx").iterdir()}
    report = json.loads((site.parent / "report.json").read_text())
    assert {row["format"] for row in report["differences"]} == {"onnx"}
    for page in web.PAGE.iterdir():
        assert "https:" not in page.read_text()
    assert sorted(path.name for path in site.parent.iterdir()) == [
        "README.md",
        "report.json",
        "web",
    ]


def test_what_a_page_cannot_show_is_not_delivered(tmp_path):
    points = Element("points", (2,))
    model = one_endpoint(lambda s: random.normal(s, [2]), points)
    with pytest.raises(DeliveryError, match="^web: the page shows pictures"):
        export.deliver(model, None, tmp_path / "out", formats=["web"])
    assert not files(tmp_path)


def without_npm(*args, **kwargs):
    raise FileNotFoundError("[Errno 2] No such file or directory: 'npm'")


def refused(command, **kwargs):
    raise subprocess.CalledProcessError(1, command, stderr="npm error code ENOTFOUND\nnpm error …")


@pytest.mark.parametrize(("npm", "told"), [(without_npm, "'npm'"), (refused, "ENOTFOUND")])
def test_neither_cache_nor_npm(npm, told, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", npm)
    with pytest.raises(DeliveryError, match=rf"^web: .*cache.*{told}.*install npm"):
        export.deliver(one_endpoint(constant(0.5)), None, tmp_path / "out", formats=["web"])
    assert [str(path) for path in files(tmp_path)] == ["cache", "cache/tfgen"]


def test_a_damaged_cache_is_found(fetched, tmp_path, monkeypatch):
    copy = tmp_path / "tfgen" / fetched.name
    shutil.copytree(fetched, copy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert web.runtime() == copy
    (copy / "ort.wasm.min.mjs").write_text("alert('mine now')")
    with pytest.raises(DeliveryError, match=r"ort.wasm.min.mjs is not that of onnxruntime-web 1\."):
        web.runtime()


def test_npm_fills_the_cache_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    content = {name: name.encode() for name in web.RUNTIME}
    sums = {name: web.hashlib.sha256(value).hexdigest() for name, value in content.items()}
    monkeypatch.setattr(web, "RUNTIME", sums)
    calls = []

    def npm(command, cwd, **kwargs):
        calls.append(command)
        folder = cwd / "package" / "dist"
        folder.mkdir(parents=True)
        for name, value in content.items():
            (folder / name).write_bytes(value)
        with web.tarfile.open(cwd / "onnxruntime-web.tgz", "w:gz") as archive:
            archive.add(cwd / "package", "package")

    monkeypatch.setattr(subprocess, "run", npm)
    assert web.runtime() == web.runtime() == tmp_path / "tfgen" / f"onnxruntime-web-{web.VERSION}"
    assert calls == [["npm", "pack", "--silent", f"onnxruntime-web@{web.VERSION}"]]
    assert [path.name for path in (tmp_path / "tfgen").iterdir()] == [web.runtime().name]


@pytest.mark.parametrize(("module", "function"), [(onnx, "write"), (web, "write")])
def test_an_interrupt_leaves_nothing(module, function, fetched, tmp_path, monkeypatch):
    whole = getattr(module, function)

    def interrupted(*args, **kwargs):
        whole(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, function, interrupted)
    with pytest.raises(KeyboardInterrupt):
        export.deliver(one_endpoint(constant(0.5)), None, tmp_path / "out", formats=["web"])
    assert not files(tmp_path)
