"""Packed models: whole or refused, equal to their run, and good to go on with."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfgen
import zoo
from tfgen import figures
from tfgen.errors import InputError
from tfgen.runs import opening, packing
from tfgen.runs.recipes import Setup
from tfgen.runs.training import train

SETTINGS = {"network": "conv", "width": 4, "latent_dim": 4, "batch_size": 100, "epochs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a tiny conditional GAN."""
    folder = tmp_path_factory.mktemp("run") / "cgan"
    train(zoo.find("cgan"), folder, SETTINGS, Setup("digits"), verbose=0)
    return folder


@pytest.fixture
def packed(run, tmp_path):
    model, _ = tfgen.open_run(run, zoo.find)
    picture = figures.grid(model.sample(tf.range(4), tf.range(4)).numpy())
    said = json.loads((run / "run.json").read_text())
    numbers = [{"what": "recognised", "value": "0.5", "command": "tfgen evaluate"}]
    packing.pack(model, said, tmp_path / "packed", picture, numbers)
    return tmp_path / "packed"


def test_a_packed_model_draws_what_its_run_draws(run, packed):
    whole, _ = tfgen.open_run(run, zoo.find)
    model, data = tfgen.open_run(packed, zoo.find)
    images, _ = opening.samples(whole, 20)
    found, _ = opening.samples(model, 20)
    assert 0 < np.abs(images - found).max() < 5e-3  # of half precision
    assert data.classes == tuple("0123456789")
    assert int(model.step.numpy()) == int(whole.step.numpy()) == 16
    assert data.rows("test", 3).shape == (3, 8, 8, 1)  # read when they are asked for


def test_what_lies_in_it(packed):
    assert {path.name for path in packed.iterdir()} == {
        "model.safetensors",
        "config.json",
        "README.md",
        "samples.png",
    }
    config = json.loads((packed / "config.json").read_text())
    assert config["command"].startswith("tfgen train cgan network=conv latent_dim=4")
    assert config["licence_of_data"].startswith("CC BY 4.0")
    card = (packed / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: tfgen\ntags:\n- tfgen\n")
    assert "| recognised | 0.5 | `tfgen evaluate` |" in card
    weights = sum(np.array(v).size for v in zoo_model(packed).generator.variables)
    assert 2 * weights < (packed / "model.safetensors").stat().st_size < 8 * weights


def zoo_model(folder):
    return tfgen.open_run(folder, zoo.find)[0]


def test_only_what_endpoints_need_is_packed(run, tmp_path):
    """A translator is served without its discriminator."""
    given = {"width": 4, "jitter": 1, "batch_size": 20, "epochs": 1}
    model = train(
        zoo.find("pix2pix"), tmp_path / "run", given, Setup("digit_pairs"), steps=1, verbose=0
    )
    names = packing.used(model)
    assert names and all(name.startswith("generator.") for name in names)
    picture = opening.picture(*tfgen.open_run(tmp_path / "run", zoo.find))
    assert picture.width > 3 * picture.height / 8  # eight rows of inputs, answers and truths


def test_fit_goes_on_from_a_packed_model(packed):
    model, data = tfgen.open_run(packed, zoo.find)
    before = [np.array(v) for v in model.generator.trainable_variables]
    model.fit(data.batches(100), steps_per_epoch=2, shuffle=False, verbose=0)
    after = [np.array(v) for v in model.generator.trainable_variables]
    moved = [np.abs(a - b).max() for a, b in zip(after, before, strict=True)]
    assert 0 < max(moved) < 0.01


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda p: (p / "model.safetensors").write_bytes(b""), "is damaged or another file"),
        (
            lambda p: (p / "model.safetensors").write_bytes(
                (p / "model.safetensors").read_bytes()[:-9]
            ),
            "is damaged or another file",
        ),
        (lambda p: (p / "model.safetensors").unlink(), "cannot be read"),
        (lambda p: (p / "config.json").write_text("{"), "is not that of a packed model"),
        (lambda p: (p / "config.json").write_text('{"a": 1}'), "is not that of a packed model"),
        (lambda p: change(p, tfgen=9), "is of layout 9, but this tfgen reads 1"),
        (lambda p: change(p, settings={"width": 8}), "do not fit the model 'cgan'"),
    ],
)
def test_what_is_damaged_is_refused_in_a_sentence(damage, told, packed):
    damage(packed)
    with pytest.raises(InputError, match=told):
        tfgen.open_run(packed, zoo.find)


def change(folder, settings=None, **others):
    config = json.loads((folder / "config.json").read_text()) | others
    config["settings"] |= settings or {}
    (folder / "config.json").write_text(json.dumps(config))


def test_numbers_that_half_precision_cannot_hold_stay_whole():
    for array in ([1.0, 1e-5, -2.0], [0.16, 1.3e-7], [0.16, 6.1e-5, 1e-9]):
        array = np.array(array, "float32")
        small = packing._rounded(array, np.float16)
        assert small.dtype == np.float16
        assert abs(small - array).max() < 1e-3 * abs(array).max()
    for array in ([1e6, 1.0], [0.0, 1e-9]):  # beyond its range, and below its steps
        assert packing._rounded(np.array(array, "float32"), np.float16).dtype == np.float32
    assert packing._rounded(np.arange(3), np.float16).dtype == np.arange(3).dtype


def test_an_existing_folder_is_not_touched(run, packed):
    model, _ = tfgen.open_run(packed, zoo.find)
    said = json.loads((run / "run.json").read_text())
    with pytest.raises(InputError, match="exists already"):
        packing.pack(model, said, packed)
    assert not [path for path in packed.parent.iterdir() if path.name.startswith(".")]


def test_single_numbers_are_packed(tmp_path):
    """As of a Gaussian, whose weights are no networks."""
    train(zoo.find("gmm"), tmp_path / "run", {}, Setup("ring"), steps=5, verbose=0)
    whole, _ = tfgen.open_run(tmp_path / "run", zoo.find)
    packing.pack(whole, opening.read_run(tmp_path / "run"), tmp_path / "packed")
    model, _ = tfgen.open_run(tmp_path / "packed", zoo.find)
    points = model.sample(tf.range(50)).numpy()
    np.testing.assert_allclose(points, whole.sample(tf.range(50)).numpy(), atol=5e-3)
