"""Serves a delivered kit on this machine: by TensorFlow Serving where it can, else by ourselves."""

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

from export.errors import DeliveryError
from tfgen.errors import InputError
from tfgen.quiet import quiet

EVERYWHERE = "0.0.0.0"
BINARY = "tensorflow_model_server"


def serve(out, port=8501, host="127.0.0.1", say=print):
    """Runs a server until a signal ends the process: with 130 for Ctrl-C, 143 for SIGTERM.

    TensorFlow Serving always listens at all addresses of the machine, so it is taken, where it is
    installed, if `host` is "0.0.0.0". Else the REST API is answered by `export.rest_server`.

    Args:
        out: a folder that `deliver` made with the format "serving", or the kit in it.
        port: of REST; nothing else is opened.
        host: the address to listen at; "0.0.0.0" for all of the machine's.
        say: takes lines for the user.

    Raises:
        InputError: there is no kit, or the address cannot be had.
        DeliveryError: the kit is damaged, or no server is installed.
    """
    kit, name = find(out)
    binary = shutil.which(BINARY)
    ours = not (binary and host == EVERYWHERE)
    missing = [m for m in ("tornado", "orjson") if importlib.util.find_spec(m) is None]
    if ours and missing:
        raise DeliveryError(
            f"serve: {' and '.join(missing)} must be installed: pip install tornado orjson"
            + (f"; or take {BINARY} with --host {EVERYWHERE}" if binary else "")
        )
    listener = listen(host, port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # At once, as TensorFlow Serving does: nothing lies on the disk, and clients ask again.
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and `&` in a script want it
            signal.signal(number, lambda number, frame: os._exit(128 + number))
    say(f"{name}: loading {kit / name}")
    with quiet():
        from export.runtime import Runtime

        runtime = Runtime(kit / name / "1")
    address = f"[{host}]" if ":" in host else host
    say(f"{name}: http://{address}:{port}/v1/models/{name} (stop with Ctrl-C)")
    if ours:
        if binary:
            say(f"({BINARY} would listen at all addresses; --host {EVERYWHERE} takes it)")
        from export import rest_server

        # libjpeg tells of each broken picture on descriptor 2, as often as strangers like.
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        asyncio.run(rest_server.serve(runtime, name, listener))
    listener.close()
    os.execv(binary, _command(binary, kit, name, port))


def find(out):
    """The kit in a folder, and the name of its model.

    Raises:
        InputError: there is none.
    """
    for kit in (Path(out), Path(out) / "serving"):
        models = [path.parent.parent.name for path in kit.glob("*/1/saved_model.pb")]
        if (kit / "models.config").exists() and models:
            return kit.absolute(), models[0]
    raise InputError(f"{out} holds no serving kit: make one with tfgen export RUN --to serving")


def listen(host, port):
    """A socket that listens; who connects is answered when the model is loaded.

    Raises:
        InputError: the address cannot be had.
    """
    if not 1 <= port <= 65535:
        raise InputError(f"--port {port}: expected a number from 1 to 65535")
    if not host:  # which would be all addresses
        raise InputError(f"--host {host!r}: expected an address, such as 127.0.0.1 or {EVERYWHERE}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        why = str(getattr(error, "strerror", error)).partition(" (while")[0]
        raise InputError(f"--host {host} --port {port} cannot be had: {why}") from error
    listener.setblocking(False)
    return listener


def _command(binary, kit, name, port):
    return [
        binary,
        "--port=0",  # no gRPC
        f"--rest_api_port={port}",
        f"--model_name={name}",
        f"--model_base_path={kit / name}",
        "--enable_batching=true",
        f"--batching_parameters_file={kit / 'batching_parameters.txt'}",
    ]
