"""Fine-tuning: training that starts from the weights of a trained model."""

import json

import numpy as np
import pytest

import tfgen
import zoo
from tests.test_cli import tfgen as command_line  # noqa: F401
from tfgen.errors import InputError, Note
from tfgen.runs import checkpoints, opening, packing, starting
from tfgen.runs.recipes import Setup
from tfgen.runs.training import train

SETTINGS = {"hidden": 16, "width": 4, "latent_dim": 4, "batch_size": 100, "epochs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "lsgan"
    train(zoo.find("lsgan"), folder, SETTINGS, Setup("digits"), verbose=0)
    return folder


@pytest.fixture(scope="module")
def packed(run):
    model, _ = tfgen.open_run(run, zoo.find)
    packing.pack(model, opening.read_run(run), run.parent / "packed")
    return run.parent / "packed"


def weights(model):
    return {name: v.numpy() for name, v in packing.names(model).items() if "moving" not in name}


def test_all_networks_of_a_run_are_taken(run, tmp_path):
    given = SETTINGS | {"learning_rate": 1e-9, "epochs": 2}
    model = train(
        zoo.find("lsgan"), tmp_path / "a", given, Setup(start=str(run)), steps=1, verbose=0
    )
    before = weights(tfgen.open_run(run, zoo.find)[0])
    for name, value in weights(model).items():
        np.testing.assert_allclose(value, before[name], atol=1e-6)


def test_what_a_packed_model_lacks_begins_anew_and_this_is_told(tmp_path):
    find, given = zoo.find("minibatch_gan"), SETTINGS | {"kernels": 2}
    model = train(find, tmp_path / "run", given, Setup("digits"), verbose=0)
    packing.pack(model, opening.read_run(tmp_path / "run"), tmp_path / "packed")
    given |= {"learning_rate": 1e-9}
    setup = Setup(start=str(tmp_path / "packed"))
    with pytest.warns(Note, match="packed holds no discriminator: what it lacks begins anew"):
        model = train(find, tmp_path / "a", given, setup, steps=1, verbose=0)
    before = weights(tfgen.open_run(tmp_path / "packed", zoo.find)[0])
    own = train(find, tmp_path / "b", given, Setup(), steps=1, verbose=0)
    for name, value in weights(model).items():
        source = weights(own) if name.startswith("discriminator") else before
        np.testing.assert_allclose(value, source[name], atol=1e-6)


def test_layers_that_differ_are_named_and_nothing_is_loaded(run, tmp_path):
    for given, told in [
        ({"hidden": 8}, r"discriminator.*is \[\d+, 16\] there and \[\d+, 8\] here"),
        ({"batch_norm": False}, r"is only there"),
    ]:
        with pytest.raises(InputError, match=told):
            train(
                zoo.find("lsgan"),
                tmp_path / "a",
                SETTINGS | given,
                Setup(start=str(run)),
                verbose=0,
            )
        assert not (tmp_path / "a").exists()


def test_what_is_no_model_of_this_recipe_is_refused(run, tmp_path):
    for recipe, start, told in [
        ("lsgan", tmp_path, "is no run: there is no run.json"),
        ("sngan", run, "that is a run of lsgan, not of sngan: pack it to use it here"),
    ]:
        with pytest.raises(InputError, match=told):
            train(zoo.find(recipe), tmp_path / "a", {}, Setup(start=str(start)), verbose=0)


def test_another_recipe_may_take_the_networks(packed, tmp_path):
    given = SETTINGS | {"network": "neutral", "learning_rate": 1e-9}
    find = zoo.find
    model = train(
        find("gan"),
        tmp_path / "a",
        given,
        Setup(start="packed"),
        steps=1,
        verbose=0,
        weights=lambda: starting.weights_of(packed, find),
    )
    before = weights(tfgen.open_run(packed, find)[0])
    now = weights(model)
    assert before.keys() <= now.keys()
    for name, value in before.items():
        np.testing.assert_allclose(now[name], value, atol=1e-6)


def test_the_command_takes_its_settings_and_resumes_exactly(command_line, packed, tmp_path):  # noqa: F811
    def job(folder, *more):
        words = ("lsgan", "epochs=2", "--from", packed, "--run", tmp_path / folder, *more)
        return command_line("train", *words)

    assert job("whole").code == 0
    assert job("pieces", "--steps", "10").code == 0
    said = json.loads((tmp_path / "pieces" / "run.json").read_text())
    assert said["start"] == str(packed)
    assert said["settings"]["hidden"] == 16 and said["settings"]["epochs"] == 2
    assert job("pieces").code == 0
    arrays = []
    for folder in ("whole", "pieces"):
        with np.load(checkpoints.paths(tmp_path / folder / "checkpoints", 0)[0]) as archive:
            arrays.append({name: archive[name] for name in archive.files})
    assert arrays[0].keys() == arrays[1].keys()
    for name, value in arrays[0].items():
        np.testing.assert_array_equal(value, arrays[1][name])
    other = command_line("train", "lsgan", "epochs=2", "--run", tmp_path / "pieces")
    assert other.code == 2 and "start=" in other.err
    for start, told in [
        ("zoo:nope", "no trained model 'nope'"),
        ("x", "neither a run nor a packed"),
    ]:
        answer = command_line("train", "lsgan", "--from", start, "--run", tmp_path / "c")
        assert answer.code == 2 and told in answer.err and not (tmp_path / "c").exists()
