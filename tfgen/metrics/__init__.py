"""How good samples are, in numbers that say what was measured.

Functions on arrays of features: `metrics.fid(reals, fakes)`. `metrics.features(name)` makes
features of images, and `metrics.evaluate` does both for a data set. What works on features alone
does without TensorFlow.
"""

from tfgen.metrics.catalogue import METRICS

# As in `tfgen`: the names come when they are first used. No module is called like a function in it,
# as importing the module would hide the function.
_HOMES = {name: metric.home for name, metric in METRICS.items() if metric.home} | {
    "FID": "frechet",
    "KID": "kernels",
    "KNN": "neighbours",
    "METRICS": "catalogue",
    "Coverage": "neighbours",
    "Evaluation": "evaluation",
    "Memorisation": "copies",
    "Modes": "mixtures",
    "Moments": "frechet",
    "PrecisionRecall": "neighbours",
    "Recognised": "recognition",
    "Result": "evaluation",
    "Score": "score",
    "accuracy": "recognition",
    "collapse": "variety",
    "evaluate": "evaluation",
    "evaluate_model": "evaluation",
    "features": "extractors",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"tfgen.metrics.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tfgen.metrics' has no attribute {name!r}")


def __dir__():
    return __all__
