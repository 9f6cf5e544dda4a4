"""Models compared as in "Are GANs created equal?": the same networks, and an equal search for each.

Lucic, Kurach, Michalski, Gelly and Bousquet, NeurIPS 2018, arXiv:1711.10337: each model is trained
with its authors' numbers and with some drawn at random, all for the same number of steps on as many
rows; the best by Fréchet distance is then trained from several seeds. What is searched stands with
the models (`SEARCHED`), what they have alike stands here. What a budget of minutes allows is
planned once, from the time that first steps take, and written down; a study that was stopped goes
on.
"""

import concurrent.futures
import json
import math
import multiprocessing
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfgen import figures, files, quiet
from tfgen.data import Data, load
from tfgen.errors import InputError
from tfgen.metrics.evaluation import Measurement
from tfgen.reports import comparison
from tfgen.runs import training
from tfgen.runs.checkpoints import Diverged
from tfgen.runs.recipes import LEARNING_RATE, Candidate, Range

FIRST, SECOND = 20, 120  # steps after which the clock is read, to plan
METRICS = ("fid", "precision_recall", "knn")

# A study and whose rows it takes in: the `Candidate.study` of models.
STUDIES = {"lucic": ("lucic",), "adversarial": ("lucic", "adversarial")}

# What all models have alike, where a recipe has it: networks, latents and batches as in the paper;
# and one update of the critic a step, as in its narrow ranges, so that a step is as much data for
# all.
SHARED = {"latent_dim": 64, "hidden": 1024, "width": 64, "batch_size": 64, "n_critic": 1}


class Trial(NamedTuple):
    """One training: a name for its folder, the recipe's settings, the seed, and the steps."""

    name: str
    model: str
    settings: dict
    seed: int
    steps: int


def entries(study, find, known, models=None):
    """The models of a study by their labels.

    Args:
        study: a name of `STUDIES`.
        find: from the name of a model to its `Recipe`: `zoo.find`.
        known: the names of all models: `zoo.paths()`.
        models: labels, or names of other models, for which the learning rate is searched; or None.

    Returns:
        `{label: (Recipe, Candidate)}`.

    Raises:
        InputError: there is no such study, or no such model.
    """
    if study not in STUDIES:
        raise InputError(f"there is no study {study!r}: take {', '.join(STUDIES)}")
    rows = {
        candidate.label: (recipe, candidate)
        for recipe in map(find, known)
        for candidate in recipe.searched
        if candidate.study in STUDIES[study]
    }

    def row(label):
        return rows.get(label) or (find(label), Candidate(label, {}, LEARNING_RATE))

    return {label: row(label) for label in models or rows}


def run(
    study,
    find,
    known,
    folder,
    setup,
    given=None,
    *,
    models=None,
    minutes=60.0,
    steps=None,
    trials=4,
    seeds=3,
    count=10_000,
    workers=1,
    say=print,
):
    """Carries out a study, or goes on with it.

    `FOLDER/plan.json` holds what is done, `FOLDER/<model>/<trial>/` a run each with `result.json`;
    `study.json`, `study.md` and `study.png` tell what was found; `samples.png` and `report/` show
    the first seed of each model.

    Args:
        study, find, known: as in `entries`; `find` is a function of a module.
        folder: for all of it.
        setup: a `recipes.Setup`: data, image size, precision; its seed is that of the search.
        given: `{key: value}` for all recipes, such as a smaller width.
        models: labels or names, see `entries`; None for the study's own.
        minutes: of all trainings together, about.
        steps: of each training; None for as many as the minutes allow.
        trials: of each model in the search, the first with the authors' numbers.
        seeds: from which the best of each model is trained.
        count: samples that are measured.
        workers: trainings at a time, each in a process and, where there are GPUs, on one of them.
        say: takes a line of progress.

    Returns:
        `{label: {...}}` as in `study.json`.

    Raises:
        InputError: an unknown study or model, settings that a recipe does not take, or the folder
            holds a study with other arguments.
    """
    folder, given, chosen = Path(folder), given or {}, entries(study, find, known, models)
    searches = {
        label: _search(recipe, candidate, given, max(2, trials), setup.seed)
        for label, (recipe, candidate) in chosen.items()
    }
    for label, (recipe, _) in chosen.items():
        for settings in searches[label]:
            recipe.settings(settings)
    asked = {
        "study": study,
        "setup": setup._asdict(),
        "given": given,
        "models": list(chosen),
        "minutes": minutes,
        "asked_steps": steps,
        "trials": trials,
        "seeds": seeds,
        "count": count,
    }
    _check_metrics(setup, count, say)
    plan = _plan(folder, asked, chosen, searches, setup, say)
    steps = plan["steps"]
    say(f"{steps:,} steps each: {len(chosen)} models, {trials} trials, {seeds} seeds of the best")
    jobs = {
        label: [
            Trial(f"{label}/trial_{i}", recipe.name, settings, setup.seed, steps)
            for i, settings in enumerate(searches[label][:trials])
        ]
        for label, (recipe, _) in chosen.items()
    }
    with _pool(workers) as pool:
        searched = _carry_out(pool, jobs, find, folder, setup, count, say)
        best = {label: min(found, key=_distance) for label, found in searched.items()}
        jobs = {
            label: [
                Trial(f"{label}/seed_{s}", chosen[label][0].name, found["settings"], s, steps)
                for s in range(setup.seed + 1, setup.seed + 1 + seeds)
            ]
            for label, found in best.items()
            if math.isfinite(_distance(found))
        }
        repeated = _carry_out(pool, jobs, find, folder, setup, count, say)
    found = {
        label: {"best": best[label], "trials": searched[label], "seeds": repeated.get(label, [])}
        for label in chosen
    }
    _tell(folder, asked | plan, found, find, count)
    return found


def _check_metrics(setup, count, say):
    """Says which metrics have too few rows of the data, before anything is trained.

    Raises:
        InputError: nothing can be measured on them.
    """
    own = isinstance(setup.data, Data)
    data = setup.data if own else load(setup.data, setup.image_size)
    for name, reason in Measurement(data, count=count).plan(METRICS)[1].items():
        say(f"{name} steps aside: {reason}")


def _plan(folder, asked, chosen, searches, setup, say):
    """How many steps a training takes: `{"steps": ...}`; made once, from the first trials."""
    path = folder / "plan.json"
    if path.exists():
        plan = json.loads(path.read_text())
        differ = [key for key in asked if json.loads(json.dumps(asked[key])) != plan[key]]
        if differ:
            raise InputError(
                f"{folder} holds a study with another {', '.join(differ)} "
                f"({', '.join(f'{key}={plan[key]!r}' for key in differ)}): repeat it to go on, "
                "or choose another --out"
            )
        return plan
    if asked["asked_steps"]:
        plan = {"steps": asked["asked_steps"]}
        files.write_json(path, asked | plan)
        return plan
    every, start = {}, {}
    training.load(setup.data, setup.image_size)  # so that the first model does not pay for it
    for label, (recipe, _) in chosen.items():
        settings = searches[label][0]
        place, took = folder / label / "trial_0", []
        for steps in (FIRST, SECOND):
            before = time.perf_counter()
            training.train(recipe, place, settings, setup, steps=steps, verbose=0, keep=1)
            took.append(time.perf_counter() - before)
        every[label] = max(1e-4, (took[1] - took[0]) / (SECOND - 2 * FIRST))
        start[label] = max(0.0, took[0] - FIRST * every[label])
        say(f"{label}: {1e3 * every[label]:.1f} ms a step")
    runs = asked["trials"] + asked["seeds"]
    left = 60 * asked["minutes"] - runs * sum(start.values())
    steps = int(left / (runs * sum(every.values())))
    if steps < SECOND:
        raise InputError(
            f"--budget {asked['minutes']:g}: that is {max(0, steps)} steps each; give more "
            "minutes, fewer models, trials or seeds, or a smaller width"
        )
    plan = {"steps": steps, "seconds_a_step": every}
    files.write_json(path, asked | plan)
    return plan


def _search(recipe, candidate, given, trials, seed):
    """Settings for each trial: the authors' numbers first, then draws."""
    known = recipe.settings({})
    shared = {key: value for key, value in SHARED.items() if key in known}
    random = np.random.default_rng([seed, *candidate.label.encode()])
    fixed = shared | given | candidate.settings
    draws = [
        {key: _draw(random, values) for key, values in candidate.ranges.items()}
        for _ in range(trials - 1)
    ]
    return [fixed | drawn for drawn in ({}, *draws)]


def _draw(random, values):
    """One of several values, or a number of a `Range`, of three digits."""
    if not isinstance(values, Range):
        return values[random.integers(len(values))]
    low, high = values[:2]
    if values.logarithmic:
        return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.3g}")
    return float(f"{random.uniform(low, high):.3g}")


def _pool(workers):
    """Processes that train; each sees one GPU, where there are some."""
    context = multiprocessing.get_context("spawn")
    places = context.Queue()
    for place in range(workers):
        places.put(place)
    # Through a module without TensorFlow, which would tell each process of devices and numbers.
    first = quiet.begin, (__name__, "_begin", places)
    return concurrent.futures.ProcessPoolExecutor(workers, context, *first)


def _begin(places):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    place = places.get()
    known = visible.split(",") if visible else [str(place)]
    os.environ["CUDA_VISIBLE_DEVICES"] = known[place % len(known)]


def _carry_out(pool, jobs, find, folder, setup, count, say):
    """Runs trials that have no result yet; `{label: [result]}` of all."""
    waiting = [
        pool.submit(_trial, trial, find, folder, setup, count)
        for trials in jobs.values()
        for trial in trials
        if not (folder / trial.name / "result.json").exists()
    ]
    try:
        for done, future in enumerate(concurrent.futures.as_completed(waiting), start=1):
            found = future.result()
            say(f"{done} of {len(waiting)}: {found['name']}: {_told(found)}")
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return {
        label: [json.loads((folder / t.name / "result.json").read_text()) for t in trials]
        for label, trials in jobs.items()
    }


def _trial(trial, find, folder, setup, count):
    """Trains and measures; `FOLDER/<name>/result.json`."""
    place = folder / trial.name
    before = time.perf_counter()
    try:
        training.train(
            find(trial.model),
            place,
            trial.settings,
            setup._replace(seed=trial.seed),
            steps=trial.steps,
            verbose=0,
            keep=1,
        )
        (measured,) = comparison.measure([comparison.open_run(place, find)], METRICS, count=count)
        found = {r.metric: r.value for r in measured.results}
        names, collapsed = [r.name for r in measured.results], measured.collapsed
    except Diverged as error:  # a result too: these numbers do not train
        found, names, collapsed = {"fid": math.inf}, [str(error)], None
    result = trial._asdict() | {
        "results": found,
        "names": names,
        "collapsed": collapsed,
        "seconds": time.perf_counter() - before,
    }
    files.write_json(place / "result.json", result)
    return result


def _distance(result):
    """The Fréchet distance of a trial; where the data have too few rows for it, the kernel's."""
    return result["results"].get("fid", result["results"].get("kid"))


def _told(result):
    name = "fid" if "fid" in result["results"] else "kid"
    collapsed = f"; {result['collapsed']}" if result["collapsed"] else ""
    return f"{name} {_distance(result):.4g}{collapsed}"


def _tell(folder, plan, found, find, count):
    """`study.json`, `study.md`, `study.png`, `samples.png` and `report/`."""
    files.write_json(folder / "study.json", {"plan": plan, "found": found})
    with files.replacing(folder / "study.md") as temporary:
        temporary.write_text(_markdown(plan, found))
    figures.save(_figure(found), folder / "study.png")
    if (folder / "report").exists():
        return
    runs = {
        label: comparison.open_run(folder / seeds[0]["name"], find)
        for label in _order(found)
        if (seeds := [s for s in found[label]["seeds"] if math.isfinite(_distance(s))])
    }
    if runs:
        opened = list(runs.values())
        measured = comparison.measure(opened, METRICS, count=count)
        samples = {label: m.of.samples for label, m in zip(runs, measured, strict=True)}
        figures.save(figures.rows(samples), folder / "samples.png")
        comparison.write(opened, measured, folder / "report")


def _order(found):
    """The labels, the least distance first."""
    return sorted(found, key=lambda label: _mean(found[label]["seeds"], "distance")[0])


def _markdown(plan, found):
    heads = ["model", "best of the search", "its seeds"]
    others = ["precision", "recall", "1-NN accuracy"]
    lines = [heads + others + ["with"], ["---"] * 7]
    for label in _order(found):
        best, seeds = found[label]["best"], found[label]["seeds"]
        cells = [_number(seeds, key) for key in ("distance", "precision", "recall", "knn")]
        recipe = " ".join(f"{k}={v}" for k, v in best["settings"].items())
        lines.append([label, f"{_distance(best):.4g}", *cells, f"`{recipe}`"])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    name = next(
        (r["names"][0] for f in found.values() for r in f["seeds"] if math.isfinite(_distance(r))),
        "fid",
    )
    return (
        f"`{name}`, not a distance in features of Inception; {plan['steps']:,} steps each, "
        f"{plan['trials']} trials and {plan['seeds']} seeds of the best a model.\n\n{table}\n"
    )


def _mean(results, key):
    values = [
        _distance(r) if key == "distance" else r["results"][key]
        for r in results
        if math.isfinite(_distance(r))
    ]
    return comparison.spread(values) if values else (math.inf, None)


def _number(results, key):
    mean, deviation = _mean(results, key)
    return f"{mean:.3g}" + (f" ± {deviation:.2g}" if deviation is not None else "")


def _figure(found):
    """A line a model: all trials in gray, the seeds of the best in colour."""
    order = _order(found)[::-1]
    figure = figures._figure(7, 1 + 0.4 * len(order))
    axes = figure.subplots()
    for place, label in enumerate(order):
        for key, colour, size in (("trials", "0.6", 25), ("seeds", "C0", 45)):
            values = [
                _distance(result)
                for result in found[label][key]
                if math.isfinite(_distance(result))
            ]
            axes.scatter(values, [place] * len(values), size, colour, alpha=0.8, zorder=2)
    axes.set_yticks(range(len(order)), order)
    axes.set_xscale("log")
    axes.set_xlabel("Fréchet distance: the search (gray), seeds of the best (blue)")
    axes.grid(axis="x", alpha=0.4)
    return figures._image(figure)
