"""The serving kit, its client, and a server that is really started on this machine."""

import asyncio
import base64
import concurrent.futures
import gzip
import io
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console

import export
from export import image_bytes, saved_model, server, serving, verify
from export.client import Client, ServingError
from export.errors import DeliveryError, reason
from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint, labels
from tfgen.errors import InputError

pytest.importorskip("tensorflow_serving", reason="needs the extra: pip install -e .[serving]")

ROOT = pathlib.Path(__file__).parents[1]
IMAGES = Element("images", (8, 8, 1), low=-1.0, high=1.0)
LATENTS = Element("latents", (4,))


class Small(keras.Model):
    """A generator that is told a class, and an encoder."""

    def __init__(self):
        super().__init__()
        latents, classes = keras.Input([4]), keras.Input([10])
        x = keras.layers.Concatenate()([latents, classes])
        x = keras.layers.Dense(64, activation="tanh", kernel_initializer="he_normal")(x)
        self.generator = keras.Model([latents, classes], keras.layers.Reshape([8, 8, 1])(x))
        images = keras.Input([8, 8, 1])
        x = keras.layers.Dense(8)(keras.layers.Flatten()(images))
        self.encoder = keras.Model(images, x)

    def sample(self, seeds, classes):
        return self.generator([random.normal(seeds, [4]), tf.one_hot(classes, 10)])

    def encode(self, images):
        return tuple(tf.split(self.encoder(images), 2, axis=1))

    @property
    def endpoints(self):
        second = LATENTS._replace(name="scales")
        return {
            "sample": Endpoint(self.sample, (SEEDS, labels(10)), (IMAGES,)),
            "encode": Endpoint(self.encode, (IMAGES,), (LATENTS, second)),
        }


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return Small()


@pytest.fixture(scope="module")
def kit(model, tmp_path_factory):
    """A kit of a run whose folder has a name that nothing else could hold."""
    out, printed = tmp_path_factory.mktemp("kit") / "out", io.StringIO()
    console = Console(file=printed, width=200)
    export.deliver(model, None, out, ["serving"], name='"small"\n', console=console)
    assert "clients ask for the model as small" in printed.getvalue()
    return out / "serving"


# The kit


def test_the_kit_is_whole(kit):
    assert {path.name for path in kit.iterdir()} == {
        "small",
        "models.config",
        "batching_parameters.txt",
        "docker-compose.yml",
        "README.md",
    }
    assert [path.name for path in (kit / "small").iterdir()] == ["1"]
    assert {path.name for path in kit.parent.iterdir()} == {
        "README.md",
        "serving",
        "report.json",
    }
    readme = (kit / "README.md").read_text()
    assert "`sample`: seeds int32, labels int32 → images float32[8, 8, 1]" in readme
    assert "`encode_bytes`: images_bytes string → latents float32[4], scales" in readme
    request = readme.partition("curl -d '")[2].partition("'")[0]
    assert json.loads(request) == {
        "signature_name": "sample",
        "inputs": {"seeds": [0, 1], "labels": [0, 1]},
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clothes-64_b", "clothes-64_b"),
        ("my run (v2)", "my_run_v2"),
        ("run#1", "run_1"),
        ("vae 0.1", "vae_0_1"),
        ("étude-日本", "etude"),
        ("日本", "model"),
        ("..", "model"),
        ("models.config", "models_config"),  # the name of a file beside it
    ],
)
def test_a_served_name_needs_no_escape(name, expected):
    assert serving.served_name(name) == expected


def test_a_kit_is_written_in_silence(kit, model, tmp_path, capfd, monkeypatch):
    from tensorflow.python.util import deprecation

    monkeypatch.setattr(deprecation, "_PRINTED_WARNING", {})  # each is told once a process
    plain = shutil.copytree(kit / "small/1", tmp_path / "1", ignore=lambda *_: ["assets.extra"])
    serving.write(plain, tmp_path / "kit", "small", model.endpoints)
    serving.replay(tmp_path / "kit", "small")
    assert capfd.readouterr() == ("", "")


def test_the_settings_are_what_the_server_reads(kit):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2 as api

    config = api.ModelServerConfig()
    text_format.Parse((kit / "models.config").read_text(), config)
    (one,) = config.model_config_list.config
    assert (one.name, one.base_path) == ("small", "/models/small")
    batching = (kit / "batching_parameters.txt").read_text()
    assert f"max_batch_size {{ value: {serving.MOST_ROWS} }}" in batching
    assert max(serving.ROWS) <= serving.MOST_ROWS
    compose = (kit / "docker-compose.yml").read_text()
    assert serving.IMAGE in compose and ".:/models:ro" in compose and "healthcheck" in compose


def test_warm_up_requests_are_replayed(kit, tmp_path):
    assert serving.replay(kit, "small") == 2 * 4  # 2 sizes; sample and encode, each with files
    from tensorflow_serving.apis import prediction_log_pb2 as api

    path = kit / "small/1" / serving.WARM_UP
    records = list(tf.compat.v1.io.tf_record_iterator(str(path)))
    requests = [api.PredictionLog.FromString(r).predict_log.request for r in records]
    assert {r.model_spec.signature_name for r in requests} == {
        "sample",
        "sample_bytes",
        "encode",
        "encode_bytes",
    }
    for bad, words in (({"labels": [11]}, "labels must be 0 to 9"), ({"seeds": "x"}, "warm")):
        request = requests[0].__class__.FromString(requests[0].SerializeToString())
        for key, value in bad.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        broken = tmp_path / f"kit{len(words)}"
        shutil.copytree(kit, broken)
        with tf.io.TFRecordWriter(str(broken / "small/1" / serving.WARM_UP)) as writer:
            log = api.PredictionLog(predict_log=api.PredictLog(request=request))
            writer.write(log.SerializeToString())
        with pytest.raises(export.VerificationError, match=words):
            serving.replay(broken, "small")


# The client


class Fake:
    """TensorFlow Serving's REST before a SavedModel; `plan` says what goes wrong."""

    def __init__(self, kit):
        plan = self.plan = []
        sessions = verify.session(kit / "small/1")
        self.close = sessions.__exit__
        run = sessions.__enter__()
        seen, paths = self.seen, self.paths = [], []

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def reply(self, code, document):
                body = json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                paths.append(self.path)
                one = {"dtype": "DT_INT32"}
                known = {
                    "sample": {
                        "inputs": {"seeds": one, "labels": one},
                        "outputs": {"images": {"dtype": "DT_FLOAT"}},
                    }
                }
                self.reply(200, {"metadata": {"signature_def": {"signature_def": known}}})

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                seen.append(request)
                trouble = plan.pop(0) if plan else None
                if trouble == "sleep":
                    time.sleep(4.0)
                elif trouble == "hang up":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                elif trouble:
                    self.reply(trouble, {"error": f"trouble {trouble}"})
                    return
                images = run(request["signature_name"], request["inputs"])["images"]
                self.reply(200, {"outputs": images.tolist()})

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def fake(kit):
    made = Fake(kit)
    yield made
    made.server.shutdown()
    made.close(None, None, None)


def test_the_client_samples(fake, model):
    client = Client(fake.url + "/", "small")
    assert client.ready()
    found = client.sample(seeds=[7, -3], labels=4)
    assert found.shape == (2, 8, 8, 1) and found.dtype == "float32"
    truth = model.sample(tf.constant([7, -3]), tf.constant([4, 4]))
    np.testing.assert_allclose(found, truth, atol=1e-6)
    assert fake.seen[0]["inputs"] == {"seeds": [7, -3], "labels": [4, 4]}


def test_the_client_is_patient_and_not_stubborn(fake):
    client = Client(fake.url, "small", timeout=2.0, retries=2, wait=0.01)
    fake.plan[:] = [503, "hang up"]
    assert client.sample([1], 2).shape == (1, 8, 8, 1) and len(fake.seen) == 3
    fake.plan[:] = ["sleep"]
    assert client.sample([1], 2).shape == (1, 8, 8, 1)
    fake.seen.clear()
    fake.plan[:] = [400]
    with pytest.raises(ServingError, match="400: trouble 400"):
        client.sample([1], 2)
    assert len(fake.seen) == 1  # what was refused is not repeated
    fake.plan[:] = [503] * 3
    with pytest.raises(ServingError, match="did not answer in 3 tries: .*trouble 503"):
        client.sample([1], 2)


def test_the_client_asks_for_any_name(fake):
    assert Client(fake.url, "my run/日本#?").ready()
    assert fake.paths == ["/v1/models/my%20run%2F%E6%97%A5%E6%9C%AC%23%3F/metadata"]


def test_the_client_names_mistakes(fake):
    client = Client(fake.url, "small")
    with pytest.raises(ServingError, match="small has no 'decode', but sample"):
        client.call("decode", latents=[[0.0]])
    with pytest.raises(ServingError, match="sample takes seeds, labels, but was given seeds"):
        client.sample([1])
    with pytest.raises(ValueError, match="expected http"):
        Client("localhost:8501", "small")
    nobody = Client("http://127.0.0.1:9", "small", retries=1, wait=0.01)
    assert not nobody.ready()
    with pytest.raises(ServingError, match="did not answer in 2 tries"):
        nobody.sample([1], 2)


def test_the_client_needs_no_tensorflow():
    program = "import sys, export.client; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_the_client_speaks_grpc(kit, model):
    import grpc
    from tensorflow_serving.apis import get_model_metadata_pb2 as metadata
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    busy = [True]
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((kit / "small/1/saved_model.pb").read_bytes())

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def GetModelMetadata(self, request, context):
            answer = metadata.GetModelMetadataResponse()
            known = metadata.SignatureDefMap(signature_def=saved.meta_graphs[0].signature_def)
            answer.metadata["signature_def"].Pack(known)
            return answer

        def Predict(self, request, context):
            if busy and busy.pop():
                context.abort(grpc.StatusCode.UNAVAILABLE, "warming up")
            tensors = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            answer = predict_pb2.PredictResponse()
            try:
                found = run(request.model_spec.signature_name, tensors)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason(error))
            for key, value in found.items():
                answer.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            return answer

    with verify.session(kit / "small/1") as run:
        service = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), service)
        port = service.add_insecure_port("127.0.0.1:0")
        service.start()
        client = Client(f"grpc://127.0.0.1:{port}", "small", wait=0.01)
        found = client.sample([5, 6], [1, 2])
        truth = model.sample(tf.constant([5, 6]), tf.constant([1, 2]))
        np.testing.assert_allclose(found, truth, atol=1e-6)
        assert not busy
        both = client.call("encode", images=found)
        np.testing.assert_allclose(both["scales"], model.encode(truth)[1], atol=1e-5)
        with pytest.raises(ServingError, match="INVALID_ARGUMENT: .*labels must be 0 to 9"):
            client.sample([1], 11)
        service.stop(None)


# The server


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """`tfgen serve KIT`, really started, with a TensorFlow Serving that tells its arguments."""

    def __init__(self, kit, folder, *options):
        self.port, self.temporary = free_port(), folder / "temporary"
        self.url = f"http://127.0.0.1:{self.port}"
        self.temporary.mkdir(parents=True)
        fake = folder / "bin" / "tensorflow_model_server"
        fake.parent.mkdir()
        fake.write_text("#!/bin/sh\necho TENSORFLOW SERVING\nprintf '%s\\n' \"$@\"\n")
        fake.chmod(0o755)
        path = f"{fake.parent}:{os.environ['PATH']}"
        environment = os.environ | {"TMPDIR": str(self.temporary), "PATH": path}
        environment.pop("TF_CPP_MIN_LOG_LEVEL")
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tfgen", "serve", kit, "--port", str(self.port), *options],
                cwd=ROOT,
                env=environment | {"PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
            )

    def wait_for(self, words):
        """Until it prints some words."""
        deadline = time.monotonic() + 240
        while words not in self.log.read_text():
            assert time.monotonic() < deadline, "it does not start"
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    def stop(self, number):
        """Its exit code, and what it printed; nothing of it may be left."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        server.listen("127.0.0.1", self.port).close()
        assert not list(self.temporary.iterdir())
        return code, self.log.read_text()

    def peak(self):
        """The most memory that it ever had, in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


@pytest.fixture(scope="module")
def running(kit, tmp_path_factory):
    """A `Server` by the command of the README, which ends in silence by Ctrl-C."""
    for module in ("tornado", "orjson"):
        pytest.importorskip(module, reason="needs the extra serve")
    started = Server(kit.parent, tmp_path_factory.mktemp("served"))
    started.wait_for("Ctrl-C")
    yield started
    code, log = started.stop(signal.SIGINT)
    assert code == 130
    assert log.splitlines() == [
        f"small: loading {kit / 'small'}",
        f"small: {started.url}/v1/models/small (stop with Ctrl-C)",
        "(tensorflow_model_server would listen at all addresses; --host 0.0.0.0 takes it)",
    ]


@pytest.fixture
def served(running):
    return running.url


def ask(url, path, body=None, method=None, **headers):
    """Status and answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request(url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def post(url, body, **headers):
    return ask(url, "/v1/models/small:predict", body, **headers)


def test_a_thousand_requests_of_eight_threads(served, model):
    seeds = np.arange(1000, dtype="int32") * 7919 - 500
    truth = np.concatenate(
        [model.sample(tf.constant(part), part % 10).numpy() for part in np.split(seeds, 10)]
    )
    client = Client(served, "small", timeout=60)

    def one(i):
        return client.sample([int(seeds[i])], int(seeds[i] % 10))[0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = np.stack(list(pool.map(one, range(1000))))
    assert np.abs(found - truth).max() < 1e-5


def test_rows_files_and_several_outputs(served, model):
    inputs = [{"seeds": 3, "labels": 1}, {"seeds": 4, "labels": 2}]
    status, answer = post(served, {"signature_name": "sample", "instances": inputs})
    assert status == 200
    truth = model.sample(tf.constant([3, 4]), tf.constant([1, 2])).numpy()
    np.testing.assert_allclose(answer["predictions"], truth, atol=1e-6)
    client = Client(served, "small")
    files = client.call("sample_bytes", seeds=[3, 4], labels=[1, 2])["images_bytes"]
    pixels = np.array([Image.open(io.BytesIO(file)) for file in files])
    assert np.abs(pixels - (truth[..., 0] + 1) * 127.5).max() <= 0.51
    both = client.call("encode_bytes", images_bytes=list(files))
    rounded = tf.constant(pixels[..., None] / np.float32(127.5) - 1)
    np.testing.assert_allclose(both["latents"], model.encode(rounded)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "no JSON"),
        ({}, 400, "inputs"),
        ({"signature_name": "x", "inputs": {}}, 400, "no signature 'x', but"),
        ({"signature_name": "sample", "inputs": {"seeds": [1]}}, 400, "sample takes"),
        ({"signature_name": "sample", "inputs": {"seeds": [1], "labels": [1, 2]}}, 400, "rows"),
        ({"signature_name": "sample", "inputs": {"seeds": [], "labels": []}}, 400, "rows"),
        ({"signature_name": "sample", "inputs": {"seeds": [1.5], "labels": [1]}}, 400, "int32"),
        ({"signature_name": "sample", "inputs": {"seeds": ["a"], "labels": [1]}}, 400, "int32"),
        ({"signature_name": "sample", "inputs": {"seeds": [2**40], "labels": [1]}}, 400, "beyond"),
        ({"signature_name": "sample", "inputs": {"seeds": [1], "labels": [10]}}, 400, "0 to 9"),
        ({"signature_name": "sample", "inputs": {"seeds": [1] * 5000, "labels": 1}}, 400, "int32"),
        ({"signature_name": "encode", "inputs": [[[[0.0]]]]}, 400, "images must be float32"),
        ({"signature_name": "encode", "inputs": [[1, [2]]]}, 400, "differ in shape"),
        (b'{"signature_name": "encode", "inputs": [[[[NaN]]]]}', 400, "no JSON"),
        ({"signature_name": "encode_bytes", "inputs": ["x"]}, 400, "b64"),
        ({"signature_name": "encode_bytes", "inputs": [{"b64": "AAAA"}]}, 400, "image"),
        (b"[" * 5_000, 400, "JSON"),
        (b"[" * 1_000_000, 413, "no request takes more than 65,536 numbers"),
        (b'{"inputs": {"seeds": [1], "labels": ["' + b"x" * 2**20 + b'"]}}', 400, "int32"),
        ({"signature_name": "encode", "inputs": [[[[1e39]] * 8] * 8]}, 400, "beyond"),
        (b'{"signature_name": "encode", "inputs": [[[[1e400]]]]}', 400, "infinity"),
        ({"signature_name": "encode", "inputs": [[[[3e38]] * 8] * 8]}, 400, "not be finite"),
        ({"signature_name": 7, "inputs": [1]}, 400, "no signature 7"),
        ({"signature_name": "sample", "inputs": None}, 400, "takes"),
        ({"signature_name": "sample", "inputs": {"seeds": {}, "labels": None}}, 400, "int32"),
    ],
)
def test_what_is_refused_is_told_and_the_server_lives_on(served, body, status, words):
    code, answer = post(served, body)
    assert code == status and words in answer["error"], answer
    assert Client(served, "small").sample([1], 2).shape == (1, 8, 8, 1)


def test_other_models_are_not_found(served):
    with pytest.raises(ServingError, match="404: no model 'large', but small"):
        Client(served, "large").sample([1], 2)


def test_it_answers_as_tensorflow_serving_does(served):
    inputs = {"seeds": [7], "labels": [3]}
    packed = gzip.compress(json.dumps({"inputs": inputs}).encode())
    answers = [
        post(served, {"signature_name": "sample", "inputs": inputs}),
        post(served, {"inputs": inputs}),  # serving_default
        post(served, {"signature_name": "", "inputs": inputs}),
        ask(served, "/v1/models/small/versions/1:predict", {"inputs": inputs}),
        post(served, packed, content_encoding="gzip"),
    ]
    assert answers[0][0] == 200 and all(answer == answers[0] for answer in answers)
    status = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    for path in ("", "/versions/1"):
        assert ask(served, f"/v1/models/small{path}") == (200, {"model_version_status": [status]})
        _, answer = ask(served, f"/v1/models/small{path}/metadata")
        assert answer["model_spec"]["name"] == "small"
        known = answer["metadata"]["signature_def"]["signature_def"]
        assert known["serving_default"]["inputs"]["seeds"]["dtype"] == "DT_INT32"


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/models/small/versions/2", None, 404, "no version 2 of small, but 1"),
        ("/v1/models/small/versions/2:predict", {}, 404, "no version 2 of small, but 1"),
        ("/v1/models/small/labels/stable", None, 404, "no label 'stable' of small"),
        ("/v1/models/my%20run", None, 404, "no model 'my run', but small"),
        ("/v1/models/%FF", None, 400, "Bad Request"),
        ("/v1/models/small:predict", None, 405, "POST /v1/models/NAME:predict"),
        ("/v1/models/small", {}, 405, "GET /v1/models/NAME"),
        ("/v2/repository/models/small/unload", {}, 404, "there are GET /v1/models/NAME"),
        ("/v2/repository/models/small/load", {}, 404, "there are"),
        ("/v2/repository/index", {}, 404, "there are"),
        ("/v2/models/small/infer", {}, 404, "there are"),
        ("/v2/health/live", None, 404, "there are"),
        ("/metrics", None, 404, "there are"),
        ("/", None, 404, "there are"),
    ],
)
def test_there_are_no_other_routes(served, path, body, status, words):
    code, answer = ask(served, path, body)
    assert code == status and words in answer["error"]
    assert Client(served, "small").ready()


def test_only_the_port_of_rest_is_open(running):
    sockets = pathlib.Path(f"/proc/{running.process.pid}/net/tcp").read_text().splitlines()[1:]
    own = {os.readlink(path) for path in pathlib.Path(f"/proc/{running.process.pid}/fd").iterdir()}
    fields = [line.split() for line in sockets]
    listening = [f[1] for f in fields if f[3] == "0A" and f"socket:[{f[9]}]" in own]
    assert listening == [f"0100007F:{running.port:04X}"]  # 127.0.0.1


def test_large_requests_are_refused_before_they_fill_the_memory(running):
    before = running.peak()
    blanks = zlib.compressobj(9, wbits=31)
    bomb = b"".join(blanks.compress(b" " * 2**20) for _ in range(500)) + blanks.flush()
    for body, headers, status, words in (
        (bomb, {"content_encoding": "gzip"}, 413, "fewer than 67,108,864 bytes"),
        (b"{}", {"content_encoding": "gzip"}, 400, "not packed by gzip"),
        (gzip.compress(b"{}")[:-9], {"content_encoding": "gzip"}, 400, "ends too early"),
        (b"{}", {"content_encoding": "br"}, 400, "'br': expected gzip"),
        (b" " * 2**27, {}, 413, "fewer than 67,108,864 bytes"),
        (b'{"inputs":[' + b"[]," * 2**24 + b"1]}", {}, 413, "no request takes more than 65,536"),
    ):
        code, answer = post(running.url, body, **headers)
        assert code == status and words in answer["error"], answer
    assert running.peak() < before + 250
    assert Client(running.url, "small").ready()


def png(height, width):
    """A PNG of zeros, which nobody should unpack."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    pixels = zlib.compressobj(9)
    rows = b"".join(pixels.compress(bytes(1 + width)) for _ in range(height)) + pixels.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(height, width):
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "JPEG")
    return file.getvalue()


def test_sizes_of_pictures_are_read_before_they_are_decoded(running):
    before = running.peak()

    def encode(*files):
        rows = [{"b64": base64.b64encode(file).decode()} for file in files]
        return post(running.url, {"signature_name": "encode_bytes", "instances": rows})

    assert encode(png(8, 8), jpeg(8, 8))[0] == 200
    for file, words in (
        (png(20_000, 20_000), "20000 x 20000 pixels, expected 8 x 8"),
        (jpeg(8, 9), "8 x 9 pixels, expected 8 x 8"),
        (png(8, 8)[:20], "is no PNG or JPEG"),
        (jpeg(8, 8)[:20], "is no PNG or JPEG"),
        (b"BM" + bytes(99), "is no PNG or JPEG"),
    ):
        code, answer = encode(png(8, 8), file)
        assert code == 400 and "images_bytes[1] is" in answer["error"]
        assert words in answer["error"]
    assert running.peak() < before + 100


def test_pictures_of_free_size_have_a_bound(tmp_path):
    pytest.importorskip("orjson", reason="needs the extra serve")
    from export.runtime import MOST_NUMBERS, Refused, Runtime

    pictures = Element("images", (None, None, 3), low=-1.0, high=1.0, multiple=4)
    endpoint = Endpoint(lambda images: -images, (pictures,), (pictures,))
    saved_model.write({"invert": endpoint}, tmp_path / "model")
    runtime = Runtime(tmp_path / "model")
    assert runtime.most_numbers == MOST_NUMBERS
    (answer,) = runtime.run("invert_bytes", {"images_bytes": [png(8, 12)]}).values()
    assert Image.open(io.BytesIO(answer[0])).size == (12, 8)
    with pytest.raises(Refused, match="multiples of 4") as refused:
        runtime.run("invert_bytes", {"images_bytes": [png(8, 9)]})
    assert refused.value.status == 400
    with pytest.raises(Refused, match="1,200,000,000 numbers, but one request may") as refused:
        runtime.run("invert_bytes", {"images_bytes": [png(20_000, 20_000)]})
    assert refused.value.status == 413


class Slow:
    """A `Runtime` that answers when it is let, and counts."""

    most_numbers = 1000
    signatures = {}

    def __init__(self):
        self.asked, self.let = 0, threading.Event()

    def predict(self, runtime, body, encoding):
        self.asked += 1
        assert self.let.wait(60)
        return b"{}" if body == b"{}" else bytes(20_000_000)


@pytest.fixture
def slow(monkeypatch):
    """A server in this process, of short patience, before a `Slow`."""
    rest_server = pytest.importorskip("export.rest_server", reason="needs the extra serve")
    made = Slow()
    monkeypatch.setattr(rest_server.rest, "predict", made.predict)
    for name in ("HEADER_SECONDS", "BODY_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(rest_server, name, 1.0)
    listener = server.listen("127.0.0.1", free_port())
    made.url = "http://{}:{}".format(*listener.getsockname())
    made.address = listener.getsockname()
    loop = asyncio.new_event_loop()
    task = loop.create_task(rest_server.serve(made, "small", listener))

    def run():
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    yield made
    made.let.set()
    loop.call_soon_threadsafe(task.cancel)
    thread.join()


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def connect(slow, length, body):
    """A client that has begun a request."""
    client = socket.create_connection(slow.address)
    head = f"POST /v1/models/small:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


def test_it_tells_that_it_is_up_while_it_works(slow):
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(post, slow.url, b"{}") for _ in range(8)]
        until(lambda: slow.asked == 2)
        for _ in range(5):
            start = time.monotonic()
            assert ask(slow.url, "/v1/models/small")[0] == 200
            assert time.monotonic() - start < 1.0
        slow.let.set()
        assert [answer.result() for answer in answers] == [(200, {})] * 8


def test_nothing_is_done_for_those_who_left(slow, capfd, caplog):
    clients = [connect(slow, 2, b"{}") for _ in range(20)]
    until(lambda: slow.asked == 2)
    time.sleep(0.5)
    for client in clients:
        client.close()
    connect(slow, 9, b"{}").close()  # in the middle of a request
    socket.create_connection(slow.address).close()
    time.sleep(0.5)
    assert ask(slow.url, "/v1/models/small")[0] == 200  # so it has seen them go
    slow.let.set()
    assert post(slow.url, b"{}") == (200, {})
    assert slow.asked == 3  # what had begun, and the last
    assert not caplog.records and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["header", "body", "answer"])
def test_slow_clients_are_left(slow, kind, capfd, caplog):
    slow.let.set()
    client = {
        "header": lambda: socket.create_connection(slow.address),
        "body": lambda: connect(slow, 1000, b"{}"),
        "answer": lambda: connect(slow, 3, b"{ }"),
    }[kind]()
    start = time.monotonic()
    with pytest.raises(OSError), client:
        if kind == "answer":  # which it does not take
            time.sleep(3.0)
            received = 0
            while data := client.recv(2**20):
                received += len(data)
            assert received < 20_000_000
            raise ConnectionResetError
        while time.monotonic() < start + 30:  # a byte now and then
            client.sendall(b"x")
            time.sleep(0.1)
    assert time.monotonic() < start + 20
    assert post(slow.url, b"{}") == (200, {})
    assert not caplog.records and capfd.readouterr() == ("", "")


def test_three_thousand_clients_that_say_nothing(slow):
    import resource

    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 10_000:
        pytest.skip(f"a process may have {most} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (10_000, most))
    clients = [socket.create_connection(slow.address) for _ in range(3000)]
    assert ask(slow.url, "/v1/models/small")[0] == 200
    for client in clients:
        client.close()


def test_all_requests_together_have_a_bound(slow, monkeypatch):
    from export import rest_server

    monkeypatch.setattr(rest_server, "MOST_HELD", 1000)
    with connect(slow, 1001, b"x" * 900), connect(slow, 2, b"{}"):
        until(lambda: slow.asked == 1)
        code, answer = post(slow.url, b"x" * 200)
        assert code == 503 and "at once: try again" in answer["error"]
    slow.let.set()
    time.sleep(0.2)
    assert post(slow.url, b"{}") == (200, {})


DAMAGES = {
    "model truncated": ("saved_model.pb", lambda data: data[: len(data) // 2]),
    "model empty": ("saved_model.pb", lambda data: b""),
    "variables truncated": ("variables/variables.data-00000-of-00001", lambda data: data[:99]),
    "variables changed": (
        "variables/variables.data-00000-of-00001",
        lambda data: data[:400] + bytes([data[400] ^ 1]) + data[401:],
    ),
    "variables removed": ("variables/variables.data-00000-of-00001", None),
    "index removed": ("variables/variables.index", None),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_kit_is_told(kit, tmp_path, capfd, name):
    pytest.importorskip("orjson", reason="needs the extra serve")
    from export.runtime import Runtime

    broken, (path, damage) = shutil.copytree(kit, tmp_path / "kit"), DAMAGES[name]
    file = broken / "small/1" / path
    if damage:
        file.write_bytes(damage(file.read_bytes()))
    else:
        file.unlink()
    with pytest.raises(
        DeliveryError, match=f"^{broken}/small/1 is damaged, export it anew: ."
    ) as e:
        Runtime(broken / "small/1")
    assert len(str(e.value).splitlines()) == 1 and capfd.readouterr() == ("", "")
    if name == "variables truncated":
        started = Server(broken, tmp_path / "served")
        assert started.process.wait(240) == 1
        first, second = started.log.read_text().splitlines()
        assert "loading" in first and second.startswith(f"tfgen: {broken}/small/1 is damaged")


def test_what_is_no_kit_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no serving kit: make one with tfgen export"):
        server.find(tmp_path)


def test_what_must_be_installed_is_told(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeliveryError, match="tornado and orjson must be installed: [a-z ]+$"):
        server.serve(kit, free_port(), say=pytest.fail)
    (tmp_path / "tensorflow_model_server").touch(0o755)
    with pytest.raises(DeliveryError, match="or take tensorflow_model_server with --host 0.0.0.0"):
        server.serve(kit, free_port(), say=pytest.fail)


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", 70000, "--port 70000: expected a number from 1 to 65535"),
        ("127.0.0.1", -1, "--port -1: expected"),
        ("127.0.0.1", 0, "--port 0: expected"),
        ("", 8501, "--host '': expected an address"),
        ("no.such.host.invalid", 8501, "cannot be had: "),
        ("x" * 80, 8501, "cannot be had: "),
        ("192.0.2.1", 8501, "--host 192.0.2.1 --port 8501 cannot be had: Cannot assign"),
    ],
)
def test_an_address_that_cannot_be_had_is_told_before_anything_is_loaded(kit, host, port, words):
    with pytest.raises(InputError, match=re.escape(words)):
        server.serve(kit, port, host, say=pytest.fail)


def test_a_port_in_use_is_told(kit, running, tmp_path):
    with pytest.raises(InputError, match=f"--port {running.port} cannot be had: Address already"):
        server.serve(kit, running.port, say=pytest.fail)
    second = Server(kit, tmp_path, "--port", str(running.port))
    assert second.process.wait(60) == 2
    assert second.log.read_text().startswith("tfgen: --host 127.0.0.1 --port")


def test_tensorflow_serving_is_taken_where_all_may_come(kit, tmp_path):
    started = Server(kit, tmp_path, "--host", "0.0.0.0")
    assert started.process.wait(240) == 0
    lines = started.log.read_text().splitlines()
    assert lines[1].startswith(f"small: http://0.0.0.0:{started.port}/v1/models/small")
    assert lines[2:] == [
        "TENSORFLOW SERVING",
        "--port=0",
        f"--rest_api_port={started.port}",
        "--model_name=small",
        f"--model_base_path={kit / 'small'}",
        "--enable_batching=true",
        f"--batching_parameters_file={kit / 'batching_parameters.txt'}",
    ]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_ends_all_of_it(kit, tmp_path, number, code):
    started = Server(kit, tmp_path)
    started.wait_for("loading")
    time.sleep(0.5)
    assert started.stop(number) == (code, f"small: loading {kit / 'small'}\n")


# Fuzz


def test_ten_thousand_random_requests(kit, model):
    """Each gets an answer of as many rows or an error that says something, and nothing breaks."""
    rng = np.random.default_rng(0)
    everything = model.endpoints | image_bytes.with_files(model.endpoints)
    file = tf.io.encode_png(np.zeros([8, 8, 1], "uint8")).numpy()
    files = [file, tf.io.encode_png(np.zeros([3, 3, 3], "uint8")).numpy(), b"", file[:-20]]

    def anything(element):
        shape = [int(rng.choice([0, 1, 2, 3])), *element.shape]
        if rng.random() < 0.2:
            shape = rng.integers(0, 18, rng.integers(0, 5)).tolist()
        if element.dtype == "string":
            return rng.choice(np.array([*files, rng.bytes(99)], object), shape)
        kind = rng.choice([element.dtype, "float64", "int64", "bool"], p=[0.85, 0.05, 0.05, 0.05])
        values = rng.normal(size=shape) * rng.choice([0, 1, 5, 1e30])
        if rng.random() < 0.1:
            values = values + rng.choice([np.nan, np.inf, -np.inf])
        with np.errstate(invalid="ignore"):
            return values.astype(kind)

    answered, refused = 0, 0
    with verify.session(kit / "small/1") as run:
        for name, _ in zip(itertools.cycle(everything), range(10_000), strict=False):
            wanted = everything[name].inputs
            inputs = {e.name: anything(e) for e in wanted if rng.random() > 0.01}
            try:
                answer = run(name, inputs)
            except (tf.errors.OpError, ValueError, TypeError, OverflowError) as error:
                refused += 1
                assert str(error).strip()
            else:
                answered += 1
                rows = {len(value) for value in (*inputs.values(), *answer.values())}
                assert len(rows) == 1
        many = np.arange(50_000, dtype="int32")
        assert run("sample", {"seeds": many, "labels": many % 10})["images"].shape[0] == 50_000
        right = run("sample", {"seeds": [7], "labels": [3]})["images"]
    assert answered > 1000 and refused > 1000
    np.testing.assert_allclose(right, model.sample(tf.constant([7]), tf.constant([3])), atol=1e-6)
