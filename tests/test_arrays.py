"""A user's own arrays: what is taken, what is refused and how, and that recipes take the rest."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
import zoo
from tfgen import from_arrays
from tfgen.data import image_files
from tfgen.endpoint import Element
from tfgen.errors import InputError
from tfgen.runs import opening
from tfgen.runs.recipes import Setup

RANDOM = np.random.RandomState(0)
BYTES = RANDOM.randint(0, 256, [40, 8, 8, 3]).astype("uint8")
FLOATS = (BYTES / 127.5 - 1).astype("float32")
LABELS = np.arange(40) % 4
HIGH = int(BYTES[:, 0, :, 0].max())


def everything(data, column=None):
    return np.concatenate([data.rows(split, column=column) for split in ("train", "test")])


# What is taken


@pytest.mark.parametrize(
    ("rows", "element"),
    [
        (BYTES, Element("images", (8, 8, 3), "float32", -1.0, 1.0)),
        (BYTES[..., 0], Element("images", (8, 8, 1), "float32", -1.0, 1.0)),
        (list(BYTES), Element("images", (8, 8, 3), "float32", -1.0, 1.0)),
        (FLOATS, Element("images", (8, 8, 3), "float32", -1.0, 1.0)),
        (FLOATS.astype("float64")[..., 0], Element("images", (8, 8, 1), "float32", -1.0, 1.0)),
        (tf.constant(FLOATS, tf.float16), Element("images", (8, 8, 3), "float32", -1.0, 1.0)),
        (FLOATS[:, 0, 0], Element("points", (3,))),
        (FLOATS[:, 0, 0, 0].tolist(), Element("points", (1,))),
        (100 * FLOATS[:, 0], Element("trajectories", (8, 3))),
        (BYTES[:, 0, :, 0].astype(int), Element("tokens", (8,), "int32", 0, HIGH)),
        (BYTES[:, 0, :, 0].astype("uint16").tolist(), Element("tokens", (8,), "int32", 0, HIGH)),
        (BYTES[:, None], Element("videos", (1, 8, 8, 3), "float32", -1.0, 1.0)),
        (BYTES[..., 0] > 99, Element("masks", (8, 8, 1), "float32", 0.0, 1.0)),
    ],
)
def test_rows_are_known_by_type_and_shape(rows, element):
    data = from_arrays(rows)
    assert data.element == element and data.feed == (element.name,) and not data.classes
    assert (data.size, data.size_of("test")) == (36, 4)
    found, truth = everything(data), np.asarray(rows, "float64").reshape(40, *element.shape)
    if np.asarray(rows).dtype == np.uint8:
        truth = truth / 127.5 - 1
    assert found.dtype == element.dtype
    order = np.lexsort(found.reshape(40, -1).T), np.lexsort(truth.reshape(40, -1).T)
    np.testing.assert_allclose(found[order[0]], truth[order[1]], atol=1e-3, rtol=1e-6)


def test_columns_by_name():
    data = from_arrays(
        {
            "images": FLOATS[..., 0],  # without the name they would be trajectories or images
            "masks": np.ones([40, 8, 8]),
            "captions": LABELS[:, None] + np.arange(5),
            "attributes": FLOATS[:, 0, 0].astype("float64"),
            "depth": BYTES[..., :1],
            "trajectories": FLOATS[:, 0],
        },
        labels=LABELS,
        words=["a", "man", "sits", "on", "the", "red", "chair", "."],
    )
    assert data.feed == ("images",) and data.words[1] == "man"
    kinds = {column: (element.name, element.kind) for column, element in data.columns.items()}
    assert kinds == {
        "images": ("images", "images"),
        "masks": ("masks", "masks"),
        "captions": ("captions", "tokens"),
        "attributes": ("attributes", "numbers"),
        "depth": ("images", "images"),
        "trajectories": ("trajectories", "trajectories"),
        "labels": ("labels", "labels"),
    }
    assert data.columns["depth"].column == "depth"
    assert data.columns["captions"].high == 7
    np.testing.assert_array_equal(data.rows("train", column="masks"), 1.0)
    captions = data.rows("test", column="captions")
    np.testing.assert_array_equal(captions[:, 0], data.rows("test", column="labels"))


def test_two_domains():
    pairs = from_arrays({"a": BYTES, "b": 255 - BYTES})
    assert pairs.has_domains and pairs.paired and len(pairs.rows("test")) == 4
    a, b = pairs.batch("test")
    np.testing.assert_allclose(a, -b, atol=1e-6)
    apart = from_arrays({"a": BYTES, "b": BYTES[:30]})
    assert apart.has_domains and not apart.paired
    assert [len(rows) for rows in apart.batch("test")] == [4, 3]


def test_a_test_split_of_ones_own():
    data = from_arrays(BYTES, LABELS, test=(BYTES[:7], LABELS[:7, None].astype("uint8")))
    assert (data.size, len(data.test)) == (40, 7)
    np.testing.assert_array_equal(data.rows("test", column="labels"), LABELS[:7])
    images = from_arrays({"images": BYTES}, test={"images": BYTES[:5]})
    assert len(images.test) == 5 and not images.classes


@pytest.mark.parametrize(
    ("labels", "classes", "names", "numbers"),
    [
        (LABELS, None, "0 1 2 3", LABELS),
        (LABELS[:, None].astype("uint8"), None, "0 1 2 3", LABELS),
        (LABELS.tolist(), ["a", "b", "c", "d", "e"], "a b c d e", LABELS),
        (np.array(["10", "2", "1", "x"])[LABELS], None, "1 2 10 x", np.array([2, 1, 0, 3])[LABELS]),
        (np.array([b"dog", b"cat"])[LABELS % 2], None, "cat dog", 1 - LABELS % 2),
        (np.array(["dog", "cat"], object)[LABELS % 2], ["dog", "cat"], "dog cat", LABELS % 2),
        (LABELS > 1, None, "0 1", LABELS // 2),
    ],
)
def test_labels(labels, classes, names, numbers):
    data = from_arrays(np.arange(40.0)[:, None], labels, classes=classes)
    assert data.classes == tuple(names.split())
    points, found = data.labelled.batch("train")
    np.testing.assert_array_equal(found, numbers[points[:, 0].astype(int)])


def datasets():
    rows = tf.data.Dataset.from_tensor_slices(BYTES)
    pairs = tf.data.Dataset.from_tensor_slices((BYTES, LABELS))
    dicts = tf.data.Dataset.from_tensor_slices({"images": BYTES, "labels": LABELS})
    return {
        "rows": rows,
        "pairs": pairs,
        "dicts": dicts,
        "batches": rows.batch(16),
        "batched pairs": pairs.batch(16),
        "even batches": pairs.batch(8, drop_remainder=True),
        "batched dicts": dicts.batch(7),
        "generated": tf.data.Dataset.from_generator(
            lambda: zip(BYTES, LABELS, strict=True),
            output_signature=(tf.TensorSpec([None, None, 3], "uint8"), tf.TensorSpec([], "int32")),
        ),
    }


@pytest.mark.parametrize("case", list(datasets()))
def test_datasets(case):
    data = from_arrays(datasets()[case])
    truth = from_arrays(BYTES, None if case in ("rows", "batches") else LABELS)
    assert data.columns == truth.columns and data.classes == truth.classes
    assert data.digest == truth.digest


def test_rows_of_arrays_are_held_out_by_their_place():
    """As ever, so that what was measured stays."""
    data = from_arrays(np.arange(40.0))
    order = np.random.RandomState(0).permutation(40)
    np.testing.assert_array_equal(data.rows("test")[:, 0], np.sort(order[36:]))


# What is refused


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (BYTES.astype("float32"), r"lie in \[-1, 1\], but there is 255: divide by 127.5"),
        (BYTES / 255.0, r"these lie in \[0, 1\]: give 2 \* x - 1"),
        (3 * FLOATS, "there is -?3: scale them"),
        (np.where(FLOATS > 0.9, np.nan, FLOATS), "images|rows have values that are not finite"),
        (np.full([9, 2], 1e300), "not finite"),
        (BYTES.astype("int64"), r"int64 \[40, 8, 8, 3\]: .*uint8 in 0..255, .astype\('uint8'\)"),
        (BYTES.astype("int32")[..., 0], "name maps of tokens"),
        (BYTES.astype("uint16"), "uint16"),
        (BYTES.reshape(40, -1), r"uint8 \[40, 192\]: give images as \[N, H, W\], or name tokens"),
        (np.moveaxis(BYTES, -1, 1), r"end with 1 or 3 channels: move .*np.moveaxis\(x, -3, -1\)"),
        (BYTES[..., [0, 1, 2, 2]], r"leave out the last channel, the alpha"),
        (np.zeros([4, 6, 8, 8], "uint8"), r"named, as in \{'videos'"),
        ([BYTES[0], BYTES[0, 1:]], "rows differ in shape"),
        (np.zeros([0, 8, 8], "uint8"), r"has no rows: \[0, 8, 8\]"),
        ([], "has no rows"),
        (["a text", "and another"], "<U11"),
        (np.zeros([2, 2], complex), "complex128"),
        (np.float32(3), r"\[\]: expected images"),
        (BYTES[:1], "has 1 row of images: it takes two"),
        ({"labels": LABELS}, "has no rows, but labels"),
        ({}, "has no rows, but nothing"),
        ({"images": BYTES, "captions": LABELS[:9, None]}, "40 images, 9 captions: give as many"),
        ({"captions": FLOATS[:, 0, 0]}, "tokens are float32 .*expected ints"),
        ({"captions": LABELS[:, None] - 1}, "from -1 to 2: expected ints from 0 on"),
        ({"images": FLOATS[:, 0, 0]}, r"images are float32 \[40, 3\]: expected 4 axes"),
        ({"masks": BYTES[..., :1]}, "expected bool, or 0 and 1"),
        (tf.data.Dataset.from_tensor_slices(BYTES).repeat(), "must end"),
        (tf.data.Dataset.from_tensor_slices(BYTES).take(0), "is empty"),
        (tf.data.Dataset.from_tensor_slices((BYTES, LABELS, LABELS)), "not .*TensorSpec"),
    ],
)
def test_rows_that_cannot_be_used_are_told(rows, words):
    with pytest.raises(InputError, match=words):
        from_arrays(rows)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS[:9], "40 images, 9 labels: give as many"),
        (LABELS - 1, "one is -1: number them from 0 on"),
        (LABELS + 1, "go up to 4, but none is 0: number them from 0 on, or name all"),
        (LABELS * 10**6, "go up to 3000000, but none is 1"),
        (LABELS.astype(float), "float32 .*give an int from 0 on or a name"),
        (np.eye(4)[LABELS], r"\[40, 4\]: give .argmax\(axis=1\)"),
        ([], "has no labels"),
        (np.where(LABELS > 0, np.nan, LABELS), "not finite"),
    ],
)
def test_labels_that_cannot_be_used_are_told(labels, words):
    with pytest.raises(InputError, match=words):
        from_arrays(BYTES, labels)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"labels": LABELS, "test": BYTES[:5]},
            "training have images, labels, those .* images: give",
        ),
        ({"test": BYTES[:5, :4]}, r"\[40, 8, 8, 3\] for training and uint8 \[5, 4, 8, 3\]"),
        ({"labels": LABELS, "classes": ["a", "b"]}, "label 3, but there are 2 names"),
        ({"labels": LABELS, "classes": ["a", "b", "c", "a"]}, "two of the classes have one name"),
        ({"labels": ["x"] * 40, "classes": ["a"]}, "label 'x' is none of a"),
        ({"rows": {"tokens": LABELS[:, None]}, "words": ["no"]}, "token 3, but there are 1 words"),
        ({"rows": {"images": BYTES, "labels": LABELS}, "labels": LABELS}, "a column and as an"),
        ({"rows": tf.data.Dataset.range(9), "labels": LABELS}, "labels in its elements"),
    ],
)
def test_what_does_not_fit_together_is_told(given, words):
    with pytest.raises(InputError, match=words):
        from_arrays(**{"rows": BYTES} | given)


def test_datasets_without_an_end_are_told(monkeypatch):
    monkeypatch.setattr(image_files, "memory", lambda: 4 * BYTES.nbytes)
    endless = tf.data.Dataset.from_tensor_slices(BYTES).repeat().filter(lambda row: True)
    with pytest.raises(InputError, match=r"more rows than .* take\(count\)"):
        from_arrays(endless)


# Recipes take what it gives


def runs():
    small = {"epochs": 1, "batch_size": 12}
    return {
        "vae": (FLOATS[..., 0], None, {"latent_dim": 2, "hidden": 8}),
        "cgan": (BYTES, LABELS, {"network": "conv", "width": 4, "latent_dim": 4}),
        "wgan_gp": (FLOATS[:, 0, 0], None, {"hidden": 8, "n_critic": 1}),
    }, small


@pytest.mark.parametrize("name", list(runs()[0]))
def test_recipes_train_resume_and_open_without_the_arrays(name, tmp_path):
    given, small = runs()
    rows, labels, settings = given[name]
    settings |= small
    data = from_arrays(rows, labels)
    recipe, options = zoo.find(name), {"setup": Setup(data), "verbose": 0}
    whole = tfgen.train(recipe, tmp_path / "whole", settings, **options)
    tfgen.train(recipe, tmp_path / "run", settings, steps=1, **options)
    again = {"setup": Setup(from_arrays(rows, labels)), "verbose": 0}
    pieces = tfgen.train(recipe, tmp_path / "run", settings, **again)
    del data
    opened, described = tfgen.open_run(tmp_path / "run", zoo.find)
    for one, two, three in zip(whole.weights, pieces.weights, opened.weights, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
    found, element = opening.samples(opened, 5)
    assert found.shape == (5, *element.shape) and element == described.element
    assert (tmp_path / "run/samples/epoch_001.png").exists()
    with pytest.raises(InputError, match="came from arrays, which a run does not keep"):
        described.rows("test")


def test_pairs_of_arrays_train_a_translator(tmp_path):
    rows = np.repeat(np.repeat(BYTES[:20], 2, axis=1), 2, axis=2)
    data = from_arrays({"a": rows, "b": 255 - rows})
    given = {"width": 2, "epochs": 1, "batch_size": 4, "jitter": 1}
    tfgen.train(zoo.find("pix2pix"), tmp_path / "run", given, Setup(data), steps=2, verbose=0)
    model, _ = tfgen.open_run(tmp_path / "run", zoo.find)
    assert model.translate(tf.zeros([1, 16, 16, 3]), tf.constant([0])).shape == (1, 16, 16, 3)


def test_arrays_are_resized_and_mirrored(tmp_path):
    given = {"width": 4, "latent_dim": 4, "epochs": 1, "batch_size": 12}
    setup = Setup(from_arrays(FLOATS), image_size=16, mirror=True)
    tfgen.train(zoo.find("dcgan"), tmp_path / "run", given, setup, steps=1, verbose=0)
    model, data = tfgen.open_run(tmp_path / "run", zoo.find)
    assert data.element.shape == (16, 16, 3) == opening.samples(model, 1)[0].shape[1:]
    with pytest.raises(InputError, match=r"mirror=False \(there: True\)"):
        other = setup._replace(mirror=False)
        tfgen.train(zoo.find("dcgan"), tmp_path / "run", given, other, steps=2, verbose=0)


def test_other_arrays_are_not_taken_for_those_of_a_run(tmp_path):
    given = {"latent_dim": 2, "hidden": 8, "epochs": 1, "batch_size": 12}
    recipe = zoo.find("vae")
    tfgen.train(recipe, tmp_path / "run", given, Setup(from_arrays(BYTES)), steps=1, verbose=0)
    for other, words in (
        (255 - BYTES, "some of its rows are not what they were"),
        (BYTES[:30], "train had 36 rows, now 27"),
        (BYTES[:, :4], r"images \[8, 8, 3\] and are images \[4, 8, 3\]"),
    ):
        with pytest.raises(InputError, match=words):
            tfgen.train(recipe, tmp_path / "run", given, Setup(from_arrays(other)), verbose=0)
