"""The command `tfgen`, reached through a module whose name no other package has.

The distribution is called tfgen-zoo, as the name tfgen belongs to another project on PyPI. Where
that one is found in place of this one, this is told in a sentence.
"""

import importlib.util
import pathlib
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main():
    """Checks that the packages found are those beside this file, and runs the command."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of an import
    for name in ("tfgen", "zoo", "export"):
        spec = importlib.util.find_spec(name)
        places = [pathlib.Path(place).resolve() for place in spec.submodule_search_locations or []]
        if HERE / name not in places:
            sys.exit(_told(name, places[0] if places else spec.origin))
    import tfgen

    if "GenerativeModel" not in dir(tfgen):
        sys.exit(_told("tfgen", tfgen.__file__))
    from tfgen.cli import main

    main()


def _told(name, place):
    return (
        f"tfgen: the package {name!r} is found at {place}, which belongs to another project: "
        f"uninstall that one, or run `python -m tfgen` in {HERE}"
    )
