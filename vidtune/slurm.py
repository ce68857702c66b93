"""Asks SLURM, ahead of the first job, about the values of a profile. Imports no torch.

The executor would find out later: job by job, each with its retries, or by waiting for ever.
"""

import getpass
import subprocess
from collections.abc import Mapping
from typing import Any

from vidtune.cluster import plain
from vidtune.spec import UserError

PATIENCE = 20.0  # seconds for an answer; a question that has none is passed over


def check(defaults: Mapping[str, Any], status_command: str | None) -> None:
    """Check accounts, partitions and how jobs are watched (`--slurm-status-command`).

    Raises `UserError`, which names the key of the profile and what to do. `defaults` are Snakemake's
    default resources.
    """
    if status_command == "sacct":
        code, said = _ask("sacct", "-X", "--noheader", "--starttime", "now")
        if code:
            raise UserError(
                f"slurm-status-command: sacct says {_first(said)!r}, and no job would be seen to end; "
                "take the line `slurm-status-command: squeue` of the profile in"
            )
    code, partitions = _ask("sinfo", "--noheader", "--format=%R")
    for key in ("slurm_partition", "gpu_partition"):
        _among(defaults, key, partitions if code == 0 else "", "`sinfo -s` lists")
    fields = ("--noheader", "--parsable2", "list", "associations", "format=account")
    code, accounts = _ask("sacctmgr", *fields, f"user={getpass.getuser()}")
    _among(defaults, "slurm_account", accounts if code == 0 else "", "`sacctmgr` lists for you")


def _ask(*command: str) -> tuple[int | None, str]:
    """Exit code and output; None: the command is not there, or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None, ""
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr


def _among(defaults: Mapping[str, Any], key: str, answer: str, who: str) -> None:
    known = sorted({*answer.split()})
    given = str(plain(defaults[key])).split(",") if key in defaults else []
    for name in given if known else ():
        if name.strip().lower() not in {one.lower() for one in known}:
            raise UserError(
                f"default-resources: {key}: {name.strip()!r} is not known to SLURM; {who} "
                f"{', '.join(known)}; fix it in the profile"
            )


def _first(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]
