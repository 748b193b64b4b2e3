"""`python -m polyhull`: the command line."""

from polyhull.cli import main

if __name__ == "__main__":
    main()
