"""python -m vidtune <verb>, and the command `vidtune`."""

import sys
import warnings

from vidtune.cli import main


def run() -> int:
    """`main` in a process of its own, where what libraries warn of is shown by `python -W` alone: a user
    reads one line."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    return main()


if __name__ == "__main__":
    sys.exit(run())
