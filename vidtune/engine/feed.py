"""Batches of a split, with the target: clips, or what a model's `prepare` made of them.

Where nothing random happens to the clips and they fit into memory, they are decoded once; where
the model's frozen part is all that sees the pixels, its outputs are kept instead.

Shapes: B clips, T frames, S pixels, L words.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vidtune.data import records
from vidtune.data.clips import Clips, load
from vidtune.data.text import Tokenizer, tokenizer
from vidtune.data.video import cores
from vidtune.nn.pixels import normalise
from vidtune.nn.task import VideoModel
from vidtune.progress import progress
from vidtune.spec import Run, UserError

KEEP = 4 << 30  # bytes of decoded clips or features that a run may keep
AT_ONCE = 32  # clips per batch outside training
MOST_WORKERS = 8  # processes that decode; further cores are their decoders' threads


class Feed:
    """One split of a run's data for one model on one device; one view of it in tests."""

    def __init__(
        self,
        run: Run,
        model: VideoModel,
        split: str,
        train: bool,
        where: torch.device,
        view: int = 0,
    ):
        self.run, self.model, self.where, self.train = run, model, where, train
        self.records = records.read(Path(run.data), split)
        if not self.records:
            raise UserError(f"{run.data}/{split}.jsonl: no clips; expected at least one")
        m = run.model
        self.clips = Clips(
            self.records,
            run.recipe,
            m.frames,
            m.backbone.image,
            train=train,
            seed=run.seed,
            view=view,
            views=(1, 1) if train or m.task == "retrieval" else m.view_grid,
        )
        self.masked = run.recipe.sampler == "clip4clip"  # whether forward is told the real frames
        self.batch = min(run.recipe.batch, len(self.clips)) if train else AT_ONCE
        self.replaced = 0  # broken videos for which another one was taken, so far
        self.tokenize: Tokenizer | None = None
        if m.task == "retrieval":
            self.tokenize = tokenizer(m.backbone.text.vocabulary, m.max_words)
        self.targets = self._targets()
        self.prepared = False  # whether what is kept has passed the model's frozen part
        size = len(self.clips) * m.frames * 3 * m.backbone.image**2
        self.kept = self._keep(split) if self.clips.deterministic and size <= KEEP else None

    def _targets(self) -> Tensor:
        """Labels (items,) or token ids (items, L)."""
        m = self.run.model
        if m.task == "recognition":
            labels = [self.records[i].label for i, _ in self.clips.items]
            missing = next((r.id for r in self.records if r.label is None), None)
            if missing:
                raise UserError(
                    f"{self.run.data}: {missing}: label: missing; recognition needs one"
                )
            if m.classes is None or max(labels) >= m.classes:
                raise UserError(
                    f"{self.run.data}/manifest.json: classes: more than the dataset's {m.classes}; "
                    "fix classes in config/datasets.yaml"
                )
            return torch.tensor(labels)
        missing = next((r.id for r in self.records if not r.captions), None)
        if missing:
            raise UserError(f"{self.run.data}: {missing}: captions: none; retrieval needs one")
        return self._tokens([self.records[i].captions[c] for i, c in self.clips.items])

    def _tokens(self, captions: list[str]) -> Tensor:
        """Token ids (B, L)."""
        assert self.tokenize is not None, "recognition has no captions"
        return self.tokenize(captions)

    def queries(self) -> tuple[Tensor, Tensor]:
        """Every caption of every record: token ids (Q, L), the index of its video (Q,)."""
        captions = [(i, text) for i, r in enumerate(self.records) for text in r.captions]
        owner, texts = zip(*captions, strict=True)
        return self._tokens(list(texts)), torch.tensor(owner)

    def _keep(self, split: str) -> tuple[Tensor, ...]:
        """Decoded clips, or the frozen part's outputs: tensors whose first axis is the item."""
        videos = load(self.clips, f"{self.run.name}: read {split}")
        real = (self.clips.real(),) if self.masked else ()
        if not self.model.cacheable:
            return (videos, *real)
        parts = []
        for some in videos.split(AT_ONCE):
            parts.append(tuple(t.cpu() for t in self.model.prepare(self._ready(some))))
            if sum(t.nbytes for t in parts[0]) * len(videos) > KEEP * len(parts[0][0]):
                return (videos, *real)  # features would take too much room
        self.prepared = True
        return (*(torch.cat(column) for column in zip(*parts, strict=True)), *real)

    def _ready(self, videos: Tensor) -> Tensor:
        """uint8 (B, T, 3, S, S) -> normalised frames on the device."""
        return normalise(videos.to(self.where))

    def outputs(self, inputs: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """What the model makes of a batch; with padded frames the last input says which are real."""
        run = self.model if self.prepared else self.model.at_once
        if self.masked:
            return run(*inputs[:-1], mask=inputs[-1])
        return run(*inputs)

    def __len__(self) -> int:
        """Batches of an epoch; training drops the last incomplete one."""
        n = len(self.clips)
        return n // self.batch if self.train else -(-n // self.batch)

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """(what `outputs` takes, target) of every batch, on the device; order from seed and epoch.

        Batches before `first` are not made: a resumed training has seen and counted them.
        In tests of retrieval the target is the first caption; `queries` has all.
        """
        self.clips.epoch = number
        order = torch.arange(len(self.clips))
        if self.train:
            generator = torch.Generator().manual_seed(self.run.seed * 100_003 + number)
            order = torch.randperm(len(self.clips), generator=generator)
        batches = [order[i * self.batch : (i + 1) * self.batch] for i in range(first, len(self))]
        if self.kept is None:
            yield from self._stream(batches)
            return
        for rows in batches:
            tensors = tuple(t[rows].to(self.where) for t in self.kept)
            if not self.prepared:
                tensors = (self._ready(tensors[0]), *tensors[1:])
            yield tensors, self.targets[rows].to(self.where)

    def _stream(self, batches: list[Tensor]) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Decoded by workers as training goes."""
        for batch in decoded(self.clips, batches):
            self.replaced += int(batch["replaced"].sum())
            # the batch's own targets: a flip changes labels and captions
            recognition = self.run.model.task == "recognition"
            target = batch["label"] if recognition else self._tokens(batch["caption"])
            real = (batch["real"].to(self.where),) if self.masked else ()
            yield (self._ready(batch["video"]), *real), target.to(self.where)

    def all(self) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """As `epoch(0)`, with progress."""
        return progress(self.epoch(0), len(self), f"{self.run.name}: evaluate")


def workers() -> int:
    """Processes that decode while a model computes."""
    return min(cores(), MOST_WORKERS)


def decoded(clips: Clips, batches: list[Tensor]) -> Iterator[dict[str, Any]]:
    """Batches of items, decoded by workers; their `UserError` comes without a traceback."""
    clips.threads = cores() // max(1, workers())
    loader = DataLoader(clips, batch_sampler=[b.tolist() for b in batches], num_workers=workers())
    try:
        yield from loader
    except UserError as e:
        raise UserError(str(e).strip().splitlines()[-1].split("UserError: ")[-1]) from None
