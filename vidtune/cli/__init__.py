"""One verb per rule, with the name of the rule and of the function. `vidtune <verb> --help`."""

from vidtune.cli.main import main

__all__ = ["main"]
