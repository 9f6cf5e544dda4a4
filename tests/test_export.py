"""The delivery: both formats answer as Keras does, and what does not is never delivered."""

import contextlib
import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console

import export
from export import card, examples, lite, lite_variants, saved_model, verify
from export.errors import DeliveryError, VerificationError
from export.lite_variants import Variant
from tfgen import random
from tfgen.endpoint import SEEDS, Element, Endpoint
from tfgen.errors import InputError

IMAGES = Element("images", (16, 16, 1), low=-1.0, high=1.0)
LATENTS = Element("latents", (8,))

# Exact enough to tell a fault from rounding; the usual half precision has tests of its own.
deliver = functools.partial(export.deliver, quantize="none")


def trained(network):
    """A network as after training: no weight is 0, no moving statistic is at its start."""
    rng = np.random.default_rng(0)
    for weight in network.weights:
        values = rng.uniform(0.5, 1.5, weight.shape)
        if "kernel" in weight.path:
            values = rng.normal(0.0, 1.5 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape)
        weight.assign(values)
    return network


def upward():
    """A DCGAN generator: latents `[N, 8]` to images `[N, 16, 16, 1]`."""
    x = latents = keras.Input(LATENTS.shape)
    x = keras.layers.Reshape([4, 4, 32])(keras.layers.Dense(4 * 4 * 32)(x))
    for filters in (32, 16):
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.Conv2DTranspose(filters, 5, 2, "same")(x)
    x = keras.layers.Conv2D(1, 3, padding="same", activation="tanh")(x)
    return trained(keras.Model(latents, x))


def downward():
    """An encoder: images `[N, 16, 16, 1]` to `[N, 16]`."""
    x = images = keras.Input(IMAGES.shape)
    for filters in (8, 16):
        x = keras.layers.Conv2D(filters, 3, 2, "same")(x)
        x = keras.layers.LeakyReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dense(2 * LATENTS.shape[0])(keras.layers.Flatten()(x))
    return trained(keras.Model(images, x))


class Model(keras.Model):
    """Some endpoints, and the networks that they use."""

    def __init__(self, endpoints=(), **networks):
        super().__init__()
        self.own = dict(endpoints)
        for name, network in networks.items():
            setattr(self, name, network)

    @property
    def endpoints(self):
        return self.own


class Generator(Model):
    @property
    def endpoints(self):
        return {
            "sample": Endpoint(self.sample, (SEEDS,), (IMAGES,)),
            "from_latents": Endpoint(self.network, (LATENTS,), (IMAGES,)),
        }

    def sample(self, seeds):
        return self.network(random.normal(seeds, LATENTS.shape))


class Autoencoder(Model):
    @property
    def endpoints(self):
        scales = LATENTS._replace(name="scales", low=0.0)
        labels = Element("labels", (), "int32", 0, 9)
        return {
            "encode": Endpoint(self.encode, (IMAGES,), (LATENTS, scales)),
            "decode": Endpoint(self.decoder, (LATENTS,), (IMAGES,)),
            "reconstruct": Endpoint(self.reconstruct, (IMAGES,), (IMAGES,)),
            "sample": Endpoint(self.sample, (SEEDS, labels), (IMAGES, labels)),
        }

    def encode(self, images):
        means, log_variances = tf.split(self.encoder(images), 2, axis=1)
        return means, tf.exp(0.5 * tf.tanh(log_variances))

    def reconstruct(self, images):
        return self.decoder(self.encode(images)[0])

    def sample(self, seeds, labels):
        noise = random.normal(seeds, LATENTS.shape)
        return self.decoder(noise + tf.one_hot(labels, LATENTS.shape[0])), labels


@pytest.fixture(scope="module")
def generator():
    # The discriminator is in no endpoint: it must not be delivered.
    return Generator(network=upward(), discriminator=downward())


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(-1, 1, [7, *IMAGES.shape]).astype("float32")


@pytest.fixture(scope="module")
def delivery(generator, tmp_path_factory):
    """A delivered generator: its folder, and the report."""
    out = tmp_path_factory.mktemp("delivery") / "not" / "yet" / "there"
    return out, deliver(generator, None, out)


def files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def one_endpoint(function, outputs=IMAGES, inputs=SEEDS, **networks):
    return Model({"sample": Endpoint(function, (inputs,), (outputs,))}, **networks)


def test_a_generator_answers_alike_in_all_formats(delivery):
    out, report = delivery
    names = {(row.format, row.endpoint, row.output) for row in report.rows}
    assert names == {
        (format, endpoint, "images")
        for format in ("saved_model", "lite")
        for endpoint in ("sample", "from_latents")
    } | {("saved_model", f"{name}_bytes", "images_bytes") for name in ("sample", "from_latents")}
    allowed = {"images": verify.TOLERANCE, "images_bytes": verify.ONE_LEVEL}
    assert all(row.ok and row.tolerance == allowed[row.output] for row in report.rows)
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "model.tflite",
        "report.json",
        "saved_model",
    ]
    assert [path.name for path in out.parent.iterdir()] == [out.name]  # no attempt is left


def test_an_autoencoder_answers_alike_in_all_formats(pictures, tmp_path):
    model = Autoencoder(encoder=downward(), decoder=upward())
    report = deliver(model, pictures, tmp_path / "out")
    # 2 formats, and files; encode and sample have two outputs each.
    assert len(report.rows) == 3 * 6
    exact = [row for row in report.rows if row.output == "labels"]
    assert [(row.difference, row.tolerance) for row in exact] == [(0.0, 0.0)] * 3


def test_files_of_pictures_come_and_go(pictures, tmp_path):
    model = Autoencoder(encoder=downward(), decoder=upward())
    deliver(model, pictures, tmp_path / "out", ["saved_model"])
    levels = np.rint((pictures[:3] + 1) * 127.5).astype("uint8")
    images = tf.constant(levels / np.float32(127.5) - 1)
    truth = model.reconstruct(images)
    sent = []
    for level in levels:
        file = io.BytesIO()
        Image.fromarray(level[..., 0]).save(file, "png")
        sent.append(file.getvalue())
    coloured = io.BytesIO()
    Image.fromarray(np.zeros([16, 16, 3], "uint8")).save(coloured, "png")
    large = io.BytesIO()
    Image.fromarray(np.zeros([16, 17], "uint8")).save(large, "png")
    with verify.session(tmp_path / "out/saved_model") as run:
        answer = run("reconstruct_bytes", {"images_bytes": sent})["images_bytes"]
        found = np.array([Image.open(io.BytesIO(file)) for file in answer])
        expected = (truth.numpy()[..., 0] + 1) * 127.5
        assert found.shape == (3, 16, 16) and np.abs(found - expected).max() <= 0.51
        means = run("encode_bytes", {"images_bytes": sent})["latents"]
        np.testing.assert_allclose(means, model.encode(images)[0], atol=1e-4)
        run("encode_bytes", {"images_bytes": [coloured.getvalue()]})  # taken as gray
        for file, words in (
            (large.getvalue(), r"\[16,17,1\] is not compatible with expected shape \[16,16,1\]"),
            (b"no picture", "Unknown image file format"),
            (b"", "Unknown image file format|Input is empty"),
        ):
            with pytest.raises(tf.errors.InvalidArgumentError, match=words):
                run("encode_bytes", {"images_bytes": [file]})


def test_a_signature_refuses_what_it_cannot_take(pictures, tmp_path):
    model = Autoencoder(encoder=downward(), decoder=upward())
    element = Element("images", (None, None, 1), "float32", -1, 1, 4)
    image = keras.Input([None, None, 1])
    copy = keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", activation="tanh")(image))
    model.free = copy
    endpoints = model.endpoints | {"free": Endpoint(copy, (element,), (element,))}
    model.__class__ = type("Both", (Autoencoder,), {"endpoints": endpoints})
    deliver(model, pictures, tmp_path / "out", ["saved_model", "lite"])
    with verify.session(tmp_path / "out/saved_model") as run:
        for label in (-1, 10):
            with pytest.raises(tf.errors.InvalidArgumentError, match="labels must be 0 to 9"):
                run("sample", {"seeds": [0, 1], "labels": [3, label]})
        with pytest.raises(tf.errors.InvalidArgumentError, match="as many rows as seeds"):
            run("sample", {"seeds": [0, 1, 2], "labels": [3]})
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be multiples of 4"):
            run("free", {"images": np.zeros([1, 8, 6, 1], "f4")})
        assert run("free", {"images": np.zeros([1, 8, 12, 1], "f4")})["images"].shape[2] == 12
        assert run("sample", {"seeds": [0, 1], "labels": [3, 9]})["labels"].tolist() == [3, 9]


def test_the_report_describes_the_folder(delivery, tmp_path):
    out, report = delivery
    document = json.loads((out / "report.json").read_text())
    assert document["endpoints"]["from_latents"] == {
        "inputs": [
            {"name": "latents", "shape": [None, 8], "dtype": "float32", "low": None, "high": None}
        ],
        "outputs": [
            {
                "name": "images",
                "shape": [None, 16, 16, 1],
                "dtype": "float32",
                "low": -1.0,
                "high": 1.0,
            }
        ],
    }
    assert document["versions"]["tensorflow"] == tf.__version__
    assert document["bytes"]["lite"] == (out / "model.tflite").stat().st_size
    assert [row["difference"] for row in document["differences"]] == [
        row.difference for row in report.rows
    ]
    console = Console(record=True, width=120)
    console.print(export.table(report))
    assert "from_latents" in console.export_text()


def test_weights_lie_on_the_disk_once(delivery, generator):
    out, report = delivery
    once = 4 * generator.network.count_params()
    assert report.sizes["weights"] == once
    (data,) = (out / "saved_model" / "variables").glob("variables.data*")
    assert once <= data.stat().st_size < 1.05 * once
    # Two endpoints share the generator; the rest is operators.
    assert 0.95 * once < report.sizes["lite"] < once + 2**16


def test_a_seed_is_the_same_picture_in_any_batch(delivery, generator):
    out, _ = delivery
    seeds = np.array([5, -7, 2**31 - 1, 5], "int32")
    expected = generator.sample(tf.constant(seeds)).numpy()
    assert (expected[0] == expected[3]).all()
    assert abs(expected[0] - expected[1]).max() > 0.1
    for runtime, path in (("session", "saved_model"), ("_interpreter", "model.tflite")):
        with getattr(verify, runtime)(out / path) as run:
            for rows in ([0], [2], [1, 2], [3, 2, 1, 0], [0]):
                images = run("sample", {"seeds": seeds[rows]})["images"]
                np.testing.assert_allclose(images, expected[rows], atol=2e-5)


def test_a_saved_model_needs_neither_keras_nor_this_project(delivery, generator, tmp_path):
    out, _ = delivery
    program = """
import sys
import numpy as np
import tensorflow as tf
for name in ("keras", "tfgen", "export"):
    sys.modules[name] = None
sample = tf.saved_model.load(sys.argv[1]).signatures["sample"]
np.save(sys.argv[2], sample(seeds=tf.constant([3, -4]))["images"])
"""
    answer = tmp_path / "answer.npy"
    subprocess.run(
        [sys.executable, "-c", program, str(out / "saved_model"), str(answer)],
        cwd=tmp_path,
        check=True,
        env=os.environ | {"PYTHONPATH": "", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
    )
    expected = generator.sample(tf.constant([3, -4]))
    np.testing.assert_allclose(np.load(answer), expected, atol=1e-5)


def test_sizes_may_be_free(tmp_path):
    images = keras.Input([None, None, 3])
    x = keras.layers.GroupNormalization(-1)(keras.layers.Conv2D(8, 3, 2, "same")(images))
    x = keras.layers.Conv2DTranspose(3, 3, 2, "same", activation="tanh")(x)
    element = Element("images", (None, None, 3), low=-1.0, high=1.0)
    network = trained(keras.Model(images, x))
    model = one_endpoint(network, element, element, network=network)
    deliver(model, None, tmp_path / "out")
    photos = np.random.default_rng(0).uniform(-1, 1, [2, 20, 28, 3]).astype("float32")
    with verify._interpreter(tmp_path / "out" / "model.tflite") as run:
        for photo in (photos, photos[:1, :8, :12]):  # larger, then smaller again
            answer = run("sample", {"images": photo})["images"]
            np.testing.assert_allclose(answer, network(photo), atol=2e-5)


def test_float16_is_half_the_size_and_nearly_the_same(generator, tmp_path):
    whole, half = (
        export.deliver(generator, None, tmp_path / kind, formats=["lite"], quantize=kind)
        for kind in ("none", "float16")
    )
    assert 0.45 < half.sizes["lite"] / whole.sizes["lite"] < 0.7
    assert {row.tolerance for row in half.rows} == {verify.LITE["float16"][0]}
    worst = max(row.relative for row in half.rows)
    assert 1e-5 < worst < 1e-2
    with pytest.raises(InputError, match="quantize='int4' is not one of none, float16, dynamic"):
        export.deliver(generator, None, tmp_path / "x", quantize="int4")


def test_variants_are_measured_and_the_best_is_taken(generator, pictures, tmp_path):
    console = Console(record=True, width=100)
    report = export.deliver(
        generator, pictures, tmp_path / "out", ["lite"], console=console, quantize="advise"
    )
    said = console.export_text()
    assert all(kind in said for kind in verify.LITE) and said.count("(advised)") == 1
    assert report.sizes["lite"] == (tmp_path / "out/model.tflite").stat().st_size
    saved_model.write(generator.endpoints, tmp_path / "saved")
    found = {
        v.quantize: v
        for v in lite_variants.measure(tmp_path / "saved", tmp_path / "lite", generator.endpoints)
    }
    assert not any(v.problem for v in found.values())
    assert found["none"].error < 1e-4 < found["float16"].error < 1e-2 < found["int8"].error < 1.0
    sizes = [found[kind].size for kind in ("none", "float16", "int8")]
    assert sizes == sorted(sizes, reverse=True)
    assert all(v.milliseconds > 0 for v in found.values())


def test_the_folder_tells_what_it_holds(generator, pictures, tmp_path):
    report = export.deliver(generator, pictures, tmp_path / "out", ["lite"], "it", compare=True)
    text = (tmp_path / "out" / "README.md").read_text()
    assert text.startswith("# it\n") and text.count("(advised)") == 1
    assert f"| LiteRT | {report.sizes['lite']:,} |" in text
    assert "| `sample` | seeds int32 | images float32 [16, 16, 1] |" in text
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [v["quantize"] for v in document["lite_variants"]] == list(verify.LITE)
    assert report.sizes["lite"] == next(v.size for v in report.variants if v.quantize == "float16")


def test_only_some_endpoints(generator, tmp_path):
    with pytest.raises(InputError, match="'paint': give one or more of sample, from_latents"):
        deliver(generator, None, tmp_path / "out", endpoints=["paint"])
    report = deliver(generator, None, tmp_path / "out", endpoints=["sample"])
    assert {row.endpoint for row in report.rows} == {"sample", "sample_bytes"}


def test_a_fixed_batch(generator, tmp_path):
    formats = ["saved_model", "lite", "onnx"]
    report = deliver(generator, None, tmp_path / "out", formats, batch=3)
    assert {row.format for row in report.rows} == set(formats)
    with verify.session(tmp_path / "out" / "saved_model") as run:
        assert run("sample", {"seeds": [1, 2, 3]})["images"].shape == (3, 16, 16, 1)
        with pytest.raises(ValueError, match=r"shape \(2,\)"):
            run("sample", {"seeds": [1, 2]})
    with pytest.raises(InputError, match="batch=3: serving and web need a free batch"):
        deliver(generator, None, tmp_path / "served", ["serving"], batch=3)


def test_advice():
    plain = Variant("none", 100, 1e-6, 1.0)
    half, coarse = Variant("float16", 50, 1e-3, 1.1), Variant("int8", 25, 0.3, 0.5)
    slow = Variant("dynamic", 25, 1e-3, 3.0)
    assert lite_variants.advise([plain, half, slow, coarse]) == "float16"
    assert lite_variants.advise([plain, slow, coarse]) == "none"
    assert lite_variants.advise([plain, half, coarse._replace(error=1e-2)]) == "int8"
    broken = Variant("float16", problem="it cannot be")
    assert lite_variants.advise([plain, broken]) == "none"
    assert "| float16 | it cannot be |" in card.tables(
        verify.Report([], {"weights": 100}, [plain, broken])
    )
    assert lite_variants.table([plain, broken], "none").row_count == 2


def test_int8_latents_are_those_of_the_prior(generator):
    endpoints = {
        "latents": Endpoint(lambda s: random.uniform(s, LATENTS.shape), (SEEDS,), (LATENTS,)),
        "decode": Endpoint(lambda z: z, (LATENTS,), (LATENTS,)),
    }
    rows = examples.likely(endpoints, endpoints["decode"], None, 8)["latents"]
    truth = random.uniform(tf.constant(examples.SMALL_AND_LARGE[:8]), LATENTS.shape)
    np.testing.assert_array_equal(rows, truth)


def test_lite_alone_leaves_no_saved_model(generator, tmp_path):
    report = deliver(generator, None, tmp_path / "out", formats=["lite"])
    assert [str(path) for path in files(tmp_path)] == [
        "out",
        "out/README.md",
        "out/model.tflite",
        "out/report.json",
    ]
    assert {row.format for row in report.rows} == {"lite"}


def test_examples_cover_what_an_endpoint_may_meet(pictures):
    elements = (
        SEEDS,
        IMAGES,
        Element("labels", (), "int32", 2, 5),
        Element("latents", (1000,)),
        Element("angles", (1000,), low=-3.0, high=1.0),
        Element("scales", (1000,), low=0.0),
        Element("photos", (None, None, 3)),
    )
    found = examples.examples(Endpoint(None, elements, ()), {"images": pictures}, 10)
    again = examples.examples(Endpoint(None, elements, ()), {"images": pictures}, 10)
    assert all((found[name] == again[name]).all() for name in found)
    assert all(found[e.name].dtype == e.dtype for e in elements)
    assert (found["seeds"] < 0).any() and (found["seeds"] > 2**30).any()
    assert (found["images"] == pictures[[0, 1, 2, 3, 4, 5, 6, 0, 1, 2]]).all()
    assert found["labels"].tolist() == [2, 3, 4, 5, 2, 3, 4, 5, 2, 3]
    assert abs(found["latents"].mean()) < 0.05 and abs(found["latents"].std() - 1) < 0.05
    assert -3 < found["angles"].min() < -2.9 and 0.9 < found["angles"].max() < 1
    assert found["scales"].min() >= 0
    assert found["photos"].shape == (10, 32, 32, 3)


def constant(value, shape=IMAGES.shape, dtype="float32"):
    return lambda seeds: tf.fill([tf.shape(seeds)[0], *shape], tf.cast(value, dtype))


def crowd(seeds):
    """Each row depends on the others."""
    values = random.normal(seeds, IMAGES.shape)
    return tf.tanh(values - tf.reduce_mean(values, axis=0))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (constant(np.nan), "'sample', output 'images' has nan"),
        (constant(np.inf), "has inf"),
        (constant(1.01), r"has 1.0\d* in it, but \[-1.0, 1.0\]"),
        (constant(0.0, [16, 16]), r"shape \(1, 16, 16\), but \(1, 16, 16, 1\)"),
        (constant(0.0, [16, 8, 1]), r"shape \(1, 16, 8, 1\), but \(1, 16, 16, 1\)"),
        (constant(0.0, dtype="float16"), "is float16, but float32"),
        (lambda s: tf.tanh(tf.random.normal([tf.size(s), *IMAGES.shape])), "noise must come from"),
        (crowd, "its rows are not those"),
    ],
)
def test_a_broken_endpoint_is_not_delivered(function, message, tmp_path):
    with pytest.raises(VerificationError, match=f"^keras: .*{message}"):
        deliver(one_endpoint(function), None, tmp_path / "out", formats=["saved_model"])
    assert not files(tmp_path)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (
            lambda s: tf.map_fn(
                lambda seed: tf.random.stateless_uniform(IMAGES.shape, [seed, 0]),
                s,
                fn_output_signature="float32",
            ),
            "StatelessRandomGetKeyCounter",
        ),
        (lambda s: 0 * constant(1.0)(tf.strings.length(tf.strings.as_string(s))), "AsString"),
    ],
)
def test_an_operator_that_lite_has_not_is_named(function, operator, tmp_path):
    with pytest.raises(DeliveryError, match=f"^lite: endpoint 'sample' needs {operator}"):
        deliver(one_endpoint(function), None, tmp_path / "out")
    assert not files(tmp_path)
    # TensorFlow has it.
    deliver(one_endpoint(function), None, tmp_path / "out", formats=["saved_model"])


def test_rounding_in_an_output_that_hardly_varies_is_allowed():
    faint = 1e-5 * np.random.default_rng(0).normal(size=[10, 64]).astype("float32")
    rounded = (faint + 0.5) - np.float32(0.5)  # as a sigmoid mapped onto [-1, 1]
    ranged = Element("images", (64,), low=-1.0, high=1.0)
    _, relative = verify._distance(ranged, [rounded], faint, verify.largest)
    assert 0 < relative < verify.TOLERANCE
    _, relative = verify._distance(Element("images", (64,)), [rounded], faint, verify.largest)
    assert relative > verify.TOLERANCE
    assert verify._distance(Element("zeros", (64,)), [0 * faint], 0 * faint, verify.largest) == (
        0.0,
        0.0,
    )


def bernoulli(shift=0.0, stream=1):
    """Pixels of one bit, drawn by a threshold on noise, and their probabilities."""
    network = upward()

    def sample(seeds):
        probabilities = 0.5 + 0.5 * network(random.normal(seeds, LATENTS.shape))
        drawn = random.uniform(seeds, IMAGES.shape, stream) < probabilities + shift
        return tf.where(drawn, 1.0, -1.0), probabilities

    outputs = (
        IMAGES._replace(drawn=True),
        Element("probabilities", IMAGES.shape, low=0.0, high=1.0),
    )
    return Model({"sample": Endpoint(sample, (SEEDS,), outputs)}, network=network)


def test_draws_are_compared_by_the_share_of_equal_values(tmp_path):
    report = deliver(bernoulli(), None, tmp_path / "out", ["saved_model", "lite", "onnx"])
    units = {(row.format, row.endpoint, row.output): row.unit for row in report.rows}
    for format in ("saved_model", "lite", "onnx"):
        assert units[format, "sample", "images"] == "draw"
        assert units[format, "sample", "probabilities"] == "scale"
    assert units["saved_model", "sample_bytes", "images_bytes"] == "draw"


@pytest.mark.parametrize("wrong", [{"stream": 2}, {"shift": 0.1}])
def test_a_wrong_sampler_is_found(wrong, tmp_path):
    saved_model.write(bernoulli(**wrong).endpoints, tmp_path / "saved")
    with pytest.raises(VerificationError, match="'images': .* of the drawn values are others"):
        verify.verify(bernoulli().endpoints, saved_model=tmp_path / "saved")


def test_a_few_draws_and_a_few_rows_may_be_others():
    element = Element("images", (784,), drawn=True)
    truth = np.where(np.random.default_rng(0).random([10, 784]) < 0.3, 1.0, 0.0)
    flipped = np.where(np.random.default_rng(1).random([10, 784]) < 2e-4, 1 - truth, truth)
    chain = np.concatenate([1 - truth[:1], truth[1:]])  # one went another way early on
    for answer in (flipped, chain):
        assert verify.unequal(element, [answer], truth, verify.TOLERANCE)[1] <= verify.DRAWN
    other = np.where(np.random.default_rng(2).random([10, 784]) < 0.3, 1.0, 0.0)
    assert verify.unequal(element, [other], truth, verify.TOLERANCE)[1] > 0.3


def faint():
    """Logits that hardly vary yet: small sums of large terms, as before training."""
    network = keras.Sequential(
        [keras.Input([64]), keras.layers.Dense(256, "relu"), keras.layers.Dense(1)]
    )
    last = network.layers[-1].kernel
    half = np.random.default_rng(0).normal(size=[128, 1])
    last.assign(
        np.concatenate([half, -half]) + 1e-2 * np.random.default_rng(1).normal(size=[256, 1])
    )
    first = network.layers[0].kernel
    column = np.random.default_rng(2).normal(size=[64, 128])
    first.assign(np.concatenate([column, column], axis=1))
    model = Model(network=network)
    rows, logits = Element("points", (64,)), Element("logits", (1,))
    model.own = {"discriminate": Endpoint(network, (rows,), (logits,))}
    return model


def test_half_precision_may_do_what_rounding_does_in_keras(tmp_path):
    report = export.deliver(faint(), None, tmp_path / "out", ["lite"], quantize="float16")
    (row,) = report.rows
    assert row.relative > verify.LITE["float16"][0]  # more than is allowed to others
    assert row.tolerance < verify.COARSE


def test_a_fault_in_an_output_that_hardly_varies_is_found(tmp_path, monkeypatch):
    write = lite.write

    def spoiled(source, path, endpoints, *rest):
        other = faint()
        kernel = other.network.layers[-1].kernel
        kernel.assign(np.where(np.arange(256)[:, None] < 8, 0.0, kernel.numpy()))
        saved_model.write(other.endpoints, tmp_path / "other")
        write(tmp_path / "other", path, other.endpoints, *rest)

    monkeypatch.setattr(lite, "write", spoiled)
    with pytest.raises(VerificationError, match="^lite: endpoint 'discriminate'.* off"):
        export.deliver(faint(), None, tmp_path / "out", ["lite"], quantize="float16")


def test_what_files_give_is_compared_where_it_is_no_picture(tmp_path, monkeypatch):
    network = downward()
    model = one_endpoint(network, Element("logits", (16,)), IMAGES, network=network)
    report = deliver(model, None, tmp_path / "out", formats=["saved_model"])
    assert ("sample_bytes", "logits") in {(row.endpoint, row.output) for row in report.rows}
    read = saved_model.with_files

    def brighter(endpoints):
        return {
            name: e._replace(function=lambda files, f=e.function: f(files)[0] + 0.1)
            for name, e in read(endpoints).items()
        }

    monkeypatch.setattr(saved_model, "with_files", brighter)
    with pytest.raises(VerificationError, match="'sample_bytes', output 'logits' is .* off"):
        deliver(model, None, tmp_path / "spoiled", formats=["saved_model"])


def test_slow_endpoints_get_few_rows(tmp_path):
    counts = []

    def count(seeds):
        counts.append(seeds.shape[0])
        return random.normal(seeds, LATENTS.shape)

    endpoint = Endpoint(count, (SEEDS,), (LATENTS,), slow=True)
    list(
        lite._representative(
            {"latents": endpoint, "decode": endpoint._replace(inputs=(LATENTS,))}, None
        )
    )
    assert max(filter(None, counts)) == 16


def spoil_saved_model(monkeypatch, spoil):
    write = saved_model.write

    def spoiled(endpoints, path):
        write(endpoints, path)
        (data,) = (path / "variables").glob("variables.data*")
        data.write_bytes(spoil(data.read_bytes()))

    monkeypatch.setattr(saved_model, "write", spoiled)


def spoil_lite(monkeypatch, spoil):
    write = lite.write

    def spoiled(source, path, *rest):
        write(source, path, *rest)
        path.write_bytes(spoil(path.read_bytes()))

    monkeypatch.setattr(lite, "write", spoiled)


def test_a_zeroed_weight_in_a_saved_model_is_found(generator, tmp_path, monkeypatch):
    write = saved_model.write

    def spoiled(endpoints, path):
        bias = generator.network.layers[-1].bias
        value = bias.numpy()
        bias.assign(value * 0)
        write(endpoints, path)
        bias.assign(value)

    monkeypatch.setattr(saved_model, "write", spoiled)
    with pytest.raises(VerificationError, match="^saved_model: endpoint 'sample'.* off"):
        deliver(generator, None, tmp_path / "out", formats=["saved_model"])
    assert not files(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda b: b[: len(b) // 2], "bytes"),
        (lambda b: b + b, "bytes"),
        (lambda b: bytes(4) + b[4:], "does not load.*"),
    ],
)
def test_a_damaged_saved_model_is_found(spoil, message, generator, tmp_path, monkeypatch):
    spoil_saved_model(monkeypatch, spoil)
    with pytest.raises(VerificationError, match=f"^saved_model: .*{message}"):
        deliver(generator, None, tmp_path / "out", formats=["saved_model"])
    assert not files(tmp_path)


def zero_largest(generator):
    """Zeroes the generator's largest kernel wherever its bytes lie in a file."""
    kernel = np.transpose(generator.network.layers[1].kernel.numpy()).tobytes()

    def spoil(content):
        assert kernel in content
        return content.replace(kernel, bytes(len(kernel)))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (None, "endpoint 'sample'.* off"),
        (lambda b: b[: len(b) // 4], "bytes"),
        (lambda b: b + bytes(2**22), "bytes"),
        (lambda b: bytes(64) + b[64:], "does not load"),
    ],
)
def test_a_damaged_lite_file_is_found(spoil, message, generator, tmp_path, monkeypatch):
    spoil_lite(monkeypatch, spoil or zero_largest(generator))
    with pytest.raises(VerificationError, match=f"^lite: .*{message}"):
        deliver(generator, None, tmp_path / "out", formats=["lite"])
    assert not files(tmp_path)


def test_a_flex_operator_in_a_lite_file_is_found(tmp_path):
    model = one_endpoint(
        lambda s: (
            constant(0.0)(s)
            + tf.linalg.det(tf.ones([3, 3])[None] * tf.cast(s, "float32")[:, None, None])[
                :, None, None, None
            ]
        )
    )
    saved_model.write(model.endpoints, tmp_path / "saved")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"), ["sample"])
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    with pytest.raises(VerificationError, match="^lite: .*Flex"):
        verify.verify(model.endpoints, lite=tmp_path / "model.tflite")


def test_what_exists_is_not_touched(generator, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    with pytest.raises(InputError, match="out exists already"):
        deliver(generator, None, tmp_path / "out")
    assert [str(path) for path in files(tmp_path)] == ["out", "out/precious"]


@pytest.mark.parametrize("formats", [["onyx"], ["lite", "onyx"], []])
def test_an_unknown_format_is_refused(formats, generator, tmp_path):
    with pytest.raises(InputError, match="saved_model, lite"):
        deliver(generator, None, tmp_path / "out", formats=formats)
    assert not files(tmp_path)


@pytest.mark.parametrize(
    ("module", "function"), [(saved_model, "write"), (lite, "write"), (verify, "verify")]
)
def test_an_interrupt_leaves_nothing(module, function, generator, tmp_path, monkeypatch):
    whole = getattr(module, function)

    def interrupted(*args, **kwargs):
        whole(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, function, interrupted)
    with pytest.raises(KeyboardInterrupt):
        deliver(generator, None, tmp_path / "new" / "out")
    assert not files(tmp_path)


def test_what_is_loaded_takes_its_inputs_in_their_order(delivery, tmp_path):
    path = str(delivery[0] / "saved_model")
    loaded = tf.saved_model.load(path)
    truth = loaded.signatures["sample"](seeds=tf.range(3))["images"]
    np.testing.assert_array_equal(loaded.sample(tf.range(3))["images"], truth)
    layer = keras.layers.TFSMLayer(path, call_endpoint="sample")
    np.testing.assert_array_equal(layer(tf.range(3))["images"], truth)

    def sample(seeds, labels):
        return tf.cast(10 * seeds - labels, "float32")[:, None] * tf.ones([8])

    both = (SEEDS, Element("labels", (), "int32", 0, 9))
    saved_model.write({"sample": Endpoint(sample, both, (LATENTS,))}, tmp_path / "both")
    loaded = tf.saved_model.load(tmp_path / "both")
    found = loaded.sample(tf.constant([1, 2]), tf.constant([3, 4]))["latents"]
    assert found.numpy()[:, 0].tolist() == [7.0, 16.0]


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (signal.SIGINT, KeyboardInterrupt, None),
        (signal.SIGTERM, SystemExit, 143),
        (signal.SIGHUP, SystemExit, 129),
    ],
)
@pytest.mark.parametrize("swallowed", [False, True])
def test_a_signal_leaves_nothing(
    number, error, code, swallowed, generator, tmp_path, monkeypatch, request
):
    given = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    inherited = signal.signal(number, given)  # which may be to ignore it, as under nohup
    request.addfinalizer(lambda: signal.signal(number, inherited))
    before = [signal.getsignal(n) for n in (number, signal.SIGALRM)]

    def interrupted(*args, **kwargs):
        assert files(tmp_path)
        if swallowed:  # as TensorFlow's C++ does with an exception of Python that it called
            with contextlib.suppress(KeyboardInterrupt):
                os.kill(os.getpid(), number)
        else:
            os.kill(os.getpid(), number)
        for _ in range(1000):
            time.sleep(0.01)
        pytest.fail("it goes on")

    monkeypatch.setattr(saved_model, "write", interrupted)
    with pytest.raises(error) as stop:
        deliver(generator, None, tmp_path / "new" / "out")
    assert getattr(stop.value, "code", None) == code
    assert not files(tmp_path)
    assert [signal.getsignal(n) for n in (number, signal.SIGALRM)] == before


def test_a_signal_does_not_disturb_the_removal(generator, tmp_path, monkeypatch):
    remove = shutil.rmtree

    def disturbed(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        remove(*args, **kwargs)

    def refuse(*args, **kwargs):
        raise DeliveryError("no")

    monkeypatch.setattr(shutil, "rmtree", disturbed)
    monkeypatch.setattr(saved_model, "write", refuse)
    with pytest.raises(SystemExit, match="143"):
        deliver(generator, None, tmp_path / "out")
    assert not files(tmp_path)


def test_of_two_deliveries_into_one_place_the_second_is_refused(generator, tmp_path, monkeypatch):
    page = card.page

    def slower(*args):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "README.md").write_text("the first")
        return page(*args)

    monkeypatch.setattr(card, "page", slower)
    with pytest.raises(InputError, match="out exists already: remove it"):
        deliver(generator, None, tmp_path / "out", ["saved_model"])
    assert [str(path) for path in files(tmp_path)] == ["out", "out/README.md"]
    assert (tmp_path / "out" / "README.md").read_text() == "the first"


def test_the_terminal_stays_silent(generator, tmp_path, capfd):
    deliver(generator, None, tmp_path / "out")
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err == ""
