"""Stage `split`: read the official lists: which clips each split has, with captions or label.

Writes `split_<name>.jsonl` (a clip a line) and, last, `splits.json` ({split: ids}). A clip in two
splits is an error, and so is a list whose length is not the declared one.
"""

from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from vidtune.datasets import dataset_paths, stage_state
from vidtune.datasets.json_lines import write_lines
from vidtune.datasets.readers import Listed, Lists, read_lists
from vidtune.spec import SPLITS, Dataset, UserError, json_lines, parse, write_json
from vidtune.spec.frozen import Amount, Frozen


class ListedClip(Frozen):
    """A line of `split_<name>.jsonl`: a `Listed`."""

    id: str
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    captions: tuple[str, ...]
    label: str | None
    until: Amount | None
    origin: str | None


def run(dataset: Dataset, root: Path) -> dict[str, Any]:
    """Return what `state/split.json` holds: clips, captions and shared origins of each split.

    Raises `UserError` at the first mistake in the lists.
    """
    folder = dataset_paths.annotations(dataset, root)
    lists = read_lists(dataset, folder)
    check_lists(dataset, lists)
    with stage_state.one_process(root, f"{dataset.name}: split"):
        for name, clips in lists.splits.items():
            write_lines(dataset_paths.split(root, name), map(asdict, clips))
        ids = {name: [c.id for c in clips] for name, clips in lists.splits.items()}
        write_json(root / "splits.json", ids)
        facts = {
            "clips": {split: len(clips) for split, clips in lists.splits.items()},
            "captions": {split: _count_captions(clips) for split, clips in lists.splits.items()},
            "classes": list(lists.classes),
            "shared_origins": _shared_origins(lists),
            "lists": _found(dataset, folder) if dataset.folder else [],
        }
        stage_state.save(root, "split", digest=declaration_hash(dataset), **facts)
    return facts


def own_lists(dataset: Dataset, root: Path) -> list[Path]:
    """The lists beside videos in a user's own folder: where they were found, or at the folder's top."""
    if not (dataset.folder and dataset.annotations):
        return []
    folder = dataset_paths.annotations(dataset, root)
    known = stage_state.load(root, "split").get("lists") or dataset.annotations.files.values()
    return [path for path in map(folder.joinpath, known) if path.is_file()]


def _found(dataset: Dataset, folder: Path) -> list[str]:
    assert dataset.annotations
    names = dataset.annotations.files.values()
    found = (path for name in names for path in dataset_paths.list_files(folder, name))
    return [str(path.relative_to(folder)) for path in found]


def summary(root: Path, facts: dict[str, Any]) -> list[str]:
    return [f"{root.name}: {', '.join(f'{n:,} {s}' for s, n in facts['clips'].items())}"]


def declaration_hash(dataset: Dataset) -> str:
    """Hash what the splits depend on, apart from the lists themselves."""
    return stage_state.data_hash(dataset.deciding())


def _count_captions(clips: list[Listed]) -> int:
    return sum(len(clip.captions) for clip in clips)


def check_lists(dataset: Dataset, lists: Lists) -> None:
    """Raise `UserError` for an empty list, a leak, and numbers that are not the declared ones."""
    where = f"config/datasets.yaml: datasets.{dataset.name}"
    for split, clips in lists.splits.items():
        if not clips:
            raise UserError(f"{dataset.name}: {split}: the list is empty; expected a clip a line")
    for (a, some), (b, others) in combinations(lists.splits.items(), 2):
        both = {c.id for c in some} & {c.id for c in others}
        if both:
            raise UserError(
                f"{dataset.name}: {len(both)} clips are in {a} and in {b}, {min(both)!r} among "
                "them: a leak; remove them from one of the lists"
            )
    for split, expected in dataset.expected.items():
        if split not in lists.splits:
            raise UserError(f"{where}.annotations.files.{split}: missing; {expected} are expected")
        clips = lists.splits[split]
        count = _count_captions(clips) if dataset.expected_of == "captions" else len(clips)
        if abs(count - expected) > dataset.tolerance * expected:
            raise UserError(
                f"{dataset.name}: {split}: the list has {count:,} {dataset.expected_of}; expected "
                f"{expected:,} ({where}.expected); bring the official list or fix the number"
            )
    if dataset.task == "recognition" and len(lists.classes) != dataset.classes:
        raise UserError(
            f"{dataset.name}: the lists have {len(lists.classes)} classes; expected "
            f"{dataset.classes} ({where}.classes); bring the official list or fix the number"
        )
    for name in dataset.mirrored:
        if name not in lists.classes:
            raise UserError(f"{where}.mirrored: {name!r} is no class of the lists; fix the name")


def _shared_origins(lists: Lists) -> dict[str, int]:
    """For two splits, how many longer videos have clips in both. The official lists are so."""
    origins = {s: {c.origin for c in clips} - {None} for s, clips in lists.splits.items()}
    return {f"{a}/{b}": len(origins[a] & origins[b]) for a, b in combinations(origins, 2)}


def read_splits(dataset: Dataset, root: Path) -> dict[str, list[Listed]]:
    """The clips that `run` has written, by split.

    Raises `UserError` where it has not run, or has for another declaration.
    """
    state = stage_state.load(root, "split")
    if state.get("digest") != declaration_hash(dataset):
        before = "the dataset's declaration has changed since" if state else "not done yet"
        raise UserError(
            f"{root / 'splits.json'}: {before}; run `vidtune data split {dataset.name}`"
        )
    return {s: _read_clips(dataset_paths.split(root, s)) for s in SPLITS if s in state["clips"]}


def _read_clips(path: Path) -> list[Listed]:
    again = "run `vidtune data split` again"
    clips = []
    for number, row in json_lines(path, again, again):
        line = parse(ListedClip, row, f"{path}:{number}", again=again)
        clips.append(Listed(**line.model_dump()))
    return clips
