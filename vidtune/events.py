"""What Snakemake's events tell the user: how far the jobs are, and why one has failed. No torch."""

import logging
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from vidtune.spec.errors import last_said

# What sbatch says where it takes no job -> the key of the profile, and what to do.
REFUSALS = {
    "account": "slurm_account: `sacctmgr show assoc user=$USER` lists what you may use",
    "partition": "slurm_partition, gpu_partition: `sinfo -s` lists them",
    "generic resource|trackable resource|gres": "gpu_as, gpu_type: the cluster names its GPUs otherwise; "
    "`sinfo -o %G` lists them",
    "time limit": "max_minutes: lower it to what `sinfo -o '%P %l'` lists",
    "memory|node configuration": "no node has what the job asks for: lower it by --set-resources",
}


def format_span(seconds: float | None) -> str:
    """Seconds as "45 s", "12 min" or "unknown"."""
    if seconds is None:
        return "unknown: nobody has measured it"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class Eta(logging.Handler):
    """Prints one line after each Snakemake job: how many are done, and the time left.

    Listens to Snakemake's events. `seconds` are the scale's estimates for each rule; the times of a
    rule's own finished jobs replace them. Of a job that fails it prints why, in one line.
    """

    def __init__(self, seconds: dict[str, float], at_once: int | None) -> None:
        super().__init__()
        self.estimate, self.at_once = seconds, at_once or os.cpu_count() or 1
        self.left: Counter[str] = Counter()  # jobs of each rule
        self.running: dict[int, tuple[str, float]] = {}  # job -> rule, start
        self.spent: dict[str, list[float]] = {}  # seconds of each finished job of a rule
        self.start = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        event, facts = getattr(record, "event", ""), record.__dict__
        if event == "run_info":
            stats: dict[str, int] = facts["stats"]
            self.left = Counter({k: v for k, v in stats.items() if k not in ("total", "all")})
        elif event == "job_info":
            self.running[facts["jobid"]] = (facts["rule_name"], time.monotonic())
        elif event == "job_finished":
            rule, began = self.running.pop(facts["job_id"], ("all", 0.0))
            if rule != "all":
                self.spent.setdefault(rule, []).append(time.monotonic() - began)
                self.left[rule] -= 1
                print(self._state(), file=sys.stderr)
        elif event == "job_error":
            self.running.pop(facts["jobid"], None)
            print(describe_failure(facts), file=sys.stderr)

    def _state(self) -> str:
        """How many jobs are done, and the seconds of those to come, shared among those that run at once."""
        done, jobs = sum(map(len, self.spent.values())), sum(self.left.values())
        means = self.estimate | {rule: sum(s) / len(s) for rule, s in self.spent.items()}
        to_come = {rule.removesuffix("_missing"): n for rule, n in self.left.items() if n}
        if unknown := next((rule for rule in to_come if rule not in means), None):
            left = f"how much longer is known when a first `{unknown}` is done"
        else:
            seconds = sum(n * means[rule] for rule, n in to_come.items()) / self.at_once
            left = f"about {format_span(seconds)} left"
        spent = format_span(time.monotonic() - self.start)
        return f"vidtune: {done} of {done + jobs} jobs in {spent}, {left}"


# What a machine says on which this environment does not lie, or another one does, and what to do.
ABSENT = re.compile(
    r"No module named|\b(python|snakemake)[\d.]*: (command )?not found|bin/\S+: No such file"
)
WHOLE = "the environment is not whole on that node: put it where all see it (docs/cluster.md)"
CAUSES = re.compile(rf"^vidtune|Permission denied|Read-only file system|{ABSENT.pattern}")


def describe_failure(facts: dict[str, Any]) -> str:
    """One line of a job that failed: its log's last line, and what a scheduler says of it. Where a node
    could not even begin the log, a cause in the scheduler's log, which is Snakemake's own output there."""
    own, *others = [*(facts.get("log") or ()), ""]
    message = facts.get("rule_msg") or ""
    said = last_said(_lines(own))
    causes = [line for log in others for line in _lines(log) if CAUSES.search(line)]
    said = _refusal(message) or said or (causes or ["its log is empty"])[-1]
    if ABSENT.search(said):
        said += f"; {WHOLE}"
    state = re.search(r"status is: '(\w+)'", message)
    number = (facts.get("aux") or {}).get("external_jobid")
    where = f"job {number}" + (f" {state[1]}" if state else "") if number else ""
    target = next(iter(facts.get("output") or ()), facts["rule_name"])
    return f"vidtune: {facts['rule_name']} of {target} failed ({where or 'here'}): {said}"


def _refusal(message: str) -> str | None:
    """What sbatch said where it did not take a job, and what to change."""
    found = re.search(r"sbatch failed\. The error message was '(.*?)'\.\n", message, re.DOTALL)
    if not found:
        return None
    said = "; ".join(line.removeprefix("sbatch: error: ") for line in found[1].splitlines())
    fits = (text for words, text in REFUSALS.items() if re.search(words, said, re.IGNORECASE))
    return f"sbatch: {said}: {next(fits, 'see docs/cluster.md, by symptom')}"


def _lines(log: object) -> list[str]:
    try:
        return Path(str(log)).read_text(errors="replace").strip().splitlines()
    except OSError:
        return []
