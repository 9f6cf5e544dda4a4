"""Generative models for TensorFlow and Keras 3: trained by `model.fit`, measured, delivered."""

__version__ = "0.2.0"

import sys

# Importing TensorFlow takes seconds: the names below come when they are first used, so that
# `tfgen --help` answers at once.
_HOMES = {
    "Data": "data",
    "Element": "endpoint",
    "Endpoint": "endpoint",
    "GenerativeModel": "model",
    "InputError": "errors",
    "Objective": "model",
    "Stage": "runs.recipes",
    "Setup": "runs.recipes",
    "from_arrays": "data",
    "lazily": "model",
    "load": "data",
    "minimize": "model",
    "open_run": "runs.opening",
    "samples": "runs.opening",
    "train": "runs.training",
    "update": "model",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"tfgen.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tfgen' has no attribute {name!r}")


def __dir__():
    return __all__


if "keras" in sys.modules:  # `keras.models.load_model` then knows the name of our models
    __getattr__("GenerativeModel")
