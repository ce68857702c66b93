"""The command line: one file per verb, one verb per rule. `vidtune <verb> --help`."""

from vidtune.cli.main import main

__all__ = ["main"]
