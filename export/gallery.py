"""The gallery: one static site of many models, each of which draws in the browser.

    OUT/index.html           a wall of pictures by family, with search
    OUT/pictures/            what is on the wall
    OUT/models/<name>/       a page a model: `model.json`, its graphs in `onnx/`; of translators a
                             test image of each domain in `examples/`
    OUT/page/                what all pages share: scripts, styles, and ONNX Runtime Web, once

Any server of files will do, below any path; nothing is fetched from elsewhere. A page's graphs are
fetched when it is opened.
"""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from export import examples, web
from export import onnx as graphs
from export.delivery import contents_of
from export.errors import DeliveryError, VerificationError
from export.verify import scale_of, typical
from tfgen import files
from tfgen.data.levels import to_levels
from tfgen.quiet import quiet

TEMPLATES = Path(__file__).parent / "wall"
SIDE = 256  # pixels of a picture on the wall
SMALL = 1024  # numbers below which a weight stays in float32
GOOD = 2e-2  # of an output's scale, root mean square: what half precision may cost
MEGABYTES = 6  # of the graphs of a page, at most


class Exhibit(NamedTuple):
    """A model of the gallery.

    Attributes:
        name: of its page; letters that an address can hold.
        family, title, reference: strings, of the model's file.
        objective: lines of ASCII.
        about: paragraphs.
        model: a `GenerativeModel`.
        data: its `Data`, for the names of its classes.
        picture: a `PIL.Image`, for the wall.
        facts: `{what: value}`, strings: command, steps, licence, numbers.
    """

    name: str
    family: str
    title: str
    reference: str
    objective: str
    about: tuple
    model: object
    data: object
    picture: object
    facts: dict


def write(exhibits, out, say=print):
    """Writes the site; `out` appears when it is complete.

    Args:
        exhibits: a list of `Exhibit`, sorted by family.
        out: the folder to be made.
        say: takes a line of progress.

    Raises:
        InputError: `out` exists.
        DeliveryError: a model cannot run in the browser, or ONNX Runtime Web cannot be had.
        VerificationError: a graph does not answer as its model does, or a page is too large.
    """
    runtime = web.runtime()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True
    )
    with files.new_folder(out) as draft:
        shutil.copytree(web.PAGE, draft / "page")
        (draft / "page" / "index.html").unlink()
        for file in ("wall.css", "wall.js"):
            shutil.copy(TEMPLATES / file, draft / "page" / file)
        shutil.copytree(runtime, draft / "page" / "runtime")
        (draft / "pictures").mkdir()
        for exhibit in exhibits:
            size = _page(exhibit, draft / "models" / exhibit.name, environment)
            picture = exhibit.picture.copy()
            picture.thumbnail((SIDE, SIDE))
            picture.save(draft / "pictures" / f"{exhibit.name}.webp", quality=80)
            say(f"{exhibit.name}: {size / 1e6:.1f} MB")
        families = {}
        for exhibit in exhibits:
            families.setdefault(exhibit.family, []).append(exhibit)
        wall = environment.get_template("index.html").render(families=families)
        (draft / "index.html").write_text(wall, encoding="utf-8")


def shown(endpoints):
    """The endpoints that a page runs: those that give pictures, and what makes their inputs."""
    drawn = {
        name: endpoint
        for name, endpoint in endpoints.items()
        if endpoint.outputs[0].kind == "images" and endpoint.outputs[0].dtype == "float32"
    }
    needed = {element.name for endpoint in drawn.values() for element in endpoint.inputs}
    return {name: e for name, e in endpoints.items() if name in drawn or name in needed}


def _page(exhibit, folder, environment):
    """Writes the page of a model; the bytes of its graphs."""
    folder.mkdir(parents=True)
    endpoints = shown(exhibit.model.endpoints)
    if not endpoints:
        raise DeliveryError(f"gallery: {exhibit.name} gives no pictures, but a page shows these")
    graphs.write(endpoints, folder / "onnx")
    for path in (folder / "onnx").iterdir():
        whole = path.read_bytes()
        path.write_bytes(halved(whole))
        if _error(path, exhibit, endpoints[path.stem]) > GOOD:
            path.write_bytes(whole)
            if (error := _error(path, exhibit, endpoints[path.stem])) > GOOD:
                raise VerificationError(
                    f"gallery: {exhibit.name}: {path.stem} is {error:.1g} of its scale off"
                )
    size = sum(path.stat().st_size for path in (folder / "onnx").iterdir())
    if size > MEGABYTES * 1e6:
        raise VerificationError(
            f"gallery: the graphs of {exhibit.name} take {size / 1e6:.1f} MB, but a page has "
            f"{MEGABYTES} MB: take a smaller model"
        )
    said = contents_of(exhibit.name, endpoints, exhibit.data.classes)
    said["examples"] = _examples(exhibit, endpoints, folder)
    (folder / "model.json").write_text(json.dumps(said) + "\n")
    page = (web.PAGE / "index.html").read_text(encoding="utf-8")
    about = environment.get_template("about.html").render(exhibit=exhibit)
    page = (
        page.replace('href="style.css"', 'href="../../page/style.css"')
        .replace('src="app.js"', 'src="../../page/app.js"')
        .replace("</main>", f"{about}\n</main>")
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    return size


def _examples(exhibit, endpoints, folder):
    """Writes what a page without samples begins with; `{endpoint: path}`."""
    if "sample" in endpoints:
        return {}
    (folder / "examples").mkdir()
    found = {}
    for name, endpoint in endpoints.items():
        column = endpoint.inputs[0].column
        found[name] = f"examples/{column}.png"
        levels = to_levels(exhibit.data.rows("test", 1, column))[0].numpy()
        Image.fromarray(levels.squeeze()).save(folder / found[name])
    return found


def halved(content):
    """A graph whose large weights are in half precision, each with a cast to float32.

    Args:
        content: bytes of an ONNX file.

    Returns:
        Bytes.
    """
    model = onnx.load_from_string(content)
    graph, casts = model.graph, []
    for weight in graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < SMALL:
            continue
        array = numpy_helper.to_array(weight)
        if abs(array).max() > np.finfo(np.float16).max:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model.SerializeToString()


def _error(path, exhibit, endpoint):
    """How far a graph is off, of its output's scale: the root of the mean square."""
    rows = examples.likely(exhibit.model.endpoints, endpoint, None, 4)
    truth = endpoint(**{key: tf.constant(value) for key, value in rows.items()})
    with quiet():
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        values = session.run(None, rows)
    pairs = zip(endpoint.outputs, values, truth.values(), strict=True)
    return max(
        typical(value - true.numpy().astype("float64")) / scale_of(element, true.numpy())
        for element, value, true in pairs
    )
