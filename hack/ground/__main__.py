"""`python -m hack.ground`."""

from hack.ground.cli import main

raise SystemExit(main())
