"""How fast a model answers in each form, for one image and for 64, in one run.

    python benchmarks/delivery.py [MODEL ...]

Of each model (DCGAN, VAE and CGAN at 28 pixels, CycleGAN at 64; untrained, as weights do not change
the speed) one endpoint is called: by Keras' `predict`, by the model's eager call, by a bare
`tf.function`, as SavedModel, as LiteRT file (float32, float16, 8 bits; and float32 for just these
rows, as `--batch` makes it) and as ONNX graph. The forms take turns for some rounds, and the least
time of each counts. Printed are milliseconds, and in brackets how many times as long as the bare
`tf.function`.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.table import Table

import zoo
from export import lite, onnx, saved_model, verify
from export.errors import DeliveryError
from export.examples import likely
from tfgen import load
from tfgen.quiet import quiet

DIGITS = ("digits", 28)
MODELS = {
    "dcgan": ("decode", DIGITS, {"width": 64}),
    "vae": ("decode", DIGITS, {}),
    "cgan": ("decode", DIGITS, {"network": "conv", "width": 32}),
    "cyclegan": ("translate_a_to_b", ("digit_unpaired", 64), {"width": 24, "blocks": 4}),
}
NETWORK = {"dcgan": "generator", "vae": "decoder", "cgan": "generator", "cyclegan": "a_to_b"}
KINDS = ("none", "float16", "dynamic", "int8")


def forms(model, endpoint, network, rows, folder):
    """`{form: function of nothing}`, each computing the endpoint of the same rows."""
    inputs = likely(model.endpoints, model.endpoints[endpoint], None, rows)
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    fed = list(tensors.values()) if len(tensors) > 1 else next(iter(tensors.values()))
    arrays = list(inputs.values()) if len(inputs) > 1 else next(iter(inputs.values()))
    bare, _ = saved_model.trace(endpoint, model.endpoints[endpoint])
    loaded = tf.saved_model.load(str(folder / "saved_model")).signatures[endpoint]
    graph = onnxruntime.InferenceSession(str(folder / "onnx" / f"{endpoint}.onnx"))
    found = {
        "predict": lambda: network.predict(arrays, batch_size=rows, verbose=0),
        "model(x)": lambda: network(fed, training=False),
        "tf.function": lambda: bare(**tensors),
        "SavedModel": lambda: loaded(**tensors),
        "ONNX Runtime": lambda: graph.run(None, inputs),
    }
    fixed = {endpoint: model.endpoints[endpoint]._replace(batch=rows)}
    saved_model.write(fixed, folder / f"saved_model_{rows}")
    lite.write(folder / f"saved_model_{rows}", folder / "batch.tflite", fixed, "none")
    for kind in (*KINDS, "batch"):
        path = folder / f"{kind}.tflite"
        if path.exists():
            threads = Interpreter(model_path=str(path), num_threads=os.cpu_count())
            runner = threads.get_signature_runner(endpoint)
            found[f"LiteRT {kind}"] = lambda runner=runner: runner(**inputs)
    return found


def least(functions, rounds, seconds):
    """The least time of a call of each, in milliseconds."""
    times = dict.fromkeys(functions, float("inf"))
    for function in functions.values():
        function()  # traces, allocates
    for _ in range(rounds):
        for name, function in functions.items():
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                before = time.perf_counter()
                function()
                times[name] = min(times[name], 1e3 * (time.perf_counter() - before))
    return times


def deliver(model, endpoint, folder):
    """All forms of the endpoint, as files."""
    only = {endpoint: model.endpoints[endpoint]}
    saved_model.write(only, folder / "saved_model")
    onnx.write(only, folder / "onnx")
    for kind in KINDS:
        try:
            lite.write(folder / "saved_model", folder / f"{kind}.tflite", only, kind)
        except DeliveryError as error:
            Console().print(f"{kind}: {error}", markup=False)
    verify.verify(only, None, lite=folder / "none.tflite", onnx=folder / "onnx")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="*", help=f"of {', '.join(MODELS)}; all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a form in a round")
    options = parser.parse_args()
    console = Console(width=120)
    for name in options.models or MODELS:
        endpoint, (data, size), given = MODELS[name]
        keras.utils.set_random_seed(0)
        recipe = zoo.find(name)
        stage = next(recipe.function(load(data, size), **recipe.settings(given)))
        network = getattr(stage.model, NETWORK[name])
        table = Table("ms (times tf.function)", title=f"{name}: {endpoint}")
        columns = []
        with tempfile.TemporaryDirectory() as folder:
            with quiet():
                deliver(stage.model, endpoint, Path(folder))
            for rows in (1, 64 if size < 64 else 8):
                table.add_column(f"{rows} rows", justify="right")
                functions = forms(stage.model, endpoint, network, rows, Path(folder))
                columns.append(least(functions, options.rounds, options.seconds))
        for form in columns[0]:
            cells = [f"{c[form]:.2f} ({c[form] / c['tf.function']:.2f})" for c in columns]
            table.add_row(form, *cells)
        console.print(table)
        faster = columns[0]["predict"] / min(
            columns[0]["SavedModel"], columns[0]["LiteRT none"], columns[0]["LiteRT float16"]
        )
        console.print(
            f"{name}, one row: the faster of SavedModel and LiteRT, {faster:.0f} x predict"
        )
    console.print(f"{os.cpu_count()} cores, TensorFlow {tf.__version__}")


if __name__ == "__main__":
    main()
