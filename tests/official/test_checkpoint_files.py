"""What the authors' files may hold beside tensors, and what is never unpickled."""

import argparse
import io
import os
import pathlib
import pickle
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.common import one_line

from vidtune.official.checkpoint_files import read_checkpoint
from vidtune.spec import UserError

STATE = OrderedDict({"ln.weight": torch.ones(3), "steps": torch.tensor(7)})
BESIDE = {
    "mmcv": {"meta": {"epoch": 30, "hook_msgs": {"best_score": np.float64(0.83)}}},
    "epoch": {"epoch": np.int64(3), "best": np.float32(1), "done": np.bool_(True)},
    "text": {"name": np.str_("best"), "day": np.datetime64("2024-05-01")},
    "arrays": {"scores": np.arange(6.0).reshape(2, 3), "names": np.array(["a", "b"])},
    "objects": {"rows": np.array([{"a": 1}, None], dtype=object)},
    "random state": {"rng": np.random.RandomState(0).get_state(), "torch": torch.get_rng_state()},
    "args": {"args": argparse.Namespace(lr=0.1, out=pathlib.PosixPath("/x"), n=np.int32(2))},
    "nested": {"args": argparse.Namespace(model=argparse.Namespace(layers=[np.int8(1)]))},
}


@pytest.mark.parametrize("case", BESIDE)
@pytest.mark.parametrize("legacy", [False, True])
def test_what_lies_beside_the_tensors_is_no_obstacle(case: str, legacy: bool, tmp_path: Path):
    path = tmp_path / "x.pth"
    content = {**BESIDE[case], "state_dict": {f"module.{k}": v for k, v in STATE.items()}}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    got = read_checkpoint(path)
    assert list(got) == list(STATE) and all(torch.equal(v, STATE[k]) for k, v in got.items())


def test_names_of_older_numpy(tmp_path: Path):
    path = tmp_path / "x.pth"
    torch.save({"epoch": np.int64(3), "model": STATE}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    assert b"numpy._core.multiarray" in data
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert list(read_checkpoint(path)) == list(STATE)


class Evil:
    def __reduce__(self) -> tuple:
        return (os.system, (f"touch {os.environ['VICTIM']}",))


class Calls:
    """A function that only looks like one of numpy's."""

    def __reduce__(self) -> tuple:
        return (np.load, ("x.npy",))


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        (Evil(), "posix.system"),
        (Calls(), "numpy.load"),
        (Fraction(1, 3), "fractions.Fraction"),
        (np.random.default_rng, "numpy.random"),
    ],
)
def test_anything_else_is_refused_and_not_run(extra, why, tmp_path: Path, monkeypatch):
    victim = tmp_path / "victim"
    monkeypatch.setenv("VICTIM", str(victim))
    for legacy in (False, True):
        path = tmp_path / "x.pth"
        content = {"extra": extra, "model": STATE}
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(UserError, match="not a file of tensors that can be read safely") as e:
            read_checkpoint(path)
        assert why in one_line(str(e.value)) and not victim.exists()


def test_a_plain_pickle_is_refused_and_not_run(tmp_path: Path, monkeypatch, capfd):
    victim = tmp_path / "victim"
    monkeypatch.setenv("VICTIM", str(victim))
    for protocol in (0, 2, 4, 5):
        (tmp_path / "x.pth").write_bytes(pickle.dumps({"model": Evil()}, protocol))
        with pytest.raises(UserError) as e:
            read_checkpoint(tmp_path / "x.pth")
        one_line(str(e.value))
    assert not victim.exists() and capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"model": {3: torch.ones(3)}}, "expected the names of tensors; found 3"),
        ({"model": {"a": torch.ones(3, dtype=torch.complex64)}}, "a: expected real numbers"),
        ({"model": {"a": torch.ones(3, device="meta")}}, "a: expected real numbers"),
        ({"model": {"a": np.float64(1)}}, "a: expected a tensor; found Metadata"),
        ({"model": argparse.Namespace(a=1)}, "model: expected a tensor; found Metadata"),
        ({"a": torch.ones(1), "module.a": torch.ones(1)}, "with and without module."),
        ([torch.ones(3)], "expected a dict of tensors; found list"),
        ({}, "expected a dict of tensors"),
    ],
)
def test_tensors_that_cannot_be_used_are_named(content, why, tmp_path: Path):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UserError) as e:
        read_checkpoint(tmp_path / "x.pth")
    assert why in one_line(str(e.value))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "x.pth")
    for path in (tmp_path / "x.pth", tmp_path):
        with pytest.raises(UserError, match="is no file; give the authors' checkpoint"):
            read_checkpoint(path)


def test_a_damaged_file_is_one_line(tmp_path: Path):
    out = io.BytesIO()
    torch.save({"model": STATE, "epoch": np.int64(3)}, out)
    whole = out.getvalue()
    for share in (0.0, 0.1, 0.5, 0.9, 0.99):
        (tmp_path / "x.pth").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UserError) as e:
            read_checkpoint(tmp_path / "x.pth")
        one_line(str(e.value))
