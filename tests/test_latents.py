"""Latents: ways with known points, the map of a plane, directions, known generators inverted."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

import zoo
from tfgen import cli, random
from tfgen.data import load
from tfgen.endpoint import SEEDS, Element, Endpoint, labels
from tfgen.errors import InputError
from tfgen.latents import decoding, editing, interpolation, inversion

IMAGE = Element("images", (2, 2, 1), "float32", -1.0, 1.0)


def model(make, dimensions=2, classes=0, prior=random.normal, encode=None, conditions=None):
    """A model of given functions: what the latent tools ask for, and nothing else."""
    vector = Element("latents", (dimensions,))
    told = (labels(classes),) if classes and conditions is None else ()
    endpoints = {
        "latents": Endpoint(lambda seeds: prior(seeds, [dimensions]), (SEEDS,), (vector,)),
        "decode": Endpoint(make, (vector, *told), (IMAGE,)),
    }
    if conditions is not None:
        condition = Element("conditions", (1,))
        endpoints["conditions"] = Endpoint(conditions, (labels(classes),), (condition,))
        endpoints["decode"] = Endpoint(make, (vector, condition), (IMAGE,))
    if encode is not None:
        endpoints["encode"] = Endpoint(encode, (IMAGE,), (vector,))
    return SimpleNamespace(endpoints=endpoints)


MATRIX = tf.constant([[0.5, 0.2, -0.3, 0.1], [0.0, 0.4, 0.2, -0.6]])


def linear(latents):
    return tf.reshape(latents @ MATRIX, [-1, 2, 2, 1])


def inverse(images):
    return tf.reshape(images, [-1, 4]) @ tf.linalg.pinv(MATRIX)


def uniform(seeds, shape):
    return 2.0 * random.uniform(seeds, shape) - 1.0


@pytest.mark.parametrize("path", interpolation.PATHS.values())
def test_ways_begin_and_end_at_their_ends(path):
    first, last = np.random.default_rng(0).normal(size=[2, 5, 3, 20]).astype("float32")
    ways = path(first, last, 7)
    assert ways.shape == (5, 3, 7, 20) and ways.dtype == np.float32
    np.testing.assert_allclose(ways[..., 0, :], first, rtol=1e-6)
    np.testing.assert_allclose(ways[..., -1, :], last, rtol=1e-6)
    np.testing.assert_allclose(path(first[0], last[0], 7), ways[0])
    np.testing.assert_allclose(path(last, first, 7)[..., ::-1, :], ways, atol=1e-6)


def test_a_straight_way_has_equal_steps():
    steps = np.diff(interpolation.lerp([0.0, 4.0], [8.0, 0.0], 5), axis=0)
    np.testing.assert_allclose(steps, np.tile([2.0, -1.0], [4, 1]))


def test_a_spherical_way_keeps_the_length_and_turns_evenly():
    way = interpolation.slerp([3.0, 0.0], [0.0, 3.0], 4)
    angles = np.pi / 2 * np.arange(4) / 3
    np.testing.assert_allclose(way, 3 * np.stack([np.cos(angles), np.sin(angles)], 1), atol=1e-6)
    # Gaussian ends are nearly orthogonal and of length sqrt(D), and so is all between them.
    first, last = np.random.default_rng(0).normal(size=[2, 1000])
    lengths = [
        np.linalg.norm(path(first, last, 11)[5])
        for path in (interpolation.slerp, interpolation.lerp)
    ]
    assert lengths[0] == pytest.approx(np.sqrt(1000), rel=0.06)
    assert lengths[1] == pytest.approx(np.sqrt(500), rel=0.06)


@pytest.mark.parametrize("last", [[2.0, 0.0], [-1.0, 0.0]])
def test_where_there_is_no_one_great_circle_the_way_is_straight(last):
    first = [1.0, 0.0]
    np.testing.assert_allclose(
        interpolation.slerp(first, last), interpolation.lerp(first, last), atol=1e-6
    )


def test_the_map_has_even_steps_of_probability():
    plane = interpolation.manifold(
        model(lambda z: tf.reshape(tf.repeat(z, 2, axis=1), [-1, 2, 2, 1])), 9
    )
    first, second = plane[..., 0, 0, 0], plane[..., 1, 0, 0]
    probabilities = (np.arange(9) + 0.5) / 9
    np.testing.assert_allclose(first, np.tile(stats.norm.ppf(probabilities), [9, 1]), atol=1e-5)
    np.testing.assert_allclose(stats.norm.cdf(second[::-1]), first.T * 0 + probabilities[:, None])


def test_what_is_no_plane_of_normal_latents_has_no_map():
    with pytest.raises(InputError, match="latents of this model have 3: train with latent_dim=2"):
        interpolation.manifold(model(linear, dimensions=3))
    with pytest.raises(InputError, match="not standard normal"):
        interpolation.manifold(model(linear, prior=uniform))
    with pytest.raises(InputError, match="no latents to vary: it offers sample"):
        interpolation.manifold(SimpleNamespace(endpoints={"sample": None}))


def test_arithmetic_is_of_means():
    groups = np.random.default_rng(0).normal(size=[3, 4, 5])
    means = groups.mean(axis=1)
    found = editing.arithmetic([groups[0], groups[2]], [groups[1]])
    np.testing.assert_allclose(found, means[0] - means[1] + means[2], rtol=1e-5)


def test_an_attribute_is_the_difference_of_means_and_editing_adds_it():
    codes = np.random.default_rng(0).normal(size=[400, 2])
    has = np.arange(400) < 250
    direction = editing.attribute(codes + has[:, None] * [3.0, -1.0], has)
    np.testing.assert_allclose(direction, [3, -1], atol=0.3)
    images = linear(tf.constant(codes[:6], tf.float32))
    edited = editing.edit(model(linear, encode=inverse), images, direction, [0.0, 0.5, 1.0])
    expected = codes[:6, None] + np.array([0, 0.5, 1])[:, None] * direction
    np.testing.assert_allclose(edited, np.reshape(expected @ MATRIX, [6, 3, 2, 2, 1]), atol=1e-5)
    for nobody in (np.zeros(400), np.ones(400)):
        with pytest.raises(InputError, match="400 images have the attribute"):
            editing.attribute(codes, nobody)


def test_models_that_encode_nothing_or_want_a_class():
    with pytest.raises(InputError, match="encodes no images: it offers latents, decode"):
        decoding.encode(model(linear), np.zeros([1, 2, 2, 1], "float32"))
    recipe = zoo.find("cvae")
    tiny = recipe.settings({"hidden": 8, "latent_dim": 2})
    cvae = next(recipe.function(load("digits"), **tiny)).model
    with pytest.raises(InputError, match="told the class"):
        decoding.encode(cvae, np.zeros([1, 8, 8, 1], "float32"))


def test_labels_reach_the_model_as_they_are_or_as_conditions():
    def shifted(z, told):
        return linear(z) + tf.cast(told, tf.float32)[:, None, None, None]

    def conditioned(z, conditions):
        return linear(z) + conditions[:, :, None, None]

    by_label = model(shifted, classes=3)
    by_condition = model(
        conditioned, classes=3, conditions=lambda told: tf.cast(told[:, None], tf.float32)
    )
    z = np.random.default_rng(0).normal(size=[300, 2, 2]).astype("float32")  # several portions
    for one in by_label, by_condition:
        assert decoding.class_count(one) == 3
        made = decoding.decode(one, z, np.array([0, 2]))
        np.testing.assert_allclose(made[:, 0], linear(z[:, 0]), atol=1e-6)
        np.testing.assert_allclose(made[:, 1], linear(z[:, 1]) + 2, atol=1e-6)
        with pytest.raises(InputError, match="label 3: its labels are 0 to 2"):
            decoding.decode(one, z, 3)
    with pytest.raises(InputError, match="label 1: this model has no classes"):
        decoding.decode(model(linear), z, 1)


def test_a_linear_generator_is_inverted_exactly():
    z = 0.7 * np.random.default_rng(0).normal(size=[20, 2]).astype("float32")
    found = inversion.invert(model(linear), linear(z), restarts=2)
    np.testing.assert_allclose(found.latents, z, atol=1e-3)
    np.testing.assert_allclose(found.images, linear(z), atol=1e-3)
    assert found.errors.max() < 1e-6 and found.all_errors.shape == (20, 2)
    assert found.labels.tolist() == [0] * 20


def wavy(latents):
    """Many latents lie in valleys of the error that do not hold the image."""
    waves = tf.concat([tf.sin(4 * latents), 0.3 * latents], axis=1)
    return tf.reshape(waves, [-1, 2, 2, 1])


def test_restarts_find_what_one_way_misses():
    z = uniform(tf.range(1000, 1030), [2]).numpy()
    found = inversion.invert(model(wavy, prior=uniform), wavy(z), restarts=60, steps=300)
    right = np.abs(found.latents - z).max(axis=1) < 0.01
    assert right.mean() > 0.9
    assert (found.all_errors[:, 0] < 1e-5).mean() < 0.5
    np.testing.assert_array_equal(found.errors, found.all_errors.min(axis=1))


def test_an_image_is_inverted_alike_alone_and_among_others(monkeypatch):
    z = uniform(tf.range(5), [2]).numpy()
    one = model(wavy, prior=uniform)
    together = inversion.invert(one, wavy(z), restarts=4, steps=50)
    monkeypatch.setattr(inversion, "ROWS", 4)  # two images a loop
    apart = inversion.invert(one, wavy(z), restarts=4, steps=50)
    for left, right in zip(together, apart, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)


def test_what_is_found_lies_in_the_range_of_the_prior():
    far = np.array([[3.0, 0.1], [0.2, -5.0]], "float32")
    clipped = inversion.invert(model(linear, prior=uniform), linear(far), steps=200)
    assert np.abs(clipped.latents).max() <= 1
    square = np.stack(np.meshgrid(*[np.linspace(-1, 1, 41)] * 2), axis=-1).reshape(-1, 2)
    differences = (square[:, None] - far) @ MATRIX.numpy()  # [1681, 2, 4]
    assert (clipped.errors < 1.3 * (differences**2).mean(axis=-1).min(axis=0)).all()


def test_the_class_is_found_too():
    def striped(z, told):
        stripes = tf.one_hot(told, 4)
        return 0.05 * linear(z) + tf.reshape(stripes, [-1, 2, 2, 1])

    known = np.array([3, 0, 1], "int32")
    one = model(striped, classes=4)
    images = striped(tf.zeros([3, 2]), known)
    found = inversion.invert(one, images, restarts=2, steps=20)
    assert found.labels.tolist() == known.tolist() and found.all_errors.shape == (3, 4)
    given = inversion.invert(one, images, labels=[2, 2, 2], restarts=2, steps=20)
    assert given.labels.tolist() == [2, 2, 2] and (given.errors > 10 * found.errors).all()
    with pytest.raises(InputError, match="label 9: its labels are 0 to 3"):
        inversion.invert(one, images, labels=[9, 0, 0])
    with pytest.raises(InputError, match=r"images of \(3, 3, 1\): this model makes such of"):
        inversion.invert(one, np.zeros([1, 3, 3, 1]))


def test_files_become_rows(tmp_path):
    picture = Image.effect_noise((9, 5), 90).convert("RGB")
    picture.save(tmp_path / "a.png")
    Image.new("L", (2, 2), 255).save(tmp_path / "b.png")
    rows = decoding.read([tmp_path / "a.png", tmp_path / "b.png"], IMAGE)
    assert rows.shape == (2, 2, 2, 1) and rows[0].std() > 0 and (rows[1] == 1).all()
    (tmp_path / "c.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="c.png cannot be read as an image"):
        decoding.read([tmp_path / "c.png"], IMAGE)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Tiny runs on digits: a VAE of two latents, a GAN, one that is told the class."""
    folder = tmp_path_factory.mktemp("runs")
    few = ("--steps", "2")
    jobs = {
        "vae": ("hidden=16", "latent_dim=2", *few),
        "gan": ("generator_width=16", "discriminator_width=8", "latent_dim=3", *few),
        "cgan": ("generator_width=16", "discriminator_width=8", "latent_dim=3", *few),
    }
    for name, job in jobs.items():
        assert tfgen("train", name, *job, "--run", folder / name) == 0
    return folder


def tfgen(*arguments):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(sys, "argv", ["tfgen", *map(str, arguments)])
        cli.main()
    return stop.value.code or 0


def cells(path, columns):
    """The images of a grid: rows and columns."""
    width, height = Image.open(path).size
    side = (width - 4) / columns
    assert side == int(side) and (height - 4) % side == 0
    return (height - 4) // side, columns


@pytest.mark.parametrize(
    ("arguments", "grid", "told"),
    [
        (["interpolate", "vae", "--from", "1", "--to", "7"], (1, 10), "seed 1 to 7"),
        (["interpolate", "gan", "--from", "1", "--to", "7", "--path", "linear"], (1, 10), "linear"),
        (["interpolate", "cgan", "--from", "1", "--to", "7", "--rows", "10"], (10, 10), "10"),
        (["manifold", "vae", "--count", "5"], (5, 5), "5 x 5"),
        (["arithmetic", "gan", "--plus", "0,1,2", "--minus", "3,4", "--plus", "5"], (4, 4), "+"),
        (["edit", "vae", "--from", "1", "--to", "7", "--rows", "3"], (3, 8), "class 1 to class 7"),
        (["edit", "vae", "--to", "7", "--rows", "2"], (2, 8), "from the others to class 7"),
        (["invert", "gan", "--count", "3", "--steps", "5"], (2, 3), "3 images, mean squared"),
        (["invert", "cgan", "--count", "2", "--steps", "5"], (2, 2), ", class "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_commands_leave_a_picture_and_say_where(arguments, grid, told, runs, tmp_path, capsys):
    command, name, *options = arguments
    out = tmp_path / "new" / "x.png"
    assert tfgen(command, runs / name, *options, "--out", out) == 0
    answer = capsys.readouterr().out
    assert told in answer and answer.endswith(f": {out}\n")
    assert cells(out, grid[1]) == grid and np.asarray(Image.open(out)).std() > 5


def test_commands_take_files(runs, tmp_path, capsys):
    Image.effect_noise((20, 12), 90).save(tmp_path / "a.png")
    for command, options in (("invert", ["--steps", "3"]), ("edit", ["--to", "2"])):
        out = tmp_path / f"{command}.png"
        assert tfgen(command, runs / "vae", tmp_path / "a.png", *options, "--out", out) == 0
    assert f"{tmp_path / 'a.png'}: mean squared error" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["interpolate", "nowhere", "--from", "1", "--to", "2"], "nowhere is no run"),
        (["interpolate", "vae", "--from", "1", "--to", "2", "--path", "round"], "--path round"),
        (["interpolate", "vae", "--from", "1", "--to", "2", "--label", "3"], "no classes"),
        (["manifold", "gan"], "have 3: train with latent_dim=2"),
        (["arithmetic", "gan", "--plus", "1,two"], "--plus 1,two: expected seeds"),
        (["edit", "gan", "--to", "1"], "encodes no images"),
        (["edit", "vae", "--to", "10"], "--to 10: the classes are 0 to 9"),
        (["edit", "vae", "--from", "3", "--to", "3"], "this is no change"),
        (["invert", "vae", "nothing.png"], "nothing.png cannot be read"),
        (["invert", "cgan", "--label", "10"], "label 10: its labels are 0 to 9"),
        (["manifold", "vae", "--out", "x.gim"], "x.gim"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_used_is_told(arguments, told, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command, name, *options = arguments
    assert tfgen(command, runs / name, *options) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tfgen: ") and err.count("\n") == 1 and told in err
    assert not list(tmp_path.iterdir())


def test_a_class_without_a_test_image_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, count in {"common": 30, "rare": 1, "second": 20}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(count):
            Image.effect_noise((8, 8), 40 + i).save(tmp_path / "data" / name / f"{i}.png")
    small = ("hidden=8", "latent_dim=2", "--batch-size", "10", "--steps", "1", "--run", "run")
    assert tfgen("train", "vae", "--data", "folder:data", *small) == 0
    capsys.readouterr()
    assert tfgen("edit", "run", "--to", "common", "--from", "rare") == 2
    assert "no test image is of class 1 (rare): give some files" in capsys.readouterr().err
