"""The JSON of TensorFlow Serving's REST API, read and written for a `Runtime`.

What is asked: https://www.tensorflow.org/tfx/serving/api_rest. Here nothing waits for a network.
"""

import base64
import gc
import zlib

import orjson
from google.protobuf import json_format
from tensorflow.core.framework.types_pb2 import DT_STRING

from export.runtime import DEFAULT, Refused

MOST_BYTES = 64 * 2**20  # of a request, as it came and unpacked
TOO_LARGE = f"a request may have fewer than {MOST_BYTES:,} bytes, also when unpacked"


def predict(runtime, body, encoding=""):
    """Answers a request: `{"signature_name", "inputs" or "instances"}`.

    Args:
        runtime: a `Runtime`.
        body: bytes of the request.
        encoding: its Content-Encoding.

    Returns:
        The answer, bytes.

    Raises:
        Refused: it is no such request, or the runtime refuses it; tells what was expected.
    """
    request = _parsed(_unpacked(body, encoding), runtime.most_numbers)
    if not isinstance(request, dict) or ("inputs" in request) == ("instances" in request):
        raise Refused(400, 'expected an object with "inputs" or "instances", one of them')
    name = request.get("signature_name") or DEFAULT
    wanted = runtime.signature(name).inputs
    by_row = "instances" in request
    columns = _columns(request["instances"], wanted) if by_row else request["inputs"]
    if len(wanted) == 1 and not (isinstance(columns, dict) and set(columns) == set(wanted)):
        columns = dict.fromkeys(wanted, columns)
    if isinstance(columns, dict):
        columns = {
            key: _files(value) if key in wanted and wanted[key].dtype == DT_STRING else value
            for key, value in columns.items()
        }
    return _written(runtime.run(name, columns), by_row)


def status():
    """That the model is up, which it is as soon as it can be asked."""
    up = {"error_code": "OK", "error_message": ""}
    return orjson.dumps(
        {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": up}]}
    )


def metadata(runtime, name):
    """The signatures."""
    known = {
        key: json_format.MessageToDict(
            definition,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for key, definition in runtime.signatures.items()
    }
    return orjson.dumps(
        {
            "model_spec": {"name": name, "signature_name": "", "version": "1"},
            "metadata": {"signature_def": {"signature_def": known}},
        }
    )


def refusal(text):
    """Why there is no answer."""
    return orjson.dumps({"error": text})


def _unpacked(body, encoding):
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Refused(400, f"Content-Encoding {encoding!r}: expected gzip, or none")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(body, MOST_BYTES)
    except zlib.error:
        raise Refused(400, "this is not packed by gzip, as its Content-Encoding says") from None
    if len(unpacked) == MOST_BYTES:
        raise Refused(413, TOO_LARGE)
    if not unpacker.eof:
        raise Refused(400, "this is packed by gzip, but ends too early")
    return unpacked


def _parsed(body, most_numbers):
    # Each number has at most a comma and a list of its own, and little is around them. What has
    # more would only fill the memory, with tens of bytes for each of its own.
    if sum(map(body.count, (b",", b"[", b"{"))) > 3 * most_numbers + 10_000:
        raise Refused(413, f"no request takes more than {most_numbers:,} numbers")
    # The collector would look through millions of lists again and again while they are made.
    gc.disable()
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise Refused(400, f"this is no JSON: {error}") from None
    finally:
        gc.enable()


def _columns(instances, wanted):
    """Rows as columns; a row is an object, or a bare value where there is one input."""
    if not isinstance(instances, list) or not instances:
        raise Refused(400, "instances must be a list of rows")
    if all(isinstance(row, dict) and set(row) == set(wanted) for row in instances):
        return {key: [row[key] for row in instances] for key in wanted}
    if len(wanted) == 1:  # a bare value may be {"b64": ...}
        return dict.fromkeys(wanted, instances)
    raise Refused(400, f"each instance takes {', '.join(wanted)}")


def _files(value):
    """`{"b64": ...}` as `bytes`, in a list; all else as it is."""
    try:
        return [base64.b64decode(file["b64"], validate=True) for file in value]
    except (TypeError, KeyError, ValueError):
        return value


def _written(values, by_row):
    """The answer; one output goes without its name."""
    if not by_row:
        columns = [(key, _list(map(_row, value))) for key, value in values.items()]
        if len(columns) == 1:
            return b'{"outputs":' + columns[0][1] + b"}"
        named = b",".join(orjson.dumps(key) + b":" + column for key, column in columns)
        return b'{"outputs":{' + named + b"}}"
    columns = list(values.values())
    rows = columns[0]
    if len(columns) > 1:
        rows = (dict(zip(values, row, strict=True)) for row in zip(*columns, strict=True))
    return b'{"predictions":' + _list(map(_row, rows)) + b"}"


def _list(rows):
    # Row by row, as Python's threads take turns between calls, not within one.
    return b"[" + b",".join(rows) + b"]"


def _row(row):
    return orjson.dumps(row, _file, orjson.OPT_SERIALIZE_NUMPY)


def _file(value):
    return {"b64": base64.b64encode(value).decode()}
