"""Digits and their rendering: two domains whose translation is known."""

import numpy as np

from tfgen.data import levels
from tfgen.data.pairs import pairs

# Dark stays dark: where B was a negative of A, on light paper, CycleGAN with its identity term
# learnt to turn digits into others and back.
PAPER, INK, FILL = (24, 32, 96), (255, 244, 214), (226, 104, 40)


def rendering(images):
    """What B shows of A: digits in orange with a light outline, on dark blue paper.

    Args:
        images: float `[N, H, W, 3]` in [-1, 1], gray digits on black.

    Returns:
        float32 `[N, H, W, 3]` in [-1, 1]: where a digit is, the filling, in proportion to its
        gray; where only one of the 8 neighbours is brighter, the ink of the outline.
    """
    digit = (np.asarray(images, "float32")[..., :1] + 1) / 2
    height, width = digit.shape[1:3]
    padded = np.pad(digit, [(0, 0), (1, 1), (1, 1), (0, 0)])
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    spread = np.max(shifted, axis=0)
    paper, ink, fill = levels.from_levels(np.array([PAPER, INK, FILL], "uint8")).numpy()
    return (1 - spread) * paper + (spread - digit) * ink + digit * fill


def digits(name, data):
    """`digit_pairs`: each digit and its rendering; `digit_unpaired`: of a digit one of the two.

    Unpaired, the even rows of the digits are A, and the renderings of the odd ones are B, so that
    nothing in training is the translation of anything; the test rows stay pairs.

    Args:
        name: one of the two.
        data: the `Data` of the digits, at the size wanted.
    """
    splits = {}
    for split in ("train", "test"):
        a = np.repeat(data.splits[split]["images"].numpy(), 3, axis=-1)
        b = levels.to_levels(rendering(levels.from_levels(a))).numpy()
        if name == "digit_unpaired" and split == "train":
            a, b = a[::2], b[1::2]
        splits[split] = a, b
    return pairs(name, splits, paired=name == "digit_pairs")
