"""Wall time of the whole static table, cold: every paper's full-size variants counted anew.

One fresh process a paper, side by side as the rule `cost` runs them on as many cores, without results
kept from before: `python benchmarks/counting.py`. Under each variant are its own seconds, of which the
first of a process has what torch loads once.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from vidtune.plan import Plan, load

AIM = 90  # seconds, on two cores


def table(plan: Plan, paper: str, cores: int) -> list[str]:
    """Count a paper's variants in a process of its own; a line `cost k/n variant seconds` each."""
    spec = plan.spec_of("costs", paper)
    out = plan.root / "costs" / f"{paper}.json"
    verb = [sys.executable, "-m", "vidtune", "cost", "--spec", str(spec), "--out", str(out)]
    share = str(max(1, cores // len(plan.config.papers)))
    done = subprocess.run(
        verb, env={**os.environ, "OMP_NUM_THREADS": share}, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        sys.exit(f"benchmarks/counting.py: {' '.join(verb)} failed; see above")
    return done.stdout.splitlines()


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    with TemporaryDirectory() as folder:
        plan = load(Path(__file__).parent.parent / "config", {"results": folder})
        plan.write_specs()
        start = time.perf_counter()
        with ThreadPoolExecutor(cores) as pool:
            lines = list(pool.map(lambda paper: table(plan, paper, cores), plan.config.papers))
        spent = time.perf_counter() - start
    counted = [line.split() for paper in lines for line in paper]
    for _, _, variant, seconds, unit in counted:
        print(f"{variant:44} {seconds:>8} {unit}")
    load_1 = os.getloadavg()[0]
    print(
        f"{len(counted)} variants in {spent:.1f} s on {cores} cores, load {load_1:.1f} "
        f"(aim: at most {AIM} s on two idle ones)"
    )


if __name__ == "__main__":
    main()
