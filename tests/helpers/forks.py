"""`python -m helpers.forks SPEC ...`: one process with all imported that these runs need, which forks
`helpers.disturbed` for each line {words, log, env} that it is given, also for every rank of it.

It answers with the process' number, and at its end with its exit code.
"""

import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from helpers.disturbed import disturbed, environment
from vidtune.cli import launch


def warm(specs: Sequence[str]) -> None:

    from vidtune import provenance
    from vidtune.cli.inputs import read_spec
    from vidtune.methods.build import build_model
    from vidtune.spec import Run

    for run in (read_spec(Run, Path(spec)) for spec in specs):
        provenance.run_digest(run)
        build_model(run.model, device="meta")


class Fork:
    """What the launcher asks of `subprocess.Popen`, of a fork of this process."""

    def __init__(
        self,
        command: list[str],
        env: dict[str, str],
        stderr: IO[bytes] | None,
        preexec_fn: Callable[[], object] | None,
    ) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        if preexec_fn:
            preexec_fn()
        if stderr:
            os.dup2(stderr.fileno(), 2)
        os.environ.update(env)
        ends(command[1 + len(launch.PROGRAM) :])

    def poll(self) -> int | None:
        if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def ends(words: list[str]) -> None:
    """Run it, and end this process with its code."""
    code = 1
    try:
        code = disturbed(words)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    launch.subprocess = SimpleNamespace(Popen=Fork)  # type: ignore[assignment]
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if not pid:
            os.setsid()
            os.dup2(os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.environ.update(job["env"])
            ends(job["words"])
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


class Forked:
    """A process of `Forks`, as `subprocess.Popen` has it."""

    def __init__(self, answers: IO[bytes]) -> None:
        self.answers = answers  # not buffered, for `select` sees no buffer
        self.returncode: int | None = None
        self.pid = int(answers.readline())

    def poll(self) -> int | None:
        return self.wait(0.0)

    def wait(self, timeout: float) -> int | None:
        """Its exit code; None: it has not ended by then."""
        if self.returncode is None and select.select([self.answers], [], [], timeout)[0]:
            self.returncode = int(self.answers.readline())
        return self.returncode


class Forks:
    """Where forks are asked for, one at a time."""

    def __init__(self, server: "subprocess.Popen[bytes]") -> None:
        self.server = server

    def start(self, words: Sequence[object], log: Path, **env: object) -> Forked:
        job: dict[str, Any] = {"words": list(map(str, words)), "log": str(log)}
        job["env"] = {k: str(v) for k, v in env.items()}
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(json.dumps(job).encode() + b"\n")
        return Forked(self.server.stdout)


@contextmanager
def forking(specs: Sequence[Path]) -> Iterator[Forks]:
    command = [sys.executable, "-m", "helpers.forks", *map(str, specs)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, bufsize=0) as server:
        yield Forks(server)
        assert server.stdin
        server.stdin.close()


if __name__ == "__main__":
    warm(sys.argv[1:])
    serve()
