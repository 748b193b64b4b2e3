"""`python -m hack.demo`: see `make demo`."""

import sys

from hack.demo.play import main

if __name__ == "__main__":
    sys.exit(main())
