"""What a learned row says of the frames and clips that it comes from."""

from helpers.common import REPO

from vidtune.plan import load
from vidtune.report.numbers import results


def test_a_row_says_where_its_videos_are_copies_or_were_replaced(plan):
    name = "side4video/b16-ssv1-l4@0"
    result = {"metrics": {"top1": 50.0}, "n": 9}
    copy = {"short": 256, "form": "h264", "quality": "crf 18"}
    copy |= {"clips": 8, "of": 9, "difference": 0.7}
    (plain,) = results.learned(plan, name, result, "eval.json")
    told = {"resized": copy, "replaced": 3, "split": {"ranks": 8, "parts": 2}}
    (row,) = results.learned(plan, name, {**result, **told}, "eval.json")
    assert plain.condition == "at this scale 4 frames in place of 8"
    frames, copies, replaced, split = row.condition.split("; ")
    assert split == "trained by 8 processes in 2 parts of a batch each"
    assert frames == plain.condition
    assert copies == (
        "8 of 9 videos as copies with a short side of 256 pixels (h264, crf 18), "
        "which a model sees 0.7 grey levels off"
    )
    assert replaced == "3 times another clip in place of a broken one in training"


def test_a_row_with_the_declared_frames_says_nothing_of_them():
    full = load(REPO / "config", {"scale": "full"})
    result = {"metrics": {"top1": 50.0}, "n": 9}
    (row,) = results.learned(full, "side4video/b16-ssv1-l4@0", result, "eval.json")
    assert row.condition == ""
