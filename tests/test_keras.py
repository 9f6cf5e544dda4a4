"""What Keras users do with a model of the zoo: one line, files that go on exactly, clones."""

import pickle
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.test_model import POINTS, Game
from tfgen.data import load
from tfgen.errors import InputError, Note

TINY = {
    "vae": {"hidden": 8, "latent_dim": 2, "batch_size": 32},
    "gan": {"generator_width": 8, "discriminator_width": 8, "latent_dim": 2, "batch_size": 32},
    "cgan": {"generator_width": 12, "discriminator_width": 8, "latent_dim": 2, "batch_size": 32},
}


@pytest.fixture(params=TINY)
def stage(request):
    recipe = zoo.find(request.param)
    return next(recipe.stages(load("digits"), recipe.settings(TINY[request.param]), seed=0))


def go_on(model, stage, steps=2):
    start = int(model.step.numpy())
    batches = stage.batches(start=start)
    model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
    return [np.array(v) for v in (*model.weights, *model.optimizer.variables)]


def assert_same(left, right):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


def reloaded(model, path):
    model.save(path)
    return keras.models.load_model(path)


WAYS = {
    "file": reloaded,
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_loaded_goes_on_as_if_nothing_had_been(way, stage, tmp_path):
    model = stage.compile(seed=3)
    go_on(model, stage)
    twin = WAYS[way](model, tmp_path / "m.keras")
    assert type(twin) is type(model) and twin is not model
    assert_same(go_on(model, stage), go_on(twin, stage))


def test_a_clone_is_a_model_of_the_same_recipe(stage):
    model = stage.compile()
    for clone in (keras.models.clone_model(model), type(model).from_config(model.get_config())):
        assert clone.origin.settings == model.origin.settings
        assert [v.shape for v in clone.weights] == [v.shape for v in model.weights]


def test_a_file_is_whole_and_replaces_only_when_it_is(stage, tmp_path):
    path = tmp_path / "m.keras"
    stage.compile().save(path)
    before = path.read_bytes()
    made_by_hand = Game()
    made_by_hand.compile()
    with pytest.raises(InputError, match="Game was not made by a recipe.*save_weights"):
        made_by_hand.save(path)
    with pytest.raises(InputError, match="let the name end in .keras"):
        stage.model.save(tmp_path / "m.h5")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_saved_is_told_before_the_first_step(tmp_path):
    model = Game()
    model.compile()
    with pytest.raises(InputError, match="was not made by a recipe"):
        model.fit(POINTS, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint("m.keras")])
    assert int(model.step.numpy()) == 0


class Alone(Game):
    """A model by hand whose class tells its arguments."""

    def __init__(self, updates=1, **kwargs):
        super().__init__(updates)

    def get_config(self):
        return super().get_config() | {"updates": self.updates_of_critic}


def test_a_model_by_hand_is_saved_by_its_own_configuration(tmp_path):
    model = Alone(updates=2)
    model.compile(keras.optimizers.Adam(0.01), seed=4)
    model.train_on_batch(POINTS[:64])
    model.save(tmp_path / "m.keras")
    twin = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Alone": Alone})
    assert twin.updates_of_critic == 2
    for one in (model, twin):
        one.train_on_batch(POINTS[64:128])
    assert_same(model.get_weights(), twin.get_weights())


def test_a_file_does_not_choose_what_is_imported(stage, tmp_path):
    config = stage.model.get_config()
    config["origin"]["recipe"] = "antigravity"
    with pytest.raises(InputError, match="recipe in antigravity: import it first"):
        type(stage.model).from_config(config)
    assert "antigravity" not in sys.modules
    config["origin"] |= {"recipe": "zoo.variational.gone"}
    with pytest.raises(InputError, match="zoo.variational.gone, which is not here"):
        type(stage.model).from_config(config)


def test_a_damaged_file_is_an_error(stage, tmp_path):
    path = tmp_path / "m.keras"
    stage.compile().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises((ValueError, zipfile.BadZipFile)):
        keras.models.load_model(path)


def test_a_file_is_loaded_by_a_process_that_has_seen_no_model(stage, tmp_path):
    stage.compile().save(tmp_path / "m.keras")
    program = "import keras, sys, zoo; print(keras.models.load_model(sys.argv[1]).origin.recipe)"
    found = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "m.keras"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split()[-1] == stage.model.origin.recipe


def test_one_line_makes_a_model_that_fit_trains():
    data = load("digits")
    images, labels = data.rows("train", 64), data.rows("train", 64, "labels")
    model = zoo.vae(data, **TINY["vae"])
    model.fit(images, verbose=0)
    assert int(model.step.numpy()) == 2
    model = zoo.cgan((images, labels), **TINY["cgan"])
    model.fit(images, labels, verbose=0)
    assert int(model.step.numpy()) == 2


def test_one_line_is_seeded_and_refuses_in_sentences():
    one, other = (zoo.vae("digits", seed=5, **TINY["vae"]) for _ in range(2))
    assert_same(one.get_weights(), other.get_weights())
    with pytest.raises(InputError, match="gogan is trained in 2 stages.*tfgen.train"):
        zoo.gogan("ring", hidden=8, latent_dim=2)
    with pytest.raises(InputError, match="vae has no 'latents'"):
        zoo.vae("digits", latents=3)
    with pytest.raises(AttributeError, match="'dcgam': did you mean dcgan"):
        zoo.dcgam("digits")
    assert {"vae", "dcgan", "find"} <= set(dir(zoo))


PIXELS = np.random.default_rng(0).integers(0, 256, [60, 8, 8, 1], "uint8")
SCALED = (PIXELS / 127.5 - 1).astype("float32")
LABELS = np.arange(60) % 10


def made(name, **settings):
    given = {k: v for k, v in TINY[name].items() if k != "batch_size"} | settings
    return zoo.find(name)((PIXELS, LABELS), batch_size=20, **given)


@pytest.mark.parametrize("name", TINY)
def test_arrays_lists_dicts_and_data_sets_are_understood(name):
    model = made(name)
    given = (SCALED, LABELS) if name == "cgan" else (SCALED,)
    of_one = given if name == "cgan" else given[0]
    options = {"batch_size": 20, "verbose": 0}
    model.fit(*given, **options)
    model.fit(*(g.astype("float64") if g.dtype.kind == "f" else g for g in given), **options)
    model.fit(dict(zip(["images", "labels"], given, strict=False)), **options)
    model.fit(tf.data.Dataset.from_tensor_slices(of_one).batch(20), verbose=0)
    model.fit(*given, validation_split=0.2, **options)
    losses = model.evaluate(*given, **options)
    assert np.isfinite(losses).all() and int(model.step.numpy()) == 15


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("vae", (PIXELS,), "got images of uint8: scale 8-bit pixels by x / 127.5 - 1"),
        ("vae", (PIXELS.astype("float32"),), "images are from 0 to 255, and have to be from -1"),
        ("vae", (SCALED * np.nan,), "images have NaN or infinite values"),
        ("vae", (SCALED, LABELS), "got 2 arrays: leave out what it has no use for"),
        ("vae", (SCALED[..., 0],), r"images float32 \[N, 8, 8, 1\], and got images of shape"),
        ("gan", (np.zeros([60, 16, 16, 1], "float32"),), "and got images of shape"),
        ("cgan", (SCALED,), r"images float32 .* and labels int32 \[N\], and got 1 arrays"),
        ("cgan", (SCALED, LABELS + 5), "labels are from 5 to 14, and have to be from 0 to 9"),
        ("cgan", (SCALED, np.eye(10)[LABELS]), "got labels of shape"),
        ("cgan", (SCALED, LABELS / 2), "got labels of float"),
        ("cgan", ({"imges": SCALED, "labels": LABELS},), "and got imges, labels"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told_in_a_sentence(name, given, told):
    model = made(name)
    with pytest.raises(InputError, match=told):
        model.fit(*given, batch_size=20, verbose=0)
    if not told.startswith(("images are", "images have", "labels are")):  # of what is in a set
        one = given if len(given) > 1 else given[0]
        with pytest.raises(InputError, match=told):
            model.fit(tf.data.Dataset.from_tensor_slices(one).batch(20), verbose=0)
    assert int(model.step.numpy()) == 0


def test_images_from_0_to_1_are_told_of():
    with pytest.warns(Note, match=r"no pixel is below 0, but images are in \[-1, 1\]"):
        made("vae").fit(PIXELS / 255, batch_size=20, verbose=0)


def test_a_smaller_last_batch_of_several_updates_is_cut():
    model = zoo.wgan((PIXELS,), hidden=8, width=4, latent_dim=2, batch_size=2)
    model.fit(SCALED[:33], batch_size=20, verbose=0)  # 20, and 13, of which 10 make five parts
    assert int(model.step.numpy()) == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="fewer rows than the 5 parts"):
        model.fit(SCALED[:23], batch_size=20, verbose=0)


def test_seeds_of_all_types_are_seeds():
    model = made("vae")
    expected = model.sample([1, 2, 3]).numpy()
    for dtype in ("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"):
        np.testing.assert_array_equal(model.sample(np.arange(1, 4, dtype=dtype)), expected)
    assert model.sample(3).shape == (1, 8, 8, 1)
    with pytest.raises(InputError, match=r"seeds are float64 \[1\]: expected ints"):
        model.sample([1.5])


@pytest.mark.parametrize(
    ("change", "value", "told"),
    [
        ("set_floatx", "float64", "floatx is float64, and models are float32"),
        ("set_image_data_format", "channels_first", "images are .N, H, W, C. here"),
        ("backend", lambda: "torch", "computes with torch, and tfgen's models need TensorFlow"),
    ],
)
def test_keras_set_up_otherwise_is_told_at_once(change, value, told, monkeypatch, request):
    if change == "backend":
        monkeypatch.setattr(keras.config, change, value)
    else:
        before = getattr(keras.config, change.removeprefix("set_"))()
        request.addfinalizer(lambda: getattr(keras.config, change)(before))
        getattr(keras.config, change)(value)
    with pytest.raises(InputError, match=told):
        made("vae")
