"""Data: what is in the sets, the order of training, files of all kinds, errors that help."""

import io
import json
import subprocess
import sys
import unicodedata
import urllib.error
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
from tests.conftest import mirrored
from tfgen.data import from_arrays, image_files, levels, load, names, sets, splits, synthetic
from tfgen.data.data import changes, described, matched, of_arrays, shuffled
from tfgen.errors import InputError, Note
from tfgen.runs.recipes import Setup
from tfgen.runs.training import train


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def counted(size, labels=False):
    """Points whose one coordinate is their row."""
    rows = np.arange(size, dtype="float32")[:, None]
    split = {"points": rows} | ({"labels": np.arange(size) % 3} if labels else {})
    return of_arrays("counted", {"train": split, "test": split}, "abc" if labels else ())


def take(stream, count):
    return np.stack([batch.numpy() for batch in stream.take(count)])


# The order of training


def test_an_epoch_is_a_permutation_without_the_remainder():
    data = counted(103)
    epochs = take(data.batches(10, seed=4), 30).reshape(3, 100)
    for epoch in epochs:
        assert len(set(epoch)) == 100
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert set(epochs.ravel()) == set(range(103))  # each remainder is another one


def test_batches_depend_on_the_seed_and_the_number_alone():
    data = counted(50)
    expected = take(data.batches(8, seed=1), 20)
    np.testing.assert_array_equal(take(data.batches(8, seed=1), 20), expected)
    assert (take(data.batches(8, seed=2), 20) != expected).mean() > 0.9
    for start in 3, 6, 13:  # within an epoch, at its first batch, in a later one
        resumed = take(data.batches(8, seed=1, start=start), 20 - start)
        np.testing.assert_array_equal(resumed, expected[start:])


def test_a_late_start_costs_nothing():
    first = take(counted(50).batches(8, start=10**12), 1)
    assert first.shape == (1, 8, 1)


def test_batches_are_static_and_endless():
    spec = counted(50, labels=True).labelled.batches(8).element_spec
    assert spec == (tf.TensorSpec([8, 1], tf.float32), tf.TensorSpec([8], tf.int32))
    assert counted(50).batches(8).cardinality() == tf.data.INFINITE_CARDINALITY
    assert counted(50).steps_per_epoch(8) == 6


@pytest.mark.parametrize("batch_size", [51, 0])
def test_a_batch_must_fit(batch_size):
    with pytest.raises(InputError, match=rf"{batch_size} .*50 rows"):
        counted(50).batches(batch_size)


def test_permutations_of_neighbours_are_unlike():
    seeds = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]
    orders = [shuffled(tf.range(5000, dtype=tf.int64), seed, 5000).numpy() for seed in seeds]
    for order in orders:
        assert len(set(order)) == 5000
        assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.06  # 4 standard deviations
    assert np.abs(np.corrcoef(orders) - np.eye(5)).max() < 0.06


def test_replicas_get_halves_of_the_batch():
    data = counted(50, labels=True).labelled
    whole = list(data.batches(8, seed=3).take(9))  # over the end of an epoch
    strategy = mirrored()
    stream = iter(strategy.experimental_distribute_dataset(data.batches(8, seed=3)))
    for rows, labels in whole:
        parts = [strategy.experimental_local_results(part) for part in next(stream)]
        for replica in range(2):
            half = slice(4 * replica, 4 * replica + 4)
            np.testing.assert_array_equal(parts[0][replica], rows[half])
            np.testing.assert_array_equal(parts[1][replica], labels[half])


# A set in memory


def test_digits(digits):
    assert (digits.size, len(digits.test), digits.classes) == (1618, 179, tuple("0123456789"))
    assert digits.element.shape == (8, 8, 1)
    assert (digits.element.low, digits.element.high) == (-1.0, 1.0)
    images, labels = digits.labelled.batch("train")
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (-1.0, 1.0)
    assert images[:, 0, 0].mean() < -0.9  # white on black
    sixteenths = np.rint((images + 1) * 8)
    assert set(np.unique(sixteenths)) == set(range(17))
    assert np.bincount(labels).min() > 140


def test_digits_are_those_of_scikit_learn(digits):
    import sklearn.datasets

    ours = np.concatenate([digits.rows(split) for split in ("train", "test")])
    ours = np.rint((ours.reshape(1797, 64) + 1) * 8)
    theirs = sklearn.datasets.load_digits().data
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))


def test_elements_are_in_stored_order(digits):
    images, labels = digits.labelled.batch("test")
    np.testing.assert_array_equal(list(digits.test.as_numpy_iterator()), images)
    pairs = list(digits.labelled.test.as_numpy_iterator())
    np.testing.assert_array_equal([image for image, _ in pairs], images)
    np.testing.assert_array_equal([label for _, label in pairs], labels)
    assert digits.labelled.test.element_spec[1] == tf.TensorSpec([], tf.int32)


def test_labels_stay_with_their_images(digits):
    images, labels = next(iter(digits.labelled.batches(200)))
    stored = {
        image.tobytes(): label for image, label in zip(*digits.labelled.batch("train"), strict=True)
    }
    for image, label in zip(images.numpy(), labels.numpy(), strict=True):
        assert stored[image.tobytes()] == label


def test_no_labels_is_told():
    with pytest.raises(InputError, match="'swiss_roll' has no labels"):
        _ = load("swiss_roll").labelled


def test_some_rows_are_spread_over_the_set():
    rows, labels = counted(90, labels=True).labelled.batch("train", 9)
    np.testing.assert_array_equal(rows[:, 0], np.arange(0, 90, 10))
    np.testing.assert_array_equal(labels, np.arange(0, 90, 10) % 3)
    assert len(counted(90).rows("test", 1000)) == 90


def test_resized(digits):
    larger = load("digits", image_size=32)
    assert larger.element.shape == (32, 32, 1)
    assert (larger.size, larger.classes) == (digits.size, digits.classes)
    smaller = larger.resized(8)
    error = smaller.rows("test") - digits.rows("test")
    assert np.abs(error).mean() < 0.1
    assert digits.resized(8) is digits


def test_resizing_does_not_alias():
    stripes = np.zeros([1, 64, 64, 1], "uint8")
    stripes[:, :, ::2] = 255
    small = image_files.fit_all(stripes, 8)
    np.testing.assert_allclose(small, 127.5, atol=8)


def test_points_have_no_size():
    with pytest.raises(InputError, match="points"):
        load("ring", image_size=8)


def test_what_is_larger_than_memory_is_told(digits, monkeypatch):
    monkeypatch.setattr(image_files, "memory", lambda: 2**31)
    with pytest.raises(InputError, match=r"7\.0 GiB at 2048x2048.*0\.5 GiB.*image_size"):
        digits.resized(2048)


# Levels


def test_levels_round_trip_exactly():
    every = tf.range(256, dtype=tf.int32)
    images = levels.from_levels(tf.cast(every, tf.uint8))
    assert (images[0], images[255]) == (-1.0, 1.0)
    np.testing.assert_array_equal(levels.to_levels(images), every)
    np.testing.assert_array_equal(levels.to_levels(levels.from_unit(levels.to_unit(images))), every)


def test_levels_are_clipped():
    np.testing.assert_array_equal(levels.to_levels(tf.constant([-9.0, 1.004, 9.0])), [0, 255, 255])


def test_binarize_is_bernoulli():
    images = tf.fill([4000, 2, 2, 1], -0.5)
    seeds = tf.range(4000)
    bits = levels.binarize(images, seeds).numpy()
    assert set(np.unique(bits)) == {0.0, 1.0}
    assert abs(bits.mean() - 0.25) < 0.015  # 4 standard deviations
    np.testing.assert_array_equal(levels.binarize(images, seeds), bits)
    ends = tf.constant([-1.0, 1.0], shape=[1, 1, 2, 1])
    np.testing.assert_array_equal(levels.binarize(ends, seeds[:1])[0, 0, :, 0], [0, 1])


def test_dequantized_levels_are_uniform_in_their_cell():
    stored = np.repeat(np.arange(256, dtype="uint8"), 400).reshape(100, 32, 32, 1)
    values = levels.dequantize(levels.from_levels(stored), tf.range(100)).numpy()
    np.testing.assert_array_equal(np.floor(values), stored)
    noise = values - stored
    assert 0 < noise.min() < 0.001
    assert abs(noise.mean() - 0.5) < 0.004
    assert abs(noise.var() - 1 / 12) < 0.002


# Points


@pytest.mark.parametrize("name, modes", [("ring", 8), ("grid25", 25), ("four_modes", 4)])
def test_mixtures_have_the_documented_numbers(name, modes):
    source, data = synthetic.mixture(name), load(name)
    assert source.centres.shape == (modes, data.element.shape[0])
    assert len(data.classes) == modes
    points, labels = data.labelled.batch("train")
    off = points - source.centres[labels]
    inside = off @ source.basis.T
    assert abs(inside.std() / source.deviation - 1) < 0.15
    np.testing.assert_allclose(off, inside @ source.basis, atol=1e-5)  # nothing out of the plane
    distances = np.linalg.norm(points[:, None] - source.centres, axis=-1)
    np.testing.assert_array_equal(distances.argmin(axis=1), labels)
    share = np.bincount(labels, minlength=modes) / len(labels) * modes
    assert share.min() > 0.5
    assert not (data.rows("test", 50) == data.rows("train", 50)).any()


def test_mixtures_of_the_literature():
    np.testing.assert_allclose(np.linalg.norm(synthetic.ring().centres, axis=1), 2, rtol=1e-6)
    ticks = {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert set(map(tuple, synthetic.grid25().centres)) == ticks
    centres = synthetic.four_modes().centres
    assert np.linalg.matrix_rank(centres) == 2
    np.testing.assert_allclose(np.linalg.norm(centres[0] - centres[1]), 2, rtol=1e-5)


def test_swiss_roll_is_a_spiral():
    points = load("swiss_roll").rows("train") * 7.5
    radius = np.linalg.norm(points, axis=1)
    turn = np.arctan2(points[:, 1], points[:, 0])
    off = np.mod(radius - turn + np.pi, 2 * np.pi) - np.pi  # along r = angle + 2 pi k
    assert np.abs(off).max() < 1.5
    assert 1.4 * np.pi - 1 < radius.min() < radius.max() < 4.5 * np.pi + 1.5


def test_points_are_the_same_on_each_load():
    np.testing.assert_array_equal(load("ring").rows("test"), load("ring").rows("test"))


# Folders


def png(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array), mode).save(path)


def flat(value, shape=(8, 8)):
    return np.full(shape, value, "uint8")


FORMATS = ["png", "jpg", "jpeg", "jfif", "bmp", "webp", "tif", "tiff", "gif", "ppm", "pnm", "tga"]
FORMATS += ["ico", "avif", "jp2", "pcx", "qoi", "PNG"]


def test_formats(tmp_path):
    colour = np.zeros([16, 16, 3], "uint8") + np.array([200, 100, 50], "uint8")
    for suffix in FORMATS:
        png(tmp_path / f"image.{suffix}", colour)
    (tmp_path / ".thumbs").mkdir()
    png(tmp_path / ".thumbs" / "x.png", colour)
    for name in (".DS_Store", "._image.png", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"left by a system")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = image_files.read_folder(tmp_path)
    images = np.concatenate([found.splits[split]["images"] for split in ("train", "test")])
    assert images.shape == (len(FORMATS), 16, 16, 3) and found.classes == ()
    assert list(found.files) == sorted(f"image.{suffix}" for suffix in FORMATS)
    np.testing.assert_allclose(images, np.broadcast_to(colour, images.shape), atol=4)


def test_what_is_left_out_is_counted(tmp_path):
    for i in range(3):
        png(tmp_path / f"{i}.png", flat(i))
        (tmp_path / f"{i}.heic").write_bytes(b"an image that Pillow does not know")
    (tmp_path / "LICENCE").write_text("all rights")
    (tmp_path / "drawing.eps").write_text("%!PS: a program")
    with pytest.warns(UserWarning, match=r"left out: 3 \.heic, 1 ") as caught:
        data = load(f"folder:{tmp_path}")
    assert len(caught) == 1 and data.size + len(data.test) == 3
    assert {"1 .eps", "1 without an ending"} <= set(
        str(caught[0].message).split("out: ")[1].split(", ")
    )


def test_of_an_animation_the_first_is_read(tmp_path):
    frames = [Image.fromarray(flat(value, (8, 8, 3))) for value in (10, 200)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert image_files.decode(tmp_path / "x.gif").max() == 10


@pytest.mark.parametrize("suffix", ["tif", "pfm"])
def test_floats_are_no_pixels(tmp_path, suffix):
    Image.fromarray(np.full([4, 4], 0.5, "float32")).save(tmp_path / f"x.{suffix}")
    with pytest.raises(ValueError, match="floats"):
        image_files.decode(tmp_path / f"x.{suffix}")


def test_thirty_two_bits_are_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 70_000]], "int32")).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match="32 bits"):
        image_files.decode(tmp_path / "x.tif")


def test_links_are_followed(tmp_path):
    for i in range(30):
        png(tmp_path / "store" / "ab"[i % 2] / f"{i}.png", flat(i))
    root = tmp_path / "set"
    (root / "bird").mkdir(parents=True)
    for i in range(8):
        (root / "bird" / f"{i}.png").symlink_to(tmp_path / "store" / "a" / f"{2 * i}.png")
    for name in "ab":
        (root / name).symlink_to(tmp_path / "store" / name)
    (root / "a" / "back").symlink_to(root)  # an endless way
    (root / "bird" / "dead.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.warns(UserWarning, match=r"1 of \d+ images cannot be read.*dead\.png"):
        data = load(f"folder:{root}")
    assert data.classes == ("a", "b", "bird")
    labels = np.concatenate([data.rows(split, column="labels") for split in ("train", "test")])
    counts = np.bincount(labels)
    assert counts[1] == 15 and counts[2] == 8 and counts[0] >= 15


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation"])
def test_folders_of_test_images(tmp_path, name):
    for i in range(3):
        png(tmp_path / "train" / f"{i}.png", flat(i))
        png(tmp_path / name / f"{i}.png", flat(100 + i))
    data = load(f"folder:{tmp_path}")
    assert (data.size, len(data.test)) == (3, 3)
    assert levels.to_levels(data.rows("test"))[0, 0, 0, 0] == 100
    if name == "test":
        png(tmp_path / "val" / "9.png", flat(9))
        with pytest.warns(UserWarning, match="val is not used, as .*test has the images"):
            load(f"folder:{tmp_path}")


def test_classes_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("10", "2", "1", "0", "11"):
        for i in range(2):
            png(tmp_path / name / f"{i}.png", flat(int(name)))
    data = load(f"folder:{tmp_path}")
    assert data.classes == ("0", "1", "2", "10", "11")
    images, labels = data.labelled.batch("train")
    values = levels.to_levels(images).numpy()[:, 0, 0, 0]
    np.testing.assert_array_equal(values, np.array([0, 1, 2, 10, 11])[labels])
    assert sorted(["b2", "a10", "a9", "a"], key=image_files.natural) == ["a", "a9", "a10", "b2"]


def test_names_in_two_unicode_forms_are_one_class(tmp_path):
    for split, form in (("train", "NFC"), ("test", "NFD")):
        for name in ("café", "cafe"):
            png(tmp_path / split / unicodedata.normalize(form, name) / "x.png", flat(len(name)))
    data = load(f"folder:{tmp_path}")
    assert data.classes == ("cafe", unicodedata.normalize("NFC", "café"))
    assert data.label(unicodedata.normalize("NFD", "café")) == 1


# Which files are held out


def test_a_tenth_of_the_files_is_held_out():
    names = [f"img_{i:05d}" for i in range(10_000)]
    held = splits.by_name(names)
    assert abs(held.mean() - 0.1) < 4 * 0.003
    halves = held[:5000].mean(), held[5000:].mean()
    assert abs(halves[0] - halves[1]) < 4 * 0.006


def test_files_that_come_or_go_move_no_others():
    random = np.random.RandomState(0)
    names = [f"{random.randint(10**9)}" for _ in range(300)]
    labels = random.randint(4, size=300)
    held = dict(zip(names, splits.by_name(names, labels), strict=True))
    for size in (40, 100, 200, 299):
        some = random.choice(300, size, replace=False)
        for place, one in zip(
            some, splits.by_name([names[i] for i in some], labels[some]), strict=True
        ):
            assert one == held[names[place]]


def test_no_file_that_was_trained_on_is_tested_when_another_comes():
    """Also of few, of which none would be held out by the hash alone."""
    for first in range(200):
        names = [f"{first}-{i}" for i in range(2)]
        before = splits.by_name(names)
        after = splits.by_name([*names, f"{first}-new"])
        assert before.any() and after.any() and not before.all()
        if (hashes := _draws(names) < 0.1).all():
            continue  # both would be held out: one had to stay until others came
        assert not (after[:2] & ~before).any(), hashes


def _draws(names):
    import hashlib

    digests = [hashlib.blake2b(name.encode(), digest_size=8).hexdigest() for name in names]
    return np.array([int(digest, 16) / 2**64 for digest in digests])


def test_each_class_keeps_a_row_for_training():
    names = [f"{i}" for i in range(400)]
    labels = np.arange(400) // 2
    held = splits.by_name(names, labels)
    assert (np.bincount(labels, ~held) > 0).all() and 20 < held.sum() < 60
    with pytest.raises(InputError, match="two of one class"):
        splits.by_name(names, np.arange(400))


def test_a_folder_with_an_image_a_class_is_told(tmp_path):
    for name in "abc":
        png(tmp_path / name / "x.png", flat(0))
    with pytest.raises(InputError, match="one image of each class: it takes two of one class"):
        load(f"folder:{tmp_path}")
    png(tmp_path / "b" / "y.png", flat(0))
    data = load(f"folder:{tmp_path}")
    np.testing.assert_array_equal(np.sort(data.rows("train", column="labels")), [0, 1, 2])


def test_a_file_added_to_a_folder_moves_no_other(tmp_path):
    for i in range(60):
        png(tmp_path / f"img_{i:04d}.png", flat(i))
    trained = set(levels.to_levels(load(f"folder:{tmp_path}").rows("train")).numpy()[:, 0, 0, 0])
    png(tmp_path / "extra.png", flat(200))  # sorts first
    tested = levels.to_levels(load(f"folder:{tmp_path}").rows("test")).numpy()[:, 0, 0, 0]
    assert len(tested) and not trained & set(tested)


def test_rows_without_names_are_held_out_by_their_place(digits):
    parts = splits.hold_out(rows=np.arange(100), labels=None)
    order = np.random.RandomState(0).permutation(100)
    np.testing.assert_array_equal(parts["test"]["rows"], np.sort(order[90:]))
    last = int(order[99])
    labels = (np.arange(100) == last).astype(int)  # a class of one row, which would be held out
    parts = splits.hold_out(rows=np.arange(100), labels=labels)
    assert last in parts["train"]["rows"] and len(parts["test"]["rows"]) == 9


def test_sixteen_bits_are_scaled(tmp_path):
    values = (np.arange(64).reshape(8, 8) * 1040).astype("uint16")
    png(tmp_path / "deep.png", values)
    assert Image.open(tmp_path / "deep.png").mode.startswith("I")
    decoded = image_files.decode(tmp_path / "deep.png")
    np.testing.assert_array_equal(decoded[..., 0], np.rint(values / 257))
    np.testing.assert_array_equal(decoded[..., 0], decoded[..., 2])


def test_palettes(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], "uint8"), "P")
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.save(tmp_path / "plain.png")
    red, blue = [255, 0, 0], [0, 0, 255]
    expected = np.array([[red, blue], [blue, red]])
    np.testing.assert_array_equal(image_files.decode(tmp_path / "plain.png"), expected)
    picture.save(tmp_path / "clear.png", transparency=1)
    expected[expected[..., 2] == 255] = 255
    np.testing.assert_array_equal(image_files.decode(tmp_path / "clear.png"), expected)


def test_what_is_transparent_is_white(tmp_path):
    png(tmp_path / "rgba.png", np.array([[[255, 0, 0, 255], [255, 0, 0, 0]]], "uint8"))
    decoded = image_files.decode(tmp_path / "rgba.png")
    np.testing.assert_array_equal(decoded, [[[255, 0, 0], [255, 255, 255]]])
    png(tmp_path / "la.png", np.array([[[0, 255], [0, 0], [0, 128]]], "uint8"), "LA")
    decoded = image_files.decode(tmp_path / "la.png")
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 255, 127])


def test_one_bit_and_exif(tmp_path):
    Image.fromarray(np.array([[0, 1]], "uint8") * 255).convert("1").save(tmp_path / "bit.png")
    np.testing.assert_array_equal(image_files.decode(tmp_path / "bit.png")[0, :, 0], [0, 255])
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(flat(0, (4, 8))).save(tmp_path / "turned.jpg", exif=exif)
    assert image_files.decode(tmp_path / "turned.jpg").shape == (8, 4, 3)


def test_gray_folders_have_one_channel(tmp_path):
    png(tmp_path / "gray.png", flat(10))
    png(tmp_path / "as_rgb.png", flat(20, (8, 8, 3)))
    assert load(f"folder:{tmp_path}").element.shape == (8, 8, 1)
    png(tmp_path / "red.png", np.zeros([8, 8, 3], "uint8") + np.array([9, 0, 0], "uint8"))
    assert load(f"folder:{tmp_path}").element.shape == (8, 8, 3)


def test_middle_squares(tmp_path):
    wide = np.zeros([16, 48], "uint8")
    wide[:, 12:36] = 255  # the middle square and what the filter sees around it
    png(tmp_path / "a.png", wide)
    png(tmp_path / "b.png", wide.T)
    data = load(f"folder:{tmp_path}", image_size=4)
    for split in "train", "test":
        np.testing.assert_allclose(data.rows(split), np.ones([1, 4, 4, 1]), atol=0.01)


def test_sizes(tmp_path):
    for i in range(3):
        png(tmp_path / f"{i}.png", flat(i, (6, 10)))
    assert load(f"folder:{tmp_path}").element.shape == (6, 10, 1)
    png(tmp_path / "3.png", flat(0, (7, 7)))
    with pytest.raises(InputError, match="0.png is 10x6, 3.png is 7x7. Pass image_size"):
        load(f"folder:{tmp_path}")
    assert load(f"folder:{tmp_path}", image_size=5).element.shape == (5, 5, 1)


def test_classes(tmp_path):
    for i in range(20):
        png(tmp_path / ("cat" if i % 2 else "ant") / f"{i}.png", flat(i))
    data = load(f"folder:{tmp_path}")
    assert data.classes == ("ant", "cat")
    assert 1 <= len(data.test) <= 5
    seen = []
    for split in "train", "test":
        images, labels = data.labelled.batch(split)
        values = np.rint((images[:, 0, 0, 0] + 1) * 127.5)
        np.testing.assert_array_equal(values % 2, labels)
        seen += list(values)
    assert sorted(seen) == list(range(20))
    png(tmp_path / "stray.png", flat(0))
    with pytest.raises(InputError, match="outside"):
        load(f"folder:{tmp_path}")


def test_splits_of_a_folder(tmp_path):
    for i in range(4):
        png(tmp_path / "train" / "abc"[i % 3] / f"{i}.png", flat(i))
    png(tmp_path / "test" / "b" / "9.png", flat(9))
    (tmp_path / "train" / "a" / "0.png").write_bytes(b"not an image")
    with pytest.warns(UserWarning, match="1 of 5"):
        data = load(f"folder:{tmp_path}")
    assert (data.size, len(data.test), data.classes) == (3, 1, ("a", "b", "c"))
    np.testing.assert_array_equal(data.rows("train", column="labels"), [0, 1, 2])  # a/3 b/1 c/2
    np.testing.assert_array_equal(levels.to_levels(data.rows("train"))[:, 0, 0, 0], [3, 1, 2])
    np.testing.assert_array_equal(levels.to_levels(data.rows("test"))[:, 0, 0, 0], [9])
    np.testing.assert_array_equal(data.rows("test", column="labels"), [1])


def test_broken_files_are_named_and_skipped(tmp_path):
    for i in range(4):
        png(tmp_path / f"{i}.png", np.random.RandomState(i).randint(0, 256, [32, 32], "uint8"))
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "2.jpg").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"2 of 5 images .* skipped: (1\.png|2\.jpg)") as caught:
        data = load(f"folder:{tmp_path}")
    assert len(caught) == 1
    assert "1.png" in str(caught[0].message) and "2.jpg" in str(caught[0].message)
    assert data.size + len(data.test) == 3


def test_unusable_folders(tmp_path):
    with pytest.raises(InputError, match="no folder .*missing"):
        load(f"folder:{tmp_path}/missing")
    with pytest.raises(InputError, match="no image that can be read"):
        load(f"folder:{tmp_path}")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="no image"), pytest.warns(UserWarning):
        load(f"folder:{tmp_path}")
    png(tmp_path / "a.png", flat(0))
    with pytest.raises(InputError, match="one image"):
        load(f"folder:{tmp_path}")


def test_a_folder_larger_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "memory", lambda: 8 * 8 * 3 * 2 * 2)
    for i in range(3):
        png(tmp_path / f"{i}.png", flat(i))
    with pytest.raises(InputError, match="image_size"):
        load(f"folder:{tmp_path}")
    assert load(f"folder:{tmp_path}", image_size=4).size == 2


# Data that change


@pytest.fixture
def letters(tmp_path):
    """A folder of 30 images of three classes."""
    for i in range(30):
        png(tmp_path / "set" / "abc"[i % 3] / f"{i:02d}.png", flat(i))
    return tmp_path / "set"


def told(data):
    """A description as `run.json` has it."""
    return json.loads(json.dumps(data.describe()))


def change(case, root):
    if case == "come":
        for i in range(4):
            png(root / "b" / f"new_{i}.png", flat(99))
    elif case == "gone":
        for i in (0, 4):
            (root / "abc"[i % 3] / f"{i:02d}.png").unlink()
    elif case == "longer":
        png(root / "a" / "00.png", np.random.RandomState(0).randint(0, 255, [8, 8], "uint8"))
    elif case == "class":
        png(root / "d" / "x.png", flat(9))
    elif case == "less":
        for file in (root / "c").iterdir():
            file.unlink()
    elif case == "shape":
        for file in root.rglob("*.png"):
            png(file, flat(1, (4, 6)))


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("none", []),
        (
            "come",
            ["train had", "4 files have come: b/new_0.png, b/new_1.png, b/new_2.png and 1 more"],
        ),
        ("gone", ["2 files are gone"]),
        ("longer", ["1 file has another size: a/00.png"]),
        ("class", ["it had 3 classes, now 4 (with d)", "1 file has come: d/x.png"]),
        ("less", ["it had 3 classes, now 2 (without c)", "10 files are gone"]),
        ("shape", ["images were images [8, 8, 1] and are images [4, 6, 1]"]),
    ],
)
def test_changes_are_named(letters, case, words):
    before = told(load(f"folder:{letters}"))
    change(case, letters)
    found = changes(before, load(f"folder:{letters}"))
    for word in words:
        assert any(sentence.startswith(word) for sentence in found), found
    assert words or not found


def test_rows_that_changed_within_their_files_are_noticed(letters):
    png(letters / "a" / "x.bmp", flat(76))
    before = told(load(f"folder:{letters}"))
    png(letters / "a" / "x.bmp", flat(77))  # as many bytes as before
    assert changes(before, load(f"folder:{letters}")) == ["some of its rows are not what they were"]


def test_many_files_are_not_remembered_one_by_one(letters, monkeypatch):
    monkeypatch.setattr("tfgen.data.data.NAMED", 5)
    before = told(load(f"folder:{letters}"))
    assert before["files"] == ""
    change("come", letters)
    assert all(
        sentence.startswith(("train", "test"))
        for sentence in changes(before, load(f"folder:{letters}"))
    )


def test_labels_are_those_of_the_description():
    def data(classes, labels):
        rows = np.arange(6, dtype="float32")[:, None]
        split = {"points": rows, "labels": np.array(labels)}
        return of_arrays("named", {"train": split, "test": split}, classes)

    old = data(("0", "1", "10", "2"), [0, 1, 2, 3, 3, 2])
    new = data(("0", "1", "2", "10"), [0, 1, 3, 2, 2, 3])
    assert changes(told(old), new) == []
    same = matched(told(old), new)
    np.testing.assert_array_equal(same.rows("train", column="labels"), [0, 1, 2, 3, 3, 2])
    more = matched(told(old), data(("0", "1", "11", "2", "10"), [0, 1, 4, 2, 3, 4]))
    np.testing.assert_array_equal(more.rows("train", column="labels"), [0, 1, 2, 3, 2])
    np.testing.assert_array_equal(more.rows("train")[:, 0], [0, 1, 2, 4, 5])
    assert more.size == 5 and more.classes == old.classes


def test_a_folder_is_found_again_from_anywhere(letters, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = load("folder:set")
    description = told(data)
    assert description["origin"] == f"folder:{letters}" and data.name == "folder:set"
    (tmp_path / "elsewhere" / "set").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = sets.load_again(description, "folder:set")
    np.testing.assert_array_equal(again.rows("train"), data.rows("train"))
    # Gone: another folder of this name is not taken for it; itself, moved, is.
    letters.rename(tmp_path / "hidden")
    for i in range(30):
        png(tmp_path / "elsewhere" / "set" / "abc"[i % 3] / f"{i:02d}.png", flat(200))
    with pytest.raises(InputError, match=f"no folder '{letters}'"):
        sets.load_again(description, "folder:set")
    (tmp_path / "elsewhere" / "set").rename(tmp_path / "other")
    (tmp_path / "hidden").rename(tmp_path / "elsewhere" / "set")
    again = sets.load_again(description, "folder:set")
    np.testing.assert_array_equal(again.rows("train"), data.rows("train"))


def test_a_description_gives_the_data_without_their_rows(letters):
    data = load(f"folder:{letters}")
    again = described(told(data), lambda: data.splits)
    for field in ("name", "columns", "sizes", "classes", "words", "feed", "paired", "origin"):
        assert getattr(again, field) == getattr(data, field), field
    np.testing.assert_array_equal(again.rows("test"), data.rows("test"))


# Classes by name


def test_labels_by_name_or_number():
    def data(*classes):
        rows = {"points": np.zeros([9, 2], "float32"), "labels": np.arange(9) % len(classes)}
        return of_arrays("named", {"train": rows, "test": rows}, classes)

    clothes = data("shirt", "shoe", "bag")
    assert [clothes.label(text) for text in ("shoe", "2", 2, "shirt")] == [1, 2, 2, 0]
    for text, words in (
        ("shoes", "label shoes: .*Did you mean 'shoe'.*0 shirt, 1 shoe, 2 bag"),
        ("3", "label 3: there is no such class.*2 bag"),
        ("-1", "no such class"),
        ("", "no such class"),
        (9, "label 9"),
    ):
        with pytest.raises(InputError, match=words):
            clothes.label(text)
    mixed = data("0", "1", "10", "11", "2")
    with pytest.warns(UserWarning, match="label 2 is taken as the class .*number is 4;.*is '10'"):
        assert mixed.label("2") == 4
    assert mixed.label(2) == 2  # an int is a number
    assert (mixed.label("10"), mixed.label("3")) == (2, 3)
    with pytest.raises(InputError, match="no classes"):
        load("swiss_roll").label("0")


def test_rows_of_a_class(digits):
    sevens = digits.rows_of(7, "test")
    images, labels = digits.labelled.batch("test")
    np.testing.assert_array_equal(sevens, images[labels == 7])
    assert len(digits.rows_of(7, "train", 5)) == 5
    rows = {"points": np.zeros([3, 2], "float32"), "labels": np.array([0, 0, 0])}
    one = of_arrays("one", {"train": rows, "test": rows}, ("common", "rare"))
    with pytest.raises(InputError, match="'one' has no test rows of the class 'rare'"):
        one.rows_of(1)


# Mirroring


def test_half_of_the_training_images_are_mirrored(digits):
    data = digits.mirrored
    plain, changed = (next(iter(d.batches(400, seed=2))).numpy() for d in (digits, data))
    kept = (plain == changed).all(axis=(1, 2, 3))
    turned = (plain[:, :, ::-1] == changed).all(axis=(1, 2, 3))
    assert (kept | turned).all() and abs(turned.mean() - 0.5) < 0.1
    again = next(iter(data.batches(400, seed=2))).numpy()
    np.testing.assert_array_equal(again, changed)
    tested = [next(iter(d.batches(100, split="test"))).numpy() for d in (digits, data)]
    np.testing.assert_array_equal(*tested)
    np.testing.assert_array_equal(data.rows("train", 50), digits.rows("train", 50))
    with pytest.raises(InputError, match="are points: only images are mirrored"):
        _ = load("ring").mirrored


def test_both_of_a_pair_are_mirrored_alike():
    data = load("digit_pairs").mirrored
    (a, b), (c, d) = (next(iter(x.batches(100))) for x in (load("digit_pairs"), data))
    turned = [(plain != other).numpy().any(axis=(1, 2, 3)) for plain, other in ((a, c), (b, d))]
    np.testing.assert_array_equal(*turned)
    assert 30 < turned[0].sum() < 70


def test_the_share_of_gray():
    def data(level):
        images = np.full([20, 4, 4, 1], level, "uint8")
        images[:, :, 0] = 0
        return of_arrays("flat", {"train": {"images": images}, "test": {"images": images}})

    assert data(255).gray_share == data(20).gray_share == 0.0
    assert data(128).gray_share == 0.75


# Names, and sets of TensorFlow Datasets


def test_unknown_names_are_met_with_the_known():
    with pytest.raises(InputError, match="Did you mean 'digits'.*mnist, fashion_mnist, cifar10"):
        load("digit")
    with pytest.raises(InputError, match="image_size 0"):
        load("digits", image_size=0)


def test_names_need_no_tensorflow():
    script = """if True:
        import sys
        from tfgen.data import names
        print(*(f"{known.name}={known.where}" for known in names.names()))
        slow = {"tensorflow", "keras", "sklearn", "tensorflow_datasets", "numpy"}
        print(sorted(slow & set(sys.modules)))
    """
    lines = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()
    assert {"digits=embedded", "ring=embedded", "folder:PATH=yours"} <= set(lines[0].split())
    assert lines[1] == "[]"


def test_names_tell_what_is_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert {known.where for known in names.names() if known.name in names.DOWNLOADED} == {
        "to be downloaded"
    }
    (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)
    (tmp_path / "cifar10" / "3.0.2" / "dataset_info.json").write_text("{}")
    assert [known.name for known in names.names() if known.where == "on disk"] == ["cifar10"]


def test_every_embedded_name_loads():
    for name in names.EMBEDDED:
        assert load(name).name == name


def test_mnist(real_data):
    data = load("mnist")
    assert (data.size, len(data.test), len(data.classes)) == (60_000, 10_000, 10)
    assert data.element.shape == (28, 28, 1)
    images, labels = data.labelled.batch("test")
    assert labels[:5].tolist() == [2, 0, 4, 8, 7]  # as TFDS stores them
    assert images.shape == (10_000, 28, 28, 1)
    assert abs(levels.to_unit(images).mean() - 0.1325) < 1e-3  # the mean that is published


def test_sets_are_scaled_as_they_are_read(real_data):
    import tensorflow_datasets as tfds

    builder = tfds.builder("mnist", data_dir=real_data)
    images, labels = sets._read(builder, "test", "image", None, (16, 16, 1))
    assert images.shape == (10_000, 16, 16, 1)
    assert labels is None
    # The negative lobes of Lanczos are clipped at black, so the mean grows by a little.
    assert 0.13 < images.mean() / 255 < 0.14


@pytest.fixture
def no_network(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "sets"))
    monkeypatch.setattr(sets.urllib.request, "urlopen", refuse)
    return tmp_path / "sets"


@pytest.mark.parametrize("name", ["cifar10", "tfds:cifar10"])
def test_a_set_that_cannot_be_had(no_network, name, capfd):
    with pytest.raises(InputError) as caught:
        load(name)
    text = str(caught.value)
    for part in (
        str(no_network),
        "no route",
        "TFDS_DATA_DIR",
        "tfds build cifar10",
        "digits, digit_pairs",
    ):
        assert part in text
    assert not no_network.exists()
    assert "WARNING" not in capfd.readouterr().err


def test_a_server_that_answers_is_no_problem(monkeypatch):
    def forbid(*args, **kwargs):
        raise urllib.error.HTTPError("http://x", 403, "Forbidden", {}, io.BytesIO())

    monkeypatch.setattr(sets.urllib.request, "urlopen", forbid)
    assert sets._unreachable("http://x") is None


def test_sets_that_do_not_suit(no_network):
    with pytest.raises(InputError, match="celeba.*celeb_a"):
        load("tfds:celeba")
    with pytest.raises(InputError, match="no images, but text, label"):
        load("tfds:imdb_reviews")
    with pytest.raises(InputError, match="differ in size"):
        load("tfds:lsun/classroom")


# Shapes and grays that a recipe cannot use


@pytest.fixture
def tall(tmp_path):
    """A folder of 20 images of two classes, 16 pixels wide and 32 high."""
    for i in range(20):
        png(tmp_path / "tall" / "ab"[i % 2] / f"{i}.png", flat(10 * i, (32, 16)))
    return f"folder:{tmp_path / 'tall'}"


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("dcgan", {}),
        ("acgan", {}),
        ("projection_gan", {}),
        ("cgan", {"network": "conv"}),
        ("vae", {"network": "conv"}),
        ("lsgan", {"network": "dcgan"}),
    ],
)
def test_what_is_no_square_is_refused_before_anything_starts(tall, tmp_path, model, given):
    setup = Setup(tall)
    with pytest.raises(
        InputError, match="images of 16x32 pixels are no squares: give an image_size"
    ):
        train(zoo.find(model), tmp_path / "run", given | {"batch_size": 4}, setup, verbose=0)
    assert not (tmp_path / "run").exists()


def test_pairs_that_are_no_squares_are_trained(tmp_path):
    for i in range(6):
        for side in "AB":
            png(tmp_path / "p" / side / f"{i}.png", flat(20 * i, (32, 16)))
    given = {"width": 2, "batch_size": 2, "jitter": 1}
    setup = Setup(f"pairs:{tmp_path / 'p'}")
    model = train(zoo.find("pix2pix"), tmp_path / "run", given, setup, steps=1, verbose=0)
    assert model.translate(tf.zeros([1, 32, 16, 1]), tf.constant([0])).shape == (1, 32, 16, 1)


def test_coins_for_gray_pixels_are_told(tmp_path):
    images = np.random.RandomState(0).randint(60, 200, [40, 8, 8], "uint8")
    images[:, :1] = 0
    data = from_arrays(images)
    given = {"latent_dim": 2, "hidden": 4, "batch_size": 10}
    with pytest.warns(UserWarning, match="88% of the pixels of arrays are gray, .*pixels=gaussian"):
        train(zoo.find("vae"), tmp_path / "coins", given, Setup(data), steps=1, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Note)
        gaussian = given | {"pixels": "gaussian"}
        train(zoo.find("vae"), tmp_path / "levels", gaussian, Setup(data), steps=1, verbose=0)
        black = from_arrays(np.where(images > 130, 255, 0).astype("uint8"))
        train(zoo.find("vae"), tmp_path / "bits", given, Setup(black), steps=1, verbose=0)
