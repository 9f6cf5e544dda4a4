"""Studies: an equal search for each model, resumed where it was stopped."""

import json
import math

import numpy as np
import pytest

import tfgen
import zoo
from tfgen.errors import InputError
from tfgen.reports import study
from tfgen.runs import recipes

ARGUMENTS = {"models": ["vae"], "steps": 12, "trials": 2, "seeds": 2, "count": 100}
GIVEN = {"width": 4, "hidden": 8, "latent_dim": 2, "batch_size": 32}


def carry_out(folder, say=print, **changed):
    setup = recipes.Setup("digits")
    options = ARGUMENTS | changed
    return study.run("lucic", zoo.find, zoo.paths(), folder, setup, GIVEN, say=say, **options)


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
    assert 1e-4 <= trials[1]["settings"]["learning_rate"] <= 1e-3
    assert trials[1]["settings"]["batch_norm"] in (True, False)
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


EVERY = study.entries("adversarial", zoo.find, zoo.paths())


@pytest.mark.parametrize("label", EVERY)
def test_every_range_is_a_setting_of_the_recipe(label):
    recipe, candidate = EVERY[label]
    known = recipe.settings({})
    first, *draws = (
        recipe.settings(found) for found in study._search(recipe, candidate, {}, 20, seed=0)
    )
    for key, values in candidate.ranges.items():
        found = {drawn[key] for drawn in draws}
        assert first[key] == known[key] and len(found) > 1
        if isinstance(values, recipes.Range):
            assert all(values.low <= value <= values.high for value in found)
        else:
            assert found == set(values)
    assert (
        study._search(recipe, candidate, {}, 3, 0)
        == study._search(recipe, candidate, {}, 20, 0)[:3]
    )


def test_a_draw_is_even_in_its_range_or_in_the_logarithm():
    random = np.random.default_rng(0)
    even = [study._draw(random, recipes.Range(0.6, 0.9, logarithmic=False)) for _ in range(2000)]
    assert np.mean(even) == pytest.approx(0.75, abs=4 * 0.3 / math.sqrt(12 * 2000))
    wide = [study._draw(random, recipes.Range(1e-4, 1e-2)) for _ in range(2000)]
    assert np.mean(np.log10(wide)) == pytest.approx(-3, abs=4 * 2 / math.sqrt(12 * 2000))


def test_all_models_have_the_same_networks_and_as_many_rows_a_step():
    """As in the paper's narrow ranges: one update of the critic, 64 latents, batches of 64."""
    data, seen = tfgen.load("digits"), {}
    for label, (recipe, candidate) in EVERY.items():
        settings = study._search(recipe, candidate, {"hidden": 32, "width": 4}, 1, seed=0)[0]
        stage = next(recipe.stages(data, recipe.settings(settings)))
        assert stage.rows_per_step == stage.batch_size == 64, label
        generator = getattr(stage.model, "generator", None) or stage.model.decoder
        kernels = [v.shape for v in generator.trainable_variables if v.name == "kernel"]
        seen[label] = [tuple(shape) for shape in kernels]
    assert set(map(str, seen.values())) == {str([(64, 32), (32, 32), (4, 4, 4, 8), (4, 4, 1, 4)])}
    assert list(study.entries("lucic", zoo.find, zoo.paths())) == [
        "began",
        "dragan",
        "minimax_gan",
        "non_saturating_gan",
        "lsgan",
        "wgan",
        "wgan_gp",
        "vae",
    ]


def test_every_adversarial_model_is_in_the_study():
    models = {recipe.name for recipe, _ in EVERY.values()}
    others = {"dcgan", *models}  # dcgan is networks, not a game
    assert others >= {n for n, path in zoo.paths().items() if path.parent.name == "adversarial"}
    with pytest.raises(InputError, match="take lucic, adversarial"):
        study.entries("adversarail", zoo.find, zoo.paths())
    (found,) = study.entries("lucic", zoo.find, zoo.paths(), ["dcgan"]).values()
    assert found[1] == recipes.Candidate("dcgan", {}, recipes.LEARNING_RATE)


def test_what_cannot_be_is_told(tmp_path):
    with pytest.raises(InputError, match="no study 'lucik': take lucic"):
        study.run("lucik", zoo.find, zoo.paths(), tmp_path, recipes.Setup("digits"))
    with pytest.raises(InputError, match="no model 'lsgam': did you mean lsgan"):
        carry_out(tmp_path / "x", models=["lsgam"])
    with pytest.raises(InputError, match="--budget 0.001: that is 0 steps each"):
        carry_out(tmp_path / "y", steps=None, minutes=0.001, models=["lsgan"])
    assert not (tmp_path / "y" / "plan.json").exists()
