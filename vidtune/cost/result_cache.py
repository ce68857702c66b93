"""Keeps results by a key, which names what was asked for and the code that computes it.

So a changed variant costs its own seconds only. Results that no job asks for any more are removed.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vidtune.spec import load_json, write_json

Make = Callable[[], dict[str, Any]]


def cached_results(
    folder: Path, jobs: Iterable[tuple[str, str, Make]], says: str
) -> dict[str, Any]:
    """Maps (name, key, how to compute it) to name -> result; prints a line for each new result."""
    out, jobs = {}, list(jobs)
    for k, (name, key, make) in enumerate(jobs, 1):
        path = folder / f"{key}.json"
        if not path.exists():
            start = time.perf_counter()
            write_json(path, make())
            seconds = time.perf_counter() - start
            print(f"{says} {k}/{len(jobs)} {name} {seconds:.2f} s", flush=True)
        out[name] = load_json(path)
    for path in set(folder.glob("*.json")) - {folder / f"{key}.json" for _, key, _ in jobs}:
        path.unlink()
    return out
