"""Translation: its layers and networks against formulas, the right terms on the right domains."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import export
import zoo
from export import examples, verify
from tfgen import figures, random
from tfgen.data import load
from tfgen.endpoint import Element, Endpoint
from tfgen.errors import InputError
from tfgen.latents.translation import translate
from tfgen.layers.instance_norm import instance_norm
from tfgen.layers.reflection import ReflectionPadding
from tfgen.layers.seeded_dropout import SeededDropout
from tfgen.networks.patch import fitting, patch, receptive_field
from tfgen.networks.resnet import translator
from tfgen.networks.unet import depth, unet
from tfgen.objectives.image_pool import ImagePool
from tfgen.objectives.losses import least_squares
from tfgen.runs import checkpoints
from tfgen.runs.schedules import ConstantThenLinear
from zoo.translation.cyclegan import CycleGAN
from zoo.translation.pix2pix import Pix2Pix


def images(count=2, size=8, channels=3, seed=0):
    return tf.random.stateless_uniform([count, size, size, channels], [seed, 1], -1.0, 1.0)


def keys(count):
    return tf.stack([tf.range(count), tf.zeros(count, tf.int32)], axis=1)


# Layers


def test_instance_norm_is_the_formula():
    x = 3.0 * images(3, 6, 4) + 1.0
    layer = instance_norm()
    layer.build(x.shape)
    layer.gamma.assign([1.0, 2.0, -1.0, 0.5])
    layer.beta.assign([0.0, 1.0, 2.0, 3.0])
    mean = np.mean(x, axis=(1, 2), keepdims=True)
    variance = np.var(x, axis=(1, 2), keepdims=True)
    truth = (x - mean) / np.sqrt(variance + 1e-5) * [1.0, 2.0, -1.0, 0.5] + [0.0, 1.0, 2.0, 3.0]
    np.testing.assert_allclose(layer(x), truth, atol=2e-6)
    assert not layer.non_trainable_variables


def test_reflection_is_that_of_numpy():
    x = images(2, 5)
    sides = [(0, 0), (3, 3), (3, 3), (0, 0)]
    np.testing.assert_array_equal(ReflectionPadding(3)(x), np.pad(x, sides, "reflect"))
    free = keras.Input([None, None, 2])
    assert ReflectionPadding(1)(free).shape == (None, None, None, 2)


def test_seeded_dropout_is_a_function_of_the_seed():
    x, layer = tf.ones([64, 8, 8, 5]), SeededDropout(0.3)
    found = layer([x, keys(64)]).numpy()
    assert set(np.unique(found)) == {0.0, np.float32(1 / 0.7)}
    dropped = (found == 0).mean()
    assert abs(dropped - 0.3) < 4 * np.sqrt(0.3 * 0.7 / found.size)
    np.testing.assert_array_equal(layer([x[5:7], keys(64)[5:7]]), found[5:7])
    assert (found[0] != found[1]).any()
    other = SeededDropout(0.3, stream=1)([x, keys(64)])
    assert abs(np.corrcoef(found.ravel(), np.ravel(other))[0, 1]) < 4 / np.sqrt(found.size)


def test_the_rate_falls_over_the_second_half():
    rate = ConstantThenLinear(0.2, 100)
    found = [float(rate(step)) for step in (0, 49, 50, 75, 100, 120)]
    np.testing.assert_allclose(found, [0.2, 0.2, 0.2, 0.1, 0.0, 0.0], atol=1e-7)


# Networks


@pytest.mark.parametrize(("strided", "side"), [(1, 16), (2, 34), (3, 70)])
def test_a_patch_is_what_one_logit_sees(strided, side):
    network = patch(1, strided, width=2, initializer="ones")
    # Normalization sees the whole image, so it is left out here.
    bare = keras.models.clone_model(
        network,
        clone_function=lambda layer: (
            keras.layers.Identity(name=layer.name)
            if isinstance(layer, keras.layers.GroupNormalization)
            else layer.__class__.from_config(layer.get_config())
        ),
    )
    x = tf.ones([1, 128, 128, 1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = bare(x)
        middle = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
    seen = np.argwhere(tape.gradient(middle, x)[0, ..., 0].numpy())
    assert (np.ptp(seen, axis=0) + 1 == side).all() and receptive_field(strided) == side


def test_networks_have_the_published_sizes():
    # The released PyTorch code prints 54.414 and 11.378 million, and 2.769 with 6 channels; it has
    # a bias before instance normalization, where ours has a scale and a shift after it.
    for network, millions in (
        (unet(3, 3, 8), 54.414),
        (translator(3, 3), 11.378),
        (patch([3, 3]), 2.769),
    ):
        assert network.count_params() / 1e6 == pytest.approx(millions, rel=1e-3)
    logits = patch(3, width=2)(tf.zeros([1, 256, 256, 3]))
    assert logits.shape == (1, 30, 30, 1)


@pytest.mark.parametrize("size", [(16, 16), (16, 48), (32, 16)])
def test_translators_take_any_multiple(size):
    x = tf.random.stateless_uniform([2, *size, 3], [0, 1])
    assert unet(3, 1, 4, width=2)([x, keys(2)]).shape == (2, *size, 1)
    assert translator(3, 1, 1, width=2)(x).shape == (2, *size, 1)
    assert unet(3, 1, 4, width=2).output_shape == (None, None, None, 1)


def test_depths_and_patches_that_fit():
    assert [depth(size) for size in (256, 512, 64, 16, 12)] == [8, 8, 6, 4, 2]
    assert [fitting(size) for size in (256, 64, 32, 28, 16)] == [3, 3, 2, 1, 1]
    for size in (16, 32, 64):  # whatever fits leaves some patches
        assert patch(1, fitting(size), 2)(tf.zeros([1, size, size, 1])).shape[1] >= 6
    with pytest.raises(InputError, match="30 pixels cannot be halved twice"):
        depth(30)
    with pytest.raises(InputError, match="8 pixels are too small"):
        fitting(8)


def test_the_innermost_layer_is_alive():
    """Normalized, its one pixel would be 0 whatever its weights are (the paper's erratum)."""
    network = unet(1, 1, 3, width=2, initializer="glorot_normal")
    x = images(1, 8, 1)
    before = network([x, keys(1)])
    innermost = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)][2]
    innermost.kernel.assign(-innermost.kernel)
    assert np.abs(network([x, keys(1)]) - before).max() > 1e-3


# The pool


def numbered(pool, steps, rows):
    """What a pool gives back of images that are their own number: int `[steps, rows]`."""

    @tf.function
    def exchange(step):
        with random.place(7, step):
            arrived = tf.cast(step * rows + tf.range(rows), tf.float32)[:, None, None, None]
            return pool(arrived, training=True)[:, 0, 0, 0]

    return np.array([exchange(tf.constant(step)) for step in range(steps)]).astype(int)


@pytest.mark.parametrize("rows", [1, 4])
def test_the_pool_gives_old_images_half_of_the_time(rows):
    pool = ImagePool(50, (1, 1, 1))
    found = numbered(pool, 800, rows).ravel()
    new = np.arange(800 * rows)
    filling = 50 if rows == 1 else 52
    np.testing.assert_array_equal(found[:filling], new[:filling])
    old = found[filling:] != new[filling:]
    batch = new // rows * rows
    assert ((found == new) | (found < batch)).all()  # of a batch none is exchanged for another
    assert abs(old.mean() - 0.5) < 4 * np.sqrt(0.25 / len(old))
    given_twice = [n for n in found[filling:][old] if n >= filling]
    assert len(given_twice) == len(set(given_twice))  # an image that leaves the pool is gone
    kept = np.rint(pool.images.numpy().ravel()).astype(int)
    assert len(set(kept)) == 50 and not set(kept[kept >= filling]) & set(found)


def test_a_pool_outside_of_training_gives_back_and_keeps_nothing():
    pool, x = ImagePool(4, (8, 8, 3)), images()
    np.testing.assert_array_equal(pool(x), x)
    assert int(pool.filled) == 0 and not pool.images.numpy().any()


# The terms


def scaling(scale, offset=0.0):
    """A network that is a known map, of one weight so that it can be trained."""
    entry = keras.Input([None, None, 1])
    x = keras.layers.Conv2D(
        1,
        1,
        kernel_initializer=keras.initializers.Constant(scale),
        bias_initializer=keras.initializers.Constant(offset),
    )(entry)
    return keras.Model(entry, x)


def toy_cyclegan(pool=4):
    maps = scaling(1.0, 0.1), scaling(0.5), scaling(2.0), scaling(3.0)
    return CycleGAN(*maps, (8, 8, 1), pool)


def toy_pix2pix():
    entry, seeds = keras.Input([None, None, 1]), keras.Input([2], dtype="int32")
    generator = keras.Model([entry, seeds], scaling(0.5)(entry))
    both = [keras.Input([None, None, 1]) for _ in range(2)]
    discriminator = keras.Model(both, scaling(1.0)(keras.layers.Subtract()(both)))
    return Pix2Pix(generator, discriminator, 1, 1, "a2b")


BATCH = images(4, 8, 1), images(4, 8, 1, seed=1)


def test_each_term_is_of_its_domain():
    a, b = (side.numpy().astype("float64") for side in BATCH)

    def to_b(x):
        return x + 0.1

    def to_a(x):
        return 0.5 * x

    truth = {
        "adversarial_a": np.mean((2 * to_a(b) - 1) ** 2),
        "adversarial_b": np.mean((3 * to_b(a) - 1) ** 2),
        "cycle_a": 10 * np.mean(abs(to_a(to_b(a)) - a)),
        "cycle_b": 10 * np.mean(abs(to_b(to_a(b)) - b)),
        "identity_a": 5 * np.mean(abs(to_a(a) - a)),
        "identity_b": 5 * np.mean(abs(to_b(b) - b)),
    }
    found = {term: float(value) for term, value in toy_cyclegan().translator_loss(BATCH).items()}
    assert found == pytest.approx(truth, rel=1e-5)
    truth = {
        "a": 0.5 * (np.mean((2 * a - 1) ** 2) + np.mean((2 * to_a(b)) ** 2)),
        "b": 0.5 * (np.mean((3 * b - 1) ** 2) + np.mean((3 * to_b(a)) ** 2)),
    }
    found = {term: float(value) for term, value in toy_cyclegan().discriminator_loss(BATCH).items()}
    assert found == pytest.approx(truth, rel=1e-5)
    assert float(least_squares.discriminator(tf.ones(3), tf.zeros(3))) == 0


def test_pix2pix_terms():
    a, b = (side.numpy().astype("float64") for side in BATCH)
    model = toy_pix2pix()
    found = {term: float(value) for term, value in model.generator_loss(BATCH).items()}
    truth = {
        "adversarial": np.mean(np.log1p(np.exp(-(a - 0.5 * a)))),
        "l1": 100 * np.mean(abs(b - 0.5 * a)),
    }
    assert found == pytest.approx(truth, rel=1e-5)
    expected = np.mean(np.log1p(np.exp(-(a - b)))) + np.mean(np.log1p(np.exp(a - 0.5 * a)))
    assert float(model.discriminator_loss(BATCH)) == pytest.approx(expected / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "players"),
    [
        (toy_cyclegan, {"discriminators": "discriminator_", "translators": "_to_"}),
        (toy_pix2pix, {"discriminator": "discriminator", "generator": "generator"}),
    ],
)
def test_each_player_moves_its_own_networks(make, players):
    for player, name in players.items():
        model = make()
        networks = {key: net for key, net in vars(model).items() if isinstance(net, keras.Model)}
        rates = {other: keras.optimizers.SGD(0.01 * (other == player)) for other in players}
        model.compile(rates, run_eagerly=True)
        before = {key: [np.array(w) for w in net.weights] for key, net in networks.items()}
        model.train_on_batch(BATCH)
        for key, net in networks.items():
            pairs = zip(before[key], net.weights, strict=True)
            moved = any(not np.array_equal(a, np.array(b)) for a, b in pairs)
            assert moved == (name in key), (player, key)


def test_nothing_passes_between_domains_but_gradients():
    """No statistics are kept: beside the step and the pools, all state is trained."""
    stage = small("cyclegan")
    model = stage.model
    pools = {id(v) for pool in (model.pool_a, model.pool_b) for v in pool.variables}
    known = pools | {id(model.step)} | {id(v) for metric in model.metrics for v in metric.variables}
    assert {id(v) for v in model.non_trainable_variables} <= known
    networks = [*model.a_to_b.layers, *model.discriminator_a.layers]
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in networks)


def test_the_pool_survives_a_checkpoint(tmp_path):
    def run(model, steps):
        for _ in range(steps):
            model.train_on_batch(BATCH)

    def made():
        model = toy_cyclegan()
        model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
        return model

    first, second = made(), made()
    run(first, 3)
    checkpoints.save(tmp_path / checkpoints.name(0, 3), first, [])
    assert checkpoints.newest(tmp_path, second)
    assert int(second.pool_a.filled) == 4 and second.pool_a.images.numpy().any()
    for model in first, second:
        run(model, 2)
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(other))


# Recipes


def small(name, data=None, **given):
    recipe = zoo.find(name)
    data = data or load({"pix2pix": "digit_pairs", "cyclegan": "digit_unpaired"}[name])
    own = {"width": 2} | ({"blocks": 1} if name == "cyclegan" else {})
    return next(recipe.function(data, **recipe.settings(own | given)))


def test_recipes_refuse_what_they_cannot_use():
    for name, data, words in (
        ("pix2pix", load("digits"), "pix2pix learns from pairs, but digits has none"),
        ("pix2pix", load("digit_unpaired"), "digit_unpaired has none"),
        ("cyclegan", load("digits"), "two domains, but digits is one set"),
        ("cyclegan", load("digit_pairs", 18), "multiple of 4, not 18"),
    ):
        with pytest.raises(InputError, match=words):
            small(name, data)
    with pytest.raises(InputError, match="batch_size=60 is larger than the pool"):
        small("cyclegan", batch_size=60)
    with pytest.raises(InputError, match="direction='up'"):
        small("pix2pix", direction="up")
    assert not small("cyclegan", load("digit_pairs")).data.paired


def test_directions_name_the_endpoint():
    stage = small("pix2pix", direction="b2a")
    assert set(stage.model.endpoints) == {"translate_b_to_a"}
    papers = stage.data.rows("test", 4)
    assert np.ptp(papers, axis=-1).max() > 0.5  # the coloured renderings are what comes in
    assert set(small("pix2pix").model.endpoints) == {"translate_a_to_b"}


def test_the_noise_of_pix2pix_is_the_seed():
    model = small("pix2pix").model
    x = images(1, 16)
    two = model.translate(tf.repeat(x, 2, axis=0), tf.constant([1, 2]))
    assert np.abs(two[0] - two[1]).max() > 0
    np.testing.assert_allclose(model.translate(x, tf.constant([2]))[0], two[1], atol=1e-5)


def test_a_look_has_a_column_each():
    for name, columns in (("pix2pix", 3), ("cyclegan", 6)):
        stage = small(name)
        shown = stage.model.preview(stage.data.batch("test", 4))
        assert len(shown) == columns and {tuple(c.shape) for c in shown} == {(4, 16, 16, 3)}
        picture = figures.columns([np.array(c) for c in shown])
        assert picture.width / picture.height == pytest.approx(columns / 4, rel=0.1)


@pytest.mark.parametrize(("name", "given"), [("cyclegan", {}), ("pix2pix", {"direction": "b2a"})])
def test_each_direction_is_verified_on_its_own_domain(name, given):
    """Those of B are coloured, those of A are gray; ranges of int8 come from the same rows."""
    stage = small(name, **given)
    rows = examples.real_rows(stage.model.endpoints, stage.data)
    for key, endpoint in stage.model.endpoints.items():
        shown = examples.examples(endpoint, rows, 5)["images"]
        is_gray = (shown == shown[..., :1]).all()
        assert is_gray == (key == "translate_a_to_b")


@pytest.mark.parametrize(("name", "given"), [("cyclegan", {}), ("pix2pix", {"direction": "b2a"})])
def test_deliveries_translate_any_size(name, given, tmp_path):
    """Trained a little, so that every term has left its mark on the weights."""
    stage = small(name, batch_size=8, **given)
    stage.compile(seed=0).fit(stage.batches(), steps_per_epoch=3, verbose=0)
    model = stage.model
    report = export.deliver(model, stage.data, tmp_path / "out", quantize="none")
    export.deliver(model, stage.data, tmp_path / "half", ["lite"], quantize="float16")
    assert max(row.relative for row in report.rows) < 1e-4
    endpoints = model.endpoints
    assert "translate_b_to_a" in endpoints and len(endpoints) == (2 if name == "cyclegan" else 1)
    said = json.loads((tmp_path / "out/report.json").read_text())["endpoints"]
    multiple = said["translate_b_to_a"]["inputs"][0]["sizes_are_multiples_of"]
    assert multiple == (4 if name == "cyclegan" else 16)

    photos = images(3, 48)[:, :16]  # neither square nor of the training's size
    tensors = {"images": photos, "seeds": tf.constant([5, -1, 2**31 - 1])}
    for key, endpoint in endpoints.items():
        given = {e.name: tensors[e.name] for e in endpoint.inputs}
        truth = endpoint(**given)["images"].numpy()
        arrays = {e: value.numpy() for e, value in given.items()}
        with verify.session(tmp_path / "out/saved_model") as run:
            np.testing.assert_allclose(run(key, arrays)["images"], truth, atol=2e-4)
        for folder, tolerance in (("out", 2e-4), ("half", 2e-2)):
            with verify._interpreter(tmp_path / folder / "model.tflite") as run:
                found = run(key, arrays)["images"]
            np.testing.assert_allclose(found, truth, atol=tolerance)


# Files


class Negative:
    """A translator that inverts, and asks for multiples of 4."""

    def __init__(self, channels=3):
        element = Element("images", (None, None, channels), "float32", -1.0, 1.0, 4)
        self.endpoints = {"translate_a_to_b": Endpoint(self.invert, (element,), (element,))}

    def invert(self, rows):
        tf.debugging.assert_equal(tf.shape(rows)[1:3] % 4, [0, 0])
        return -rows


def test_files_are_translated_under_their_names(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    truth = {}
    for name, size in (("one.png", (8, 8)), ("two.bmp", (5, 7)), ("deep/three.png", (1, 2))):
        levels = np.random.RandomState(len(name)).randint(0, 256, [*size, 3], "uint8")
        Image.fromarray(levels).save(source / name)
        truth[(out / name).with_suffix(".png")] = 255 - levels
    (source / "broken.png").write_bytes(b"no image")
    (source / "notes.txt").write_text("no image either")
    with pytest.warns(UserWarning, match="left out: 1 .txt"):
        done = translate(Negative(), source, "a2b", out)
    assert set(done.written) == set(truth) and list(done.broken) == [source / "broken.png"]
    for path, levels in truth.items():
        np.testing.assert_array_equal(np.asarray(Image.open(path)), levels)
    assert {path for path in out.rglob("*") if path.is_file()} == set(truth)
    single = translate(Negative(1), source / "two.bmp", "a2b", tmp_path / "single.png")
    assert np.asarray(Image.open(single.written[0])).shape == (5, 7)


def test_what_cannot_be_translated_is_told(tmp_path):
    picture = Image.fromarray(np.zeros([4, 4, 3], "uint8"))
    picture.save(tmp_path / "x.png")
    with pytest.raises(InputError, match="'b2a': not with this model, it can a2b"):
        translate(Negative(), tmp_path, "b2a", tmp_path / "out")
    with pytest.raises(InputError, match="no such file or folder"):
        translate(Negative(), tmp_path / "y.png", "a2b", tmp_path / "out")
    with pytest.raises(InputError, match="a folder of images needs a folder"):
        translate(Negative(), tmp_path, "a2b", tmp_path / "out.png")
    picture.save(tmp_path / "x.bmp")
    with pytest.raises(InputError, match="several images would be written to .*x.png"):
        translate(Negative(), tmp_path, "a2b", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image in it"):
        translate(Negative(), tmp_path / "empty", "a2b", tmp_path / "out")
    (tmp_path / "empty/z.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="none of 1 files can be translated.*cannot identify"):
        translate(Negative(), tmp_path / "empty", "a2b", tmp_path / "out")


def photos(folder, *names, size=(8, 8)):
    """Writes pictures of noise, and gives `{path: bytes}`."""
    written = {}
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.RandomState(0).randint(0, 256, [*size, 3], "uint8")).save(path)
        written[path] = path.read_bytes()
    return written


def unchanged(written):
    return all(path.read_bytes() == content for path, content in written.items())


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_translated_is_never_written_over(tmp_path, overwrite):
    kept = photos(tmp_path / "in", "a.png", "deep/b.png", "c.jpg")
    (tmp_path / "same").symlink_to(tmp_path / "in")
    for source, out in (
        ("in", "in"),
        ("in", "in/../in"),
        ("in", "same"),
        ("same", "in"),
        ("in/a.png", "in/a.png"),
        ("in/a.png", "in"),
    ):
        with pytest.raises(InputError, match=r"a\.png.* would be written over, and is an input"):
            translate(Negative(), tmp_path / source, "a2b", tmp_path / out, overwrite=overwrite)
    assert unchanged(kept) and set((tmp_path / "in").rglob("*.*")) == set(kept)


def test_what_is_there_is_written_over_only_when_asked(tmp_path):
    photos(tmp_path / "in", "a.png", "b.jpg")
    kept = photos(tmp_path / "out", "a.png", "b.png")
    with pytest.raises(
        InputError, match=r"out/a\.png \(and 1 more\) exists already: .*--overwrite"
    ):
        translate(Negative(), tmp_path / "in", "a2b", tmp_path / "out")
    with pytest.raises(InputError, match=r"out/b\.png exists already"):
        translate(Negative(), tmp_path / "in/b.jpg", "a2b", tmp_path / "out")
    assert unchanged(kept)
    translate(Negative(), tmp_path / "in", "a2b", tmp_path / "out", overwrite=True)
    assert not unchanged(kept)


def test_translations_within_the_folder_are_not_translated_again(tmp_path):
    photos(tmp_path / "in", "a.png")
    for overwrite in (False, True):
        done = translate(
            Negative(), tmp_path / "in", "a2b", tmp_path / "in/out", overwrite=overwrite
        )
        assert done.written == [tmp_path / "in/out/a.png"]


@pytest.mark.parametrize("name", ["cyclegan", "pix2pix"])
def test_pictures_of_all_sizes_are_translated(name, tmp_path):
    """Those that are too small for a mirrored border are continued."""
    sizes = [(1, 1), (1, 50), (4, 4), (3, 9), (7, 16), (16, 16)]
    for i, size in enumerate(sizes):
        photos(tmp_path / "in", f"{i}.png", size=size)
    model = small(name).model
    done = translate(model, tmp_path / "in", "a2b", tmp_path / "out")
    assert not done.broken and len(done.written) == len(sizes)
    for i, (height, width) in enumerate(sizes):
        with Image.open(tmp_path / "out" / f"{i}.png") as picture:
            assert picture.size == (width, height)
    # What needs no continuation is what the model makes of it.
    with Image.open(tmp_path / "in/5.png") as picture:
        image = np.asarray(picture)[None] / 127.5 - 1
    endpoint = model.endpoints["translate_a_to_b"]
    given = {"images": tf.constant(image, tf.float32), "seeds": tf.constant([5])}
    truth = endpoint(**{e.name: given[e.name] for e in endpoint.inputs})["images"]
    with Image.open(tmp_path / "out/5.png") as picture:
        np.testing.assert_allclose(np.asarray(picture), (truth[0] + 1) * 127.5, atol=0.51)


def test_a_picture_too_large_for_the_memory_is_passed_over(tmp_path, monkeypatch):
    photos(tmp_path / "in", "a.png", "b.png")
    photos(tmp_path / "in", "large.png", size=(64, 80))
    model = small("cyclegan").model
    # The largest tensor has 2 channels at 64 pixels and a border of 3, 3 copies of 4 bytes each.
    each = 3 * 4 * 3 * (70 / 64) ** 2
    monkeypatch.setattr("tfgen.data.image_files.memory", lambda: int(2 * each * 64 * 79))
    done = translate(model, tmp_path / "in", "a2b", tmp_path / "out")
    assert [path.name for path in done.written] == ["a.png", "b.png"]
    (path,) = done.broken
    assert path.name == "large.png" and "scale it down" in done.broken[path]
    monkeypatch.setattr("tfgen.data.image_files.memory", lambda: int(2 * each * 64 * 81))
    assert not translate(model, tmp_path / "in", "a2b", tmp_path / "more").broken


class Failing(Negative):
    """Fails on pictures that are dark."""

    def invert(self, rows):
        tf.debugging.assert_greater(tf.reduce_max(rows), -1.0, "too dark")
        return super().invert(rows)


def test_a_picture_that_fails_stops_no_other(tmp_path):
    photos(tmp_path / "in", "a.png", "c.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "in/b.png")
    done = translate(Failing(), tmp_path / "in", "a2b", tmp_path / "out")
    assert [path.name for path in done.written] == ["a.png", "c.png"]
    assert "too dark" in done.broken[tmp_path / "in/b.png"]
