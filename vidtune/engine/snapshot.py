"""What a training keeps besides the model: its loss curve, and the snapshot to resume from."""

import hashlib
import io
import math
import os
import sys
import time
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from vidtune import provenance
from vidtune.data.batches import Batches
from vidtune.engine import ranks
from vidtune.engine.checkpoints import load_tuned, tuned_state
from vidtune.engine.made import LATE
from vidtune.nn.task import VideoModel
from vidtune.spec import UserError
from vidtune.spec.read import unfinished, write_bytes

CHECKSUM = 32  # bytes of a SHA-256, at a snapshot's end
POINTS = 60  # of the loss curve that is kept
SAVE_EVERY = 60.0  # seconds between snapshots, at least
SHARE = 0.01  # of the time that snapshots may take
PATIENCE = 10  # steps in a row without a finite loss that end a training
WORTH = 600.0  # seconds of training that are not thrown away without being asked


class LossCurve:
    """Losses of a training of `steps` steps, as `points` (step, mean loss since the last point)."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.points: list[tuple[int, float]] = []
        self.recent: list[float] = []  # since the last point
        self.number = 0  # of the last step
        self.last = 0.0
        self.lost = 0  # steps in a row whose loss was no number

    def add(self, number: int, loss: float) -> None:
        """The loss of the step `number`, counted from 1."""
        self.number, self.last = number, loss
        self.lost = 0 if math.isfinite(loss) else self.lost + 1
        self.recent.append(loss)
        if number % max(1, self.steps // POINTS) == 0 or number == self.steps or self.diverged:
            self.points.append((number, sum(self.recent) / len(self.recent)))
            self.recent = []

    @property
    def diverged(self) -> bool:
        """Whether the loss was no number for several steps."""
        return self.lost >= PATIENCE

    def describe(self) -> str:
        return f"loss {self.last:.4f}"

    def state_dict(self) -> dict[str, Any]:
        return deepcopy(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


Chosen = tuple[Path, bytes, dict[str, Any]]  # a snapshot, its checksum and its content


def _content(data: bytes) -> dict[str, Any]:
    """What a snapshot's bytes hold. Raises where they are not what was written."""
    if hashlib.sha256(data[:-CHECKSUM]).digest() != data[-CHECKSUM:]:
        raise ValueError("its bytes have changed since")
    return torch.load(io.BytesIO(data[:-CHECKSUM]), map_location="cpu", weights_only=True)


def older(snapshot: Path) -> Path:
    """Where the snapshot before the last one stands."""
    return snapshot.with_name(f"{snapshot.stem}-1{snapshot.suffix}")


def damaged(snapshot: Path) -> Path:
    """What a snapshot becomes that is not what was written."""
    return snapshot.with_name(f"{snapshot.name}.damaged")


class Snapshot:
    """The file that a stopped training resumes from, bit for bit, and the one before it.

    `parts` have a state besides the model's: optimiser with scaler, schedule, loss curve, the best weights
    so far. `inputs` is the digest of what the run is made of. A file ends with the SHA-256 of what is
    before.
    """

    def __init__(
        self,
        path: Path,
        model: VideoModel,
        data: Batches,
        parts: dict[str, Any],
        inputs: str,
    ) -> None:
        self.path, self.model, self.data, self.parts, self.inputs = path, model, data, parts, inputs
        self.older = older(path)
        self.spec = provenance.spec_digest(data.run)
        self.code = provenance.run_digest(data.run)
        self.start = self.saved = time.monotonic()
        self.pause = SAVE_EVERY
        self.before = 0.0  # seconds of training in earlier processes
        self.saved_step = 0  # that a training goes on after

    @property
    def seconds(self) -> float:
        """Of training so far, in this process and in those that it goes on from."""
        return self.before + time.monotonic() - self.start

    @property
    def due(self) -> bool:
        return time.monotonic() - self.saved > self.pause

    def save(self, number: int) -> None:
        """Write the state after `number` steps. Where that fails the training goes on."""
        start = time.monotonic()
        content = {
            "spec": self.spec,
            "code": self.code,
            "inputs": self.inputs,
            "done": number,
            "seconds": self.seconds,
            "replaced": self.data.replaced,
            "split": self._split,
            "model": tuned_state(self.model),
            "rng": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
        try:
            for path in unfinished(self.path):  # of a training that was killed as it wrote
                path.unlink()
            if self.path.is_file():
                os.replace(self.path, self.older)
            write_bytes(self.path, buffer.getvalue())
            self.saved_step = number
        except (UserError, OSError) as e:
            self._say(f"no snapshot after step {number} ({e}); goes on without one")
        self.saved = time.monotonic()
        self.pause = max(SAVE_EVERY, (self.saved - start) / SHARE)

    def restore(self) -> int:
        """The steps done: 0 unless there is a snapshot of this very run, its inputs and code.

        A damaged one is set aside. Raises `UserError` where another version of the code has left more
        than a few minutes of work.
        """
        chosen: Chosen | None = None
        told: tuple[Path, bytes] | UserError | None = None
        if ranks.rank() == 0:
            try:
                chosen = self._choose()
                told = chosen and chosen[:2]
            except UserError as e:
                told = e
        told = ranks.tell(told)
        if isinstance(told, UserError):
            raise told
        if told is None:
            return 0
        path, content = told[0], chosen[2] if chosen else self._same(*told)
        self._take_up(content, path)
        return content["done"]

    def _choose(self) -> Chosen | None:
        """What all ranks go on from, as rank 0 finds it."""
        for path in (self.path, self.older):
            if not path.is_file():
                continue
            data = path.read_bytes()
            try:
                content = _content(data)
            except Exception as e:
                aside = damaged(path)
                os.replace(path, aside)
                self._say(f"{path}: a damaged snapshot ({e}); set aside as {aside.name}")
                continue
            if (content["spec"], content.get("inputs")) != (self.spec, self.inputs):
                self._set_aside(path, content)
                continue
            if content["code"] != self.code:
                self._refuse_or_drop(path, content)
                continue
            return path, data[-CHECKSUM:], content
        return None

    def _same(self, path: Path, checksum: bytes) -> dict[str, Any]:
        """The content of the file that rank 0 has chosen, which another machine may see later."""
        deadline = time.monotonic() + LATE
        while True:
            with suppress(OSError):
                data = path.read_bytes()
                if data[-CHECKSUM:] == checksum:
                    return _content(data)
            if time.monotonic() > deadline:
                raise UserError(
                    f"{path}: not the snapshot that the first process goes on from; start again when all "
                    "machines see the same file"
                )
            time.sleep(1)

    def _refuse_or_drop(self, path: Path, content: dict[str, Any]) -> None:
        spent = content["seconds"]
        place = f"step {content['done']} after {spent / 60:.0f} min"
        if spent > WORTH:
            raise UserError(
                f"{path}: a snapshot of {place}, made by code {content['code']}; today's is "
                f"{self.code}; go back to that code to go on, or delete the file to start anew"
            )
        self._say(f"{path}: made by other code ({place}); starting anew")

    def _set_aside(self, path: Path, content: dict[str, Any]) -> None:
        """Keep what another recipe, or other clips, have made of hours."""
        if path == self.path and content["seconds"] > WORTH:
            aside = path.with_name(f"{path.name}.other")
            os.replace(path, aside)
            self._say(
                f"{path}: a snapshot of another spec, or of other clips or weights (step {content['done']} "
                f"after {content['seconds'] / 60:.0f} min); set aside as {aside.name}, starting anew"
            )

    def _take_up(self, content: dict[str, Any], path: Path) -> None:
        load_tuned(self.model, content["model"], path)
        for name, part in self.parts.items():
            part.load_state_dict(content["parts"][name])
        self.data.replaced = 0 if ranks.rank() else content["replaced"]  # of all ranks
        self.before = content["seconds"]
        torch.set_rng_state(content["rng"])
        if len(content["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(content["cuda"])
        self.saved_step = content["done"]
        made = content["split"]
        other = "" if made == self._split else f", which processes x parts of {made} have reached"
        self._say(f"goes on after step {content['done']}{other}")

    @property
    def _split(self) -> str:
        return f"{self.data.work.ranks} x {self.data.work.parts}"

    def _say(self, text: str) -> None:
        print(f"{self.data.run.name}: {text}", file=sys.stderr)
