"""Evaluation of a trained model: which scores reach the metrics, and what refuses to be scored."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers.generated import edit

from vidtune.engine import metrics
from vidtune.engine.checkpoints import load_checkpoint, save
from vidtune.engine.evaluate import evaluate
from vidtune.engine.train import train
from vidtune.spec import Resized, UserError, load_json, write_json

RECOGNITION, RETRIEVAL = "side4video/b16-ssv1@0", "tempme/lora-b32@0"


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
    write_json(path, {**manifest, "resized": {"short": 256}})
    assert evaluate(run, checkpoint)["resized"] == {"short": 256}
    resized = Resized(short=256)
    declared = run.dataset.model_copy(update={"resized": resized})
    run_on_copies = run.model_copy(update={"dataset": declared})
    for does in (train, evaluate):  # the manifest does not name their form
        with pytest.raises(UserError, match=f"run `vidtune data resize {declared.name}`"):
            does(run_on_copies, checkpoint)
    write_json(path, {**manifest, "resized": resized.model_dump(mode="json")})
    assert evaluate(run_on_copies, checkpoint)["status"] == "ok"
