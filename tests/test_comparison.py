"""Runs measured and compared: numbers with their names, and a page that shows all of it."""

import json

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.test_cli import run, tfgen  # noqa: F401
from tfgen.errors import InputError
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
    opened = [comparison.sample_run(folder, zoo.find, 150) for folder in runs]
    out = tmp_path_factory.mktemp("pages") / "report"
    return comparison.write(opened, out, ("fid", "knn", "precision_recall"), "random")


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
    assert document[0]["results"][0]["name"].startswith("fid(random")


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


def test_nothing_is_overwritten_or_half_written(runs, page, tmp_path):
    opened = [comparison.sample_run(runs[0], zoo.find, 20)]
    with pytest.raises(InputError, match="exists already: remove it"):
        comparison.write(opened, page.parent)
    with pytest.raises(InputError, match="no metric 'fud'"):
        comparison.write(opened, tmp_path / "report", ("fud",), "random")
    assert not list(tmp_path.iterdir())


def test_evaluate_prints_full_names_and_writes_them(runs, tfgen, tmp_path):  # noqa: F811
    path = tmp_path / "new" / "it.json"
    options = ("--features", "pixels", "--count", "100", "--json", path)
    answer = tfgen("evaluate", runs[0], "--metrics", "knn,mmd", *options)
    assert answer.code == 0
    document = json.loads(path.read_text())
    assert [r["metric"] for r in document["results"]] == ["knn", "knn_real", "knn_generated", "mmd"]
    for result in document["results"]:
        assert result["name"] in answer.out and "pixels" in result["name"]
    again = tfgen("evaluate", runs[0], "--metrics", "knn,mmd", *options[:4])
    assert again.out == answer.out.replace(f"written: {path}\n", "")
    answer = tfgen("evaluate", runs[0], "--metrics", "fud")
    assert answer.code == 2 and "no metric 'fud'" in answer.err


def test_compare(runs, tfgen, tmp_path):  # noqa: F811
    out = tmp_path / "page"
    options = ("--metrics", "knn", "--features", "pixels", "--count", "60", "--out", out)
    answer = tfgen("compare", *runs[::2], *options)
    assert answer.code == 0 and str(out / "index.html") in answer.out
    assert (out / "index.html").stat().st_size > 1000
    answer = tfgen("compare", *runs[::2], *options)
    assert answer.code == 2 and "exists already" in answer.err
