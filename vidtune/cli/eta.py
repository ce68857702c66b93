"""One line after each Snakemake job: how far it is and about how long it still takes."""

import logging
import sys
import time
from collections import Counter

from vidtune.cli.estimate import span


class Eta(logging.Handler):
    """Listens to Snakemake's events. `seconds` are the scale's estimates per rule; a rule's own
    finished jobs replace them."""

    def __init__(self, seconds: dict[str, float], cores: int) -> None:
        super().__init__()
        self.estimate, self.cores = seconds, cores
        self.left: Counter[str] = Counter()
        self.running: dict[int, tuple[str, float]] = {}
        self.spent: dict[str, list[float]] = {}
        self.start = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        event = str(getattr(record, "event", ""))
        if event == "run_info":
            stats: dict[str, int] = record.__dict__["stats"]
            self.left = Counter({k: v for k, v in stats.items() if k not in ("total", "all")})
        elif event == "job_info":
            self.running[record.__dict__["jobid"]] = (
                record.__dict__["rule_name"],
                time.monotonic(),
            )
        elif event == "job_finished":
            self._finished(record.__dict__["job_id"])

    def _finished(self, job: int) -> None:
        rule, began = self.running.pop(job, ("all", 0.0))
        if rule == "all":
            return
        self.spent.setdefault(rule, []).append(time.monotonic() - began)
        self.left[rule] -= 1
        done, jobs = sum(map(len, self.spent.values())), sum(self.left.values())
        print(
            f"vidtune: {done} of {done + jobs} jobs in {span(time.monotonic() - self.start)}, "
            f"about {span(self.remaining())} left",
            file=sys.stderr,
        )

    def remaining(self) -> float:
        """Seconds of all jobs to come, shared among the cores."""

        def each(rule: str) -> float:
            seen = self.spent.get(rule)
            return sum(seen) / len(seen) if seen else self.estimate.get(rule, 0.0)

        return sum(n * each(rule) for rule, n in self.left.items()) / self.cores
