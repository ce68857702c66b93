"""`fetch` and `extract`, killed at random lines of their code, and what the next attempt makes."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.common import REPO
from helpers.served import Server
from helpers.staged import GATED, dataset, source, tarred, zipped

from vidtune.datasets import extract, fetch, stage_state

# One process that has everything imported; each attempt is a fork of it.
ATTEMPTS = """
import json, os, random, shutil, signal, sys, threading
from pathlib import Path
from vidtune.datasets import extract, fetch
from vidtune.datasets.archives import reading
from vidtune.remote import server
from vidtune.spec import Dataset

data, root, stage = Dataset.model_validate_json(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
scratch, rng = root.with_name("scratch"), random.Random(int(sys.argv[5]))
for module in (server, reading, extract):
    module.CHUNK = 1 << 12

def attempt(root, fatal):
    "Run the stage; at its line number `fatal`, in whatever thread, die; return lines; 0: died."
    read, write = os.pipe()
    if not os.fork():
        lines = 0
        def count(frame, event, argument):
            nonlocal lines
            if not {"datasets", "remote"} & set(Path(frame.f_code.co_filename).parts):
                return None
            lines += event == "line"
            if lines == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return count
        threading.settrace(count)
        sys.settrace(count)
        {"fetch": fetch, "extract": extract}[stage].run(data, root, show=False)
        sys.settrace(None)
        os.write(write, str(lines).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as f:
        text = f.read()
    os.wait()
    return int(text or 0)

def fresh(to):
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(root.with_name("before"), to)

fresh(scratch)
most = attempt(scratch, -1)
fresh(root)
deaths, finished = [], 0
while len(deaths) < int(sys.argv[4]):
    fatal = rng.randrange(1, most)
    if attempt(root, fatal) == 0:
        deaths.append(fatal)
    else:
        finished += 1
        fresh(root)
last = attempt(root, -1)
print(json.dumps({"lines": most, "deaths": deaths, "finished": finished, "last": last}))
"""


def everything(root: Path) -> dict[str, bytes]:
    """All files but the stages' own notes and lock, which hold times."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in files if p.parent.name != "state"}


@pytest.mark.parametrize("stage", ["fetch", "extract"])
def test_killed_at_random_points_it_goes_on_to_the_same_result(stage, server: Server, tmp_path):
    rng = random.Random(0)
    clips = {f"c/{i}.mp4": rng.randbytes(rng.randrange(1, 20_000)) for i in range(30)}
    half = len(clips) // 2
    whole = tarred(dict(list(clips.items())[half:]), "w:gz")
    pieces = {f"part-0{i}": whole[i * 60_000 : (i + 1) * 60_000] for i in range(3)}
    server.files = {
        "a.zip": zipped(dict(list(clips.items())[:half])),
        "l.csv": b"id\n" * 9000,
        "list.txt": server.url("whole/m.tar").encode(),
        "m.tar": tarred({"m/1.mp4": rng.randbytes(50_000)}),
    }
    data = dataset(
        source(server, "a.zip"),
        source(server, "l.csv", holds="annotations"),
        source(server, "list.txt", lists=True),
        GATED,
    )
    before, reference = tmp_path / "before", tmp_path / "reference"
    for root in (before, reference):
        (root / "downloads").mkdir(parents=True)
        for name, piece in pieces.items():
            (root / "downloads" / name).write_bytes(piece)
    fetch.run(data, reference, show=False)
    if stage == "extract":
        fetch.run(data, before, show=False)
        extract.run(data, reference, show=False)
    root = tmp_path / "root"
    command = [sys.executable, "-c", ATTEMPTS, data.model_dump_json(), str(root), stage, "20", "1"]
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    attempts = json.loads(done.stdout)
    assert len(attempts["deaths"]) == 20 and attempts["finished"] < 20, attempts
    assert everything(root) == everything(reference)
    assert {p.name for p in (root / "state").iterdir()} <= {"lock", "fetch.json", "extract.json"}
    assert stage_state.result_hash(root, stage) == stage_state.result_hash(reference, stage)
