"""Evaluation of a trained model: which scores reach the metrics, and what refuses to be scored."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from helpers.generated import edit

from vidtune import provenance
from vidtune.data import batches, clips, loader
from vidtune.data.batches import Batches
from vidtune.engine import metrics, partial
from vidtune.engine import scores as scoring
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint, save
from vidtune.engine.evaluate import evaluate, write_evaluation
from vidtune.engine.train import train
from vidtune.spec import Resized, UserError, load_json, write_json

RECOGNITION, RETRIEVAL = "side4video/b16-ssv1@0", "tempme/lora-b32@0"


def test_old_weights_stay_a_result_of_the_code_that_trained_them(short_run, tmp_path, monkeypatch):
    run, out = short_run("tempme/lora-b32@0"), tmp_path / "model.pt"
    train(run, out)
    made = provenance.run_digest(run)
    monkeypatch.setattr(provenance, "run_digest", lambda _: "of today")
    assert evaluate(run, out)["provenance"]["digest"] == made != "of today"


def test_weights_of_another_spec_are_refused(short_run, tmp_path):
    """As a configuration that is edited while a training runs leaves them."""
    train(short_run(RETRIEVAL), tmp_path / "model.pt")
    edited = short_run(RETRIEVAL, lr=0.5)
    with pytest.raises(UserError, match=r"model.pt: trained by another spec than .*lora-b32@0 has"):
        evaluate(edited, tmp_path / "model.pt")
    again = short_run(RETRIEVAL)
    other = again.model_copy(update={"name": "x/y@0"})  # the same training under another name
    assert evaluate(other, tmp_path / "model.pt")["status"] == "ok"


def test_scores_that_are_no_numbers_are_a_result_not_a_perfect_model(short_run, tmp_path):
    run = short_run(RECOGNITION)
    train(run, tmp_path / "model.pt")
    content = load_checkpoint(tmp_path / "model.pt")
    content["state"]["fc.bias"][:] = float("nan")
    save(tmp_path / "model.pt", content)
    result = evaluate(run, tmp_path / "model.pt")
    assert result["status"] == "diverged" and result["metrics"] == {}


def test_every_caption_is_a_query_and_every_video_is_encoded_once(short_run, tmp_path, monkeypatch):
    run = short_run(RETRIEVAL, steps=1)
    data = Path(shutil.copytree(run.data, tmp_path / "data"))
    rows = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    for k, row in enumerate(rows):
        row["captions"] = row["captions"] * (1 + k % 3)
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train(run, tmp_path / "model.pt")
    single = evaluate(run, tmp_path / "model.pt")
    scores = []
    retrieval = metrics.retrieval
    monkeypatch.setattr(metrics, "retrieval", lambda *a: scores.append(a[:2]) or retrieval(*a))
    several = evaluate(run.model_copy(update={"data": str(data)}), tmp_path / "model.pt")
    ((sim, owner),) = scores
    assert sim.shape == (sum(1 + k % 3 for k in range(12)), 12)
    assert owner.tolist() == [k for k in range(12) for _ in range(1 + k % 3)]
    assert several["n"] == single["n"] == 12
    # the same caption twice: a video ranks captions as before
    assert several["metrics"]["v2t_mnr"] == pytest.approx(single["metrics"]["v2t_mnr"])


def test_texts_look_for_their_video_in_its_gallery(short_run, tmp_path, monkeypatch):
    run = short_run(RETRIEVAL, steps=1)
    data = Path(shutil.copytree(run.data, tmp_path / "data"))
    gallery = torch.arange(12) // 4
    for number, its in enumerate(gallery.tolist()):
        edit(data, "test", number, gallery=its)
    train(run, tmp_path / "model.pt")
    scores, retrieval = [], metrics.retrieval
    monkeypatch.setattr(metrics, "retrieval", lambda *a: scores.append(a[0]) or retrieval(*a))
    together = evaluate(run, tmp_path / "model.pt")["metrics"]
    apart = evaluate(run.model_copy(update={"data": str(data)}), tmp_path / "model.pt")["metrics"]
    assert apart["mnr"] <= 4 < together["mnr"] and apart["v2t_mnr"] <= 4
    assert apart["pair"] == together["pair"]
    one = gallery[:, None] == gallery
    torch.testing.assert_close(scores[1], scores[0] * one)  # the others are not computed


def test_probabilities_are_averaged_over_views(short_run, tmp_path, monkeypatch):
    run = short_run(RECOGNITION, steps=1)
    train(run, tmp_path / "model.pt")
    scores = []
    recognition = metrics.recognition
    monkeypatch.setattr(metrics, "recognition", lambda *a: scores.append(a[0]) or recognition(*a))
    evaluate(run, tmp_path / "model.pt")
    # square videos: three crops of one clip are three times the same
    for views in ("3x1", "1x2"):
        model = run.model.model_copy(update={"views": views})
        evaluate(run.model_copy(update={"model": model}), tmp_path / "model.pt")
    one, crops, clips = scores
    torch.testing.assert_close(one.softmax(dim=-1), crops)
    assert not torch.allclose(crops, clips) and torch.allclose(clips.sum(dim=-1), torch.ones(12))


def test_smaller_copies_are_as_declared_and_reported(damageable_run, tmp_path):
    run = damageable_run(steps=1)
    checkpoint, path = tmp_path / "out" / "model.pt", Path(run.data) / "manifest.json"
    train(run, checkpoint)
    manifest = load_json(path)
    facts = {"short": 256, "clips": 8, "of": 8, "quality": "crf 18", "difference": 0.5}
    other = {**facts, "form": "another"}
    write_json(path, {**manifest, "resized": other})
    assert evaluate(run, checkpoint)["resized"] == other
    resized = Resized(short=256)
    declared = run.dataset.model_copy(update={"resized": resized})
    run_on_copies = run.model_copy(update={"dataset": declared})
    for does in (train, evaluate):  # the manifest names another form
        with pytest.raises(UserError, match=f"run `vidtune data resize {declared.name}`"):
            does(run_on_copies, checkpoint)
    write_json(path, {**manifest, "resized": facts | resized.model_dump(mode="json")})
    assert evaluate(run_on_copies, checkpoint)["status"] == "ok"


def test_clips_that_came_after_a_training_are_none_that_it_used(damageable_run, tmp_path):
    run = damageable_run(steps=1)
    listed = Path(run.data) / "train.jsonl"
    lines = listed.read_text().splitlines(keepends=True)
    listed.write_text("".join(lines[1:]))
    train(run, tmp_path / "model.pt")
    listed.write_text("".join(lines))
    used = evaluate(run, tmp_path / "model.pt")["coverage"]
    assert used["train"]["used"] == len(lines) - 1 and used["test"]["used"] == 4


def test_a_result_that_is_taken_up_again_has_todays_coverage(damageable_run, tmp_path, monkeypatch):
    """More clips are listed than there were: none is tested again, and a verdict is of fewer."""
    run, out = damageable_run(steps=1), tmp_path / "eval.json"
    train(run, tmp_path / "model.pt")
    write_evaluation(run, tmp_path / "model.pt", out)
    counts = {"expected": 6, "listed": 6, "present": 4, "decodable": 4}
    write_json(Path(run.data) / "coverage.json", {"test": counts})
    monkeypatch.setattr(Batches, "numbered", None)
    for gone in (False, True):
        if gone:
            out.unlink()
        write_evaluation(run, tmp_path / "model.pt", out)
        assert load_json(out)["coverage"]["test"] == {"used": 4, "expected": 6}


@pytest.mark.parametrize("name", [RECOGNITION, RETRIEVAL])
def test_a_stopped_test_goes_on(name, short_run, tmp_path, monkeypatch, vidtune):
    """Told to stop, or killed: what is done is not done again, and the numbers are the same."""
    monkeypatch.setattr(batches, "AT_ONCE", 2)
    run, out = short_run(name, steps=2), tmp_path / "eval.json"
    train(run, tmp_path / "model.pt")
    whole = evaluate(run, tmp_path / "model.pt")
    write_json(tmp_path / "spec.json", run)
    monkeypatch.setattr(partial, "EVERY", 0.0)
    numbered, seen, queued = Batches.numbered, [], []
    monkeypatch.setattr(scoring, "queue_again", lambda told, _: queued.append(told.warned))

    def counted(self, numbers):
        for batch in numbered(self, numbers):
            seen.append(1)
            if len(seen) == 2:
                os.kill(os.getpid(), signal.SIGUSR1)
            if len(seen) == 5:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(Batches, "numbered", counted)
    given = ("evaluate", "--spec", tmp_path / "spec.json", "--out", out)
    code, _, err = vidtune(*given)
    assert code == 75 and "stopped after 2 of 6 batches" in err and not out.exists()
    assert queued == [True]
    assert vidtune(*given)[0] == 130
    assert len(list((tmp_path / "eval.partial").iterdir())) == 4
    assert vidtune(*given)[0] == 0
    assert len(seen) == 5 + 2  # two of six were left
    assert load_json(out)["metrics"] == whole["metrics"]
    assert not (tmp_path / "eval.partial").exists()


@pytest.mark.parametrize(
    ("name", "taken", "before"),
    [
        (RECOGNITION, "at_once", []),
        (RETRIEVAL, "at_once", []),
        (RECOGNITION, "prepare", [1]),  # a clip of which it sees how large its features are
    ],
)
def test_a_model_without_room_for_a_batch_takes_fewer_clips_at_once(
    name, taken, before, short_run, tmp_path, monkeypatch, capsys
):
    """Twelve clips are tested, or their features are computed to be kept, with room for four."""
    run = short_run(name, steps=1)
    train(run, tmp_path / "model.pt")
    found, sizes, most = evaluate(run, tmp_path / "model.pt"), [], 4
    kind = type(build_run(run, torch.device("cpu"))[0])
    original = getattr(kind, taken)

    def limited(self, video, mask=None):
        sizes.append(len(video))
        if len(video) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, video) if mask is None else original(self, video, mask)

    monkeypatch.setattr(kind, taken, limited)

    def batches_of(*args, **kwargs):
        data = Batches(*args, **kwargs)
        data.reread = taken == "prepare"
        return data

    again = evaluate(run, tmp_path / "model.pt", batches_of)
    assert again["metrics"] == found["metrics"]
    assert sizes == [*before, 12, 6, 3, 3, 3, 3]
    err = capsys.readouterr().err
    assert "is full with 12 clips at once; goes on with 6" in err and "goes on with 3" in err
    if taken == "at_once":
        most = 0
        with pytest.raises(UserError, match=r"evaluate: .* is full, with as few clips at once"):
            evaluate(run, tmp_path / "model.pt")
        assert sizes[-4:] == [12, 6, 3, 1]


def test_a_full_disk_costs_what_is_kept_of_a_test_alone(short_run, tmp_path, monkeypatch, capsys):
    run, out = short_run(RECOGNITION, steps=1), tmp_path / "eval.json"
    train(run, tmp_path / "model.pt")

    def full(path: Path, _: object) -> None:
        raise UserError(f"{path}: cannot write: No space left on device")

    monkeypatch.setattr(partial, "save", full)
    write_evaluation(run, tmp_path / "model.pt", out)
    assert load_json(out)["status"] == "ok"
    assert "No space left on device); goes on without" in capsys.readouterr().err


def test_clips_are_read_once_for_last_and_best_weights(short_run, tmp_path, monkeypatch):
    """Also where outputs of the one alone are kept."""
    monkeypatch.setattr(batches, "AT_ONCE", 2)
    run, out = (
        short_run(RETRIEVAL, steps=3, select={"metric": "r1", "every": 1}),
        tmp_path / "model.pt",
    )
    train(run, out)
    numbered, seen = Batches.numbered, []

    def counted(self, numbers):
        for batch in numbered(self, numbers):
            seen.append(1)
            yield batch

    monkeypatch.setattr(Batches, "numbered", counted)

    def tested():
        seen.clear()
        found = evaluate(run, out, partial=tmp_path / "kept")
        return found["metrics"], found["best"], len(seen)

    first = tested()
    assert first[2] == 6 and tested() == (*first[:2], 0)
    kept = partial.key_of(run, tmp_path / "best.pt")
    for path in (tmp_path / "kept").glob(f"{kept}-*"):
        path.unlink()
    assert tested() == first


def test_what_is_kept_of_a_test_is_of_its_very_checkpoint_spec_and_clips(short_run, tmp_path):
    run, other = short_run(RETRIEVAL, steps=1), short_run(RETRIEVAL, steps=2)
    train(run, tmp_path / "model.pt")
    train(other, tmp_path / "other" / "model.pt")
    keys = [
        partial.key_of(run, tmp_path / "model.pt"),
        partial.key_of(other, tmp_path / "model.pt"),
        partial.key_of(run, tmp_path / "other" / "model.pt"),
    ]
    moved = Path(shutil.copytree(run.data, tmp_path / "data"))
    at_first = run.model_copy(update={"data": str(moved)})
    keys.append(partial.key_of(at_first, tmp_path / "model.pt"))
    edit(moved, "test", 0, captions=["a caption"])
    keys.append(partial.key_of(at_first, tmp_path / "model.pt"))
    assert len(set(keys)) == len(keys)
    kept = partial.Partial(tmp_path / "kept", keys[0])
    kept.add(3, (torch.ones(2),))
    kept.write()
    again = partial.Partial(tmp_path / "kept", keys[0])
    assert list(again.read()) == [3] and not partial.Partial(tmp_path / "kept", keys[1]).read()
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(file.read_bytes()[:-20])  # cut short
    assert not again.read() and not file.exists()


def test_a_video_is_decoded_once_for_all_its_views(short_run, tmp_path, monkeypatch):
    run = short_run(RECOGNITION, steps=1)
    train(run, tmp_path / "model.pt")
    reads, read = [], clips.read_frames
    monkeypatch.setattr(clips, "read_frames", lambda *a: reads.append(1) or read(*a))
    monkeypatch.setattr(loader, "own_cores", lambda: 0)
    model = run.model.model_copy(update={"views": "3x2"})
    several = run.model_copy(update={"model": model})
    sizes, numbered = [], Batches.numbered

    def measured(self, numbers):
        for batch in numbered(self, numbers):
            sizes.append(len(batch.inputs[0]))
            yield batch

    monkeypatch.setattr(Batches, "numbered", measured)
    assert evaluate(several, tmp_path / "model.pt")["n"] == len(reads) == 12
    assert sum(sizes) == 12 * 6 and max(sizes) <= batches.AT_ONCE
