"""The one exception for input that cannot be used, and the one warning for users."""

import warnings


class InputError(ValueError):
    """Names a value, what was expected of it and what to do.

    The command line prints its text without a traceback and exits with code 2.
    """


def check_choice(name, value, known):
    """Checks that a setting is one of the names that are known.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        raise InputError(f"{name}={value!r} is not one of {', '.join(known)}")


class Note(UserWarning):
    """What a user should know although the work goes on; the command line prints its text alone."""


def note(text):
    """Warns with a `Note`."""
    warnings.warn(text, Note, stacklevel=3)
