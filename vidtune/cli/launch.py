"""Several processes of one verb, each with torchrun's variables: on this machine, or on SLURM's nodes.

torchrun itself ends a training with a traceback of its own, another exit code, and no snapshot where a
scheduler sends SIGUSR1. It still starts the processes on several machines without SLURM.
"""

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import IO, NamedTuple

from vidtune.cli.inputs import count
from vidtune.spec import UserError
from vidtune.spec.errors import last_said

PROGRAM = ("-m", "vidtune")  # what the interpreter of a rank runs
STOPPED = 75  # exit code of a job that was told to stop, and goes on when it is started again
NOT_MET = 76  # of a process that did not find the others
MEETINGS = 3  # starts of processes that have not met: the port may have been taken in between
GRACE = 20.0  # seconds for the others to end where one has failed
POLL = 0.1  # seconds
MOST = 16  # processes of one machine, where it has no more cores
PR_SET_PDEATHSIG = 1  # of prctl(2)
PORTS = range(
    20000, 32000
)  # below those that systems hand out; a job of several nodes takes one by its id


def add_ranks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ranks", type=count, default=1, help="processes (default: 1)")
    parser.add_argument(
        "--nodes",
        type=count,
        default=1,
        help="nodes of SLURM that share the processes; srun starts this very command on each (default: 1)",
    )


class Node(NamedTuple):
    """This machine among those that compute a run together."""

    first: int  # rank of its first process
    local: int  # processes on it
    address: str  # of the machine where the ranks meet
    port: int


def node(ranks: int, nodes: int, env: Mapping[str, str] = os.environ) -> Node:
    """Which of the ranks are this machine's. Raises `UserError` where SLURM does not say, and where they
    are more than a machine can be meant to have."""
    if ranks % nodes:
        raise UserError(f"--ranks {ranks}: expected a multiple of --nodes {nodes}")
    local, most = ranks // nodes, max(MOST, os.cpu_count() or 1)
    if local > most:
        raise UserError(
            f"--ranks {ranks}: {local} processes of one machine; expected {most} at most"
        )
    if nodes == 1:
        return Node(0, local, "127.0.0.1", free_port())
    try:
        number, found = int(env["SLURM_NODEID"]), int(env["SLURM_STEP_NUM_NODES"])
        names, job = env["SLURM_STEP_NODELIST"], int(env["SLURM_JOB_ID"])
    except (KeyError, ValueError):
        raise UserError(
            f"--nodes {nodes}: SLURM does not say which node this is; start it by `srun --nodes {nodes} "
            "--ntasks-per-node 1`, or use torchrun"
        ) from None
    if found != nodes:
        raise UserError(f"--nodes {nodes}: srun has started this on {found}; give both the same")
    return Node(number * local, local, _first_of(names), PORTS.start + job % len(PORTS))


def _first_of(names: str) -> str:
    """The first host of SLURM's list, which shortens names as in "gpu[03-05,9]"."""
    if "[" not in names:
        return names.split(",")[0]
    command = ["scontrol", "show", "hostnames", names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as e:
        raise UserError(f"{' '.join(command)}: {e}; SLURM's commands are needed here") from None
    return done.stdout.split()[0]


def starts_ranks(args: argparse.Namespace) -> bool:
    """Whether this process is to start others, and is none of theirs. Raises `UserError` where it is one
    of another number of processes."""
    if args.ranks == 1 or "RANK" not in os.environ:
        return args.ranks > 1
    if (ranks := os.environ.get("WORLD_SIZE")) != str(args.ranks):
        raise UserError(
            f"--ranks {args.ranks}: RANK says that this process was started as one of {ranks or 'some'}; "
            "leave --ranks out under torchrun, or unset RANK"
        )
    return False


def run_on_ranks(args: argparse.Namespace) -> int:
    """Run this very command in `args.ranks` processes, or this node's share of them, and return the exit
    code of the first that failed; then the others are ended. Signals to stop go to all of them. Where
    they have not met, and are all of this machine, they are started again."""
    for _ in range(MEETINGS if args.nodes == 1 else 1):
        code = _run_on_ranks(args)
        if code != NOT_MET:
            break
    return code


def _run_on_ranks(args: argparse.Namespace) -> int:
    here = node(args.ranks, args.nodes)
    with ExitStack() as open_files:
        logs = [open_files.enter_context(_log()) for _ in range(here.local)]
        ranks: list[subprocess.Popen[bytes]] = []
        told: set[int] = set()

        def pass_on(number: int, _: object = None) -> None:
            told.add(number)
            for process in ranks:
                if process.poll() is None:
                    process.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, pass_on)
        for local, log in enumerate(logs):
            ranks.append(_start(args, here, local, log))
        for number in tuple(told):  # that came before all were started
            pass_on(number)
        failed = _wait(ranks)
        if failed is None:
            return 0
        code = ranks[failed].returncode
        if code != 2 and _have_stopped(ranks, told):
            return STOPPED
        if code == ranks[0].returncode == 2:  # bad input, which the first has said here
            return code
        # What ended the first, which has said so itself, may be what another one says.
        for i in range(here.local) if (failed, code) == (0, 1) else [failed]:
            text = _last_line(logs[i])
            if ranks[i].returncode < 0:
                text = f"killed by signal {-ranks[i].returncode}" + (f" ({text})" if text else "")
            if text:
                which = f"process {here.first + i} of {args.ranks}"
                print(f"vidtune {args.verb}: {which}: {text}", file=sys.stderr)
    return code if code > 0 else 1


def _have_stopped(ranks: list[subprocess.Popen[bytes]], told: set[int]) -> bool:
    """Whether one has stopped because it was told to: at a step, or as it was still starting."""
    asked = told & {signal.SIGTERM, signal.SIGUSR1}
    codes = {STOPPED, *(-number for number in asked)}
    return bool(asked) and any(process.returncode in codes for process in ranks)


def _log() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as e:
        raise UserError(f"TMPDIR: {e.strerror}; set it to a folder that you can write to") from None


def _last_line(log: IO[bytes]) -> str:
    """Of what a process has said; rank 0, which has no log, has said it here already."""
    log.seek(0)
    return last_said(log.read().decode(errors="replace").strip().splitlines())


def _start(
    args: argparse.Namespace, here: Node, local: int, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    env = {
        "RANK": here.first + local,
        "LOCAL_RANK": local,
        "WORLD_SIZE": args.ranks,
        "LOCAL_WORLD_SIZE": here.local,
        "MASTER_ADDR": here.address,
        "MASTER_PORT": here.port,
    }
    return subprocess.Popen(
        [sys.executable, *PROGRAM, *map(str, args.given)],
        env=os.environ | {k: str(v) for k, v in env.items()},
        stderr=log if local else None,
        preexec_fn=_stops_with_its_parent() if sys.platform == "linux" else None,
    )


def _stops_with_its_parent() -> Callable[[], object]:
    """What has a child told to stop where this process dies, which then passes no signal on."""
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait(ranks: list[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all, and return which one failed first; None: none did."""
    failed, deadline = None, 0.0
    while any(process.poll() is None for process in ranks):
        if failed is None:
            failed = _failed(ranks)
            deadline = time.monotonic() + GRACE
        elif time.monotonic() > deadline:
            for process in ranks:
                process.kill()
        time.sleep(POLL)
    return _failed(ranks) if failed is None else failed


def _failed(ranks: list[subprocess.Popen[bytes]]) -> int | None:
    """The rank that has failed: of several one that was killed, which is why others do."""
    ended = [i for i, process in enumerate(ranks) if process.poll()]
    return min(ended, key=lambda i: ranks[i].returncode, default=None)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
