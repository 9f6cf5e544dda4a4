"""Shapes of networks that several papers share, built from `keras.Input`."""

import importlib

from tfgen.errors import check_choice

PLAYERS = ("neutral", "dcgan")


def players(name):
    """The module of a `generator`, a `discriminator` and a `critic`, by its name in `PLAYERS`.

    Raises:
        InputError: there is none of that name.
    """
    check_choice("network", name, PLAYERS)
    return importlib.import_module(f"tfgen.networks.{name}")
