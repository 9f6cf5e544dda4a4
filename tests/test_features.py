"""Features by name, their cache, and what is made of them."""

import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgen import InputError, load, metrics
from tfgen.metrics import cache, classifier, evaluation, extractors, perceptual, squeezenet

WEIGHTS = pathlib.Path(os.environ.get("TFGEN_WEIGHTS", ""))


def needs(file):
    return pytest.mark.skipif(
        not (WEIGHTS / file).is_file(), reason=f"needs {file} in the folder TFGEN_WEIGHTS"
    )


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
    extractors._kept.clear()
    perceptual._distance.cache_clear()


def pictures(count=5, size=28, channels=1, seed=0):
    return np.random.RandomState(seed).rand(count, size, size, channels).astype("float32") * 2 - 1


# --- extractors ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (33, 50, 3)])
def test_random_features_of_any_size(shape):
    images = np.random.RandomState(0).rand(70, *shape).astype("float32") * 2 - 1
    extract = metrics.features("random")
    rows = extract(images)
    assert rows.shape == (70, 128) and rows.dtype == "float32"
    assert rows.std(axis=0).min() > 0
    np.testing.assert_allclose(extract(images[64:65])[0], rows[64], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(extractors._random()(images[:4]), rows[:4], rtol=1e-4, atol=1e-5)


def test_a_stream_has_the_features_of_the_array():
    images, extract = pictures(130), metrics.features("random")
    batches = tf.data.Dataset.from_tensor_slices(images).batch(32)
    rows = extract(images)
    np.testing.assert_allclose(extract(batches), rows, rtol=1e-4, atol=1e-5)
    moments = metrics.Moments()
    for part in extract.stream(batches):
        moments.update(part)
    assert moments.count == 130
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_pixels_are_the_values():
    images = pictures(3, 4, 3)
    np.testing.assert_array_equal(metrics.features("pixels")(images), images.reshape(3, -1))
    random = np.random.RandomState(0)
    for shape in ((5, 2), (5, 7, 2), (5, 3, 4, 4, 1)):  # points, trajectories, videos
        rows = 10 * random.randn(*shape).astype("float32")
        found = metrics.features("pixels")(rows)
        np.testing.assert_array_equal(found, rows.reshape(5, -1))
    with pytest.raises(InputError, match="tokens have no distances"):
        metrics.features("pixels")(random.randint(9, size=[5, 7]))


def test_the_width_of_features_is_known_before(digits):
    for name in ("random", "pixels", "classifier:digits"):
        rows = metrics.features(name, digits)(digits.rows("test", 3))
        assert rows.shape[1] == extractors.width(name, digits)


@pytest.mark.parametrize(
    "call, problem",
    [
        (lambda: metrics.features("incepton"), "no features 'incepton'.*inception-clean"),
        (lambda: metrics.features("classifier"), "Which data"),
        (lambda: metrics.features("classifier:ring"), "'ring' has no labelled images"),
        (lambda: metrics.features("classifier:mnist", load("ring")), "'mnist'.*'ring'"),
        (lambda: metrics.features("random")(pictures() * 3), r"stated as \[-1, 1\]"),
        (lambda: metrics.features("random")(pictures() * np.nan), "5 of 5 rows"),
        (lambda: metrics.features("random")(pictures()[:0]), "at least 1"),
        (lambda: metrics.features("random")(tf.data.Dataset.range(0)), "empty"),
        (lambda: metrics.features("random").probabilities(pictures()), "no classes"),
    ],
)
def test_bad_input_is_named(call, problem):
    with pytest.raises(InputError, match=problem):
        call()


# --- resizing --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 20, 61])
def test_clean_resizing_is_that_of_pillow(size):
    image = pictures(1, 20)[0, :, :, 0] * 0.5
    theirs = np.asarray(Image.fromarray(image).resize([size, size], Image.Resampling.BICUBIC))
    ours = extractors.clean(image[None, :, :, None], size)[0, :, :, 0]
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_the_resizing_of_tensorflow_1_aligns_the_first_corner():
    row = tf.constant([0.0, 1.0])[None, None, :, None] * tf.ones([1, 2, 1, 1])
    assert extractors.tf1(row, 4)[0, 0, :, 0].numpy().tolist() == [0, 0.5, 1, 1]


# --- the classifier --------------------------------------------------------------------------


def test_the_classifier_is_trained_once(digits, monkeypatch):
    extract = metrics.features("classifier:digits")
    assert extract.name == "classifier:digits" and extract.accuracy > 0.95
    images, labels = digits.labelled.batch("test")
    assert (extract.probabilities(images).argmax(axis=1) == labels).mean() == extract.accuracy
    rows = extract(images)
    assert rows.shape == (len(images), 64)
    assert rows.std(axis=0).min() > 0.2 and rows.std(axis=0).max() < 2
    # Another process finds it in the cache.
    extractors._kept.clear()
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "train", lambda *args, **kwargs: pytest.fail("trained again"))
        again = metrics.features("classifier", digits)
    assert (again.name, again.accuracy) == (extract.name, extract.accuracy)
    np.testing.assert_array_equal(again(images), rows)
    # A broken file is noticed.
    extractors._kept.clear()
    whole = {path: path.read_bytes() for path in cache.folder().glob("classifier-*")}
    (stored,) = (path for path in whole if path.suffix == ".h5")
    stored.write_bytes(whole[stored][: len(whole[stored]) // 2])
    monkeypatch.setattr(classifier, "train", lambda *args, **kwargs: 0.125)
    assert metrics.features("classifier:digits").accuracy == 0.125
    extractors._kept.clear()
    for path, content in whole.items():
        path.write_bytes(content)


def test_the_identity_of_a_classifier_is_its_content(digits):
    other = digits.resized(8)
    assert classifier.identity(other) == classifier.identity(digits)
    assert classifier.identity(digits.resized(9)) != classifier.identity(digits)


def test_the_classifier_is_sure_of_digits_and_not_of_noise(digits):
    """Of noise of kinds that it has not seen in training, too."""
    probabilities = metrics.features("classifier", digits).probabilities
    random, reals = np.random.RandomState(0), digits.rows("test")
    known = metrics.recognised(probabilities(reals))
    assert known.share > 0.9 and known.entropy > 0.99
    shape = (300, 8, 8, 1)
    noises = {
        "uniform": random.uniform(-1, 1, shape),
        "bits": np.sign(random.randn(*shape)),
        "weak": np.clip(0.3 * random.randn(*shape), -1, 1),
        "flat": np.broadcast_to(np.linspace(-1, 1, 300)[:, None, None, None], shape),
        "few pixels": np.where(random.rand(*shape) < 0.1, 1.0, -1.0),
        "permuted": reals.reshape(-1, 64)[:, random.permutation(64)].reshape(-1, 8, 8, 1),
    }
    for kind, noise in noises.items():
        assert metrics.recognised(probabilities(noise.astype("float32"))).share < 0.03, kind
    one = digits.rows("train")[digits.rows("train", column="labels") == 3]
    collapsed = metrics.recognised(probabilities(one))
    assert collapsed.share > 0.9 and collapsed.entropy < 0.05


# --- the cache -------------------------------------------------------------------------------


def test_the_cache_computes_once_and_mends_what_is_broken():
    calls = []

    def make():
        calls.append(1)
        return np.arange(6.0).reshape(2, 3)

    for _ in range(2):
        np.testing.assert_array_equal(cache.array("six", make), np.arange(6.0).reshape(2, 3))
    assert len(calls) == 1
    path = cache.folder() / "six.npy"
    path.write_bytes(path.read_bytes()[:-9])
    np.testing.assert_array_equal(cache.array("six", make), np.arange(6.0).reshape(2, 3))
    assert len(calls) == 2
    assert not [child for child in cache.folder().iterdir() if child.is_dir()]


def test_keys_depend_on_content_shape_and_borders():
    rows = np.arange(6.0)
    keys = [("ab", "c"), ("a", "bc"), (rows,), (rows.reshape(2, 3),), (rows.astype("float32"),)]
    assert len({cache.key(*parts) for parts in keys}) == len(keys)
    assert cache.key(rows[::2]) == cache.key(rows[::2].copy())


# --- evaluation: see tests/test_evaluation.py -------------------------------------------------


def test_the_reference_is_computed_once(digits, monkeypatch):
    extract = metrics.features("random")
    rows = evaluation.reference(extract, digits, "test", 50)
    monkeypatch.setattr(extract, "_all", lambda *args: pytest.fail("computed again"))
    np.testing.assert_array_equal(evaluation.reference(extract, digits, "test", 50), rows)


# --- networks with trained weights -----------------------------------------------------------


def test_missing_weights_are_named(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setenv("TFGEN_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", offline)
    extractors._kept.clear()
    for name in ("inception", "squeezenet"):
        with pytest.raises(InputError, match="URL fetch failure.*TFGEN_WEIGHTS.*classifier:"):
            metrics.features(name)
    perceptual._distance.cache_clear()
    with pytest.raises(InputError, match="lpips_squeeze_lin.npz is not.*calibrated layers"):
        metrics.lpips(pictures(1, 40, 3), pictures(1, 40, 3))


def test_inception_loads_a_file_and_resizes_by_name(monkeypatch, tmp_path):
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    keras.utils.set_random_seed(0)
    model = keras.applications.InceptionV3(weights=None)
    with h5py.File(tmp_path / extractors.INCEPTION_FILE, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    monkeypatch.setenv("TFGEN_WEIGHTS", str(tmp_path))
    extractors._kept.clear()
    clean, tf1 = metrics.features("inception"), metrics.features("inception-tf1")
    assert (clean.name, tf1.name) == ("inception-clean", "inception-tf1")
    images = pictures(2, 32, 3)
    layers = keras.Model(model.input, model.get_layer("avg_pool").output)
    for extract, resize in ((clean, extractors.clean), (tf1, extractors.tf1)):
        rows = extract(images)
        assert rows.shape == (2, 2048)
        np.testing.assert_allclose(rows, layers(resize(images, 299)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(clean.probabilities(images).sum(axis=1), 1, rtol=1e-4)
    assert clean.probabilities(images[..., :1]).shape == (2, 1000)
    extractors._kept.clear()


@needs(squeezenet.CAFFE_FILE)
def test_squeezenet_takes_images_as_its_authors_trained_it():
    import h5py

    with h5py.File(WEIGHTS / squeezenet.CAFFE_FILE) as stored:
        kernel, bias = (stored["conv1"][n][()] for n in stored["conv1"].attrs["weight_names"])
    images = pictures(2, 41, 3)
    levels = ((images + 1) * 127.5)[..., ::-1] - np.array(squeezenet.CAFFE_MEAN, "float32")
    expected = tf.nn.relu(tf.nn.conv2d(levels, kernel, 2, "VALID") + bias)
    maps = squeezenet.caffe()(images)
    np.testing.assert_allclose(maps[0], expected, rtol=1e-3, atol=1e-2)
    assert [m.shape[-1] for m in maps] == [64, 128, 256, 384, 384, 512, 512]
    assert maps[-1].shape[1:3] == (2, 2)  # 41 -> 20 -> 10 -> 5 -> 2, all remainders pooled


@needs(squeezenet.CAFFE_FILE)
def test_squeezenet_knows_photographs_apart():
    import sklearn.datasets

    crops = [
        photo[i : i + 64, j : j + 64] / 127.5 - 1
        for photo in sklearn.datasets.load_sample_images().images
        for i in range(0, 350, 128)
        for j in range(0, 570, 128)
    ]
    rows = metrics.features("squeezenet")(np.array(crops, "float32"))
    assert rows.shape == (len(crops), 512)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    alike = rows @ rows.T - 2 * np.eye(len(rows))
    photo = np.arange(len(rows)) // (len(rows) // 2)
    assert (photo[alike.argmax(axis=1)] == photo).mean() > 0.85


# --- LPIPS -----------------------------------------------------------------------------------


@needs(squeezenet.CAFFE_FILE)
def test_plain_lpips_grows_with_damage():
    import sklearn.datasets

    photo = (sklearn.datasets.load_sample_image("china.jpg")[:96, 100:196] / 127.5 - 1)[None]
    photo = photo.astype("float32")
    noise = np.random.RandomState(0).randn(*photo.shape).astype("float32")
    values = [
        metrics.lpips(photo, np.clip(photo + amount * noise, -1, 1), calibrated=False)[0]
        for amount in (0.0, 0.05, 0.2, 0.8)
    ]
    assert values[0] == 0 and (np.diff(values) > 0.01).all()
    gray = photo.mean(axis=-1, keepdims=True)
    same = metrics.lpips(gray, np.repeat(gray, 3, axis=-1)[..., :1], calibrated=False)
    assert same == pytest.approx([0])


def test_lpips_is_that_of_the_package(monkeypatch, tmp_path):
    """With the package's calibrated layers, on a network of PyTorch's shape with random weights."""
    lpips = pytest.importorskip("lpips", exc_type=Exception)
    import torch
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    network = squeezenet1_1(weights=None)
    model = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False)
    slices = [getattr(model.net, f"slice{i + 1}") for i in range(7)]
    for part in slices:
        for name, layer in part.named_children():
            layer.load_state_dict(network.features[int(name)].state_dict())
    np.savez(
        tmp_path / squeezenet.TORCH_FILE,
        **{key: value.numpy() for key, value in network.state_dict().items()},
    )
    linear = {f"lin{i}.model.1.weight": model.lins[i].model[1].weight for i in range(7)}
    np.savez(
        tmp_path / perceptual.LINEAR_FILE, **{k: v.detach().numpy() for k, v in linear.items()}
    )
    monkeypatch.setenv("TFGEN_WEIGHTS", str(tmp_path))
    perceptual._distance.cache_clear()
    for size in (64, 65, 70):  # remainders of pooling
        a, b = pictures(3, size, 3), pictures(3, size, 3, seed=1)
        theirs = model(*(torch.tensor(x.transpose(0, 3, 1, 2)) for x in (a, b)))
        ours = metrics.lpips(a, b)
        np.testing.assert_allclose(ours, theirs.detach().numpy().ravel(), rtol=1e-4)
    perceptual._distance.cache_clear()


@needs(squeezenet.TORCH_FILE)
@needs(perceptual.LINEAR_FILE)
def test_lpips_has_its_published_value():
    """The example of torchmetrics' documentation, whose answer is 0.1008."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(123)
    a, b = ((torch.rand(10, 3, 100, 100) * 2 - 1).numpy().transpose(0, 2, 3, 1) for _ in range(2))
    assert metrics.lpips(a, b).mean() == pytest.approx(0.1008, abs=1e-4)
