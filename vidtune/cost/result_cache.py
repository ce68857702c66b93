"""Results kept by a key of what they are and of the code that makes them.

A changed variant costs its own seconds only; what no job asks for any more is removed.
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
    """(name, key, how to make it) -> name: result. What is made anew is told as it is done."""
    out, jobs = {}, list(jobs)
    for k, (name, key, make) in enumerate(jobs, 1):
        path = folder / f"{key}.json"
        if not path.exists():
            start = time.perf_counter()
            write_json(path, make())
            spent = time.perf_counter() - start
            print(f"{says} {k}/{len(jobs)} {name} {spent:.2f} s", flush=True)
        out[name] = load_json(path)
    for path in set(folder.glob("*.json")) - {folder / f"{key}.json" for _, key, _ in jobs}:
        path.unlink()
    return out
