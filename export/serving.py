"""A folder from which TensorFlow Serving starts: the model, its settings, and how to call it.

FOLDER/<name>/1/               the SavedModel, with requests that warm it up
FOLDER/models.config           which models are served
FOLDER/batching_parameters.txt
FOLDER/docker-compose.yml      the official image with all of this
FOLDER/README.md               requests to copy
"""

import importlib
import json
import re
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import tensorflow as tf

from export.errors import DeliveryError, VerificationError, reason
from export.examples import examples
from export.image_bytes import encode, is_picture, with_files
from export.verify import session

VERSION = 1
IMAGE = "tensorflow/serving:2.19.1"
WARM_UP = "assets.extra/tf_serving_warmup_requests"  # where TensorFlow Serving looks for it
ROWS = (1, 8)  # of the warm-up requests
MOST_ROWS = 64  # of a batch that the server makes of the requests of many

CONFIG = """model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""
BATCHING = f"""max_batch_size {{ value: {MOST_ROWS} }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 1000 }}
"""
COMPOSE = f"""services:
  serving:
    image: ${{TF_SERVING_IMAGE:-{IMAGE}}}
    ports:
      - "8501:8501" # REST
      - "8500:8500" # gRPC
    volumes:
      - .:/models:ro
    command:
      - --model_config_file=/models/models.config
      - --enable_batching=true
      - --batching_parameters_file=/models/batching_parameters.txt
    healthcheck:
      # The image has bash and no curl: a port that takes a connection is up, and it opens when the
      # models are loaded and warm.
      test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/localhost/8501"]
      interval: 5s
      timeout: 2s
      retries: 12
"""
README = """# {name}, served

    docker compose up --wait

starts TensorFlow Serving with REST on port 8501 and gRPC on 8500. Without Docker:

    tensorflow_model_server --rest_api_port=8501 --port=8500 \\
        --model_config_file=models.config --enable_batching=true \\
        --batching_parameters_file=batching_parameters.txt

after the `base_path` in `models.config` was set to where this folder lies; or `tfgen serve` with
this folder, which answers REST.

Is it up:

    curl http://localhost:8501/v1/models/{name}

One request, by REST:

    curl -d '{request}' http://localhost:8501/v1/models/{name}:predict

In Python, by REST or by gRPC (`pip install tensorflow-serving-api`):

    from export.client import Client

    client = Client("http://localhost:8501", "{name}")  # or "grpc://localhost:8500"
    print({{key: value.shape for key, value in client.call("{endpoint}", {arguments}).items()}})

A signature each:

{signatures}

A name that ends in `_bytes` is a file, PNG or JPEG, in JSON `{{"b64": "..."}}`.
"""


def served_name(name):
    """A name that needs no escape in a URL, a path, a shell, YAML or `models.config`."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "_", letters).strip("_-") or "model"


def write(saved_model, folder, name, endpoints, real=None):
    """Writes the folder.

    Args:
        saved_model: the path of a SavedModel, which is copied.
        folder: to be made.
        name: of the model, by which clients ask for it, as `served_name` makes it.
        endpoints: `{name: Endpoint}` of the model.
        real: `{column: array}`, real rows for the warm-up, or None.

    Raises:
        DeliveryError: the package tensorflow-serving-api is not installed.
    """
    predict, log = protos("predict_pb2", "prediction_log_pb2")
    folder = Path(folder)
    version = folder / name / str(VERSION)
    shutil.copytree(saved_model, version)
    (version / WARM_UP).parent.mkdir()
    everything = endpoints | with_files(endpoints)
    with tf.io.TFRecordWriter(str(version / WARM_UP)) as writer:
        for signature, endpoint in everything.items():
            for rows in ROWS:
                request = predict.PredictRequest()
                request.model_spec.name = name
                request.model_spec.signature_name = signature
                plain = endpoints[signature.removesuffix("_bytes")]
                for key, value in _inputs(endpoint, plain, real, rows).items():
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
                entry = log.PredictionLog(predict_log=log.PredictLog(request=request))
                writer.write(entry.SerializeToString())
    (folder / "models.config").write_text(CONFIG.format(name=name))
    (folder / "batching_parameters.txt").write_text(BATCHING)
    (folder / "docker-compose.yml").write_text(COMPOSE)
    (folder / "README.md").write_text(_readme(name, endpoints))


def replay(folder, name, run=None):
    """Runs the warm-up requests in a C++ session, as TensorFlow Serving will when it starts.

    Args:
        folder, name: as given to `write`.
        run: of a `session` of the same SavedModel that is open already; None for one of its own.

    Returns:
        How many there are.

    Raises:
        VerificationError: one fails, or is for another model.
    """
    version = Path(folder) / name / str(VERSION)
    if run is None:
        with session(version) as run:
            return replay(folder, name, run)
    (log,) = protos("prediction_log_pb2")
    count = 0
    for record in tf.data.TFRecordDataset(str(version / WARM_UP)).as_numpy_iterator():
        request = log.PredictionLog.FromString(record).predict_log.request
        signature = request.model_spec.signature_name
        if request.model_spec.name != name:
            raise VerificationError(f"serving: a request is for {request.model_spec.name!r}")
        tensors = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        try:
            run(signature, tensors)
        except (tf.errors.OpError, ValueError, KeyError) as error:
            told = f"serving: warm-up of {signature!r}: {reason(error)}"
            raise VerificationError(told) from error
        count += 1
    return count


def protos(*names):
    """Modules of TensorFlow Serving's messages.

    Raises:
        DeliveryError: the package is not installed.
    """
    try:
        return [importlib.import_module(f"tensorflow_serving.apis.{name}") for name in names]
    except ImportError as error:
        told = f'serving: {error}; pip install -e ".[serving]" in the clone'
        raise DeliveryError(told) from error


def _inputs(endpoint, plain, real, rows):
    values = examples(plain, real, rows)
    return {
        element.name: encode(tf.constant(values[own.name])).numpy()
        if element.dtype == "string" and is_picture(own)
        else values[own.name]
        for element, own in zip(endpoint.inputs, plain.inputs, strict=True)
    }


def _readme(name, endpoints):
    first = next(iter(endpoints))
    small = {
        key: value.tolist()
        for key, value in examples(endpoints[first], None, 2).items()
        if value.size < 10
    }
    small = small if len(small) == len(endpoints[first].inputs) else {"...": []}
    lines = []
    for signature, endpoint in (endpoints | with_files(endpoints)).items():
        sides = (
            ", ".join(f"{e.name} {e.dtype}{list(e.shape) if e.shape else ''}" for e in side)
            for side in (endpoint.inputs, endpoint.outputs)
        )
        lines.append(f"- `{signature}`: {' → '.join(sides)}")
    return README.format(
        name=name,
        endpoint=first,
        request=json.dumps({"signature_name": first, "inputs": small}),
        arguments=", ".join(f"{key}={np.asarray(value).tolist()}" for key, value in small.items()),
        signatures="\n".join(lines),
    )
