"""The serving kit, its client, and a server that is really started on this machine."""

import concurrent.futures
import io
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import export
from export import image_bytes, server, serving, verify
from export.client import Client, ServingError
from export.errors import reason
from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint, labels
from tfgen.errors import InputError

pytest.importorskip("tensorflow_serving", reason="needs the extra: pip install tfgen[serving]")

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
    out = tmp_path_factory.mktemp("kit") / "out"
    export.deliver(model, None, out, ["serving"], name="small")
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
        seen = self.seen = []

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


@pytest.fixture(scope="module")
def served(kit):
    """A server, started by the command of the README; gives its URL."""
    pytest.importorskip("mlserver", reason="needs the extra: pip install tfgen[serve]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tfgen", "serve", str(kit.parent), "--port", str(port)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    url = f"http://127.0.0.1:{port}"
    client = Client(url, "small")
    deadline = time.monotonic() + 240
    while not client.ready():
        assert process.poll() is None and time.monotonic() < deadline, "it does not start"
        time.sleep(0.5)
    yield url
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def post(url, body):
    """Status and answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v1/models/small:predict", data)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


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
        (b'{"signature_name": "encode", "inputs": [[[[NaN]]]]}', 400, "NaN"),
        ({"signature_name": "encode_bytes", "inputs": ["x"]}, 400, "b64"),
        ({"signature_name": "encode_bytes", "inputs": [{"b64": "AAAA"}]}, 400, "image"),
        (b"[" * 100_000, 400, "JSON"),
    ],
)
def test_what_is_refused_is_told_and_the_server_lives_on(served, body, status, words):
    code, answer = post(served, body)
    assert code == status and words in answer["error"], answer
    assert Client(served, "small").sample([1], 2).shape == (1, 8, 8, 1)


def test_other_models_are_not_found(served):
    with pytest.raises(ServingError, match="404: no model 'large', but small"):
        Client(served, "large").sample([1], 2)


def test_what_is_no_kit_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no serving kit: make one with tfgen export"):
        server.find(tmp_path)


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
