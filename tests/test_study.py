"""Studies: an equal search for each model, resumed where it was stopped."""

import json
import math

import pytest

import zoo
from tfgen.errors import InputError
from tfgen.reports import study
from tfgen.runs import recipes

ARGUMENTS = {"models": ["vae"], "steps": 12, "trials": 2, "seeds": 2, "count": 100}
GIVEN = {"width": 4, "hidden": 8, "latent_dim": 2, "batch_size": 32}


def carry_out(folder, say=print, **changed):
    setup = recipes.Setup("digits")
    return study.run("lucic", zoo.find, folder, setup, GIVEN, say=say, **ARGUMENTS | changed)


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "it"
    return folder, carry_out(folder)


def test_every_model_gets_the_same_search(studied):
    _, found = studied
    trials, seeds = found["vae"]["trials"], found["vae"]["seeds"]
    assert [len(trials), len(seeds)] == [2, 2]
    assert {result["steps"] for result in trials + seeds} == {12}
    assert "learning_rate" not in trials[0]["settings"]  # the authors' own
    low, high = study.LEARNING_RATE
    assert low <= trials[1]["settings"]["learning_rate"] <= high
    best = min(trials, key=lambda result: result["results"]["fid"])
    assert found["vae"]["best"] == best
    assert all(result["settings"] == best["settings"] for result in seeds)
    assert [result["seed"] for result in seeds] == [1, 2]
    assert all(math.isfinite(result["results"]["fid"]) for result in trials + seeds)
    assert "classifier:digits" in seeds[0]["names"][0]


def test_it_tells_what_it_found(studied):
    folder, found = studied
    table = (folder / "study.md").read_text()
    for label in found:
        assert f"\n| {label} | {found[label]['best']['results']['fid']:.4g} |" in table
    assert "classifier:digits" in table and "not a distance in features of Inception" in table
    assert (folder / "study.png").stat().st_size > 1000
    assert (folder / "samples.png").stat().st_size > 1000
    assert (folder / "report" / "index.html").exists()


def test_it_goes_on_where_it_was_stopped(studied):
    folder, found = studied
    lost = folder / "vae" / "seed_1" / "result.json"
    before, kept = lost.read_text(), (folder / "plan.json").stat().st_mtime_ns
    lost.unlink()
    said = []
    again = carry_out(folder, say=said.append)
    assert sum("fid" in line for line in said) == 1  # the lost one only
    assert again["vae"]["seeds"][0]["results"] == json.loads(before)["results"]
    assert (folder / "plan.json").stat().st_mtime_ns == kept
    assert again["vae"]["trials"] == found["vae"]["trials"]
    with pytest.raises(InputError, match="another trials .*trials=2"):
        carry_out(folder, trials=3)


@pytest.mark.parametrize("label, entry", study.STUDIES["adversarial"].items())
def test_every_range_is_a_setting_of_the_recipe(label, entry):
    recipe = zoo.find(entry.model)
    known = recipe.settings({})
    drawn = {key: math.sqrt(low * high) for key, (low, high) in entry.ranges.items()}
    settings = recipe.settings(entry.fixed | drawn)
    assert all(settings[key] == value != known[key] for key, value in drawn.items())


def test_every_adversarial_model_is_in_the_study():
    models = {entry.model for entry in study.STUDIES["adversarial"].values()}
    others = {"dcgan", *models}  # dcgan is networks, not a game
    assert others >= {n for n, path in zoo.paths().items() if path.parent.name == "adversarial"}
    with pytest.raises(InputError, match="take lucic, adversarial"):
        study.entries("adversarail", None)


def test_what_cannot_be_is_told(tmp_path):
    with pytest.raises(InputError, match="no study 'lucik': take lucic"):
        study.run("lucik", zoo.find, tmp_path, recipes.Setup("digits"))
    with pytest.raises(InputError, match="no model 'lsgam': did you mean lsgan"):
        carry_out(tmp_path / "x", models=["lsgam"])
    with pytest.raises(InputError, match="--budget 0.001: that is 0 steps each"):
        carry_out(tmp_path / "y", steps=None, minutes=0.001, models=["lsgan"])
    assert not (tmp_path / "y" / "plan.json").exists()
