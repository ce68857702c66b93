"""What is found inside trained models: the same numbers as the test, sums of one, and every patch once."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.common import one_line

from vidtune.data import records
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint, load_tuned, save
from vidtune.engine.evaluate import evaluate
from vidtune.engine.look.look import SHOWN, first_clips, look, write_look
from vidtune.engine.look.maps import final_tokens
from vidtune.engine.train import train
from vidtune.nn.pixels import normalise
from vidtune.spec import write_json

SIDE, MERGING = "side4video/b16-ssv1@0", "tempme/tempme-b32@0"


@pytest.fixture(scope="module")
def trained(short_run, tmp_path_factory):
    """A function that gives a run and its model.pt."""
    folder, made = tmp_path_factory.mktemp("looked"), {}

    def of(name: str):
        if name not in made:
            run = short_run(name)
            train(run, folder / run.name / "model.pt")
            made[name] = run, folder / run.name / "model.pt"
        return made[name]

    return of


def test_classes_add_up_to_the_tests_accuracy(trained):
    run, model = trained(SIDE)
    facts, _ = look(run, model)
    found, tested = facts["classes"], evaluate(run, model)
    n = np.array(found["n"])
    assert n.sum() == tested["n"] == 12
    top1 = 100 * (n * np.array(found["learned"])).sum() / n.sum()
    assert top1 == pytest.approx(tested["metrics"]["top1"])
    assert found["names"] == records.manifest(Path(run.data))["classes"]
    assert all(0 <= share <= 1 for share in found["zero_shot"])


def test_attention_is_shared_among_a_frames_patches(trained):
    run, model = trained(SIDE)
    _, arrays = look(run, model)
    frames, grid = run.model.frames, run.model.backbone.image // run.model.backbone.patch
    assert (
        arrays["frames"].shape == (SHOWN, frames, 32, 32, 3) and arrays["frames"].dtype == np.uint8
    )
    for name in ("clip_attention", "side_attention"):
        assert arrays[name].shape == (SHOWN, frames, grid, grid)
        assert arrays[name].sum(axis=(2, 3)) == pytest.approx(1.0, abs=1e-5)
        assert arrays[name].std() > 0
    assert not np.allclose(arrays["clip_attention"], arrays["side_attention"])


def test_every_patch_ends_in_a_token_as_large_as_the_models(trained):
    """The sizes that the model itself keeps, which say for how many a token stands."""
    run, checkpoint = trained(MERGING)
    _, arrays = look(run, checkpoint)
    model, _ = build_run(run, torch.device("cpu"))
    load_tuned(model, load_checkpoint(checkpoint)["state"], checkpoint)
    model.eval()
    pixels = normalise(torch.from_numpy(arrays["frames"]).permute(0, 1, 4, 2, 3))
    with torch.no_grad():
        again = final_tokens(model, pixels)
        assert np.array_equal(again, arrays["token"])
        for token, video in zip(arrays["token"], pixels, strict=True):
            _, size = model.tokens(video[None])
            cls = model.plans[-1].cls
            counts = np.bincount(token.flatten(), minlength=size.shape[1])
            assert np.array_equal(counts[cls:], size[0, cls:, 0].numpy().round())
            assert not counts[:cls].any() and len(size) == 1
    across = [
        len({t for t, *_ in np.argwhere(arrays["token"][0] == k)})
        for k in np.unique(arrays["token"][0])
    ]
    assert max(across) > 1  # a token that has patches of several frames


def test_clips_follow_from_the_list_alone(trained):
    run, _ = trained(SIDE)
    shown = first_clips(run)
    clips = records.read(Path(run.data), "test")
    for k, clip in enumerate(shown):
        assert clip.id == next(c.id for c in clips if c.label == clip.label)
        assert clip.label == sorted({c.label for c in clips})[k]


def test_the_file_is_complete_and_says_who_made_it(trained, tmp_path):
    run, model = trained(MERGING)
    write_look(run, model, tmp_path / "look.npz")
    with np.load(tmp_path / "look.npz") as content:
        assert set(content.files) == {"facts", "frames", "token"}
        facts = json.loads(str(content["facts"]))
    assert facts["status"] == "ok" and len(facts["clips"]) == SHOWN and facts["generated"]
    assert facts["provenance"]["digest"] and "classes" not in facts


def test_a_failed_training_leaves_its_status_alone(trained, tmp_path):
    run, model = trained(SIDE)
    failed = {**load_checkpoint(model), "status": "diverged"}
    save(tmp_path / "model.pt", failed)
    facts, arrays = look(run, tmp_path / "model.pt")
    assert facts["status"] == "diverged" and not arrays and "clips" not in facts


def test_a_missing_checkpoint_is_one_line(trained, vidtune, tmp_path):
    run, _ = trained(SIDE)
    write_json(tmp_path / "run.json", run)
    arguments = ("--spec", tmp_path / "run.json", "--checkpoint", tmp_path / "no.pt")
    code, _, err = vidtune("look", *arguments, "--out", tmp_path / "look.npz")
    assert code == 2 and "no.pt" in one_line(err)
    assert not (tmp_path / "look.npz").exists()
