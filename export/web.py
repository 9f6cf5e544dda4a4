"""The browser: a folder with a page that runs the model where it is looked at.

Any server of files will do, such as `python -m http.server`; nothing is sent to it and nothing is
fetched from elsewhere. The page (`export/page/`) knows no model: what it shows is made from the
endpoints in `model.json`. The graphs are run by ONNX Runtime Web, which npm gives once.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from export.errors import DeliveryError

PAGE = Path(__file__).parent / "page"
VERSION = "1.30.0"
# Of ONNX Runtime Web (MIT licence, Microsoft): the module, and WebAssembly with what loads it.
RUNTIME = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": (
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
    ),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}


def write(graphs, path, contents):
    """Writes a page for graphs that `export.onnx.write` made.

        PATH/index.html, *.js, style.css   the page
        PATH/model.json                    what it is made from
        PATH/onnx/<endpoint>.onnx          the graphs; each is fetched when it is first needed
        PATH/runtime/                      ONNX Runtime Web

    Args:
        graphs: the folder of `<endpoint>.onnx` files.
        path: a folder to be made.
        contents: `{"model": name, "endpoints": {...}}` as in `report.json`.

    Raises:
        DeliveryError: no endpoint gives pictures, or ONNX Runtime Web cannot be had.
    """
    outputs = [endpoint["outputs"][0] for endpoint in contents["endpoints"].values()]
    if not any(_is_picture(output) for output in outputs):
        raise DeliveryError(
            "web: the page shows pictures, but no endpoint's first output is [H, W, 1 or 3]"
        )
    source, path = runtime(), Path(path)
    shutil.copytree(PAGE, path)
    shutil.copytree(graphs, path / "onnx")
    shutil.copytree(source, path / "runtime")
    (path / "model.json").write_text(json.dumps(contents, indent=2) + "\n")


def _is_picture(element):
    shape = element["shape"]
    return len(shape) == 4 and shape[3] in (1, 3) and element["dtype"] == "float32"


def runtime():
    """The folder that holds the files of ONNX Runtime Web, fetched by npm where it is missing.

    It is `tfgen/onnxruntime-web-VERSION` in `XDG_CACHE_HOME`, by default `~/.cache`.

    Raises:
        DeliveryError: it is not there and npm cannot fetch it, or its bytes are not those expected.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfgen"
    folder = cache / f"onnxruntime-web-{VERSION}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as attempt:
            fetched = Path(attempt) / "runtime"
            _fetch(Path(attempt), fetched)
            _check(fetched)
            if not folder.exists():  # another process may have been faster
                fetched.rename(folder)
    _check(folder)
    return folder


def _fetch(attempt, folder):
    """Has npm download the package into the folder `attempt`, and unpacks `RUNTIME`."""
    package = f"onnxruntime-web@{VERSION}"
    try:
        subprocess.run(
            ["npm", "pack", "--silent", package],
            cwd=attempt,
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        raise DeliveryError(
            f"web: {package} is not in the cache, {folder.parent.parent}, and npm cannot fetch it "
            f"({reason.splitlines()[0]}): install npm, or copy the cache of a machine that has it"
        ) from error
    folder.mkdir()
    with tarfile.open(next(attempt.glob("*.tgz"))) as archive:
        for name in RUNTIME:
            with archive.extractfile(f"package/dist/{name}") as file:
                (folder / name).write_bytes(file.read())


def _check(folder):
    for name, expected in RUNTIME.items():
        file = folder / name
        content = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(content).hexdigest() != expected:
            raise DeliveryError(
                f"web: {file} is not that of onnxruntime-web {VERSION}: remove {folder}, and it "
                "is fetched again"
            )
