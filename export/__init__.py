"""The delivery: a trained model as files that run without this project, and the proof of it.

TensorFlow is imported when something is delivered, not before: a client needs none.
"""

__all__ = [
    "FORMATS",
    "QUANTIZE",
    "DeliveryError",
    "Report",
    "VerificationError",
    "deliver",
    "table",
]


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module 'export' has no attribute {name!r}")
    from export import delivery

    return getattr(delivery, name)
