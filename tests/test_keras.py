"""What Keras users do with a model of the zoo: one line, files that go on exactly, clones."""

import pickle
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import zoo
from tests.test_model import POINTS, Game
from tfgen.data import load
from tfgen.errors import InputError

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
