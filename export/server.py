"""Serves a delivered kit on this machine: by TensorFlow Serving where it is, else by MLServer."""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from export.errors import DeliveryError
from tfgen.errors import InputError


def serve(out, port=8501, host="127.0.0.1"):
    """Runs a server until it is stopped by Ctrl-C.

    Args:
        out: a folder that `deliver` made with the format "serving", or the kit in it.
        port: of REST.
        host: the address to listen at; "0.0.0.0" for all of the machine's.

    Returns:
        The server's exit code.

    Raises:
        InputError: there is no kit.
        DeliveryError: neither of the servers is installed.
    """
    kit, name = find(out)
    with tempfile.TemporaryDirectory(prefix="tfgen-serve-") as folder:
        command = _command(kit, name, Path(folder), port, host)
        process = subprocess.Popen(command)
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait(30)
            return 0


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


def _command(kit, name, folder, port, host):
    binary = shutil.which("tensorflow_model_server")
    if binary:
        return [
            binary,
            f"--rest_api_port={port}",
            f"--model_name={name}",
            f"--model_base_path={kit / name}",
            "--enable_batching=true",
            f"--batching_parameters_file={kit / 'batching_parameters.txt'}",
        ]
    if importlib.util.find_spec("mlserver") is None:
        raise DeliveryError(
            "serve: neither tensorflow_model_server nor MLServer is installed; "
            'pip install "tfgen[serve]"'
        )
    settings = {
        "host": host,
        "http_port": port,
        "grpc_port": port + 1000,
        "metrics_endpoint": None,
        "parallel_workers": 0,  # one process: its session runs requests side by side
        "debug": False,
    }
    model = {
        "name": name,
        "implementation": "export.runtime.Runtime",
        "parameters": {"uri": str(kit / name / "1"), "version": "1"},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return [sys.executable, "-m", "mlserver.cli.main", "start", str(folder)]
