"""Trainings and tests, killed and stopped at random moments: they go on to the results of undisturbed ones.

VIDTUNE_KILLS says how often each of these tests kills (default: 1); a third as often it sends SIGTERM.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import pytest
from helpers.disturbed import command, environment, ranks_of
from helpers.forks import Forked, Forks, forking
from helpers.outcome import same

from vidtune.engine.made import MARK
from vidtune.spec import Run, write_json

KILLS = int(os.environ.get("VIDTUNE_KILLS", "1"))
TERMS = -(-KILLS // 3)
MANY = KILLS > 5  # then every process is started anew, else forked of one that has all imported
STEPS = 240 if MANY else 40
Process = Forked | subprocess.Popen[bytes]
ADAPTER = {"layers": 2, "width": 16, "dropout": 0.5, "pre_mlp": True, "pre_attn": False}


@pytest.fixture
def runs(short_run: Callable[..., Run]) -> dict[str, Run]:
    """A run with BatchNorm, and one with dropout whose clips workers decode anew in every epoch. Both are
    tested in the course of training, and at the end in three views."""
    name, select = "side4video/b16-ssv1@0", {"metric": "top1", "every": 60, "ties": "first"}
    given = {"steps": STEPS, "group": 4, "lr": 1e-3, "select": select}
    side = short_run(name, **given)
    side = side.model_copy(update={"model": side.model.model_copy(update={"views": "1x3"})})
    adapter = short_run(name, **given, random_train_frames=True)
    update = {"method": "st_adapter", "options": ADAPTER, "views": "1x3"}
    adapter = adapter.model_copy(update={"model": adapter.model.model_copy(update=update)})
    return {"batchnorm": side, "dropout": adapter}


@pytest.fixture
def forks(runs: dict[str, Run], tmp_path: Path) -> Iterator[Forks | None]:
    specs = [tmp_path / f"{kind}.json" for kind in runs]
    for path, run in zip(specs, runs.values(), strict=True):
        write_json(path, run)
    with nullcontext() if MANY else forking(specs) as server:
        yield server


@dataclass
class Blows:
    """Random signals that are left to send: which, to whom, and when."""

    rng: random.Random
    length: float = 0.0  # seconds from the start of a training to its end
    left: dict[str, int] = field(default_factory=lambda: {"kill": KILLS, "term": TERMS})

    def deal(self, process: Process, begun: Path, ranks: int, log: Path) -> bool:
        """Send one to a process, which then ends as it should; False: it was finished before.

        `begun` is there once it is at work. Most blows come later than that.
        """
        late = self.rng.random() < 0.8
        while late and not begun.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(self.rng.uniform(0, self.length if late else 2.0))
        kind = self.rng.choice([kind for kind, n in self.left.items() if n])
        whole = self.rng.random() < 0.5  # the group, or one process
        at_work = begun.exists()
        if process.poll() is not None:
            assert process.returncode == 0, log.read_text()
            return False
        alone = ranks_of(process.pid) if kind == "kill" and ranks > 1 and not whole else []
        if kind == "term":
            (os.killpg if whole else os.kill)(process.pid, signal.SIGTERM)
        elif alone:
            os.kill(self.rng.choice(alone), signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait(timeout=120)
        self._check(kind, code, bool(alone), at_work, log)
        self.left[kind] -= code != 0
        return code != 0

    @staticmethod
    def _check(kind: str, code: int, one_rank: bool, at_work: bool, log: Path) -> None:
        """Where it was not finished when the signal came, its code says why it ended."""
        text = log.read_text()
        if kind == "term":
            early = () if at_work else (-signal.SIGTERM,)  # before it has heeded signals
            assert code in (0, 75, *early), (code, text)
        elif one_rank:
            assert code == 0 or (code == 1 and "of 2: killed by signal 9" in text), (code, text)
        else:
            assert code in (0, -signal.SIGKILL), (code, text)  # 0: it had just ended


def start(verb: str, folder: Path, ranks: int, forks: Forks | None, **more: object) -> Process:
    out = folder / {"train": "model.pt", "evaluate": "eval.json"}[verb]
    words = [verb, "--spec", f"{folder}.json", "--out", out, "--ranks", ranks]
    log = folder.parent / "log"
    if forks:
        return forks.start(words, log, **more)
    with log.open("wb") as file:
        return subprocess.Popen(
            command(*words), env=environment(**more), stderr=file, start_new_session=True
        )


def finish(verb: str, folder: Path, ranks: int, forks: Forks | None) -> float:
    """Let it end by itself; the seconds that it took."""
    begin = time.monotonic()
    process = start(verb, folder, ranks, forks)
    assert process.wait(timeout=300) == 0, (folder.parent / "log").read_text()
    return time.monotonic() - begin


def trainings(
    runs: dict[str, Run], ranks: int, place: Path, forks: Forks | None, blows: "Blows"
) -> Iterator[tuple[Path, Path]]:
    """(Folder of one that is to be disturbed, that of the same, undisturbed), of one kind and the
    other."""
    kinds = ("dropout", "batchnorm") if ranks == 1 else ("batchnorm", "dropout")
    for number, kind in enumerate(cycle(kinds)):
        whole, folder = place / kind, place / f"{kind}{number}"
        for each in (whole, folder):
            write_json(Path(f"{each}.json"), runs[kind])
        if not whole.exists():
            blows.length = finish("train", whole, ranks, forks)
            finish("evaluate", whole, ranks, forks)
        yield folder, whole


@pytest.mark.parametrize("ranks", [1, 2])
def test_killed_and_stopped_at_random_moments(
    ranks: int, runs: dict[str, Run], forks: Forks | None, tmp_path: Path
) -> None:
    blows, log = Blows(random.Random(ranks)), tmp_path / "log"
    for folder, whole in trainings(runs, ranks, tmp_path, forks, blows):
        for verb, begun in (("train", MARK), ("evaluate", "eval.partial")):
            while any(blows.left.values()):
                (folder / MARK).unlink(missing_ok=True)
                process = start(verb, folder, ranks, forks, VIDTUNE_OFTEN=1)
                if not blows.deal(process, folder / begun, ranks, log):
                    break
                same(folder, whole)
                if verb == "evaluate":
                    break
            finish(verb, folder, ranks, forks)
        same(folder, whole, finished=True)
        if not any(blows.left.values()):
            return


def test_killed_in_the_middle_of_writing(runs: dict[str, Run], tmp_path: Path) -> None:
    """At any line that writes a file or goes on from one, and with half a file written."""
    few = {"steps": 6, "select": {"metric": "top1", "every": 2}}
    recipe = runs["batchnorm"].recipe.model_copy(update={"steps": 6})
    recipe = type(recipe).model_validate({**recipe.model_dump(), **few})
    write_json(tmp_path / "spec.json", runs["batchnorm"].model_copy(update={"recipe": recipe}))
    words = [tmp_path / "spec.json", tmp_path / "killed", 2 * KILLS, 0]
    done = subprocess.run(
        [sys.executable, "-m", "helpers.deaths", *map(str, words)],
        env=environment(VIDTUNE_OFTEN=1),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(json.loads(done.stdout)["deaths"]) == 2 * KILLS
