"""Run a command on a GPU that no other vidtune job has; without a GPU, just run it."""

from vidtune.gpu.__main__ import arguments, run

__all__ = ["arguments", "run"]
