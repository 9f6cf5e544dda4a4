"""Why a model is not delivered."""


class DeliveryError(RuntimeError):
    """Names what a format cannot hold, and what to change in the model."""


class VerificationError(DeliveryError):
    """Names the format, endpoint and output that break a promise, the value and its bound."""
