"""Packed models on a hub: fetched, refused where they are damaged, uploaded; a stub on loopback."""

import base64
import hashlib
import http.server
import json
import threading

import numpy as np
import pytest
import tensorflow as tf

import tfgen
import zoo
from tfgen.errors import InputError
from tfgen.runs import hub, packing
from tfgen.runs.recipes import Setup
from tfgen.runs.training import train

pytest.importorskip("huggingface_hub", reason="needs the extra hub")
SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub's HTTP as its library asks for."""

    files, uploaded, cut, address = {}, {}, 0, ""

    def log_message(self, *args):
        """Says nothing."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        if path.startswith("/api/models/nobody/model"):
            siblings = [{"rfilename": name, "size": len(c)} for name, c in self.files.items()]
            if "/tree/" in path:
                tree = [
                    {"type": "file", "path": n, "size": len(c), "oid": SHA}
                    for n, c in self.files.items()
                ]
                return self.answer(tree)
            return self.answer({"id": "nobody/model", "sha": SHA, "siblings": siblings, "tags": []})
        name = path.rpartition("/")[2]
        if path.startswith("/nobody/model/resolve/") and name in self.files:
            content = self.files[name]
            self.send_response(200)
            self.send_header("X-Repo-Commit", SHA)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content[: len(content) - self.cut])
            return None
        return self.answer({"error": "Repository not found"}, 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            return self.answer({"url": f"{self.address}/nobody/model", "id": "nobody/model"})
        if "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            return self.answer(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for f in asked
                    ]
                }
            )
        if "/commit/" in self.path:
            for line in body.decode().splitlines():
                row = json.loads(line)
                if row["key"] == "file":
                    value = row["value"]
                    self.uploaded[value["path"]] = base64.b64decode(value["content"])
            url = f"{self.address}/nobody/model/commit/{SHA}"
            return self.answer({"commitUrl": url, "commitOid": SHA, "success": True})
        return self.answer({}, 404)

    def answer(self, content, code=200):
        data = json.dumps(content).encode()
        self.send_response(code)
        if code == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    given = {"latent_dim": 2, "hidden": 8, "epochs": 1}
    train(zoo.find("vae"), folder / "run", given, Setup("digits"), steps=2, verbose=0)
    model, _ = tfgen.open_run(folder / "run", zoo.find)
    packing.pack(model, json.loads((folder / "run/run.json").read_text()), folder / "packed")
    return folder / "packed"


@pytest.fixture
def stub(packed, monkeypatch):
    """A hub that has the packed model."""
    Hub.files = {path.name: path.read_bytes() for path in packed.iterdir()}
    Hub.uploaded, Hub.cut = {}, 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Hub.address = address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        yield Hub
        server.shutdown()


def fetch(tmp_path):
    return hub.fetch("nobody/model", cache=tmp_path / "cache")


def test_a_model_is_fetched_and_opened(stub, packed, tmp_path):
    folder = fetch(tmp_path)
    model, _ = tfgen.open_run(folder, zoo.find)
    own, _ = tfgen.open_run(packed, zoo.find)
    np.testing.assert_array_equal(model.sample(tf.range(3)), own.sample(tf.range(3)))
    stub.files = {}  # from the cache, the second time
    assert (folder / "model.safetensors").exists()


def test_a_download_that_breaks_off_is_told_and_can_be_made_again(stub, tmp_path):
    stub.cut = 10
    with pytest.raises(InputError, match="hf:nobody/model cannot be had"):
        fetch(tmp_path)
    stub.cut = 0
    assert packing.is_packed(fetch(tmp_path))


def test_a_damaged_download_is_refused(stub, tmp_path):
    content = bytearray(stub.files["model.safetensors"])
    content[-1] ^= 1
    stub.files["model.safetensors"] = bytes(content)
    with pytest.raises(InputError, match="is damaged or another file"):
        tfgen.open_run(fetch(tmp_path), zoo.find)


def test_what_is_no_packed_model_is_refused(stub, tmp_path):
    stub.files = {"README.md": b"# something else"}
    with pytest.raises(InputError, match="is no packed model of tfgen"):
        fetch(tmp_path)
    with pytest.raises(InputError, match="hf:nobody/other cannot be had"):
        hub.fetch("nobody/other", cache=tmp_path / "cache")


def test_a_packed_model_is_uploaded(stub, packed, tmp_path):
    assert hub.push(packed, "nobody/model").endswith("/nobody/model")
    assert stub.uploaded == {path.name: path.read_bytes() for path in packed.iterdir()}
    with pytest.raises(InputError, match="is not that of a packed model"):
        hub.push(tmp_path, "nobody/model")
