"""Packed models: what is needed to use a trained model, and nothing else.

    PACK/model.safetensors   the weights, in half precision where that keeps them
    PACK/config.json         recipe, settings, description of the data, numbers, versions
    PACK/README.md           a model card with the front matter that Hugging Face reads
    PACK/samples.png         what it makes of the seeds 0 to 63

The weights are in the format of `safetensors`: numbers and their names, no code. `config.json` has
their hash.
"""

import hashlib
import json
import pathlib
import re

import keras
import numpy as np
import safetensors
import safetensors.numpy
import tensorflow as tf

from tfgen import files
from tfgen.data.names import LICENCES
from tfgen.errors import InputError

VERSION = 1  # of the layout of `config.json`
WEIGHTS, CONFIG = "model.safetensors", "config.json"
DTYPES = {"float16": np.float16, "float32": np.float32}
ROUNDED = 2.0**-10  # of itself, what half precision may take from a number: twice its epsilon / 2


def names(model):
    """`{name: variable}` of all that a model's use depends on, by names that every build gives.

    A name is the attribute that holds the network, the variable's place in it, and its own name:
    `generator.003.kernel`, without the number that Keras puts behind a second of the same name.
    """
    seen = {id(v) for metric in model.metrics for v in metric.variables} | {id(model.step)}
    found = {}
    for attribute, value in vars(model).items():
        networks = value if isinstance(value, list | tuple) else [value]
        for place, network in enumerate(networks):
            if not isinstance(network, keras.layers.Layer) or attribute.startswith("_"):
                continue
            owner = attribute if network is value else f"{attribute}.{place}"
            for i, variable in enumerate(network.variables):
                if id(variable) not in seen:
                    seen.add(id(variable))
                    found[f"{owner}.{i:03d}.{_plain(variable)}"] = variable
    rest = [v for v in model.variables if id(v) not in seen]
    return found | {f"own.{i:03d}.{_plain(v)}": v for i, v in enumerate(rest)}


def _plain(variable):
    return re.sub(r"_\d+$", "", variable.name)


def used(model):
    """The names of the variables that a model's endpoints need."""
    needed = set()
    for endpoint in model.endpoints.values():
        function = tf.function(lambda endpoint=endpoint, **tensors: endpoint(**tensors))
        needed |= {id(v) for v in function.get_concrete_function(**endpoint.specs).variables}
    return [name for name, variable in names(model).items() if id(variable.value) in needed]


def pack(model, run, out, picture=None, numbers=(), dtype="float16"):
    """Writes a packed model; `out` appears when it is complete.

    Args:
        model: a trained `GenerativeModel` with float32 weights, as `open_run` gives it.
        run: a dict, what the `run.json` of its run says.
        out: the folder to be made.
        picture: a `PIL.Image` of samples, or None for none.
        numbers: dicts `{"what": ..., "value": ..., "command": ...}` for card and configuration.
        dtype: of the weights, a key of `DTYPES`. A tensor that half precision would change by more
            than its rounding, as one beyond its range, stays in float32.

    Returns:
        The bytes of the weights.

    Raises:
        InputError: `out` exists.
    """
    variables = names(model)
    arrays = {name: _rounded(variables[name].numpy(), DTYPES[dtype]) for name in used(model)}
    content = safetensors.numpy.save(arrays, {"format": "tfgen"})
    config = {
        "tfgen": VERSION,
        "model": run["model"],
        "settings": run["settings"],
        "data": run["data"],
        "image_size": run["image_size"],
        "arrays": run["arrays"],
        # Where the data lay and what their files were called is nobody else's business.
        "described": run["described"] | {"origin": run["data"], "files": ""},
        "seed": run["seed"],
        "steps": int(model.step.numpy()),
        "command": command(run),
        "licence_of_data": LICENCES.get(run["data"], "not stated"),
        "numbers": list(numbers),
        "versions": run["versions"],
        "revision": run["revision"],
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    with files.new_folder(out) as draft:
        (draft / WEIGHTS).write_bytes(content)
        (draft / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
        (draft / "README.md").write_text(card(config, len(content)))
        if picture:
            picture.save(draft / "samples.png", optimize=True)
    return len(content)


def command(run):
    """The command that trains a run again."""
    changed = [f"{key}={value}" for key, value in run["settings"].items()]
    parts = ["tfgen", "train", run["model"], *changed, "--data", run["data"]]
    for option in ("image_size", "seed", "precision"):
        if run[option] not in (None, 0, "float32"):
            parts += [f"--{option.replace('_', '-')}", str(run[option])]
    parts += ["--mirror"] if run["mirror"] else []
    parts += ["--from", run["start"]] if run.get("start") else []
    return " ".join(parts)


def is_packed(folder):
    """Whether a folder holds a packed model."""
    return (pathlib.Path(folder) / CONFIG).is_file()


def assign(model, arrays):
    """Puts arrays into the variables of the same names.

    Args:
        model: a `GenerativeModel`.
        arrays: `{name: array}`, as `names` names them.

    Returns:
        The names of variables without an array, and of arrays that fit no variable: two lists.
    """
    variables = names(model)
    fits = {
        name: array
        for name, array in arrays.items()
        if name in variables and tuple(variables[name].shape) == array.shape
    }
    for name, array in fits.items():
        variables[name].assign(array)
    return [name for name in variables if name not in fits], [n for n in arrays if n not in fits]


def read_config(folder):
    """What `config.json` of a packed model says, a dict.

    Raises:
        InputError: it cannot be read, or is of a later version.
    """
    path = pathlib.Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text())
        version = config["tfgen"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not that of a packed model: {error}") from None
    if version != VERSION:
        raise InputError(f"{path} is of layout {version}, but this tfgen reads {VERSION}")
    return config


def read_weights(folder, config):
    """`{name: array}` of a packed model.

    Raises:
        InputError: the file is missing, damaged, or another one than `config.json` tells of.
    """
    path = pathlib.Path(folder) / WEIGHTS
    try:
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != config["sha256"]:
            raise InputError(
                f"{path} is damaged or another file: its SHA-256 is {found[:12]}…, but "
                f"{CONFIG} says {config['sha256'][:12]}…; get it again"
            )
        return safetensors.numpy.load(content)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def card(config, size):
    """The README.md of a packed model: front matter for Hugging Face, then words."""
    kinds = {column["name"] for column in config["described"]["columns"].values()}
    translates = set(config["described"]["feed"]) == {"a", "b"}
    task = "image-to-image" if translates else "unconditional-image-generation"
    tags = ["tfgen", "keras", "tensorflow", config["model"]]
    front = ["library_name: tfgen", "tags:", *(f"- {tag}" for tag in tags)]
    if "images" in kinds:
        front.append(f"pipeline_tag: {task}")
    front += ["datasets:", f"- {config['data']}"] if ":" not in config["data"] else []
    numbers = "".join(
        f"| {n['what']} | {n['value']} | `{n['command']}` |\n" for n in config["numbers"]
    )
    table = f"\n| what | value | command |\n|---|---|---|\n{numbers}" if numbers else ""
    front_matter = "\n".join(["---", *front, "---"])
    return f"""{front_matter}

# {config["model"]} on {config["data"]}

![Samples of the seeds 0 to 63](samples.png)

Trained by

    {config["command"]}

{config["steps"]:,} steps, seed {config["seed"]}, revision {config["revision"]}. The weights take
{size:,} bytes. Licence of the data: {config["licence_of_data"]}.
{table}
## Use

    tfgen sample FOLDER --out samples.png
    tfgen export FOLDER --to saved_model,lite --out delivered

`FOLDER` is where these files lie.
"""


def _rounded(array, dtype):
    """An array in a smaller type, where that changes no number by more than its rounding."""
    array = np.asarray(array)  # a single number is none
    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        small = array.astype(dtype)
    # Of numbers below a thousandth of the largest, what a thousandth would lose may be lost.
    least = abs(array).max(initial=0.0) * 2.0**-10
    close = abs(small.astype("float32") - array) <= ROUNDED * np.maximum(abs(array), least)
    return small if close.all() else array
