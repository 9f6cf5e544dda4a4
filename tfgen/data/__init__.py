"""Data in memory: `load(name, image_size)` gives a `Data`, `names.names()` tells what there is.

A data set is named columns: images, labels, points, tokens, trajectories, videos. `from_arrays`
makes one of a user's own arrays. Images are stored as uint8 and handed out as float32 `[H, W, C]`
in [-1, 1], the conventions of `tfgen.data.levels`. Points are float32 `[D]`.
"""

# As in `tfgen`: what needs TensorFlow comes when it is first used; the module `names` needs none.
_HOMES = {"Data": "data", "from_arrays": "arrays", "load": "sets"}

__all__ = sorted(_HOMES)


def __getattr__(name):
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"tfgen.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tfgen.data' has no attribute {name!r}")


def __dir__():
    return __all__
