"""Runs measured and compared: numbers with their names, and a page that shows all of it."""

import json
import time

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.test_cli import run, tfgen  # noqa: F401
from tfgen.cli import progress
from tfgen.errors import InputError
from tfgen.metrics import METRICS, evaluation
from tfgen.reports import comparison
from tfgen.runs import recipes, training

SETTINGS = {"latent_dim": "2", "hidden": "16", "epochs": "2"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of a tiny VAE with a plane of latents, that differ in their seed, and a GAN."""
    home = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        setup = recipes.Setup("digits", seed=seed)
        training.train(zoo.find("vae"), home / f"vae{seed}", SETTINGS, setup, verbose=0)
    gan = {"generator_width": "16", "discriminator_width": "8", "epochs": "1"}
    training.train(zoo.find("gan"), home / "gan", gan, recipes.Setup("digits"), verbose=0)
    return [home / name for name in ("vae0", "vae1", "gan")]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    opened = [comparison.open_run(folder, zoo.find) for folder in runs]
    names = ("fid", "knn", "precision_recall")
    found = comparison.measure(opened, names, "random", 150)
    for measured in found:  # as if these few epochs had been enough
        measured.collapsed = None
    return comparison.write(opened, found, tmp_path_factory.mktemp("pages") / "report")


def test_seeds_share_a_column_with_their_spread(page):
    document = json.loads((page.parent / "results.json").read_text())
    assert [(row["model"], row["seed"]) for row in document] == [("vae", 0), ("vae", 1), ("gan", 0)]
    fids = [row["results"][0]["value"] for row in document]
    text = page.read_text()
    mean, deviation = np.mean(fids[:2]), np.std(fids[:2], ddof=1)
    assert f"{mean:.4g}" in text and f"± {deviation:.2g}" in text and f"{fids[2]:.4g}" in text
    assert text.count('<th scope="col">vae0</th>') == 1 and "vae1" not in text
    better = min(mean, fids[2])
    assert f"<strong>{better:.4g}</strong>" in text
    first = document[0]["results"][0]
    assert first["name"].startswith("fid(random") and first["better"] == "lower"
    assert f'<td class="number">{first["real"]:.4g}</td>' in text
    assert "<p>150 samples of each run" in text


def test_every_picture_is_there_and_shows_something(page):
    text = page.read_text()
    pictures = sorted(page.parent.glob("*.png"))
    assert all(f'src="{path.name}"' in text for path in pictures)
    titles = {path.stem.split("-", 1)[1] for path in pictures if path.stem.startswith("0-")}
    assert titles == {
        "samples",
        "data",
        "neighbours",
        "ways-between-samples",
        "map-of-the-latents",
        "terms-of-the-losses",
    }
    assert not (page.parent / "1-map-of-the-latents.png").exists()  # of a GAN with 100 latents
    assert all(np.asarray(Image.open(path)).std() > 5 for path in pictures)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(width, page, chromium, tmp_path):
    chromium.set_window_size(width, 900)
    chromium.get(page.as_uri())
    script = """return [...document.images].map((image) => {
        image.loading = "eager"; return image.decode().then(() => image.naturalWidth) })"""
    chromium.set_script_timeout(60)
    widths = chromium.execute_async_script(
        "const done = arguments[0];"
        f"Promise.all((() => {{ {script} }})()).then(done, () => done(null))"
    )
    assert widths and all(widths)
    assert chromium.execute_script(
        "return document.documentElement.scrollWidth <= innerWidth"
    )  # only tables scroll sideways
    assert not [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]
    assert chromium.save_screenshot(str(tmp_path / "page.png"))
    assert np.asarray(Image.open(tmp_path / "page.png").convert("L")).std() > 5


def test_collapsed_runs_are_named_and_never_best(runs, tmp_path):
    opened = [comparison.open_run(folder, zoo.find) for folder in runs]
    said = []
    found = comparison.measure(opened, ("precision_recall", "knn"), "pixels", 100,
                               say=lambda *state: said.append(state[0]))  # fmt: skip
    assert f"run 3 of 3: {runs[2]}" in said and "sampling" in said
    assert "alike" in found[0].collapsed  # a VAE of two epochs draws one blur
    for measured in found[:2]:
        measured.results[0].value = 1.0  # a precision that nothing is behind
    found[2].collapsed, found[2].results[0].value = None, 0.5
    text = comparison.write(opened, found, tmp_path / "page").read_text()
    assert "<strong>vae0 has collapsed:</strong> samples of different seeds are alike" in text
    assert "<strong>0.5</strong>" in text and "<strong>1</strong>" not in text


def test_what_is_worst_is_not_best(runs, tmp_path):
    opened = [comparison.open_run(folder, zoo.find) for folder in runs[::2]]
    found = comparison.measure(opened, ("knn", "precision_recall"), "pixels", 60)
    for measured, accuracy in zip(found, (0.9995, 1.0), strict=True):
        measured.collapsed = None
        for result in measured.results:
            result.value = accuracy if result.metric.startswith("knn") else 0.0
    assert "<strong>0" not in comparison.write(opened, found, tmp_path / "page").read_text()


def test_nothing_is_overwritten_or_half_written(runs, page, tmp_path):
    opened = [comparison.open_run(runs[0], zoo.find)]
    found = comparison.measure(opened, ["knn"], "pixels", 20)
    with pytest.raises(InputError, match="exists already: remove it"):
        comparison.write(opened, found, page.parent)
    with pytest.raises(InputError, match="no metric 'fud'"):
        comparison.measure(opened, ["fud"], "random")


def test_it_is_known_before_anything_is_sampled(runs, monkeypatch):
    opened = [comparison.open_run(folder, zoo.find) for folder in runs]
    monkeypatch.setattr(evaluation, "in_portions", lambda *args, **kwargs: pytest.fail("sampled"))
    with pytest.raises(InputError, match="gan: Nothing can be measured: likelihood takes log_prob"):
        comparison.measure(opened, ["likelihood"])


def test_evaluate_prints_full_names_and_writes_them(runs, tfgen, tmp_path):  # noqa: F811
    path = tmp_path / "new" / "it.json"
    options = ("--features", "pixels", "--count", "100", "--json", path)
    answer = tfgen("evaluate", runs[0], "--metrics", "knn,mmd", *options)
    assert answer.code == 0
    document = json.loads(path.read_text())
    assert [r["metric"] for r in document["results"]] == ["knn", "knn_real", "knn_generated", "mmd"]
    for result in document["results"]:
        assert result["name"] in answer.out and "pixels" in result["name"]
        assert f"{result['value']:.4g}" in answer.out and f"{result['real']:.4g}" in answer.out
    assert "COLLAPSED: samples of different seeds are alike" in answer.out
    assert "sampling: 100 of 100" in answer.err and "measuring mmd" in answer.err
    again = tfgen("evaluate", runs[0], "--metrics", "knn,mmd", *options[:4])
    assert again.out == answer.out.replace(f"written: {path}\n", "")
    answer = tfgen("evaluate", runs[0], "--metrics", "fud")
    assert answer.code == 2 and "no metric 'fud'" in answer.err


def test_what_steps_aside_is_told(runs, tfgen, tmp_path):  # noqa: F811
    path = tmp_path / "it.json"
    answer = tfgen("evaluate", runs[0], "--metrics", "fid,knn", "--features", "pixels",
                   "--count", "40", "--json", path)  # fmt: skip
    assert answer.code == 0
    assert "fid steps aside: takes at least 65 rows" in answer.out
    document = json.loads(path.read_text())
    assert [r["metric"] for r in document["results"]][:2] == ["kid", "knn"]
    assert "fid" in document["stepped_aside"] and document["collapsed"]


def test_the_help_names_all_metrics(tfgen):  # noqa: F811
    text = " ".join(tfgen("evaluate", "--help").out.replace("│", " ").split())
    assert all(name in text for name in METRICS)


def test_a_long_task_is_told_again(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 2.0)
    with progress.Progress() as say:
        say("sampling", 5, 10)
        say("sampling", 6, 10)
        time.sleep(3.5)
        say("measuring knn")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "sampling: 5 of 10" and lines[-1] == "measuring knn"
    assert any(line.startswith("sampling: 6 of 10 (") for line in lines[1:-1])


def test_compare(runs, tfgen, tmp_path):  # noqa: F811
    out = tmp_path / "page"
    options = ("--metrics", "knn", "--features", "pixels", "--count", "60", "--out", out)
    answer = tfgen("compare", *runs[::2], *options)
    assert answer.code == 0 and str(out / "index.html") in answer.out
    assert (out / "index.html").stat().st_size > 1000
    answer = tfgen("compare", *runs[::2], *options)
    assert answer.code == 2 and "exists already" in answer.err
