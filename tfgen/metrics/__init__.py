"""How good samples are, in numbers that say what was measured.

Functions on arrays of features: `metrics.fid(reals, fakes)`. `metrics.features(name)` makes
features of images, and `metrics.evaluate` does both for a data set. What works on features alone
does without TensorFlow.
"""

# As in `tfgen`: the names come when they are first used. No module is called like a function in it,
# as importing the module would hide the function.
_HOMES = {
    "FID": "frechet",
    "KID": "kernels",
    "KNN": "neighbours",
    "METRICS": "evaluation",
    "Coverage": "neighbours",
    "Memorisation": "copies",
    "Modes": "mixtures",
    "Moments": "frechet",
    "PrecisionRecall": "neighbours",
    "Result": "evaluation",
    "Score": "score",
    "ade": "trajectories",
    "density_coverage": "neighbours",
    "evaluate": "evaluation",
    "fde": "trajectories",
    "features": "extractors",
    "fid": "frechet",
    "inception_score": "score",
    "kid": "kernels",
    "knn": "neighbours",
    "lpips": "perceptual",
    "memorisation": "copies",
    "mmd": "kernels",
    "modes": "mixtures",
    "ms_ssim_diversity": "image_pairs",
    "precision_recall": "neighbours",
    "psnr": "image_pairs",
    "sliced_wasserstein": "sliced",
    "ssim": "image_pairs",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"tfgen.metrics.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tfgen.metrics' has no attribute {name!r}")


def __dir__():
    return __all__
