"""`python -m tfgen` is `tfgen`."""

from tfgen.cli import main

main()
