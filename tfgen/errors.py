"""The one exception for input that cannot be used."""


class InputError(ValueError):
    """Names a value, what was expected of it and what to do.

    The command line prints its text without a traceback and exits with code 2.
    """
