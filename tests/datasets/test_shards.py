"""A stage that is cut into shards ends in the bytes of one in one go, whatever becomes of the shards."""

import fcntl
import json
import time
from pathlib import Path

import pytest
from helpers import videos
from helpers.own_data import own

from vidtune.datasets import check, index, json_lines, resize, split, stage_state
from vidtune.datasets.shards import Shard
from vidtune.datasets.stages import SHARD, shards_of
from vidtune.spec import Dataset, UserError

STAGES = (index, check, resize)
NAMES = [f"v{k}" for k in (4, 0, 8, 3, 1, 7, 2, 6, 5)]  # in no order
BROKEN, DAMAGED, LARGE = "v3", "v6", ("v1", "v5")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Nine clips: one is no video, one cannot be decoded, two are large enough to have a copy."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in NAMES:
        videos.write(folder / f"{name}.mp4", frames=6)
    (folder / f"{BROKEN}.mp4").write_bytes(b"no video")
    damaged = folder / f"{DAMAGED}.mp4"
    data = bytearray(videos.write(damaged, container={"movflags": "faststart"}).read_bytes())
    at = int(len(data) * 0.7)
    data[at : at + 400] = bytes(range(1, 201)) * 2
    damaged.write_bytes(data)
    for name in LARGE:
        videos.write(folder / f"{name}.mp4", frames=6, size=(300, 450))
    for name, clips in (("train", NAMES[:6]), ("test", NAMES[6:])):
        (folder / f"{name}.csv").write_text("id,caption\n" + "".join(f"{c},a\n" for c in clips))
    return own(folder, resized={"short": 240})


@pytest.fixture(autouse=True)
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The clips that `check` has decoded, in this process."""
    seen: list[str] = []

    def here(place, entries, workers):
        seen.extend(e["id"] for e in entries)
        return ((e, check.why_unusable(place / e["video"], e)) for e in entries)

    monkeypatch.setattr(check, "_check_all", here)
    return seen


def tree(root: Path) -> dict[str, bytes]:
    """Every file, those of the stages' state too."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file() and p.name != "lock")
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


@pytest.fixture
def whole(dataset: Dataset, tmp_path: Path) -> dict[str, bytes]:
    """What the stages make in one go."""
    root = tmp_path / "whole" / "mine"
    split.run(dataset, root)
    for stage in STAGES:
        stage.run(dataset, root, workers=1, show=False)
    made = tree(root)
    rows = [json.loads(line) for line in made["quarantine.jsonl"].splitlines()]
    assert {row["id"] for row in rows} == {BROKEN, DAMAGED}
    assert sum(name.startswith("resized/") for name in made) == len(LARGE)
    return made


@pytest.mark.parametrize(
    "shards",
    [
        [(1, 3), (2, 3), (3, 3)],
        [(3, 3), (1, 3), (2, 3)],
        [(2, 3)],  # the others never ran
        [(1, 2), (2, 3)],  # cut otherwise meanwhile
        [(k, 12) for k in range(1, 13)],  # some have no clip
    ],
)
def test_shards_and_what_gathers_them_make_the_same(shards, dataset, whole, tmp_path):
    root = tmp_path / "cut" / "mine"
    split.run(dataset, root)
    for stage in STAGES:
        for shard in shards:
            stage.run_shard(dataset, root, Shard(*shard), workers=1, show=False)
        stage.run(dataset, root, workers=1, show=False)
    assert tree(root) == whole


def noting_reads(patch: pytest.MonkeyPatch) -> list[Path]:
    """The videos whose frames `resize` reads from now on."""
    opened: list[Path] = []
    read = resize.read_frames
    patch.setattr(resize, "read_frames", lambda path, at: opened.append(path) or read(path, at))
    return opened


def test_what_gathers_shards_reads_no_video_again(dataset, whole, decoded, tmp_path, monkeypatch):
    root = tmp_path / "cut" / "mine"
    split.run(dataset, root)
    hashes = {stage: [] for stage in STAGES}

    def fails(*_):
        raise AssertionError("a shard has done it")

    for stage in STAGES:
        for k in (1, 2, 3):
            hashes[stage].append(stage.run_shard(dataset, root, Shard(k, 3), show=False))
        seen = len(decoded)
        with monkeypatch.context() as patch:
            patch.setattr(index, "probe", fails)
            patch.setattr(resize, "_scale", fails)
            opened = noting_reads(patch)
            stage.run(dataset, root, show=False)
        assert len(decoded) == seen
        # the difference of each copy from its original alone
        assert len(opened) == (2 * len(LARGE) if stage is resize else 0)
    assert tree(root) == whole
    for stage in STAGES:  # again: nothing is done, and the result of each is the same
        again = [stage.run_shard(dataset, root, Shard(k, 3), show=False) for k in (1, 2, 3)]
        assert again == hashes[stage]


def test_a_shard_that_fails_is_repeated_alone_and_goes_on(dataset, whole, tmp_path, monkeypatch):
    root = tmp_path / "cut" / "mine"
    split.run(dataset, root)
    probe, probed, second = index.probe, [], Shard(2, 3)

    def dies(path):
        probed.append(path.stem)
        if len(probed) == 3:
            while len(json_lines.complete_lines(second.file(root, "index"))) < 2:
                time.sleep(0.01)  # until what it has done is kept
            raise KeyboardInterrupt
        return probe(path)

    with monkeypatch.context() as patch:
        patch.setattr(index, "probe", dies)
        with pytest.raises(KeyboardInterrupt):
            index.run_shard(dataset, root, second, workers=1, show=False)
    with second.file(root, "index").open("ab") as f:
        f.write(b'{"id": "v1", "vid')  # the machine went down in the middle of a line
    for k in (1, 3):
        index.run_shard(dataset, root, Shard(k, 3), workers=1, show=False)
    assert not (root / "manifest.json").exists()
    probed.clear()
    monkeypatch.setattr(index, "probe", lambda path: probed.append(path.stem) or probe(path))
    index.run_shard(dataset, root, second, workers=1, show=False)
    assert probed == second.take(NAMES)[2:]
    for stage in STAGES:
        stage.run(dataset, root, workers=1, show=False)
    assert len(probed) == 1 and tree(root) == whole


def test_a_video_that_changes_after_its_shard_is_read_again(dataset, decoded, tmp_path):
    root = tmp_path / "mine"
    split.run(dataset, root)
    for k in (1, 2):
        index.run_shard(dataset, root, Shard(k, 2), workers=1, show=False)
    changed = Path(dataset.folder) / f"{BROKEN}.mp4"
    videos.write(changed, frames=7)
    index.run(dataset, root, workers=1, show=False)
    lines = (root / "index.jsonl").read_text().splitlines()
    entries = {e["id"]: e for e in map(json.loads, lines)}
    assert entries[BROKEN]["frames"] == 7 and list(entries) == NAMES


def test_shards_work_beside_each_other_and_the_whole_stage_by_itself(tmp_path):
    one, two = (Shard(k, 2).lock(tmp_path, "index") for k in (1, 2))
    with stage_state.one_process(tmp_path, "a", one), stage_state.one_process(tmp_path, "b", two):
        for taken in (one, two, tmp_path / "state" / "lock"):
            with taken.open("a+b") as lock, pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (
        stage_state.one_process(tmp_path, "c"),
        (tmp_path / "state" / "lock").open("a+b") as lock,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_the_number_of_shards_follows_from_the_declared_size(plan):
    of = plan.config.datasets
    clips = {"msrvtt": 10_000, "ssv2": 193_690, "k400": 259_796}
    for name, count in clips.items():
        assert shards_of(of[name], "check") == -(-count // SHARD)
    assert shards_of(of["msrvtt"], "index") == 1 and shards_of(of["k400"], "index") == 13
    assert shards_of(of["k400"], "extract") == shards_of(of["k400"], "describe") == 1
    assert shards_of(own(Path()), "index") == 1  # of a size that nobody declares


def test_by_hand(dataset, config, tmp_path, vidtune, capsys):
    with (config / "datasets.yaml").open("a") as f:
        f.write(
            f"  mine:\n    task: retrieval\n    folder: {dataset.folder}\n"
            "    annotations: {format: csv, files: {train: train.csv, test: test.csv}}\n"
        )
    main = config / "config.yaml"
    main.write_text(main.read_text().replace("data: data ", f"data: {tmp_path / 'data'} "))
    vidtune("data", "split", "mine", "--config", config)
    done = tmp_path / "done"
    given = ("--config", config, "--done", done)
    code, out, err = vidtune("data", "index", "mine", "--shard", "2/2", *given)
    assert code == 0 and "mine: index: shard 2/2 is done" in out, err
    first = done.read_text()
    assert len(first) == 64 and not (tmp_path / "data/mine/manifest.json").exists()
    code, out, _ = vidtune("data", "index", "mine", "--config", config)
    assert code == 0 and "mine: train: 5 of 6 clips" in out
    assert not (tmp_path / "data/mine/shards").exists()
    for wrong in ("3/2", "0/2", "2", "a/b"):
        with pytest.raises(SystemExit) as e:
            vidtune("data", "index", "mine", "--shard", wrong)
        assert e.value.code == 2 and "such as 2/8; found" in capsys.readouterr().err


def test_lists_of_your_own_have_no_shards(dataset, tmp_path):
    with pytest.raises(UserError, match="run `vidtune data index mine`, or check your own lists"):
        check.run_shard(dataset, tmp_path, Shard(1, 2), show=False)
