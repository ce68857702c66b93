"""Batches of a split's clips with their targets, in an order that seed and epoch decide.

Where nothing random happens to the clips and they fit into memory, they are decoded once and kept,
generated ones on disk too (vidtune/data/decoded.py). Otherwise worker processes decode them as
training goes.

Shapes: B clips, T frames, S pixels, C classes, L words, Q captions.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vidtune.data import records
from vidtune.data.clips import Clips, read_all
from vidtune.data.decoded import read_kept
from vidtune.data.text import tokenizer
from vidtune.data.video import cores
from vidtune.data.workers import heed_parent, signals_held
from vidtune.nn.mixing import mix_clips
from vidtune.nn.pixels import normalise
from vidtune.nn.rows import Rows, mix
from vidtune.spec import Run, UserError

KEEP = 4 << 30  # bytes of decoded clips or features that a run may keep
AT_ONCE = 32  # clips per batch outside training, views counted
MOST_WORKERS = 8  # processes that decode; further cores are their decoders' threads


@dataclass(frozen=True)
class Batch:
    """What a model takes and what it should answer, on the device."""

    clips: tuple[
        Tensor, ...
    ]  # uint8 (B, T, 3, S, S), mixtures of such, or the features kept instead
    target: Tensor  # labels (B,), of mixtures shares of classes (B, C), or token ids (B, L)
    # {"mask": which frames are real (B, T)} where the sampler pads, else nothing
    masks: dict[str, Tensor]
    rows: Rows | None = None  # what random choices for the clips follow from

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Normalised clips (B, T, 3, S, S), or features."""
        return tuple(normalise(x) if x.dtype == torch.uint8 else x for x in self.clips)


@dataclass(frozen=True)
class Split:
    """How the work is split: each of `ranks` processes takes neighbouring clips of every batch, in
    training as `parts` of equal size one after another."""

    rank: int = 0
    ranks: int = 1
    parts: int = 1

    def of(self, size: int, part: int) -> slice:
        """The places of one part in a batch of `size` clips."""
        each = size // (self.ranks * self.parts)
        first = (self.rank * self.parts + part) * each
        return slice(first, first + each)


WHOLE = Split()


class Batches:
    """One split of a run's data on one device: in training this process's parts of each batch, in tests
    its share of the batches, with all views of a clip one after another.

    Raises `UserError` where the split is empty, lacks labels or captions, or does not hold the
    smaller copies that the dataset declares, and where a batch cannot be split so.
    """

    def __init__(
        self,
        run: Run,
        split: str,
        train: bool,
        device: torch.device,
        work: Split = WHOLE,
    ) -> None:
        records.check_copies(run.dataset, Path(run.data))
        self.run, self.train, self.device, self.work = run, train, device, work
        self.records = records.read(Path(run.data), split)
        if not self.records:
            raise UserError(f"{run.data}/{split}.jsonl: no clips; expected at least one")
        if train:
            self.records = records.take_share(self.records, run.train_share)
        m = run.model
        views = (1, 1) if train or m.task == "retrieval" else m.view_grid
        self.size = max(1, AT_ONCE // math.prod(views))  # clips of a batch in tests
        self.numbers = range(0) if train else self._share()  # of this process's batches in tests
        own = slice(self.numbers.start * self.size, self.numbers.stop * self.size)
        self.own = self.records if train else self.records[own]
        self.clips = Clips(
            self.own,
            run.recipe,
            m.frames,
            m.backbone.image,
            train=train,
            seed=run.seed,
            views=views,
        )
        contrasts = m.task == "retrieval"
        self.sets = together(
            self.records[i].group if contrasts else None for i, _ in self.clips.items
        )
        if train:
            self.size = min(run.recipe.batch, len(self.clips))
        self.groups = self._groups() if train else 1
        self.pads = run.recipe.sampler == "clip4clip"  # its models learn which frames are real
        self.reread = False  # whether other runs or further tests read the same clips
        self.replaced = 0  # broken videos replaced by another one so far
        if m.task == "retrieval":
            self.tokenize = tokenizer(m.backbone.text.vocabulary, m.max_words)
        self.targets = self._labels() if m.task == "recognition" else self._captions()
        self.features: tuple[Tensor, ...] | None = None  # (items, ...) kept in place of the videos
        self.videos: Tensor | None = None  # uint8 (items, T, 3, S, S)
        self.real: Tensor | None = None  # (items, T)
        kept = self.clips.deterministic and self.clips.copies == 1
        if kept and math.prod(self.clips.shape) <= KEEP:
            label = f"{run.name}: read {split}"
            if run.dataset.generated:
                self.videos = read_kept(self.clips, label, Path(run.data))
            else:
                self.videos = read_all(self.clips, label)
            self.real = self.clips.real() if self.pads else None

    def _share(self) -> range:
        """The numbers of this process's batches in a test: neighbouring ones of those that are the same
        for any number of processes."""
        batches = -(-len(self.records) // self.size)
        ends = (batches * r // self.work.ranks for r in (self.work.rank, self.work.rank + 1))
        return range(*ends)

    def _groups(self) -> int:
        """Groups of clips in each part of a batch."""
        ranks, parts, recipe = self.work.ranks, self.work.parts, self.run.recipe
        part, rest = divmod(self.size, ranks * parts)
        if rest:
            raise UserError(
                f"{self.run.name}: a batch has {self.size} clips, which {ranks} processes cannot take "
                f"in {parts} equal parts each; choose divisors"
            )
        group = recipe.group or self.size
        if part % group == 0:
            return part // group
        if (
            part == self.size or not recipe.group
        ):  # fewer clips than a group has, or none is asked for
            return 1
        raise UserError(
            f"{self.run.name}: each of {ranks} x {parts} parts of a batch has {part} clips; expected a "
            f"multiple of recipe {recipe.name}'s group of {group}"
        )

    def _labels(self) -> Tensor:  # (items,)
        unlabelled = next((r.id for r in self.own if r.label is None), None)
        if unlabelled:
            raise UserError(f"{self.run.data}: {unlabelled}: label: missing; recognition needs one")
        labels = [self.own[i].label for i, _ in self.clips.items]
        classes = self.run.model.classes
        if classes is None or max(labels, default=0) >= classes:
            raise UserError(
                f"{self.run.data}/manifest.json: classes: more than the dataset's {classes}; "
                "fix classes in config/datasets.yaml"
            )
        return torch.tensor(labels, dtype=torch.int64)

    def _captions(self) -> Tensor:
        """Return token ids (items, L); in tests of first captions only, as `queries` has them all."""
        silent = next((r.id for r in self.own if not r.captions), None)
        if silent:
            raise UserError(f"{self.run.data}: {silent}: captions: none; retrieval needs one")
        return self.tokenize([self.own[i].captions[c] for i, c in self.clips.items])

    def of(self, run: Run) -> "Batches":
        """Return the same clips, or features, in the order of a run that differs in its seed alone."""
        other = copy(self)
        other.run, other.clips, other.replaced = run, replace(self.clips, seed=run.seed), 0
        return other

    def queries(self) -> tuple[Tensor, Tensor]:
        """Return token ids (Q, L) of every caption, and the index of its video (Q,)."""
        texts, owner = records.queries(self.records)
        return self.tokenize(texts), torch.tensor(owner)

    def __len__(self) -> int:
        """Return the number of batches in an epoch; training drops an incomplete last one, unless its
        recipe keeps it."""
        n, drops = len(self.clips), self.train and not self.run.recipe.keep_last
        return n // self.size if drops else -(-n // self.size)

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, in an order that follows from seed and epoch; of each its
        parts for this process, one after another.

        Batches before `first` are not made: a resumed training has seen and counted them.
        """
        self.clips.epoch = number
        order = torch.arange(len(self.clips))
        if self.train:
            order = shuffled(self.sets, self.run.seed, number)
        batches = [order[i * self.size : (i + 1) * self.size] for i in range(first, len(self))]
        if self.train:
            batches = [self._fill(batch, order) for batch in batches]
            parts = range(self.work.parts)
            batches = [batch[self.work.of(len(batch), part)] for batch in batches for part in parts]
        for i, (batch, items) in enumerate(zip(self._made(batches), batches, strict=True)):
            keys = self._keys(items, number)
            batch = self._mix(batch, keys)
            first_part = self.work.rank == 0 and i % self.work.parts == 0
            yield replace(batch, rows=Rows(keys.to(self.device), self.groups, first_part))

    def numbered(self, numbers: Sequence[int]) -> Iterator[Batch]:
        """Yield those batches of a test that have these `numbers`, in their order."""
        first = self.numbers.start
        order = torch.arange(len(self.clips)).split(self.size)
        batches = [order[number - first] for number in numbers]
        yield from self._made(batches)

    def from_step(self, number: int) -> Iterator[Batch]:
        """Yield a training's parts of batches from the step `number` on, epoch after epoch without
        end."""
        epoch, first = divmod(number, len(self))
        while True:
            yield from self.epoch(epoch, first)
            epoch, first = epoch + 1, 0

    def _fill(self, batch: Tensor, order: Tensor) -> Tensor:
        """Fill up a batch that is kept although it is smaller, with the epoch's first items, as torch's
        DistributedSampler does on the authors' GPUs: it has as many groups as any other, all of one
        size, so that every split of the others splits it too. Without groups it becomes a whole one."""
        groups = self.size
        if self.run.recipe.group:
            groups = self.groups * self.work.ranks * self.work.parts
        return torch.cat([batch, order[: -len(batch) % groups]])

    def _keys(self, items: Tensor, epoch: int) -> Tensor:
        """What random choices for clips follow from: seed, epoch, item and which copy of it."""
        augment = self.run.recipe.augment
        copies = torch.arange(augment.repeats if self.train and augment else 1)
        return mix(self.run.seed, epoch, items[:, None], copies).flatten()

    def _mix(self, batch: Batch, keys: Tensor) -> Batch:
        """Mix the clips of each group, where the recipe does; `keys` are those of the clips."""
        how, classes = self.run.recipe.augment, self.run.model.classes
        if not (self.train and how and how.mixes and classes):
            return batch
        first = keys.view(self.groups, -1)[:, 0].tolist()
        clips, target = mix_clips(*batch.inputs, batch.target, first, how, classes)
        return replace(batch, clips=(clips,), target=target)

    def _made(self, batches: list[Tensor]) -> Iterable[Batch]:
        streamed = self.videos is None and self.features is None
        return self._stream(batches) if streamed else map(self._kept, batches)

    def _kept(self, items: Tensor) -> Batch:
        kept = (self.videos,) if self.features is None else self.features
        masks = {} if self.real is None else {"mask": self.real[items].to(self.device)}
        clips = tuple(x[items].to(self.device) for x in kept)
        return Batch(clips, self.targets[items].to(self.device), masks)

    def _stream(self, batches: list[Tensor]) -> Iterator[Batch]:
        """Decode in workers; targets are the batch's own, as a flip changes labels and captions."""
        for batch in decoded(self.clips, batches):
            self.replaced += int(batch["replaced"].sum())
            recognition = self.run.model.task == "recognition"
            target = batch["label"] if recognition else self.tokenize(batch["caption"])
            masks = {"mask": batch["real"].to(self.device)} if self.pads else {}
            yield Batch((batch["video"].to(self.device),), target.to(self.device), masks)


def together(groups: Iterable[str | None]) -> list[list[int]]:
    """Return sets of items that follow each other in a training: those of one group, which contrast in
    one respect; without one every item alone."""
    sets: dict[Any, list[int]] = {}
    for item, group in enumerate(groups):
        sets.setdefault(item if group is None else group, []).append(item)
    return list(sets.values())


def shuffled(sets: list[list[int]], seed: int, epoch: int) -> Tensor:
    """Return the order (items,) in which a training with this seed takes its items in an epoch."""
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    order = torch.randperm(len(sets), generator=generator)
    return torch.tensor([item for i in order.tolist() for item in sets[i]])


MakeBatches = Callable[..., Batches]  # arguments as of `Batches`


class SharedBatches:
    """Make the `Batches` of runs that differ in their seed alone, with the clips read once."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, bool, str], Batches] = {}

    def __call__(
        self,
        run: Run,
        split: str,
        train: bool,
        device: torch.device,
        work: Split = WHOLE,
    ) -> Batches:
        key = split, train, run.model.views
        if key in self.made:
            return self.made[key].of(run)
        made = self.made[key] = Batches(run, split, train, device, work)
        made.reread = True
        return made


def workers() -> int:
    """Return how many processes decode while a model computes."""
    return min(cores(), MOST_WORKERS)


def decoded(clips: Clips, batches: list[Tensor]) -> Iterator[dict[str, Any]]:
    """Yield batches of items, decoded by workers, whose `UserError` is raised in one line."""
    clips.threads = cores() // max(1, workers())
    loader = DataLoader(
        clips,
        batch_sampler=[b.tolist() for b in batches],
        num_workers=workers(),
        worker_init_fn=heed_parent,
        generator=torch.Generator(),  # else every epoch draws from the one that methods draw from
    )
    try:
        with signals_held():
            batches_of_workers = iter(loader)
        yield from batches_of_workers
    except UserError as e:
        raise UserError(str(e).strip().splitlines()[-1].split("UserError: ")[-1]) from None
