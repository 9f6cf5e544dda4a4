"""A client of TensorFlow Serving, by REST or gRPC.

    client = Client("http://localhost:8501", "dcgan")      # or "grpc://localhost:8500"
    images = client.sample(seeds=[7])                       # float32 [1, H, W, C] in [-1, 1]
    client.call("encode", images=images)                    # {"latents": ..., "scales": ...}

REST needs NumPy only, gRPC the package tensorflow-serving-api.
"""

import base64
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np

DTYPES = {"DT_FLOAT": "float32", "DT_INT32": "int32", "DT_INT64": "int64", "DT_STRING": "object"}


class ServingError(RuntimeError):
    """What the server said when it refused a request, or why none could be reached."""


class Client:
    """Calls the signatures of one model.

    Args:
        url: "http://HOST:PORT", "https://...", or "grpc://HOST:PORT".
        model: the name under which it is served.
        timeout: seconds for one try.
        retries: how many more tries where the server cannot be reached or says that it is busy
            (503), each after twice the wait. A request that was refused is not repeated.
        wait: seconds before the first of them.
    """

    def __init__(self, url, model, timeout=10.0, retries=3, wait=0.2):
        self.url, self.model = url.rstrip("/"), model
        self.timeout, self.retries, self.wait = timeout, retries, wait
        scheme = self.url.partition("://")[0]
        if scheme not in ("http", "https", "grpc"):
            raise ValueError(f"url {url!r}: expected http://, https:// or grpc://HOST:PORT")
        self._path = "/v1/models/" + urllib.parse.quote(model, safe="")
        self._call = self._by_grpc if scheme == "grpc" else self._by_rest
        self._known = None

    def sample(self, seeds, labels=None):
        """Images of seeds: float32 `[N, H, W, C]` in [-1, 1].

        Args:
            seeds: `[N]`, ints that fit 32 bits.
            labels: `[N]`, or one int for all; for models that have classes.

        Raises:
            ServingError: the server refused or could not be reached.
        """
        tensors = {"seeds": seeds}
        if labels is not None:
            tensors["labels"] = np.broadcast_to(labels, np.shape(seeds))
        (rows,) = self.call("sample", **tensors).values()
        return rows

    def call(self, signature, **tensors):
        """Runs a signature.

        Args:
            signature: its name.
            tensors: arrays `[N, ...]` by name, with one N; files as `bytes`.

        Returns:
            `{name: array [N, ...]}`.

        Raises:
            ServingError: the server refused or could not be reached.
        """
        known = self.signatures
        if signature not in known:
            raise ServingError(f"{self.model} has no {signature!r}, but {', '.join(sorted(known))}")
        inputs, outputs = known[signature]
        if set(tensors) != set(inputs):
            raise ServingError(
                f"{signature} takes {', '.join(inputs)}, but was given {', '.join(tensors)}"
            )
        arrays = {key: np.asarray(value, dtype=inputs[key]) for key, value in tensors.items()}
        return self._call(signature, arrays, outputs)

    @property
    def signatures(self):
        """`{signature: ({input: dtype}, {output: dtype})}`, asked for once."""
        if self._known is None:
            self._known = self._metadata()
        return self._known

    def ready(self):
        """Whether the model can be asked now; no retries."""
        try:
            self._metadata(retries=0)
        except ServingError:
            return False
        return True

    def _metadata(self, retries=None):
        if self.url.startswith("grpc"):
            definitions = self._grpc_metadata(retries)
        else:
            answer = self._get(f"{self._path}/metadata", retries=retries)
            definitions = answer["metadata"]["signature_def"]["signature_def"]
        return {
            name: tuple(
                {key: DTYPES[entry["dtype"]] for key, entry in definition.get(side, {}).items()}
                for side in ("inputs", "outputs")
            )
            for name, definition in definitions.items()
            if not name.startswith("__")
        }

    def _by_rest(self, signature, arrays, outputs):
        body = {
            "signature_name": signature,
            "inputs": {key: _to_json(array) for key, array in arrays.items()},
        }
        answer = self._get(f"{self._path}:predict", body)["outputs"]
        # One output comes without its name.
        named = answer if len(outputs) > 1 else dict.fromkeys(outputs, answer)
        return {key: _from_json(named[key], dtype) for key, dtype in outputs.items()}

    def _get(self, path, body=None, retries=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers)

        def once():
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                if error.code == 503:
                    raise _Busy(text) from None
                raise ServingError(f"{self.url}: {error.code}: {_reason(text)}") from None
            except (OSError, http.client.HTTPException) as error:  # refused, reset, timed out
                raise _Busy(getattr(error, "reason", None) or error) from None

        return self._patiently(once, retries)

    def _by_grpc(self, signature, arrays, outputs):
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        for key, array in arrays.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
        answer = self._patiently(lambda: self._ask("Predict", request))
        return {key: tf.make_ndarray(value) for key, value in answer.outputs.items()}

    def _grpc_metadata(self, retries):
        from google.protobuf import json_format
        from tensorflow_serving.apis import get_model_metadata_pb2 as api

        request = api.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self.model
        answer = self._patiently(lambda: self._ask("GetModelMetadata", request), retries)
        found = api.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        return {
            name: json_format.MessageToDict(definition)
            for name, definition in found.signature_def.items()
        }

    def _ask(self, method, request):
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(self.url.removeprefix("grpc://"), unlimited) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            try:
                return getattr(stub, method)(request, timeout=self.timeout)
            except grpc.RpcError as error:
                passing = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                if error.code() in passing:
                    raise _Busy(error.details()) from None
                raise ServingError(f"{self.url}: {error.code().name}: {error.details()}") from None

    def _patiently(self, once, retries=None):
        retries = self.retries if retries is None else retries
        for turn in range(retries):
            try:
                return once()
            except _Busy:
                time.sleep(self.wait * 2**turn)
        try:
            return once()
        except _Busy as busy:
            tries = f"{retries + 1} tries" if retries else "one try"
            raise ServingError(f"{self.url} did not answer in {tries}: {busy}") from None


class _Busy(Exception):
    """Worth another try."""


def _to_json(array):
    if array.dtype == object:
        return [{"b64": base64.b64encode(file).decode()} for file in array]
    return array.tolist()


def _from_json(value, dtype):
    if dtype != "object":
        return np.asarray(value, dtype)
    return np.array([base64.b64decode(file["b64"]) for file in value], object)


def _reason(text):
    try:
        return json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return text.strip() or "no reason given"
