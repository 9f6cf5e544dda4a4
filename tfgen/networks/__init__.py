"""Shapes of networks that several papers share, built from `keras.Input`."""

import importlib

from tfgen.errors import InputError

PLAYERS = ("neutral", "dcgan")


def players(name):
    """The module of a `generator`, a `discriminator` and a `critic`, by its name in `PLAYERS`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in PLAYERS:
        raise InputError(f"network={name!r} is not one of {', '.join(PLAYERS)}")
    return importlib.import_module(f"tfgen.networks.{name}")
