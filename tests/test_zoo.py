"""The contract: what every model of the zoo keeps, tested once over all of them."""

import importlib
import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
import zoo
from export import examples, image_bytes, onnx, serving, web
from tests.conftest import mirrored
from tfgen.data import load
from tfgen.model import Objective, Update
from tfgen.runs import checkpoints
from tfgen.runs.recipes import Recipe
from zoo import template

# What a format needs beside the requirements, and is left out without.
NEEDS = {
    "onnx": onnx.require,
    "serving": lambda: serving.protos("predict_pb2"),
    "web": lambda: (onnx.require(), web.runtime()),
}
TEMPLATE = Recipe("template", template.recipe, tiny=template.TINY)
MODELS = [
    (recipe, tiny) for recipe in (*map(zoo.find, zoo.paths()), TEMPLATE) for tiny in recipe.tiny
]
IDS = [
    "-".join([recipe.name, *(v for v in tiny.settings.values() if isinstance(v, str))])
    for recipe, tiny in MODELS
]


def stages(recipe, tiny):
    data = load(tiny.data, tiny.image_size)
    return recipe.stages(data, recipe.settings(tiny.settings))


# Instance normalization of features that hardly vary yet, and the signs of L1 terms, magnify
# rounding a hundred times a step: small and few steps, still far above the tolerance.
RATES = {"cyclegan": 1e-3, "pix2pix": 1e-4}
# So do the signs of distances, rectifiers that are near 0 under noise, answers to answers, and
# energies, which are of the size of all pixels together.
RATES |= {"minibatch_gan": 1e-3, "semi_supervised_gan": 1e-5, "unrolled_gan": 1e-3, "ebgan": 1e-3}
STEPS = {"cyclegan": 2}
# A hinge leaves the last bias where it is as long as all scores are within the margin.
STILL = {"hinge_gan": 1}


def compiled(recipe, tiny, optimizer=None):
    """The first stage, its model compiled with plain SGD: Adam hides a wrong scale."""
    keras.utils.set_random_seed(0)
    stage = next(stages(recipe, tiny))
    stage.model.compile(optimizer or keras.optimizers.SGD(RATES.get(recipe.name, 0.01)), seed=3)
    stage.model.begin(stage.data)
    return stage


def fit(stage, steps, start=0):
    return stage.model.fit(
        stage.batches(seed=5, start=start), steps_per_epoch=steps, shuffle=False, verbose=0
    ).history


@pytest.fixture(scope="module", params=MODELS, ids=IDS)
def trained(request):
    """A recipe, its tiny settings, and its stage after some steps: to be left as it was found."""
    recipe, tiny = request.param
    stage = compiled(recipe, tiny)
    fit(stage, STEPS.get(recipe.name, 3))
    return recipe, tiny, stage


def values(variables):
    return [np.array(v) for v in variables]


def largest(left, right):
    # Some are empty, as the ranges of no attributes.
    return max(np.abs(a - b).max(initial=0) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize(("recipe", "tiny"), MODELS, ids=IDS)
def test_trains_its_networks_and_nothing_else(recipe, tiny):
    stage = compiled(recipe, tiny, "adam")  # which moves by the sign of the smallest slope
    model = stage.model
    objectives = model.objectives.values()
    moved = {id(v) for o in objectives if isinstance(o, Objective) for v in o.variables}
    assert moved <= {id(v) for v in model.trainable_variables}
    before = {id(v): np.array(v) for v in model.trainable_variables}
    own = [v for v in model.non_trainable_weights if v is not model.step]
    others = values(own)
    history = fit(stage, 3)
    assert np.isfinite(list(history.values())).all()
    changed = {
        id(v): not np.array_equal(before[id(v)], np.array(v)) for v in model.trainable_variables
    }
    assert {key for key, has in changed.items() if has} <= moved
    assert sum(changed.values()) == len(moved) - STILL.get(recipe.name, 0)
    if any(isinstance(o, Update) for o in objectives):
        assert largest(others, values(own)) > 0


def test_same_seed_same_run_and_exact_checkpoints(trained, tmp_path):
    recipe, tiny, first = trained
    steps = STEPS.get(recipe.name, 3)
    second = compiled(recipe, tiny)
    fit(second, steps)
    assert largest(values(first.model.weights), values(second.model.weights)) == 0
    checkpoints.save(tmp_path / checkpoints.name(0, steps), second.model, [])
    fit(second, 2, start=steps)
    whole = values(second.model.weights)
    fit(second, 1, start=7)  # goes astray, and back
    assert checkpoints.newest(tmp_path, second.model)
    assert largest(values(first.model.weights), values(second.model.weights)) == 0
    fit(second, 2, start=steps)
    assert largest(whole, values(second.model.weights)) == 0


def test_two_replicas_equal_one(trained):
    recipe, tiny, one = trained
    with mirrored().scope():
        two = compiled(recipe, tiny)
        fit(two, STEPS.get(recipe.name, 3))
    assert largest(values(one.model.weights), values(two.model.weights)) < 1e-5


def available(format):
    try:
        NEEDS.get(format, tuple)()
    except export.DeliveryError:
        return False
    return True


def test_endpoints_and_deliveries_agree(trained, tmp_path):
    _, _, stage = trained
    formats = tuple(filter(available, export.FORMATS))
    if not stage.data.has_images:  # a page shows pictures
        formats = tuple(format for format in formats if format != "web")
    report = export.deliver(stage.model, stage.data, tmp_path / "out", formats, quantize="none")
    made = {path.name.removeprefix("model.") for path in (tmp_path / "out").iterdir()}
    assert made == {*formats, "tflite", "README.md", "report.json"} - {"lite"}
    rows = {(row.format, row.endpoint) for row in report.rows}
    compared = {"saved_model", "lite", "onnx"} & set(formats)  # the others hold copies of them
    expected = {(f, e) for f in compared for e in stage.model.endpoints}
    files = {("saved_model", name) for name in image_bytes.with_files(stage.model.endpoints)}
    assert expected <= rows <= expected | files
    for endpoint in stage.model.endpoints.values():
        inputs = examples.examples(endpoint, None, 5)
        answers = endpoint(**{key: tf.constant(value) for key, value in inputs.items()})
        for element, tensor in zip(endpoint.outputs, answers.values(), strict=True):
            declared = zip((5, *element.shape), tensor.shape, strict=True)
            assert all(size in (None, got) for size, got in declared)
            assert tensor.dtype == element.dtype
            assert float(tf.reduce_min(tensor)) >= element.low
            assert float(tf.reduce_max(tensor)) <= element.high


def test_the_forward_pass(trained):
    _, _, stage = trained
    rows = stage.data.rows("train", 3)
    known = {"labels": np.arange(3, dtype="int32")}
    if hasattr(stage.model, "latents"):
        known["latents"] = stage.model.latents(tf.range(3))
    fed = [known.get(key, rows) for key in inspect.signature(type(stage.model).call).parameters]
    # A row for each, or its log-density; without `self`.
    assert stage.model(*fed[1:]).shape in (rows.shape, rows.shape[:1])


def test_names_are_unique_and_files_cite_their_paper():
    files = list(zoo.HERE.glob("*/[!_]*.py"))
    assert len(files) == len(zoo.paths()) >= 3
    for path in files:
        text = importlib.import_module(f"zoo.{path.parent.name}.{path.stem}").__doc__
        assert re.search(r"\b(19|20)\d\d\b", text) and re.search(r"arXiv:\d|doi", text), path
        assert re.search(r"\b(min|max)(_|\b)", text), f"{path} does not state its objective"
        assert path.with_suffix(".md").exists(), f"{path} has no card"


def test_an_unknown_name_suggests():
    with pytest.raises(zoo.InputError, match="'dcgam': did you mean dcgan"):
        zoo.find("dcgam")
