"""What is done of a test: the outputs of its batches, in a folder that a stopped test goes on from."""

import hashlib
import json
import shutil
import time
from pathlib import Path

import torch
from torch import Tensor

from vidtune import provenance
from vidtune.engine.checkpoints import save
from vidtune.engine.made import inputs_digest
from vidtune.progress import say
from vidtune.spec import Run, UserError

EVERY = 60.0  # seconds between files, at least

Output = tuple[Tensor, ...]


class Partial:
    """Files `<key>-<number of the first batch in it>.pt`, of any number of ranks.

    Files of another key, which are of another spec, code, checkpoint or list of clips, are not read.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self.new: dict[int, Output] = {}  # not written yet
        self.further = False  # whether something new was written
        self.written = time.monotonic()

    def read(self) -> dict[int, Output]:
        """Outputs by number of the batch. A file that cannot be read is taken for none."""
        found: dict[int, Output] = {}
        for path in sorted(self.folder.glob(f"{self.key}-*.pt")):
            try:
                found |= torch.load(path, weights_only=True)
            except Exception:
                path.unlink(missing_ok=True)
        return found

    def add(self, number: int, output: Output) -> None:
        self.new[number] = output
        if time.monotonic() - self.written > EVERY:
            self.write()

    def write(self) -> None:
        """Keep what is new. Where that fails the test goes on, and it is tried again later."""
        self.written = time.monotonic()
        if self.new:
            path = self.folder / f"{self.key}-{min(self.new)}.pt"
            try:
                save(path, self.new)
            except UserError as e:
                say(f"nothing is kept of the test ({e}); goes on without")
                return
            self.further = True
        self.new = {}


def key_of(run: Run, checkpoint: Path) -> str:
    """What decides the outputs of a checkpoint: spec, code, its bytes, and the clips that are listed."""
    facts = {
        "spec": provenance.spec_digest(run),
        "code": provenance.run_digest(run),
        "inputs": inputs_digest(run, checkpoint),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def remove(folder: Path) -> None:
    """Remove what was kept of tests that are done."""
    shutil.rmtree(folder, ignore_errors=True)
