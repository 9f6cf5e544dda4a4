"""Recipes: how settings are read, how stages follow each other, and runs without their data."""

import shutil
from typing import Annotated

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import export
import tfgen
import zoo
from tfgen.errors import InputError
from tfgen.runs import opening
from tfgen.runs.recipes import Recipe, Setup, written
from tfgen.runs.training import train

GANG = {"members": 2, "hidden": 16, "latent_dim": 4, "n_critic": 1, "batch_size": 100}


def values(model):
    return [np.array(v) for v in model.weights]


def assert_equal(left, right):
    for one, other in zip(values(left), values(right), strict=True):
        np.testing.assert_array_equal(one, other)


# Settings


def many(
    data,
    width=8,
    rate=0.1,
    shift=-0.5,
    deep=True,
    name="a",
    widths=(4, 8),
    cut: float | None = None,
    k: Annotated[int, (0, 10)] = 5,
    rates: tuple[float, ...] | None = None,
    network="mlp",
    hidden=3,
):
    """A recipe with a setting of every type."""


MANY = Recipe("many", many, only={("network", "mlp"): ("hidden",), ("network", "conv"): ("width",)})


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("width", "12", 12),
        ("rate", "1e-3", 1e-3),
        ("shift", "-2", -2.0),
        ("deep", "False", False),
        ("name", "b", "b"),
        ("widths", "1,2,3", (1, 2, 3)),
        ("cut", "0.5", 0.5),
        ("cut", "none", None),
        ("k", "0", 0),
        ("rates", "0.1,0.2", (0.1, 0.2)),
        ("rates", "None", None),
    ],
)
def test_settings_are_read_as_their_type(key, text, value):
    given = {key: text} | ({"network": "conv"} if key == "width" else {})
    found = MANY.settings(given)[key]
    assert found == value and type(found) is type(value)
    assert MANY.settings(given | {key: written(found)})[key] == value


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"width": "0", "network": "conv"}, "width=0 is out of range; the default is 8"),
        ({"width": "1.5"}, "width='1.5' is no int"),
        ({"rate": "nan"}, "rate=nan is out of range"),
        ({"rate": "-1"}, "rate=-1.0 is out of range"),
        ({"deep": "maybe"}, "deep='maybe' is no bool"),
        ({"widths": "1,x"}, "widths='1,x' is no list of int, such as 1,2; the default is 4,8"),
        ({"widths": "1,0"}, "widths=1,0 is out of range"),
        ({"cut": "x"}, "cut='x' is no float or none; the default is none"),
        ({"k": "11"}, "k=11 is out of range"),
        (
            {"kk": "1"},
            "many has no 'kk': its recipe takes width=8, .*widths=4,8, cut=none",
        ),
        (
            {"width": "9"},
            "width=9 counts only with network=conv, but network is mlp, which",
        ),
        (
            {"hidden": "9", "network": "conv"},
            "hidden=9 counts only with network=mlp, but",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_named(given, told):
    with pytest.raises(InputError, match=told):
        MANY.settings(given)


def described(data, own=1, two=2, batch_size=3, plain=4):
    """A recipe that says what its settings mean.

    Args:
        own: of its own, which is
            told in two lines
        two, batch_size: another for both.
    """


def test_a_recipe_says_what_its_settings_mean():
    assert Recipe("described", described).meanings() == {
        "own": "of its own, which is told in two lines",
        "two": "another for both",
        "batch_size": "another for both",
        "plain": "",
    }
    common = Recipe("many", many).meanings()
    assert common["width"].startswith("channels of the largest feature map")


@pytest.mark.parametrize("name", zoo.paths())
def test_every_setting_has_a_meaning(name):
    recipe = zoo.find(name)
    missing = [key for key, meaning in recipe.meanings().items() if not meaning]
    assert not missing, f"tell what {missing} mean: a line each under Args: in recipe's docstring"


@pytest.mark.parametrize("name", zoo.paths())
def test_what_counts_only_sometimes_is_a_setting(name):
    recipe = zoo.find(name)
    known = recipe.settings({})
    for (chooser, choice), keys in recipe.only.items():
        assert {chooser, *keys} <= set(known)
        assert recipe.settings({chooser: choice} | {key: known[key] for key in keys})


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("gan", {"network": "neutral", "momentum": 0.9}, "momentum=0.9 counts only with network=m"),
        ("gan", {"hidden": 9}, "network is maxout, which takes discriminator_width, generator_w"),
        ("cgan", {"beta_1": 0.9}, "beta_1=0.9 counts only with network=conv"),
        ("vae", {"width": 9}, "width=9 counts only with network=conv"),
        (
            "sngan",
            {"network": "standard", "hidden": 9},
            "hidden=9 counts only with network=neutral",
        ),
        ("semi_supervised_gan", {"network": "dense", "width": 9}, "width=9 counts only with"),
        ("wgan", {"network": "dcgan", "hidden": 9}, "hidden=9 counts only with network=neutral"),
        (
            "gan",
            {"adam_rate": 1.0},
            "gan has no 'adam_rate': its recipe takes .*learning_rate=none",
        ),
    ],
)
def test_settings_without_effect_are_refused(name, given, told):
    with pytest.raises(InputError, match=told):
        zoo.find(name).settings(given)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("gan", {"maxout": 0.1, "neutral": 2e-4}),
        ("cgan", {"mlp": 0.1, "conv": 2e-4}),
        ("semi_supervised_gan", {"neutral": 3e-4, "dense": 3e-3}),
    ],
)
def test_a_rate_goes_with_its_network(name, rates):
    recipe, data = zoo.find(name), tfgen.load("digits")
    for network, rate in rates.items():
        for given, expected in ((None, rate), (0.03, 0.03)):
            settings = recipe.settings({"network": network, "learning_rate": given})
            optimizer = next(recipe.stages(data, settings)).optimizer
            assert float(optimizer.learning_rate) == pytest.approx(expected)


# Stages


def test_going_on_is_one_longer_run_across_stages(tmp_path):
    """A stage that began with less of the one before begins anew."""
    recipe, setup = zoo.find("gogan"), Setup("ring")
    options = {"given": GANG, "setup": setup, "verbose": 0}
    whole = train(recipe, tmp_path / "whole", steps=30, **options)
    train(recipe, tmp_path / "pieces", steps=10, **options)
    assert [path.name for path in sorted((tmp_path / "pieces/checkpoints").iterdir())] == [
        "0-000000010.npz",
        "1-000000010-000000010.npz",
    ]
    pieces = train(recipe, tmp_path / "pieces", steps=30, **options)
    assert_equal(whole, pieces)
    for rival, same in zip(whole.rivals, pieces.rivals, strict=True):
        assert_equal(rival, same)
    history = [(tmp_path / run / "stage_1/history.csv").read_text() for run in ("whole", "pieces")]
    assert history[0] == history[1]
    # Once more is nothing more, and what is opened is the last stage, with its rivals.
    opened, _ = tfgen.open_run(tmp_path / "pieces", zoo.find)
    assert_equal(opened.rivals[0], whole.rivals[0])
    assert_equal(opened.generator, whole.generator)


def test_the_last_stage_is_opened_without_the_others(tmp_path):
    train(zoo.find("gogan"), tmp_path, GANG, Setup("ring"), steps=4, verbose=0)
    for path in (tmp_path / "checkpoints").glob("0-*"):
        path.unlink()
    model, _ = tfgen.open_run(tmp_path, zoo.find)
    assert hasattr(model, "rivals")


# Runs without their data


@pytest.fixture
def folder(tmp_path):
    """A set of 40 images of two classes."""
    random = np.random.RandomState(0)
    for i in range(40):
        path = tmp_path / "set" / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, [8, 8], "uint8")).save(path)
    return tmp_path / "set"


def test_a_run_is_opened_without_its_data(folder, tmp_path):
    given = {"attributes": "stroke", "latent_dim": 2, "hidden": 8, "batch_size": 6, "epochs": 1}
    trained = train(zoo.find("cvae"), tmp_path / "run", given, Setup(f"folder:{folder}"), verbose=0)
    shutil.move(folder, tmp_path / "elsewhere")
    model, data = tfgen.open_run(tmp_path / "run", zoo.find)
    assert_equal(model, trained)
    np.testing.assert_array_equal(model.ends, trained.ends)  # measured of the data, then
    assert data.classes == ("a", "b") and data.size + data.size_of("test") == 40
    images, _ = opening.samples(model, 6)
    assert images.shape == (6, 8, 8, 1)
    with pytest.raises(InputError, match="There is no folder"):
        data.rows("test")
    with pytest.warns(UserWarning, match="noise takes the place of real rows.*There is no folder"):
        export.deliver(model, data, tmp_path / "out", ["saved_model"])
    shutil.move(tmp_path / "elsewhere", folder)
    assert data.rows("test").shape == (data.size_of("test"), 8, 8, 1)


def test_data_that_changed_are_told(folder, tmp_path):
    given = {"latent_dim": 2, "hidden": 8, "batch_size": 6, "epochs": 1}
    setup = Setup(f"folder:{folder}")
    train(zoo.find("vae"), tmp_path / "run", given, setup, steps=3, verbose=0)
    shutil.copytree(folder / "a", folder / "c")
    with pytest.raises(InputError, match="have changed .* it had 2 classes, now 3 .with c."):
        train(zoo.find("vae"), tmp_path / "run", given, setup, verbose=0)
    model, data = tfgen.open_run(tmp_path / "run", zoo.find)
    assert opening.samples(model, 2)[0].shape == (2, 8, 8, 1)
    with pytest.warns(UserWarning, match="have changed since .* was trained: it had 2 classes"):
        data.rows("test")


# A user's own arrays


def test_arrays_train_any_image_model(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, [60, 8, 8], "uint8")
    data = tfgen.from_arrays(images, labels=np.arange(60) % 3)
    given = {"network": "conv", "width": 4, "latent_dim": 4, "batch_size": 20, "epochs": 1}
    model = tfgen.train(zoo.find("cgan"), tmp_path / "run", given, Setup(data), verbose=0)
    opened, described = tfgen.open_run(tmp_path / "run", zoo.find)
    assert_equal(model, opened)
    assert described.classes == ("0", "1", "2")
    with pytest.raises(InputError, match="came from arrays"):
        described.rows("test")
    again = tfgen.from_arrays(images[:, ::-1], labels=np.arange(60) % 3)
    with pytest.raises(InputError, match="some of its rows are not what they were"):
        tfgen.train(zoo.find("cgan"), tmp_path / "run", given, Setup(again), verbose=0)


def test_classes_in_turn_go_on_over_portions():
    """Three classes do not divide a portion."""
    recipe = zoo.find("cgan")
    data = tfgen.from_arrays(np.zeros([30, 4, 4], "uint8"), labels=np.arange(30) % 3)
    settings = {"latent_dim": 2, "generator_width": 12, "discriminator_width": 8}
    model = next(recipe.stages(data, recipe.settings(settings))).model
    whole, _ = opening.samples(model, 20, rows=20)
    pieces, _ = opening.samples(model, 20, rows=7)
    np.testing.assert_allclose(whole, pieces, atol=1e-6)
    for place in (10, 19):
        one, _ = opening.samples(model, 1, seed=place, label=place % 3)
        np.testing.assert_allclose(whole[place], one[0], atol=1e-6)


def test_stages_take_a_model_or_a_function():
    recipe = zoo.find("gogan")
    stages = list(recipe.stages(tfgen.load("ring"), recipe.settings(GANG), seed=0))
    assert [type(stage.model).__name__ for stage in stages] == ["GAN", "GoGAN"]
    keras.utils.set_random_seed(0)
    first = next(recipe.stages(tfgen.load("ring"), recipe.settings(GANG)))
    assert_equal(first.model.generator, stages[0].model.generator)
    again = stages[1].built().model
    assert again is stages[1].model and again.origin.stage == 1
    assert isinstance(stages[1].model.sample(tf.range(2)), tf.Tensor)
