"""Figures: the right pixels in the right place, and files that are whole."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgen import figures
from tfgen.endpoint import Element
from tfgen.errors import InputError


def test_grid_puts_images_row_by_row():
    images = np.linspace(-1, 1, 6, dtype="float32")[:, None, None, None] * np.ones([6, 4, 4, 1])
    picture = figures.grid(images, columns=3, scale=2)
    pixels = np.asarray(picture)
    assert picture.mode == "L"
    assert picture.size == (3 * 12 + 4, 2 * 12 + 4)
    levels = [0, 51, 102, 153, 204, 255]
    for i, level in enumerate(levels):
        top, left = 4 + 12 * (i // 3), 4 + 12 * (i % 3)
        np.testing.assert_array_equal(pixels[top : top + 8, left : left + 8], level)
    assert pixels[:4].min() == pixels[:, :4].min() == pixels[-4:].min() == 255


def test_grid_keeps_images_upright_and_white_on_black():
    image = np.full([1, 3, 2, 1], -1.0)
    image[0, 0, 1] = 1.0
    pixels = np.asarray(figures.grid(image, scale=1))[4:-4, 4:-4]
    np.testing.assert_array_equal(pixels, [[0, 255], [0, 0], [0, 0]])


@pytest.mark.parametrize(
    "shape", [(64, 8, 8, 1), (100, 28, 28, 1), (16, 32, 32, 3), (1, 64, 64, 3)]
)
def test_grids_of_small_images_are_large(shape):
    picture = figures.grid(np.zeros(shape, "float32"))
    assert 600 <= max(picture.size) <= 900
    assert picture.size[0] == picture.size[1]


def test_grid_clips_and_takes_tensors():
    colours = tf.constant([[[[2.0, -2.0, 0.0]]]], tf.float16)
    picture = figures.grid(colours, scale=1)
    assert picture.mode == "RGB"
    assert picture.getpixel((4, 4)) == (255, 0, 128)


def test_grid_of_wide_images_is_square_as_a_whole():
    width, height = figures.grid(np.zeros([16, 8, 32, 1], "float32")).size
    assert 0.8 < width / height < 1.25


@pytest.mark.parametrize(
    "images, problem",
    [
        (np.zeros([4, 4, 1], "float32"), r"\[4, 4, 1\]"),
        (np.zeros([2, 4, 4, 2], "float32"), r"\[2, 4, 4, 2\]"),
        (np.zeros([2, 4, 4, 1], "uint8"), "uint8"),
        (np.zeros([0, 4, 4, 1], "float32"), "no row"),
        (np.array([0.0, np.nan, np.inf]).reshape(3, 1, 1, 1), "2 of 3 rows"),
    ],
)
def test_grid_says_what_is_wrong(images, problem):
    with pytest.raises(InputError, match=problem):
        figures.grid(images)


def blue(picture):
    """Where a scatter has points: bool `[H, W]`."""
    pixels = np.asarray(picture).astype(int)
    return pixels[..., 2] - pixels[..., 0] > 60


def test_scatter_draws_points_where_they_are():
    corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    picture = figures.scatter(np.array([[1.0, 1.0]]), corners)
    assert picture.size == (640, 640)
    ys, xs = np.nonzero(blue(picture)[100:])  # below the legend
    assert 420 < xs.mean() < 640 and 100 < ys.mean() + 100 < 250


def test_scatter_counts_what_is_outside():
    reals = np.random.RandomState(0).randn(50, 2)
    near, far = figures.scatter(reals, reals), figures.scatter(reals + 100, reals)
    assert blue(near).sum() > blue(far).sum()  # the legend stays


def test_scatter_projects_on_the_components_of_the_reals():
    random = np.random.RandomState(0)
    plane = random.randn(300, 2) * [3, 1]
    basis = np.linalg.qr(random.randn(9, 2))[0].T
    flat = figures.scatter(plane @ basis)
    ys, xs = np.nonzero(blue(flat))
    assert 2 < xs.std() / ys.std() < 4


@pytest.mark.parametrize(
    "points, reals, problem",
    [
        (np.zeros([4]), None, r"\[4\]"),
        (np.zeros([4, 1]), None, r"\[4, 1\]"),
        (np.zeros([4, 2]), np.zeros([4, 3]), "2 dimensions, but the reals 3"),
        (np.full([4, 2], np.nan), None, "4 of 4"),
    ],
)
def test_scatter_says_what_is_wrong(points, reals, problem):
    with pytest.raises(InputError, match=problem):
        figures.scatter(points, reals)


def test_draw_follows_the_element():
    images = np.zeros([4, 8, 8, 1], "float32")
    picture = figures.draw(Element("images", (8, 8, 1), "float32", -1.0, 1.0), images)
    assert picture.tobytes() == figures.grid(images).tobytes()
    points = np.random.RandomState(0).randn(20, 2)
    picture = figures.draw(Element("points", (2,)), points, points)
    assert picture.tobytes() == figures.scatter(points, points).tobytes()


def test_numbers_are_not_drawn():
    with pytest.raises(InputError, match="latents are numbers, which are not drawn"):
        figures.draw(Element("latents", (2,)), np.zeros([3, 2]))
    with pytest.raises(InputError, match="A row of points has no picture of its own"):
        figures.cells(Element("points", (2,)), np.zeros([3, 2]))


def test_masks_are_black_and_white():
    masks = np.array([[[0.0, 1.0], [1.0, 1.0]]])[..., None]
    picture = figures.draw(Element("masks", (2, 2, 1), "float32", 0.0, 1.0), masks)
    assert picture.tobytes() == figures.grid(2 * masks - 1).tobytes()


def test_tokens_have_colours_of_their_own():
    element = Element("tokens", (4,), "int32", 0, 511)
    tokens = np.array([[3, 1, 4, 1]])
    colours = figures.coloured(np.arange(512)[None])[0, 0]
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1) + 9 * np.eye(512)
    assert apart.min() > 0.01 and np.sort(apart.min(axis=1))[256] > 0.05
    assert abs(colours).max() <= 1
    line = np.asarray(figures.draw(element, tokens).convert("RGB"))
    middle = line[line.shape[0] // 2]
    cells = [middle[4 + (2 * i + 1) * (len(middle) - 8) // 8] for i in range(4)]
    truth = np.rint((colours[tokens[0]] + 1) * 127.5)
    np.testing.assert_array_equal(cells, truth)
    assert figures.draw(element._replace(shape=(4, 4)), np.zeros([9, 4, 4], int)).width > 600


def dark(picture, box):
    """How many pixels of a part of a picture are dark."""
    return (np.asarray(picture.convert("L").crop(box)) < 128).sum()


def test_tokens_with_words_are_lines_of_text():
    element, words = Element("captions", (5,), "int32", 0, 3), ("", "a", "dog", "sits")
    tokens = np.array([[1, 2, 3, 0, 0], [1, 2, 0, 0, 0]])
    picture = figures.draw(element, tokens, words=words)
    long, short = (dark(picture, (40, top, picture.width, top + 20)) for top in (4, 24))
    assert long > 1.3 * short > 0
    same = figures.draw(element, tokens[:, :3], words=words)  # padding is not written
    assert same.tobytes() == picture.tobytes()
    wrapped = figures.draw(element, np.full([1, 60], 2), words=words)
    assert wrapped.height > 2 * 20 and wrapped.width < 900
    letters = figures.draw(element, np.array([[1, 0, 1, 2]]), words=("\n", "x", "y"))
    assert letters.height < 40  # a new line is a sign, not a new line
    odd = figures.draw(element, np.array([[7]]), words=words)
    assert dark(odd, (40, 0, odd.width, odd.height))
    with pytest.raises(InputError, match=r"\[2, 2, 2\]"):
        figures.draw(element, np.zeros([2, 2, 2], int), words=words)


def test_paths_run_from_a_ring_to_a_dot():
    line = np.stack([np.linspace(0, 1, 10), np.linspace(0, 0.5, 10)], axis=1)
    walks = np.stack([line + 100 * i for i in range(4)])  # far from each other, yet of one size
    picture = figures.draw(Element("trajectories", (10, 2)), walks)
    ys, xs = np.nonzero(blue(picture))
    assert len(xs) > 500
    columns = np.histogram(xs, np.linspace(xs.min(), xs.max() + 1, 3))[0]
    assert abs(columns[0] - columns[1]) < 0.1 * columns.sum()
    # The dot is at the right end and higher than the ring.
    right = ys[xs > xs.max() - 4].min()
    assert right < ys[xs < xs.min() + 4].min() or right < np.median(ys)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_what_was_observed_is_gray(dimensions):
    walks = np.cumsum(np.random.RandomState(0).randn(6, 12, dimensions), axis=1)
    element = Element("trajectories", (8, dimensions))
    whole = blue(figures.draw(element, walks)).sum()
    part = blue(figures.draw(element, walks[:, 4:], walks[:, :4])).sum()
    assert 0.3 * whole < part < 0.9 * whole
    still = figures.draw(element, np.zeros([2, 3, dimensions]))
    assert blue(still).any()
    with pytest.raises(InputError, match="1 of 6 rows"):
        walks[2, 3] = np.nan
        figures.draw(element, walks)


def ball(count=3, frames=16):
    """Videos of a pixel that runs along the diagonal."""
    videos = np.full([count, frames, 16, 16, 1], -1.0, "float32")
    for frame in range(frames):
        videos[:, frame, frame, frame] = 1.0
    return videos


def test_videos_are_strips_of_frames():
    element = Element("videos", (16, 16, 16, 1), "float32", -1.0, 1.0)
    picture = np.asarray(figures.draw(element, ball()))
    chosen = figures._frames(16)
    assert list(chosen[[0, -1]]) == [0, 15] and len(chosen) == 10
    np.testing.assert_array_equal(picture, figures.table(ball()[:, chosen]))
    assert list(figures._frames(3)) == [0, 1, 2]
    many = figures.draw(element, ball(40))
    assert many.tobytes() == figures.draw(element, ball(16)).tobytes()
    with pytest.raises(InputError, match=r"\[16, 16, 16, 1\]"):
        figures.draw(element, ball()[0])


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_videos_move(tmp_path, suffix):
    frames = figures.animation(ball(4))
    figures.save(frames, tmp_path / f"x.{suffix}", seconds=0.2)
    with Image.open(tmp_path / f"x.{suffix}") as picture:
        assert picture.n_frames == 16
        for i in (0, 7, 15):
            picture.seek(i)
            found = np.asarray(picture.convert("L"), int)
            assert abs(found - np.asarray(frames[i], int)).mean() < 3
        assert picture.info["duration"] == 200
    with pytest.raises(InputError, match=r"x\.jpg': take \.gif or \.webp"):
        figures.save(frames, tmp_path / "x.jpg")


def test_single_numbers_are_a_histogram():
    random = np.random.RandomState(0)
    element = Element("points", (1,))
    near = figures.draw(element, random.randn(300, 1), random.randn(300, 1))
    far = figures.draw(element, random.randn(300, 1) + 100, random.randn(300, 1))
    assert near.size == far.size == (640, 400)
    assert blue(near).sum() > 3 * blue(far).sum()
    assert blue(figures.draw(element, np.zeros([5, 1]))).any()
    with pytest.raises(InputError, match=r"\[5, 2\]"):
        figures.draw(element, np.zeros([5, 1]), np.zeros([5, 2]))


def test_curves_have_a_panel_for_each_objective():
    history = {
        "critic/real": [1.0, 0.5, float("nan"), 0.2],
        "critic/fake": [1.0, 0.7, 0.6, 0.5],
        "generator/loss": [2.0, 3.0, 2.0, 1.0],
        "val_generator/loss": [2.5, 3.5, 2.5, 1.5],
        "fid": [9.0],
    }
    picture = figures.curves(history)
    assert picture.size == (640, 3 * 320)
    assert blue(picture)[:320].any() and blue(picture)[320:640].any()
    assert figures.curves({"loss": [1.0, 2.0]}).size == (640, 320)
    with pytest.raises(InputError, match="empty"):
        figures.curves({})


def test_save_makes_the_folder_and_leaves_nothing_else(tmp_path):
    picture = figures.grid(np.zeros([1, 2, 2, 1], "float32"))
    path = tmp_path / "deep" / "down" / "x.png"
    figures.save(picture, path)
    figures.save(picture, path)  # replaces
    assert Image.open(path).size == picture.size
    assert [file.name for file in path.parent.iterdir()] == ["x.png"]


def test_a_save_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    picture = figures.grid(np.zeros([1, 2, 2, 1], "float32"))
    figures.save(picture, tmp_path / "x.png")
    before = (tmp_path / "x.png").read_bytes()

    def fail(self, file, format):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="full"):
        figures.save(picture, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_save_takes_known_formats_only(tmp_path):
    with pytest.raises(InputError, match="x.txt"):
        figures.save(Image.new("L", (2, 2)), tmp_path / "x.txt")


def test_classes_in_turn_get_a_row_each():
    element = Element("images", (2, 2, 1))
    rows = (np.arange(6) % 3 - 1.0)[:, None, None, None] * np.ones([6, 2, 2, 1])
    picture = np.asarray(figures.draw(element, rows, classes=3))
    expected = figures.grid(rows[[0, 3, 1, 4, 2, 5]], columns=2)
    np.testing.assert_array_equal(picture, expected)
    uneven = figures.draw(element, rows[:5], classes=3)
    white = np.ones([1, 2, 2, 1])
    expected = figures.grid(np.concatenate([rows[[0, 3, 1, 4, 2]], white]), columns=2)
    np.testing.assert_array_equal(uneven, expected)
    few = figures.draw(element, rows[:2], classes=3)
    np.testing.assert_array_equal(few, figures.grid(rows[:2]))
