"""ONNX: the graphs answer as Keras does, and what ONNX cannot hold is never delivered."""

import importlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
from export import onnx, verify
from export.errors import DeliveryError, VerificationError
from tests.test_export import (
    IMAGES,
    LATENTS,
    Autoencoder,
    Generator,
    constant,
    downward,
    files,
    one_endpoint,
    trained,
    upward,
)
from tfgen import random
from tfgen.endpoint import SEEDS, Element

pytest.importorskip("tf2onnx", reason="needs the extra onnx")


@pytest.fixture(scope="module")
def generator():
    return Generator(network=upward(), discriminator=downward())


@pytest.fixture(scope="module")
def delivery(generator, tmp_path_factory):
    out = tmp_path_factory.mktemp("delivery") / "out"
    return out, export.deliver(generator, None, out, formats=["onnx"])


def run(path, **tensors):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, tensors)


def test_a_graph_an_endpoint(delivery, generator):
    out, report = delivery
    assert [str(path) for path in files(out)] == [
        "README.md",
        "onnx",
        "onnx/from_latents.onnx",
        "onnx/sample.onnx",
        "report.json",
    ]
    assert {(row.format, row.endpoint) for row in report.rows} == {
        ("onnx", "sample"),
        ("onnx", "from_latents"),
    }
    once = 4 * generator.network.count_params()
    for path in (out / "onnx").iterdir():
        assert 0.95 * once < path.stat().st_size < 1.05 * once + 2**16
    document = json.loads((out / "report.json").read_text())
    assert document["versions"]["tf2onnx"] and document["bytes"]["onnx"] == report.sizes["onnx"]


def test_a_seed_is_the_same_picture_in_any_batch(delivery, generator):
    seeds = np.array([5, -7, 2**31 - 1, 5], "int32")
    expected = generator.sample(tf.constant(seeds)).numpy()
    for rows in ([0], [2], [1, 2], [3, 2, 1, 0]):
        (images,) = run(delivery[0] / "onnx" / "sample.onnx", seeds=seeds[rows])
        np.testing.assert_allclose(images, expected[rows], atol=2e-5)


def test_names_opset_and_order_are_those_of_the_endpoints(tmp_path):
    import onnx as reader

    model = Autoencoder(encoder=downward(), decoder=upward())
    pictures = np.random.default_rng(0).uniform(-1, 1, [7, *IMAGES.shape]).astype("float32")
    report = export.deliver(model, pictures, tmp_path / "out", formats=["onnx"])
    assert [row.difference for row in report.rows if row.output == "labels"] == [0.0]
    found = {}
    for path in (tmp_path / "out" / "onnx").iterdir():
        graph = reader.load(path)
        reader.checker.check_model(graph, full_check=True)
        assert {o.version for o in graph.opset_import if o.domain == ""} == {onnx.OPSET}
        names = [
            [value.name for value in values] for values in (graph.graph.input, graph.graph.output)
        ]
        found[path.stem] = tuple(names)
    assert found == {
        "encode": (["images"], ["latents", "scales"]),
        "decode": (["latents"], ["images"]),
        "reconstruct": (["images"], ["images_out"]),  # a name is one value
        "sample": (["seeds", "labels"], ["images", "labels_out"]),
    }


def test_outputs_stand_in_the_declared_order(tmp_path):
    # TensorFlow would sort them by name.
    outputs = (LATENTS._replace(name="zebra"), LATENTS._replace(name="ant", low=0.0))

    def both(seeds):
        noise = random.normal(seeds, LATENTS.shape)
        return noise, abs(noise)

    model = one_endpoint(both)
    model.own["sample"] = model.own["sample"]._replace(outputs=outputs)
    export.deliver(model, None, tmp_path / "out", formats=["onnx"])
    noise, size = run(tmp_path / "out" / "onnx" / "sample.onnx", seeds=np.arange(3, dtype="int32"))
    np.testing.assert_array_equal(abs(noise), size)
    assert (noise < 0).any()


def test_sizes_may_be_free(tmp_path):
    images = keras.Input([None, None, 3])
    x = keras.layers.GroupNormalization(-1)(keras.layers.Conv2D(8, 3, 2, "same")(images))
    x = keras.layers.Conv2DTranspose(3, 3, 2, "same", activation="tanh")(x)
    element = Element("images", (None, None, 3), low=-1.0, high=1.0)
    network = trained(keras.Model(images, x))
    model = one_endpoint(network, element, element, network=network)
    export.deliver(model, None, tmp_path / "out", formats=["onnx"])
    photos = np.random.default_rng(0).uniform(-1, 1, [2, 20, 28, 3]).astype("float32")
    for photo in (photos, photos[:1, :8, :12]):
        (answer,) = run(tmp_path / "out" / "onnx" / "sample.onnx", images=photo)
        np.testing.assert_allclose(answer, network(photo), atol=2e-5)


def test_an_input_may_be_unused(tmp_path):
    model = one_endpoint(lambda seeds, labels: constant(0.5)(seeds))
    labels = Element("labels", (), "int32", 0, 9)
    model.own["sample"] = model.own["sample"]._replace(inputs=(SEEDS, labels))
    export.deliver(model, None, tmp_path / "out", formats=["onnx"])


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda s: 0 * constant(1.0)(tf.strings.length(tf.strings.as_string(s))), "StringLength"),
        (
            lambda s: tf.map_fn(
                lambda seed: tf.random.stateless_uniform(IMAGES.shape, [seed, 0]),
                s,
                fn_output_signature="float32",
            ),
            "StatelessRandom",
        ),
    ],
)
def test_an_operator_that_onnx_has_not_is_named(function, operator, tmp_path):
    with pytest.raises(DeliveryError, match=f"^onnx: endpoint 'sample' .*{operator}"):
        export.deliver(one_endpoint(function), None, tmp_path / "out", formats=["onnx"])
    assert not files(tmp_path)


@pytest.mark.parametrize("package", ["tf2onnx", "onnx", "onnxruntime"])
def test_a_missing_package_is_told(package, generator, tmp_path, monkeypatch):
    load = importlib.import_module

    def without(name, *rest):
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(DeliveryError, match=rf"{package}'; pip install -e \"\.\[onnx\]\""):
        export.deliver(generator, None, tmp_path / "out", formats=["onnx"])
    assert not files(tmp_path)


def spoil(monkeypatch, change):
    write = onnx.write

    def spoiled(endpoints, folder):
        write(endpoints, folder)
        path = folder / "sample.onnx"
        path.write_bytes(change(path.read_bytes()))

    monkeypatch.setattr(onnx, "write", spoiled)


def zero(network):
    """Zeroes the largest kernel wherever its bytes lie."""
    kernel = network.layers[1].kernel.numpy().tobytes()

    def change(content):
        assert kernel in content
        return content.replace(kernel, bytes(len(kernel)))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "output 'images' is .* off"),
        (lambda b: b[: len(b) // 2], "bytes"),
        (lambda b: b + bytes(2**22), "bytes"),
        (lambda b: bytes(64) + b[64:], "does not load"),
    ],
)
def test_a_damaged_graph_is_found(change, message, generator, tmp_path, monkeypatch):
    spoil(monkeypatch, change or zero(generator.network))
    with pytest.raises(VerificationError, match=f"^onnx: endpoint 'sample'.*{message}"):
        export.deliver(generator, None, tmp_path / "out", formats=["onnx"])
    assert not files(tmp_path)


@pytest.mark.parametrize(("module", "function"), [(onnx, "write"), (verify, "verify")])
def test_an_interrupt_leaves_nothing(module, function, generator, tmp_path, monkeypatch):
    whole = getattr(module, function)

    def interrupted(*args, **kwargs):
        whole(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, function, interrupted)
    with pytest.raises(KeyboardInterrupt):
        export.deliver(generator, None, tmp_path / "new" / "out", formats=["onnx"])
    assert not files(tmp_path)


def test_the_terminal_stays_silent(generator, tmp_path, capfd):
    export.deliver(generator, None, tmp_path / "out", formats=["onnx"])
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err == ""
