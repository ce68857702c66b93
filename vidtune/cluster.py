"""What each job asks of a cluster: cores, memory, time and GPUs, more with every attempt.

A site's own values are `default-resources` of its profile, which Snakemake hands to the jobs too:
`gpu_partition`, how GPUs are asked for (`gpu_as`), the longest job (`max_minutes`), what a node has
(`max_mb`). On a machine
without a scheduler nothing reads what is asked. Imports no torch.
"""

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from vidtune.cost import fits
from vidtune.datasets.stages import shards_of
from vidtune.plan import Plan
from vidtune.remote import cache
from vidtune.spec import GIB, UserError

CORES = 8  # of a GPU: they decode its clips
# GiB of a process on a mini backbone; of one with a GPU's libraries, of the clips or features that it keeps
# of two splits (data/batches.py), and of a decoding process. Assumed, but for what is kept.
SMALL, PROCESS, KEPT, DECODES = 4.0, 8.0, 8.0, 1.0
SHARED = 8.0  # GiB of shared memory that a job's loader takes at most (data/loader.py)
COPIES = 3  # of released weights that a process holds while it reads them: file, float16, float32
# Times what vidtune/cost/fits.py predicts, which is without decoding, waiting and exchange, on an assumed
# speed; and what jobs are given whose time nobody has predicted. Minutes.
MARGIN, LEAST = 3.0, 60
UNKNOWN = {"train": 24 * 60, "evaluate": 4 * 60, "look": 4 * 60}
SMALL_MARGIN, SMALL_LEAST = 10.0, 30  # of a scale's seconds on one core
# A stage of a real dataset, and a shard of it or what gathers them; each goes on where it was stopped.
STAGE, SHARD, STAGE_GB = 24 * 60, 8 * 60, 16.0
# Rules whose jobs take seconds or the network: they run on the machine of Snakemake itself.
BESIDE = frozenset(
    ("fetch", "data_fetch", "data_split", "data_describe", "cost", "memory", "collect", "report")
)
SPELLINGS = ("gpus", "gres", "gpus-per-node")

Ask = Callable[..., Any]
"""A resource function of Snakemake: (wildcards, attempt) -> value; None: not asked for."""


class Site(NamedTuple):
    """A cluster's own values; without a profile that gives them, of no cluster."""

    gpu_partition: str | None = None
    gpu_as: str = "gpus"
    gpu_type: str = ""
    gpus_per_node: int = 0  # 0: no run takes more than one node
    max_minutes: int = 0  # 0: no limit
    max_mb: int = 0  # of a node; 0: not known
    slurm_extra: str = ""  # of every job

    @classmethod
    def read(cls, defaults: Mapping[str, Any]) -> "Site":
        """Of Snakemake's default resources. Raises `UserError`."""
        for name in defaults:
            if name not in KEYS and (meant := get_close_matches(name, KEYS, n=1, cutoff=0.85)):
                raise UserError(
                    f"default-resources: {name}: nothing reads it; did you mean {meant[0]}?"
                )
        known = {name: defaults[name] for name in cls._fields if name in defaults}
        site = cls(**{name: plain(value) for name, value in known.items()})
        if site.gpu_as not in SPELLINGS:
            raise UserError(
                f"default-resources: gpu_as: expected one of {', '.join(SPELLINGS)}; "
                f"found {site.gpu_as!r}; say in the profile how the cluster asks for GPUs"
            )
        for name in ("gpus_per_node", "max_minutes", "max_mb"):
            value = getattr(site, name)
            if not str(value).isdecimal():
                raise UserError(
                    f"default-resources: {name}: expected a whole number; found {value!r}"
                )
            site = site._replace(**{name: int(value)})
        return site

    def minutes(self, wanted: float, attempt: int) -> int:
        asked = math.ceil(wanted * attempt)
        return min(asked, self.max_minutes) if self.max_minutes else asked

    def mb(self, gib: float) -> int:
        asked = math.ceil(gib * 1024)
        return min(asked, self.max_mb) if self.max_mb else asked


# What a profile says of a site, the executor's own names among it.
KEYS = (*Site._fields, "slurm_partition", "slurm_account")


def plain(value: Any) -> Any:
    """What a profile's value says: strings carry a pair of quotes of their own there."""
    raw = getattr(value, "raw", value)
    if isinstance(raw, str) and len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\"":
        return raw[1:-1]
    return raw


class Asks:
    """What the rules ask for, as Snakemake's resource functions."""

    def __init__(
        self, plan: Plan, split: Mapping[str, fits.Choice | str], site: Site | None = None
    ) -> None:
        self.plan, self.split, self.site = plan, split, site or Site()

    def choice(self, run: str, rule: str = "train") -> fits.Choice:
        """How a job of a run is split over GPUs: whole batches on one where the configuration names none,
        and for a look into its model."""
        found = self.split.get(run)
        if isinstance(found, fits.Choice) and rule != "look":
            return found
        if isinstance(found, str) and rule != "look":
            raise UserError(f"{run}: {found}; it is left out, but was asked for by name")
        return fits.Choice(1, 1, self.plan.runs[run].recipe.at_once(1, 1), 0.0)

    def on_gpu(self) -> dict[str, Any]:
        """Resources of a job with one GPU."""
        return self._spelled(lambda wildcards: 1)

    def on_gpus(self) -> dict[str, Any]:
        """Resources of a job on the GPUs of the run that the wildcard `run` names."""
        asked = self._spelled(lambda wildcards: self.choice(wildcards.run).ranks)
        # Without `nodes` a scheduler may scatter them.
        asked["nodes"] = lambda wildcards: self.nodes(wildcards.run)
        if not self.site.gpus_per_node:
            return asked

        def on_nodes(value: Callable[[int, int], Any]) -> Ask:
            """The value of (nodes, ranks) for a run on several nodes; others do not ask for it."""

            def ask(wildcards: Any) -> Any:
                nodes = self.nodes(wildcards.run)
                return value(nodes, self.choice(wildcards.run).ranks) if nodes > 1 else None

            return ask

        # With `mpi` the executor leaves srun to the rule; `tasks` alone would be of each GPU.
        return asked | {
            "mpi": on_nodes(lambda nodes, ranks: "srun"),
            "tasks": on_nodes(lambda nodes, ranks: nodes),
            "tasks_per_gpu": on_nodes(lambda nodes, ranks: 0),
            "cpus_per_task": on_nodes(lambda nodes, ranks: CORES * ranks // nodes),
        }

    def _spelled(self, number: Ask) -> dict[str, Any]:
        """Resources that take a number of GPUs, spelled as the site does."""
        site = self.site
        kind = f"{site.gpu_type}:" if site.gpu_type else ""

        def each(wildcards: Any) -> int:
            """GPUs of one node, which is what `gres` and `gpus-per-node` count."""
            count = number(wildcards)
            return count // self.nodes(wildcards.run) if count > 1 else count

        asked: dict[str, Any] = {"ranks": number}  # what commands and the generic profile read
        if site.gpu_partition:
            asked["slurm_partition"] = site.gpu_partition
        if site.gpu_as == "gres":
            return asked | {"gres": lambda wildcards: f"gpu:{kind}{each(wildcards)}"}
        if site.gpu_as == "gpus-per-node":
            flag = f"{site.slurm_extra} --gpus-per-node={kind}".strip()
            return asked | {"slurm_extra": lambda wildcards: f"{flag}{each(wildcards)}"}
        return asked | {"gpu": number} | ({"gpu_model": site.gpu_type} if kind else {})

    def nodes(self, run: str) -> int:
        """The nodes of a run: as few as have its GPUs, each as many."""
        ranks, each = self.choice(run).ranks, self.site.gpus_per_node
        return (
            next(n for n in range(max(1, -(-ranks // each)), ranks + 1) if ranks % n == 0)
            if each
            else 1
        )

    def launch(self, run: str) -> str:
        """What starts a run's command with its GPUs: on each of its nodes, where there are several. Runs on
        mini backbones share a GPU, where they take one."""
        nodes, ranks = self.nodes(run), self.choice(run).ranks
        srun = f"srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --kill-on-bad-exit=1 "
        # srun does not take sbatch's
        srun += f"--cpus-per-task=${{SLURM_CPUS_PER_TASK:-{CORES * ranks // nodes}}} "
        how = "--shared" if self.plan.pretrainings and ranks == 1 else f"--count {ranks // nodes}"
        return f"exec {srun if nodes > 1 else ''}python -m vidtune.gpu {how} --"

    def minutes(self, rule: str) -> Ask:
        """Of a job whose seconds the scale knows."""
        seconds = self.plan.scale.job_seconds.get(rule, 0.0)
        wanted = max(SMALL_LEAST, SMALL_MARGIN * seconds / 60)
        return lambda wildcards, attempt: self.site.minutes(wanted, attempt)

    def small_mb(self) -> Ask:
        return lambda wildcards, attempt: self.site.mb(SMALL * attempt)

    def stage(self, stage: str) -> dict[str, Ask]:
        """Of a stage of the dataset that the wildcard `dataset` names, of a shard of it, or of what gathers
        these."""

        def minutes(wildcards: Any, attempt: int) -> int:
            wanted = SHARD if self._is_cut(wildcards.dataset, stage) else STAGE
            return self.site.minutes(wanted, attempt)

        return {
            "runtime": minutes,
            "mem_mb": lambda wildcards, attempt: self.site.mb(STAGE_GB * attempt),
        }

    def stage_cores(self, dataset: str, stage: str) -> int:
        """Of a stage; what gathers shards reads and writes lists alone."""
        return 1 if f"data_{stage}" in BESIDE or self._is_cut(dataset, stage) else CORES

    def _is_cut(self, dataset: str, stage: str) -> bool:
        return shards_of(self.plan.config.datasets[dataset], stage) > 1

    def cores(self, run: str, rule: str = "train") -> int:
        small = rule == "look" and self.plan.scale.together
        return 1 if small else CORES * self.choice(run, rule).ranks

    def run_minutes(self, rule: str, run: str, attempt: int) -> int:
        """Of the training or test of a run, or of a look into its model, which tests it on a view of each
        clip: predicted, where `vidtune plan --gpus` has predicted it."""
        if rule == "look" and self.plan.scale.together:
            return self.minutes(rule)(None, attempt)
        hours = self.hours(rule, run)
        wanted = UNKNOWN[rule] if hours is None else max(LEAST, MARGIN * 60 * hours)
        return self.site.minutes(wanted, attempt)

    def hours(self, rule: str, name: str, speed: fits.Speed | None = None) -> float | None:
        """Of a run's job on its GPUs, as predicted; None: by nobody."""
        run = self.plan.runs[name]
        kept = fits.kept_at(self.plan, run.workload())
        if not kept.is_file():
            return None
        sizes = fits.items_of(self.plan, run.dataset.name)
        need, speed = fits.Need.read(kept), speed or fits.Speed()
        hours = fits.training_hours if rule == "train" else fits.test_hours
        return hours(run, sizes, need, self.choice(name, rule), speed)

    def run_mb(self, run: str, attempt: int, rule: str = "train") -> int:
        """Of each of the run's nodes, not of the GPUs. A second attempt has twice as much, a later one no
        more: many end for another reason."""
        if rule == "look" and self.plan.scale.together:
            return self.small_mb()(None, attempt)
        released = sum(file.bytes or 0 for file in cache.needed(self.plan.runs[run])) / GIB
        each = PROCESS + KEPT + DECODES * CORES + COPIES * released
        ranks = 1 if rule == "look" else self.choice(run).ranks // self.nodes(run)
        return self.site.mb((SHARED + ranks * each) * min(attempt, 2))
