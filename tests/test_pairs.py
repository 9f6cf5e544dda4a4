"""Two domains: pairs stay together, the unpaired know nothing of each other, errors name files."""

import unicodedata
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.conftest import mirrored
from tfgen import random
from tfgen.data import load
from tfgen.data.augmentation import jittered
from tfgen.data.pairs import pairs
from tfgen.data.renderings import rendering
from tfgen.errors import InputError


def counted(sizes=(50, 50), paired=True):
    """Images of one pixel whose level is their row."""
    sides = tuple(np.arange(n, dtype="uint8").reshape(n, 1, 1, 1) for n in sizes)
    return pairs("counted", {"train": sides, "test": sides}, paired=paired)


def take(data, count, batch_size=10, **kwargs):
    """The rows of some batches: int `[count, batch_size]` of A and of B."""
    batches = list(data.batches(batch_size, **kwargs).take(count))
    sides = (np.stack([batch[side].numpy()[:, 0, 0, 0] for batch in batches]) for side in (0, 1))
    return [np.rint((side + 1) * 127.5).astype(int) for side in sides]


def noise(size=8, channels=3, count=1, seed=0):
    return np.random.RandomState(seed).randint(0, 256, [count, size, size, channels], "uint8")


def write(path, image, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    (picture.convert(mode) if mode else picture).save(path)


def levels(images):
    return np.rint((images + 1) * 127.5)


# The order of training


def test_pairs_stay_together():
    a, b = take(counted(), 15, seed=4)
    np.testing.assert_array_equal(a, b)
    for epoch in a.reshape(3, 50):
        assert set(epoch) == set(range(50))
    assert len({tuple(epoch) for epoch in a.reshape(3, 50)}) == 3


def test_unpaired_orders_know_nothing_of_each_other():
    a, b = (side.ravel() for side in take(counted((250, 250), paired=False), 250))
    matches = (a == b).mean()
    assert abs(matches - 1 / 250) < 4 * np.sqrt(1 / 250 / len(a))
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(a))
    paired = counted((250, 250)).unpaired
    np.testing.assert_array_equal(take(paired, 9), take(counted((250, 250), paired=False), 9))


def test_the_smaller_domain_begins_anew():
    data = counted((50, 20), paired=False)
    assert data.size == 50 and data.steps_per_epoch(10) == 5
    a, b = take(data, 5)
    assert set(a.ravel()) == set(range(50))
    first, second = b.ravel()[:20], b.ravel()[20:40]
    assert set(first) == set(second) == set(range(20)) and (first != second).any()


def test_batches_depend_on_the_seed_and_the_number_alone():
    data = counted((50, 30), paired=False).jittered(1.2)
    expected = take(data, 20, 8, seed=1)
    for start in 3, 6, 13:
        for whole, late in zip(
            expected, take(data, 20 - start, 8, seed=1, start=start), strict=True
        ):
            np.testing.assert_array_equal(late, whole[start:])
    assert (take(data, 20, 8, seed=2)[0] != expected[0]).mean() > 0.9
    assert data.batches(8).element_spec == (tf.TensorSpec([8, 1, 1, 1], tf.float32),) * 2


def test_replicas_get_halves_of_the_batch():
    data = load("digit_pairs").jittered(1.125)
    strategy = mirrored()
    stream = iter(strategy.experimental_distribute_dataset(data.batches(8, seed=3)))
    for whole in data.batches(8, seed=3).take(3):
        for part, side in zip(next(stream), whole, strict=True):
            for replica, values in enumerate(strategy.experimental_local_results(part)):
                np.testing.assert_array_equal(values, side[4 * replica : 4 * replica + 4])


# Augmentation


def test_both_of_a_pair_are_jittered_alike():
    side = noise(count=6)
    data = pairs("same", {"train": (side, side), "test": (side, side)}).jittered(1.25)
    seen = set()
    for a, b in data.batches(6).take(4):
        np.testing.assert_array_equal(a, b)
        seen |= {image.tobytes() for image in a.numpy()}
    assert len(seen) == 24  # every row, every time, in another way
    for a, b in data.unpaired.batches(6).take(1):
        assert not {image.tobytes() for image in a.numpy()} & {i.tobytes() for i in b.numpy()}
    np.testing.assert_array_equal(next(iter(data.batches(6, split="test")))[0].shape, [6, 8, 8, 3])
    plain = {image.tobytes() for image in data.rows("test")}
    assert {i.tobytes() for i in next(iter(data.batches(6, split="test")))[0].numpy()} == plain


def test_jitter_is_a_crop_of_the_enlarged_image_or_its_mirror():
    images = tf.random.stateless_uniform([40, 8, 8, 1], [1, 2], -1.0, 1.0)
    seeds = tf.stack([tf.range(40), tf.zeros(40, tf.int32)], axis=1)
    found = jittered(images, seeds, 1.25).numpy()
    large = np.clip(tf.image.resize(images, [10, 10], "bicubic"), -1, 1)
    ways = set()
    for image, whole in zip(found, large, strict=True):
        matches = [
            (top, left, flip)
            for top in range(3)
            for left in range(3)
            for flip in (1, -1)
            if np.array_equal(image, whole[top : top + 8, left : left + 8][:, ::flip])
        ]
        assert len(matches) == 1
        ways |= set(matches)
    assert len(ways) > 12  # of 18
    np.testing.assert_array_equal(jittered(images, seeds, 1.25), found)


def test_a_jitter_that_enlarges_nothing_is_told():
    with pytest.raises(InputError, match=r"jitter=0\.5 .*1 \(for none\) to 2"):
        counted().jittered(0.5)


# Digits


@pytest.mark.parametrize(("name", "size"), [("digit_pairs", None), ("digit_unpaired", 24)])
def test_the_truth_of_digits_is_known(name, size):
    data = load(name, size)
    assert data.element.shape == (size or 16, size or 16, 3)
    a, b = data.batch("test")
    assert a.shape == b.shape == (179, *data.element.shape)
    assert np.abs(rendering(a) - b).max() <= 1 / 255 + 1e-6
    a, b = data.batch("train")
    close = np.abs(rendering(a[:200])[:, None] - b[None, :200]).mean(axis=(2, 3, 4)) < 0.02
    assert close.any() == (name == "digit_pairs") == data.paired


def test_a_rendering_is_filled_outlined_and_on_paper():
    image = np.full([1, 5, 5, 3], -1.0)
    image[0, 2, 2] = 1.0
    paper, ink, fill = levels(rendering(image))[0, [0, 1, 2], [0, 2, 2]]
    assert [*map(list, (paper, ink, fill))] == [[24, 32, 96], [255, 244, 214], [226, 104, 40]]


# Files


def test_folders_of_pairs_come_back(tmp_path):
    a, b = noise(count=3), noise(count=3, seed=1)
    for i in range(3):
        write(tmp_path / "train/A" / f"{i}.png", a[i])
        write(tmp_path / "train/B" / f"{i}.bmp", b[i])
        write(tmp_path / "val/A" / f"{i}.png", b[i])
        write(tmp_path / "val/B" / f"{i}.png", a[i])
    data = load(f"pairs:{tmp_path}")
    assert data.paired and data.columns["b"].shape == (8, 8, 3)
    for found, truth in zip(data.batch("train") + data.batch("test"), (a, b, b, a), strict=True):
        np.testing.assert_array_equal(levels(found), truth)
    swapped = data.swapped.batch("train")
    np.testing.assert_array_equal(levels(swapped[0]), b)
    assert load(f"pairs:{tmp_path}", 4).element.shape == (4, 4, 3)


def test_halves_are_a_pair_and_a_tenth_is_held_out(tmp_path):
    a, b = noise(count=20, channels=1), noise(count=20, channels=1, seed=1)
    for i in range(20):
        write(tmp_path / f"{i:02d}.png", np.concatenate([a[i], b[i]], axis=1))
    data = load(f"pairs:{tmp_path}")
    assert data.element.shape == (8, 8, 1)
    truth = {x.tobytes(): y for x, y in zip(a, b, strict=True)}
    sizes = []
    for split in ("train", "test"):
        rows = [levels(side).astype("uint8") for side in data.batch(split)]
        sizes.append(len(rows[0]))
        for x, y in zip(*rows, strict=True):
            np.testing.assert_array_equal(truth[x.tobytes()], y)
    assert sizes[0] + sizes[1] == 20 and 1 <= sizes[1] <= 5


def test_partners_are_held_out_together_and_others_do_not_matter(tmp_path):
    images = noise(count=40, channels=1)
    for i in range(40):
        write(tmp_path / "A" / f"{i}.png", images[i])
        write(tmp_path / "B" / f"{i}.bmp", 255 - images[i])
    trained = {row.tobytes() for row in levels(load(f"pairs:{tmp_path}").batch("train")[0])}
    for side in "AB":
        write(tmp_path / side / "0_new.png", noise(channels=1, seed=5)[0])
    a, b = load(f"pairs:{tmp_path}").batch("test")
    np.testing.assert_array_equal(levels(b), 255 - levels(a))
    assert not trained & {row.tobytes() for row in levels(a)}
    for side in "AB":
        (tmp_path / side).rename(tmp_path / f"train{side}")
    apart = load(f"unpaired:{tmp_path}")
    np.testing.assert_array_equal(apart.batch("test")[0], a)  # nor is a partner trained on
    np.testing.assert_array_equal(apart.batch("test")[1], b)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_folders_of_test_pairs(tmp_path, name):
    for split in ("train", name):
        for side in "AB":
            write(tmp_path / split / side / "x.png", noise()[0])
            write(tmp_path / "apart" / f"{split}{side}" / "x.png", noise()[0])
    assert len(load(f"pairs:{tmp_path}").rows("test")) == 1
    assert len(load(f"unpaired:{tmp_path / 'apart'}").rows("test")) == 1


def test_names_pair_in_all_unicode_forms_and_in_folders(tmp_path):
    for i, name in enumerate(("café", "über/ångström", "plain")):
        for side, form in (("A", "NFC"), ("B", "NFD")):
            path = tmp_path / side / f"{unicodedata.normalize(form, name)}.png"
            write(path, noise(channels=1, seed=i)[0])
    data = load(f"pairs:{tmp_path}")
    for split in ("train", "test"):
        np.testing.assert_array_equal(*data.batch(split))
    write(tmp_path / "A/plain.bmp", noise(channels=1)[0])
    with pytest.raises(InputError, match=r"plain\.bmp' and .*plain\.png' have one name"):
        load(f"pairs:{tmp_path}")


# Images that lie on their side


def turned(path, image, orientation):
    """Writes an image with an EXIF orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(image)
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(path, exif=exif)


def halves(height, width):
    """Images whose upper part is white."""
    return np.repeat(np.arange(height)[:, None] < height // 2, width, axis=1).astype("uint8") * 255


def test_pairs_of_which_one_is_turned_and_fits_no_more_are_named(tmp_path):
    for i in range(6):
        turned(tmp_path / f"A/{i}.jpg", halves(24, 32), 6)
        Image.fromarray(halves(24, 32)).save(_made(tmp_path / f"B/{i}.png"))
    with pytest.raises(InputError, match=r"B/0\.png' is 32x24.*A/0\.jpg' is turned.*orientation 6"):
        load(f"pairs:{tmp_path}", 16)


def _made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def correlation(data):
    return np.corrcoef(
        *(np.concatenate([data.rows(s, column=c) for s in ("train", "test")]).ravel() for c in "ab")
    )[0, 1]


def test_pairs_that_are_turned_alike_stay_together(tmp_path):
    """Both by EXIF; or one by EXIF, and the other made from the upright image."""
    for case in ("both", "one"):
        for i in range(6):
            turned(tmp_path / case / f"A/{i}.png", halves(24, 32), 6)
            if case == "both":
                turned(tmp_path / case / f"B/{i}.png", halves(24, 32), 6)
            else:
                upright = np.rot90(halves(24, 32), -1)
                Image.fromarray(upright).save(_made(tmp_path / case / f"B/{i}.png"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data = load(f"pairs:{tmp_path / case}")
        assert data.element.shape == (32, 24, 1)
        assert correlation(data) > 0.999
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert correlation(load(f"pairs:{tmp_path / 'one'}", 16)) > 0.99


@pytest.mark.parametrize(("orientation", "shape"), [(6, (16, 16)), (3, (16, 8))])
def test_where_sizes_cannot_tell_there_is_a_warning(tmp_path, orientation, shape):
    for i in range(4):
        turned(tmp_path / f"A/{i}.png", halves(*shape), orientation)
        Image.fromarray(halves(*shape)).save(_made(tmp_path / f"B/{i}.png"))
    with pytest.warns(UserWarning, match=r"4 pairs .*A/0\.png' and .*B/0\.png': look whether"):
        load(f"pairs:{tmp_path}")


def test_unpaired_folders_and_two_sets(tmp_path):
    images = noise(count=5)
    for folder, count in (("trainA", 5), ("trainB", 3), ("testA", 2), ("testB", 4)):
        for i in range(count):
            write(tmp_path / folder / f"{i}.png", images[i])
    data = load(f"unpaired:{tmp_path}")
    assert not data.paired and [len(side) for side in data.batch("train")] == [5, 3]
    assert [len(side) for side in data.batch("test")] == [2, 4]
    both = load("unpaired:digits,digits", 12)
    assert both.element.shape == (12, 12, 1) and both.size == 1618
    (tmp_path / "testB").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="testB"):
        load(f"unpaired:{tmp_path}")


def broken_pairs(case, root):
    image, small, gray = noise()[0], noise(4)[0], noise(channels=1)[0]
    for name in ("one", "two"):
        for side in "AB":
            write(root / side / f"{name}.png", image)
    if case == "missing":
        (root / "B/two.png").unlink()
    elif case == "misnamed":
        (root / "A/two.png").rename(root / "A/three.png")
    elif case == "size":
        for side in "AB":
            write(root / side / "two.png", small)
    elif case == "partner":
        write(root / "B/two.png", small)
    elif case == "channels":
        write(root / "B/two.png", gray)
    elif case == "unreadable":
        (root / "A/two.png").write_bytes(b"no image")
    elif case == "side":
        (root / "B").rename(root / "C")
    elif case == "odd":
        root = root / "C"
        write(root / "two.png", noise(7)[0])
    return root


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("missing", r"A/two\.png' has no partner"),
        ("misnamed", r"A/three\.png' has no partner|B/two\.png' has no partner"),
        ("size", r"two\.png' is 4x4, but .*one\.png' is 8x8: pass an image_size"),
        ("partner", r"B/two\.png' is 4x4, but its partner .*two\.png' is 8x8"),
        ("channels", r"B/two\.png' is gray \(1 channel\), but .* is coloured \(3 channels\)"),
        ("unreadable", r"A/two\.png' cannot be read as an image"),
        ("side", r"no folder .*/B'"),
        ("odd", r"two\.png' is 7 pixels wide"),
    ],
)
def test_bad_pairs_are_named(tmp_path, case, words):
    with pytest.raises(InputError, match=words):
        load(f"pairs:{broken_pairs(case, tmp_path)}")


def test_domains_of_other_channels_or_sizes_are_told():
    with pytest.raises(InputError, match="1 channels and B of 3|no set of single images"):
        load("unpaired:digits,digit_pairs", 16)
    gray, colour, small = noise(channels=1), noise(), noise(4)
    for other, words in ((gray, "3 channels and B of 1"), (small, "8x8, those of B 4x4")):
        sides = colour, other
        with pytest.raises(InputError, match=words):
            pairs("odd", {"train": sides, "test": sides})
    with pytest.raises(InputError, match="no folder '/nowhere'"):
        load("pairs:/nowhere")
    with pytest.raises(InputError, match="'digit_pairs' has no labels"):
        _ = load("digit_pairs").labelled


def test_facades_of_tfds(real_data):
    import os

    if not os.path.isdir(os.path.join(real_data, "cycle_gan")):
        pytest.skip("needs cycle_gan/facades prepared by TFDS")
    data = load("tfds:cycle_gan/facades", 16)
    assert not data.paired and data.element.shape == (16, 16, 3)
    assert [len(side) for side in data.batch("train") + data.batch("test")] == [400, 400, 106, 106]
    photos, labels = data.batch("test")
    assert labels[..., 2].mean() > photos[..., 2].mean() + 0.2  # the ground of labels is blue


def test_noise_of_augmentation_is_its_own():
    """No call within a training step has the keys of the data's noise."""
    with random.place(0, tf.constant(5)):
        calls = [random.fresh(tf.zeros([4, 1])) for _ in range(8)]
    used = {tuple(key) for keys in calls for key in keys.numpy()}
    assert not used & {(5, (1023 << 21) + row) for row in range(4)}
