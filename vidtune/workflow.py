"""The plan as the Snakefile and its rules see it, and the estimate.

`Workflow` says which runs have their data and which files each job reads. Imports no torch.
"""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidtune.cluster import Asks, Site
from vidtune.cost import fits
from vidtune.datasets import readiness
from vidtune.datasets.stages import STAGES, training_waits_for
from vidtune.events import format_span
from vidtune.gpu import devices
from vidtune.plan import Plan, load
from vidtune.remote import cache
from vidtune.report import reference_runs, summary
from vidtune.report.numbers.device_costs import folders
from vidtune.spec import GIB, UserError, parse_gpus

__all__ = ["STAGES", "Workflow", "code_digest", "estimate", "format_estimate", "start"]
CHECKPOINT_MB, CLIP_MB = 0.4, 0.02  # a mini run's files; a generated clip of 64 pixels


class Workflow:
    """The plan of Snakemake's `config`; its spec files are written. Raises `UserError`.

    `defaults` are the default resources of Snakemake's profile, which say what a cluster is like. A dry
    run where no data is at all plans every run.
    """

    def __init__(
        self, config: dict[str, Any], defaults: Mapping[str, Any] | None = None, dry: bool = False
    ) -> None:
        self.plan = load("config", config)
        self.plan.write_specs()
        self.readiness = readiness.readiness_by_name(self.plan)  # of each dataset that a run reads
        evaluated = dict.fromkeys(self.plan.evaluation_of.values())
        self.runs = [name for name in evaluated if self._has_data(name)]
        self.waiting = len(evaluated) - len(self.runs)  # runs that lack their data
        self.supposed = dry and not self.runs  # that all data is there
        self.runs = list(evaluated) if self.supposed else self.runs
        self.split = self._split()  # of each run, where the configuration names GPUs
        self.too_large = {name: why for name, why in self.split.items() if isinstance(why, str)}
        self.runs = [name for name in self.runs if name not in self.too_large]
        self.asks = Asks(self.plan, self.split, Site.read(defaults or {}))
        self.root = str(self.plan.root)
        self.data = self.plan.config.settings.data
        self.device = devices.slug()  # of the machine that Snakemake runs on: "cpu", "nvidia-h200"

    def _has_data(self, run_name: str) -> bool:
        return self.readiness[self.plan.runs[run_name].dataset.name] != "absent"

    def _split(self) -> dict[str, fits.Choice | str]:
        """How each run's batches are split over `gpus` of config.yaml, or why they do not fit."""
        gpus = self.plan.config.settings.gpus
        if gpus is None:
            return {}
        if absent := fits.missing(self.plan):
            command = f"vidtune plan --scale {self.plan.scale.name} --gpus {gpus}"
            raise UserError(
                f"gpus: {len(absent)} predictions of memory are missing or of other code; run `{command}`"
            )
        count, size = parse_gpus(gpus)
        return fits.split_all(self.plan, self.runs, count, size / GIB)

    def gpus_of(self, run_name: str) -> int:
        """The GPUs that train and test a run."""
        return self.asks.choice(run_name).ranks

    def parts_of(self, run_name: str) -> int:
        """The parts in which each of them computes its clips of a batch."""
        return self.asks.choice(run_name).parts

    def checkpoint(self, run_name: str) -> str:
        """The model.pt of a run: its own, or that of the run with the same training."""
        return f"{self.root}/runs/{self.plan.training_of[run_name]}/model.pt"

    def trained(self, run_name: str) -> str:
        """The file that says that a run's model.pt is made; which no rule owns, see rules/run.smk."""
        return f"{self.root}/trained/{self.plan.training_of[run_name]}"

    def inputs(self, run_name: str) -> list[str]:
        """Weights and videos of a run: generated ones, staged real ones, or the user's own lists."""
        run = self.plan.runs[run_name]
        name = run.dataset.name
        if self.readiness[name] in ("generated", "own"):
            videos = f"{run.data}/manifest.json"
        else:
            videos = self.done_file(name, training_waits_for(run.dataset))
        released = [f"{self.root}/fetched/{file.name}" for file in cache.needed(run)]
        return [*filter(None, [run.weights]), *released, videos]

    @property
    def looks(self) -> list[str]:
        """The runs whose trained models are looked into for figures, of those that have their data."""
        return sorted({*self.plan.looks.values()} & {*self.runs})

    def premise_videos(self, backbone: str) -> list[str]:
        """The manifests of the videos that a backbone's premise is judged on."""
        probes = self.plan.premises[backbone].probes.values()
        return sorted({f"{probe.data}/manifest.json" for probe in probes})

    def done_file(self, dataset: str, stage: str) -> str:
        """The file that says that a stage is done. What the stage makes lies in the data folder as no
        rule's output, because Snakemake would delete it before the stage runs again."""
        return f"{self.root}/data/{dataset}.{stage}"

    def stage_inputs(self, dataset: str, stage: str) -> list[str]:
        """The file that a stage of a dataset waits for, if any."""
        before = readiness.stage_before(self.plan, dataset, stage)
        return [self.done_file(*before)] if before else []

    def described(self) -> list[str]:
        """The done files of the real datasets whose files are placed or may be fetched."""
        names = (name for name, at in self.readiness.items() if at in ("placed", "open"))
        return [self.done_file(name, "describe") for name in names]

    def references(self) -> list[str]:
        """Reference results of scales, which the report shows beside its own."""
        return [str(path) for path in reference_runs.paths(self.plan).values()]

    def found(self) -> str:
        """What the results say, in five lines; "" before there are any."""
        try:
            return "\n".join(summary.read(self.plan))
        except UserError as e:
            return f"vidtune: {e}"

    def measurements(self) -> list[str]:
        """Files of measured costs, of this machine and of the reference results."""
        paths = (p for f in folders(self.plan).values() for p in sorted(f.glob("*/*/*.json")))
        return [str(path) for path in paths]


def start(
    config: dict[str, Any], announce: bool, defaults: Mapping[str, Any], dry: bool = False
) -> Workflow:
    """The workflow of Snakemake's `config`; bad input ends the process with one line and code 2.

    With `announce`, what a user has to provide is listed on stderr.
    """
    try:
        made = Workflow(config, defaults, dry)
        for name, why in made.too_large.items() if announce else ():
            print(f"vidtune: {name} is left out: {why}", file=sys.stderr)
        if made.waiting and announce:
            print(format_estimate(made.plan), file=sys.stderr)
            if not made.runs:
                raise UserError(
                    "no run has its data: provide what is listed above, at least of one"
                )
            left = "are planned as if it were there" if made.supposed else "are left out"
            print(f"vidtune: {made.waiting} runs wait for data and {left}", file=sys.stderr)
    except UserError as e:
        print(f"vidtune: {e}", file=sys.stderr)
        sys.exit(2)
    return made


def code_digest(package: Path) -> str:
    """A hash over the package's text, so that cheap rules follow every edit of it."""
    sources = (p for p in sorted(package.rglob("*.*")) if p.is_file() and p.suffix != ".pyc")
    return hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()


def estimate(plan: Plan) -> dict[str, Any]:
    """Jobs and seconds of each rule, disk and downloads; seconds are None where nobody measured."""
    rules: list[dict[str, Any]] = []
    released = cache.needed(*plan.runs.values())
    for rule, count in {**plan.counts(), "fetch": len(released)}.items():
        each = plan.scale.job_seconds.get(rule)
        seconds = None if each is None and count else round((each or 0) * count)
        rules.append({"rule": rule, "jobs": count, "seconds": seconds})
    known = [r["seconds"] for r in rules]
    total = None if None in known else round(sum(known) / 2)
    trainings = len({*plan.training_of.values()})
    clips = sum(sum(f.clips.values()) for f in plan.generated.values())
    downloads = sum(f.bytes or 0 for f in released) / 1e6
    return {
        "scale": plan.scale.name,
        "rules": rules,
        "seconds_2_cores": total,
        "disk_mb": round(clips * CLIP_MB + trainings * CHECKPOINT_MB + downloads + 5),
        "downloads": sorted(f"{f.urls[0]} ({cache.format_size(f.bytes)})" for f in released),
        "bring": readiness.describe_absent(readiness.absent_datasets(plan)),
    }


def format_estimate(plan: Plan) -> str:
    """The estimate as text; at its end what a user has to provide, if anything."""
    e = estimate(plan)
    lines = [
        f"scale {plan.scale.name}: {plan.scale.says}",
        *(f"  {r['rule']:9} {r['jobs']:4} jobs   {format_span(r['seconds'])}" for r in e["rules"]),
        f"  time      {format_span(e['seconds_2_cores'])} on two cores",
        f"  disk      {e['disk_mb']} MB",
        *(f"  download  {d}" for d in e["downloads"]),
    ]
    if e["bring"]:
        lines.append("to provide, before runs that need it can start:")
    return "\n".join([*lines, *(f"  {line}" for line in e["bring"])])
