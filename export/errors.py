"""Why a model is not delivered."""


class DeliveryError(RuntimeError):
    """Names what a format cannot hold, and what to change in the model."""


class VerificationError(DeliveryError):
    """Names the format, endpoint and output that break a promise, the value and its bound."""


def reason(error):
    """What a TensorFlow runtime says went wrong, in one line, without its list of nodes."""
    text = str(getattr(error, "message", error)).replace("Graph execution error:", "")
    return " ".join(text.split("\n\t")[0].split())
