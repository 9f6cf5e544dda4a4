"""TensorFlow Serving's REST, answered by MLServer: for machines without TensorFlow Serving.

MLServer runs `Runtime` (its settings: `export.server`). It loads the SavedModel into a C++ session,
as TensorFlow Serving does, and answers the same routes with the same JSON, so that one client suits
both: `POST /v1/models/MODEL:predict`, `GET /v1/models/MODEL` and `GET /v1/models/MODEL/metadata`.
"""

import asyncio
import base64
import json

import numpy as np
import tensorflow as tf
from fastapi import Request
from fastapi.responses import JSONResponse
from google.protobuf import json_format
from mlserver import MLModel
from mlserver.handlers import custom_handler

from export.errors import reason

MOST_ROWS = 1024  # of one request
MOST_BYTES = 64 * 2**20  # of its JSON


class Refused(Exception):
    """A request that cannot be answered: the HTTP status, and why."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Runtime(MLModel):
    """One SavedModel with all of its signatures; `parameters.uri` says where it lies."""

    async def load(self):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(
                self.session, ["serve"], self.settings.parameters.uri
            )
        self.signatures = {
            name: definition
            for name, definition in loaded.signature_def.items()
            if not name.startswith("__")
        }
        return True

    @custom_handler(rest_path="/v1/models/{model}:predict")
    async def answer(self, model: str, request: Request) -> JSONResponse:
        """Runs a signature: `{"signature_name", "inputs" or "instances"}`."""
        try:
            self._check(model)
            if int(request.headers.get("content-length", 0)) > MOST_BYTES:
                raise Refused(413, f"a request may have {MOST_BYTES} bytes")
            signature, feed, by_row = self.read(await request.body())
            # In a thread: other requests are read meanwhile, and the session runs several.
            values = await asyncio.to_thread(self._run, signature, feed)
            return JSONResponse(_written(values, by_row))
        except Refused as error:
            return JSONResponse({"error": str(error)}, error.status)

    @custom_handler(rest_path="/v1/models/{model}", rest_method="GET")
    async def status(self, model: str) -> JSONResponse:
        """Whether it is up."""
        try:
            self._check(model)
        except Refused as error:
            return JSONResponse({"error": str(error)}, error.status)
        up = {"error_code": "OK", "error_message": ""}
        version = {"version": "1", "state": "AVAILABLE", "status": up}
        return JSONResponse({"model_version_status": [version]})

    @custom_handler(rest_path="/v1/models/{model}/metadata", rest_method="GET")
    async def describe(self, model: str) -> JSONResponse:
        """The signatures."""
        try:
            self._check(model)
        except Refused as error:
            return JSONResponse({"error": str(error)}, error.status)
        known = {
            name: json_format.MessageToDict(definition, preserving_proto_field_name=True)
            for name, definition in self.signatures.items()
        }
        return JSONResponse(
            {
                "model_spec": {"name": model, "signature_name": "", "version": "1"},
                "metadata": {"signature_def": {"signature_def": known}},
            }
        )

    def read(self, body):
        """A request's signature, its arrays by name, and whether it came row by row.

        Raises:
            Refused: it is no such request; tells what was expected.
        """
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"this is no JSON: {error}") from None
        if not isinstance(request, dict) or ("inputs" in request) == ("instances" in request):
            raise Refused(400, 'expected an object with "inputs" or "instances", one of them')
        name = request.get("signature_name")
        if name not in self.signatures:
            raise Refused(400, f"no signature {name!r}, but {', '.join(self.signatures)}")
        wanted = self.signatures[name].inputs
        by_row = "instances" in request
        columns = _columns(request["instances"], wanted) if by_row else request["inputs"]
        if not isinstance(columns, dict) and len(wanted) == 1:
            columns = dict.fromkeys(wanted, columns)
        if not isinstance(columns, dict) or set(columns) != set(wanted):
            raise Refused(400, f"{name} takes {', '.join(wanted)}")
        arrays = {key: _array(key, columns[key], info) for key, info in wanted.items()}
        rows = {len(array) for array in arrays.values()}
        if len(rows) > 1 or not 1 <= max(rows) <= MOST_ROWS:
            raise Refused(400, f"expected 1 to {MOST_ROWS} rows, as many of each input")
        return name, arrays, by_row

    def _check(self, model):
        if model != self.name:
            raise Refused(404, f"no model {model!r}, but {self.name}")

    def _run(self, name, arrays):
        signature = self.signatures[name]
        feed = {signature.inputs[key].name: array for key, array in arrays.items()}
        fetch = {key: info.name for key, info in signature.outputs.items()}
        try:
            return self.session.run(fetch, feed)
        except tf.errors.ResourceExhaustedError as error:
            raise Refused(413, reason(error)) from None
        except tf.errors.OpError as error:
            raise Refused(400, reason(error)) from None


def _columns(instances, wanted):
    """Rows as columns; a row is an object, or a bare value where there is one input."""
    if not isinstance(instances, list) or not instances:
        raise Refused(400, "instances must be a list of rows")
    if len(wanted) == 1 and not isinstance(instances[0], dict):
        return dict.fromkeys(wanted, instances)
    if any(not isinstance(row, dict) or set(row) != set(wanted) for row in instances):
        if len(wanted) == 1:  # a row may be {"b64": ...}
            return dict.fromkeys(wanted, instances)
        raise Refused(400, f"each instance takes {', '.join(wanted)}")
    return {key: [row[key] for row in instances] for key in wanted}


def _array(key, value, info):
    """A JSON value as an array of the declared type and shape; raises `Refused`."""
    dtype = tf.as_dtype(info.dtype)
    shape = [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
    declared = f"{key} must be {dtype.name} {['N', *shape[1:]]}"
    if dtype == tf.string:
        try:
            return np.array(
                [base64.b64decode(file["b64"], validate=True) for file in value], object
            )
        except (TypeError, KeyError, ValueError):
            raise Refused(400, f'{key} must be a list of {{"b64": "..."}}') from None
    try:
        array = np.array(value)
    except ValueError:
        raise Refused(400, f"{declared}, but its rows differ in shape") from None
    if not array.size:
        raise Refused(400, f"{declared}, but has no rows")
    if array.dtype.kind not in ("iu" if dtype.is_integer else "iuf"):
        raise Refused(400, f"{declared}, but holds other things than such numbers")
    if dtype.is_integer and (array.min(initial=0) < dtype.min or array.max(initial=0) > dtype.max):
        raise Refused(400, f"{declared}, but holds numbers beyond {dtype.min} to {dtype.max}")
    if not np.isfinite(array).all():
        raise Refused(400, f"{declared}, but holds NaN or infinities")
    fits = array.ndim == len(shape) and all(
        size in (None, got) for size, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise Refused(400, f"{declared}, but is {list(array.shape)}")
    return array.astype(dtype.as_numpy_dtype)


def _written(values, by_row):
    """The answer as TensorFlow Serving writes it; one output goes without its name."""
    columns = {
        key: [{"b64": base64.b64encode(file).decode()} for file in value]
        if value.dtype == object
        else value.tolist()
        for key, value in values.items()
    }
    alone = next(iter(columns.values())) if len(columns) == 1 else None
    if not by_row:
        return {"outputs": columns if alone is None else alone}
    rows = alone or [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    return {"predictions": rows}
