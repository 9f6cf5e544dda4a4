"""The contract: what every model of the zoo keeps, tested once over all of them."""

import importlib
import inspect
import re
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
import zoo
from export import examples, image_bytes, onnx, serving, web
from tests.conftest import mirrored
from tfgen.data import load
from tfgen.model import GenerativeModel, Objective, Update
from tfgen.runs import checkpoints
from tfgen.runs.recipes import Recipe, Stage
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


def compiled(recipe, tiny, optimizer=None):
    """The first stage, its model compiled."""
    return next(compiled_stages(recipe, tiny, optimizer))


def compiled_stages(recipe, tiny, optimizer=None):
    """Each stage in turn, compiled with plain SGD: Adam hides a wrong scale.

    The rate is small, so that rounding is not magnified from step to step.
    """
    keras.utils.set_random_seed(0)
    for stage in stages(recipe, tiny):
        stage.model.compile(optimizer or keras.optimizers.SGD(1e-4), seed=3)
        stage.model.begin(stage.data)
        yield stage


def fit(stage, steps, start=0):
    return stage.model.fit(
        stage.batches(seed=5, start=start), steps_per_epoch=steps, shuffle=False, verbose=0
    ).history


def watched(optimizer, variables):
    """Variables that will hold the sums of the gradients that an optimizer is given."""
    sums = [optimizer.add_variable_from_reference(v, name="slopes") for v in variables]
    step = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        optimizer.assign_add(sums[optimizer._get_variable_index(variable)], gradient)
        step(gradient, variable, learning_rate)

    optimizer.update_step = update_step
    return sums


class Played(NamedTuple):
    """A stage after some steps.

    Its sums of gradients, how its weights that are not trained moved, whether those that are
    trainable but in no objective did not, and the terms.
    """

    stage: Stage
    slopes: dict
    moves: list
    still: bool
    history: dict


def played(recipe, tiny):
    """Every stage in turn, each after three steps."""
    result = []
    for stage in compiled_stages(recipe, tiny):
        model = stage.model
        sums = {n: watched(o, model.objectives[n].variables) for n, o in model.optimizers.items()}
        moving = [v for v in model.non_trainable_weights if v.dtype.startswith("float")]
        objectives = [o for o in model.objectives.values() if isinstance(o, Objective)]
        moved = {id(v) for o in objectives for v in o.variables}
        assert moved <= {id(v) for v in model.trainable_variables}
        others = [v for v in model.trainable_variables if id(v) not in moved]
        before, kept = values(moving), values(others)
        starts = [values(o.variables) for o in objectives]
        history = fit(stage, STEPS)
        assert all(
            largest(was, values(o.variables)) for was, o in zip(starts, objectives, strict=True)
        )
        moves = [after - start for after, start in zip(values(moving), before, strict=True)]
        still = all(map(np.array_equal, kept, values(others)))
        slopes = {n: values(s) for n, s in sums.items()}
        result.append(Played(stage, slopes, moves, still, history))
    return result


STEPS = 3


@pytest.fixture(scope="module", params=MODELS, ids=IDS)
def trained(request):
    """A recipe, its tiny settings, and its stages as played: to be left as they were found."""
    recipe, tiny = request.param
    return recipe, tiny, played(recipe, tiny)


def values(variables):
    return [np.array(v) for v in variables]


def largest(left, right):
    # Some are empty, as the ranges of no attributes.
    return max(np.abs(a - b).max(initial=0) for a, b in zip(left, right, strict=True))


def test_trains_its_networks_and_nothing_else(trained):
    for stage, slopes, moves, still, history in trained[2]:
        model = stage.model
        assert np.isfinite(list(history.values())).all()
        assert still
        for name, sums in slopes.items():
            variables = model.objectives[name].variables
            reached = [bool(s.any()) for s in sums]
            # The bias of a logit may stay, as its slopes at reals and fakes may cancel.
            assert all(r or tuple(v.shape) == (1,) for r, v in zip(reached, variables, strict=True))
        if any(isinstance(o, Update) for o in model.objectives.values()):
            assert any(move.any() for move in moves)


def test_same_seed_same_run_and_exact_checkpoints(trained, tmp_path):
    recipe, tiny, firsts = trained
    seconds = compiled_stages(recipe, tiny)
    for number, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
        fit(second, STEPS)
        reached = values(second.model.weights)
        assert largest(values(first.stage.model.weights), reached) == 0
        folder = tmp_path / str(number)
        folder.mkdir()
        checkpoints.save(folder / checkpoints.name(0, STEPS), second.model, [])
        fit(second, 2, start=STEPS)
        whole = values(second.model.weights)
        fit(second, 1, start=7)  # goes astray, and back
        assert checkpoints.newest(folder, second.model)
        assert largest(reached, values(second.model.weights)) == 0
        fit(second, 2, start=STEPS)
        assert largest(whole, values(second.model.weights)) == 0
        assert checkpoints.newest(folder, second.model)  # as the next stage is made of it


# Of a tensor's own sum of gradients. Instance normalization of features that hardly vary yet
# magnifies rounding to 1e-2 of it; all others are 1e-4 off or less. Half of a gradient is 0.5 off.
APART = 0.05
# Of the largest sum of its objective: rounding, where slopes cancel, as before a normalization.
ROUNDING = 1e-6
# The same of a single number, such as the last bias of a generator: a sum over all pixels and rows.
OF_ONE = 1e-3


def share_apart(one, two):
    """Of tensors with a slope, the share that is not alike on one and on two replicas."""
    apart = []
    for name, sums in one.slopes.items():
        most = max(abs(s).max() for s in sums)
        for a, b in zip(sums, two.slopes[name], strict=True):
            floor = most * (OF_ONE if a.size == 1 else ROUNDING)
            if abs(a - b).max() > APART * abs(a).max() + floor:
                apart.append(1)
            elif abs(a).max() > 10 * floor:
                apart.append(0)
    return np.mean(apart) if apart else 0.0


def test_two_replicas_equal_one(trained):
    recipe, tiny, ones = trained
    with mirrored().scope():
        twos = played(recipe, tiny)
    for one, two in zip(ones, twos, strict=True):
        assert share_apart(one, two) == 0
        for a, b in zip(one.moves, two.moves, strict=True):
            if a.size:
                assert abs(a - b).max() <= APART * abs(a).max() + ROUNDING
        for variable in two.stage.model.trainable_variables:
            first, second = values(variable.value.values)
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["gan", "semi_supervised_gan"])
def test_a_loss_that_counts_once_a_replica_is_noticed(name, monkeypatch):
    """As the mean over a half batch would be, if it were not divided by the replicas."""
    recipe = zoo.find(name)
    (one,) = played(recipe, recipe.tiny[0])
    terms = GenerativeModel.terms

    def doubled(self, *args, **kwargs):
        return {term: 2.0 * value for term, value in terms(self, *args, **kwargs).items()}

    monkeypatch.setattr(GenerativeModel, "terms", doubled)
    with mirrored().scope():
        (two,) = played(recipe, recipe.tiny[0])
    assert share_apart(one, two) == 1  # in every tensor


def available(format):
    try:
        NEEDS.get(format, tuple)()
    except export.DeliveryError:
        return False
    return True


def test_endpoints_and_deliveries_agree(trained, tmp_path):
    for number, (stage, *_) in enumerate(trained[2]):
        delivered(stage, tmp_path / str(number))


def delivered(stage, tmp_path):
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
    assert rows == expected | (files if "saved_model" in formats else set())
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
    stage = trained[2][-1].stage
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
