"""Pictures of unusual shapes in every model of the zoo: trained, or refused in a sentence."""

import keras
import numpy as np
import pytest

from tests.test_zoo import IDS, MODELS
from tfgen.data import from_arrays
from tfgen.errors import InputError

SHAPES = [(1, 1), (2, 2), (5, 7), (8, 16), (16, 8)]
ROWS = 200


def of_shape(kind, shape):
    """As many rows as the tiny settings take, of the kind of data that they name."""
    images = np.random.default_rng(0).integers(0, 256, [2, ROWS, *shape, 1], "uint8")
    if kind == "digit_pairs":
        return from_arrays({"a": images[0], "b": images[1]})
    return from_arrays(images[0], np.arange(ROWS) % 10)


@pytest.mark.parametrize(("recipe", "tiny"), MODELS, ids=IDS)
def test_trained_or_refused_before_anything_starts(recipe, tiny):
    if tiny.data not in ("digits", "digit_pairs"):
        pytest.skip(f"it is a model of {tiny.data}")
    fates = {}
    for shape in SHAPES:
        keras.utils.set_random_seed(0)
        try:
            stages = recipe.stages(of_shape(tiny.data, shape), recipe.settings(tiny.settings))
            stage = next(stages)
        except InputError as refusal:
            fates[shape] = str(refusal)
            continue
        model = stage.compile(run_eagerly=True)
        history = model.fit(stage.batches(), steps_per_epoch=1, shuffle=False, verbose=0).history
        assert np.isfinite([v for values in history.values() for v in values]).all(), shape
        fates[shape] = "trained"
    assert all(fate == "trained" or len(fate) > 20 for fate in fates.values())
