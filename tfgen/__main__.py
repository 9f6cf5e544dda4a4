"""`python -m tfgen` is `tfgen`."""

from tfgen_zoo import main

main()
