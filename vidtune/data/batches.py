"""Batches of a split's clips with their targets, in an order that seed and epoch decide.

Where nothing random happens to the clips, every epoch and caption has the same of a video. They are then
decoded once and kept if they fit into memory, generated ones on disk too (vidtune/data/decoded.py), or a
frozen trunk's features of them are (vidtune/engine/features.py). Otherwise loader.py decodes as a run goes.

Shapes: B clips, T frames, S pixels, C classes, L words, Q captions.
"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

import torch
from torch import Tensor

from vidtune.data import records
from vidtune.data.clips import Clips, read_all
from vidtune.data.decoded import read_kept
from vidtune.data.loader import stream
from vidtune.data.order import WHOLE, Part, Split, shuffled, together
from vidtune.data.text import tokenizer
from vidtune.nn.mixing import mix_clips
from vidtune.nn.pixels import normalise
from vidtune.nn.rows import Rows, mix
from vidtune.spec import Run, UserError

# Bytes of decoded clips or features that a process may keep of a split, where a laptop has 16 GiB and a
# training keeps its tests' too.
KEEP = 4 << 30
# Clips per batch outside training, views counted; a model that has no room for them takes fewer at once
# (vidtune/engine/room.py).
AT_ONCE = 32


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
        return tuple(map(as_input, self.clips))


def as_input(x: Tensor) -> Tensor:
    """A batch's clips as a model takes them: normalised, or features as they are."""
    return normalise(x) if x.dtype == torch.uint8 else x


class Batches:
    """One split of a run's data on one device: in training this process's pieces of each batch, in tests
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
        of_items = [self.records[i] for i, _ in self.clips.items]
        self.sets = together(r.group if contrasts else None for r in of_items)
        self.texts = [r.captions for r in of_items] if run.recipe.spread else None
        if train:
            self.size = run.recipe.size(len(self.clips))
            self.work = replace(work, groups=self._groups())
        self.pads = run.recipe.sampler == "clip4clip"  # its models learn which frames are real
        self.reread = False  # whether other runs or further tests read the same clips
        self.replaced = 0  # broken videos replaced by another one so far
        if m.task == "retrieval":
            self.tokenize = tokenizer(m.backbone.text.vocabulary, m.max_words)
        self.targets = self._labels() if m.task == "recognition" else self._captions()
        self.record_of = torch.tensor([i for i, _ in self.clips.items], dtype=torch.int)  # (items,)
        self.features: tuple[Tensor, ...] | None = None  # (records, ...) in place of the videos
        self.videos: Tensor | None = None  # uint8 (records, T, 3, S, S)
        self.fixed = self.clips.deterministic and self.clips.copies == 1  # the same in every epoch
        self.real = self.clips.real() if self.fixed and self.pads else None  # (records, T)
        if self.fixed and math.prod(self.clips.shape) <= KEEP:
            label = f"{run.name}: read {split}"
            if run.dataset.generated:
                self.videos = read_kept(self.clips, label, Path(run.data))
            else:
                self.videos = read_all(self.clips, label)

    def _share(self) -> range:
        """The numbers of this process's batches in a test: neighbouring ones of those that are the same
        for any number of processes."""
        batches = -(-len(self.records) // self.size)
        ends = (batches * r // self.work.ranks for r in (self.work.rank, self.work.rank + 1))
        return range(*ends)

    def _groups(self) -> int:
        """Groups of clips in each part of a batch; where a recipe asks for none, a part is one."""
        ranks, parts, recipe = self.work.ranks, self.work.parts, self.run.recipe
        part, rest = divmod(self.size, ranks * parts)
        if rest:
            raise UserError(
                f"{self.run.name}: a batch has {self.size} clips, which {ranks} processes cannot take "
                f"in {parts} equal parts each; choose divisors"
            )
        if not recipe.group:
            return 1
        groups = recipe.groups(len(self.clips))
        each, rest = divmod(groups, ranks * parts)
        if rest:
            raise UserError(
                f"{self.run.name}: each of {ranks} x {parts} parts of a batch has {part} clips; expected a "
                f"multiple of {self.size // groups}, which recipe {recipe.name} (group) computes together"
            )
        return each

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

    def epoch(self, number: int, first: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch, in an order that follows from seed and epoch; of each its
        pieces for this process, one after another.

        Batches before `first` are not made: a resumed training has seen and counted them.
        """
        if not self.train:
            return self.numbered(self.numbers[first:])
        return self._made(self._parts(number, first))

    def _parts(self, epoch: int, first: int) -> Iterator[Part]:
        """Yield which items this process takes in a training's epoch, from the batch `first` on."""
        order = shuffled(self.sets, self.run.seed, epoch, self.texts)
        for number in range(first, len(self)):
            batch = self._fill(order[number * self.size : (number + 1) * self.size], order)
            for piece in range(self.work.pieces):
                mine = self.work.of(len(batch), piece)
                yield Part(batch[mine], epoch, first=self.work.rank == piece == 0)

    def numbered(self, numbers: Sequence[int]) -> Generator[Batch, None, None]:
        """Yield those batches of a test that have these `numbers`, in their order."""
        first = self.numbers.start
        order = torch.arange(len(self.clips)).split(self.size)
        return self._made([Part(order[number - first]) for number in numbers])

    def from_step(self, number: int) -> Generator[Batch, None, None]:
        """Yield a training's pieces of batches from the step `number` on, epoch after epoch without
        end."""
        epoch, first = divmod(number, len(self))
        later = (self._parts(number, 0) for number in count(epoch + 1))
        return self._made(chain(self._parts(epoch, first), chain.from_iterable(later)))

    def videos_once(self) -> Generator[Tensor, None, None]:
        """Yield the videos of all records in their order, a few at a time: uint8 (b, T, 3, S, S) on the
        device; for clips that are the same in every epoch."""
        assert self.fixed
        if self.videos is not None:
            yield from (videos.to(self.device) for videos in self.videos.split(AT_ONCE))
            return
        parts = [Part(items) for items in torch.tensor(self.clips.firsts).split(AT_ONCE)]
        for _, decoded in stream(self.clips, parts, AT_ONCE, self.device):
            yield decoded.video

    def _fill(self, batch: Tensor, order: Tensor) -> Tensor:
        """Fill up a batch that is kept although it is smaller, with the epoch's first items, as torch's
        DistributedSampler does on the authors' GPUs: it has as many groups as any other, all of one
        size, so that every split of the others splits it too. Without groups it becomes a whole one."""
        groups = self.work.ranks * self.work.pieces if self.run.recipe.group else self.size
        return torch.cat([batch, order[: -len(batch) % groups]])

    def _keys(self, items: Tensor, epoch: int) -> Tensor:
        """What random choices for clips follow from: seed, epoch, item and which copy of it."""
        augment = self.run.recipe.augment
        copies = torch.arange(augment.repeats if self.train and augment else 1)
        return mix(self.run.seed, epoch, items[:, None], copies).flatten()

    def _mix(self, batch: Batch, keys: Tensor) -> Batch:
        """Mix the clips of a group, where the recipe does; `keys` are those of the clips."""
        how, classes = self.run.recipe.augment, self.run.model.classes
        if not (self.train and how and how.mixes and classes):
            return batch
        clips, target = mix_clips(*batch.inputs, batch.target, int(keys[0]), how, classes)
        return replace(batch, clips=(clips,), target=target)

    def _made(self, parts: Iterable[Part]) -> Generator[Batch, None, None]:
        streamed = self.videos is None and self.features is None
        for part, batch in self._stream(parts) if streamed else map(self._kept, parts):
            if not self.train:
                yield batch
                continue
            keys = self._keys(part.items, part.epoch)
            rows = Rows(keys.to(self.device), part.first)
            yield replace(self._mix(batch, keys), rows=rows)

    def _kept(self, part: Part) -> tuple[Part, Batch]:
        kept = (self.videos,) if self.features is None else self.features
        records = self.record_of[part.items]
        masks = {} if self.real is None else {"mask": self.real[records].to(self.device)}
        clips = tuple(x[records].to(self.device) for x in kept)
        return part, Batch(clips, self.targets[part.items].to(self.device), masks)

    def _stream(self, parts: Iterable[Part]) -> Iterator[tuple[Part, Batch]]:
        """Decode in workers; targets are the batch's own, as a flip changes labels and captions."""
        recognition = self.run.model.task == "recognition"
        between = self.size // self.work.ranks if self.train else self.size
        for part, (video, rest) in stream(self.clips, parts, between, self.device):
            self.replaced += sum(rest["replaced"])
            target = torch.tensor(rest["label"]) if recognition else self.tokenize(rest["caption"])
            masks = {"mask": torch.tensor(rest["real"], device=self.device)} if self.pads else {}
            yield part, Batch((video,), target.to(self.device), masks)


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
