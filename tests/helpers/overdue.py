"""A training whose ranks all find a snapshot overdue as it begins: helpers.overdue SPEC OUT NOTES, which
has the steps after which one was written."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from vidtune.cli.inputs import read_spec
from vidtune.engine import ranks
from vidtune.engine.snapshot import SAVE_EVERY, Snapshot
from vidtune.engine.train import train
from vidtune.spec import Run


def main(words: Sequence[str]) -> None:
    spec, out, notes = map(Path, words)
    torch.set_num_threads(1)
    begin, save = Snapshot.__init__, Snapshot.save

    def begin_overdue(snapshot: Snapshot, *given: object) -> None:
        begin(snapshot, *given)  # type: ignore[arg-type]
        snapshot.saved -= SAVE_EVERY + 1

    def save_and_note(snapshot: Snapshot, number: int) -> None:
        save(snapshot, number)
        with notes.open("a") as file:
            file.write(f"{number}\n")

    Snapshot.__init__, Snapshot.save = begin_overdue, save_and_note  # type: ignore[method-assign]
    train(read_spec(Run, spec), out)
    ranks.end()


if __name__ == "__main__":
    main(sys.argv[1:])
