"""The plan as the Snakefile and its rules see it.

`Workflow` says which runs have their data and which files each job reads and writes. Imports no torch.
"""

import hashlib
import os
import shlex
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vidtune import slurm
from vidtune.cluster import Asks, Site
from vidtune.cost import fits
from vidtune.datasets import readiness, split
from vidtune.datasets.node_copy import STAGE, host
from vidtune.datasets.stages import SCATTERED, STAGES, shards_of, training_waits_for
from vidtune.engine.made import REQUEUE
from vidtune.estimate import format_estimate
from vidtune.gpu import devices
from vidtune.plan import Plan, load
from vidtune.plan.chosen import as_arguments
from vidtune.provenance import PACKAGE
from vidtune.remote import cache
from vidtune.report import outputs, reference_runs, summary
from vidtune.report.numbers.device_costs import folders
from vidtune.spec import UserError
from vidtune.spec.errors import printable, system_errors_explained

__all__ = [
    "SCATTERED",
    "STAGES",
    "Workflow",
    "ask_slurm",
    "code_digest",
    "job_environment",
    "start",
]


UNLOCK = "--unlock"  # of Snakemake, which runs nothing then, although it may be given cores


class Workflow:
    """The plan of Snakemake's `config`; its spec files are written. Raises `UserError`.

    A `job`, a Snakemake of its own, does what it was submitted for: it leaves specs as they are, although
    the configuration may have changed since. So does a dry run while a Snakemake is at work on the scale,
    whose jobs will read them; another run that would change them is refused.

    `defaults` are the default resources of Snakemake's profile, which say what a cluster is like. A dry
    run where no data is at all plans every run.
    """

    def __init__(
        self,
        config: dict[str, Any],
        defaults: Mapping[str, Any] | None = None,
        dry: bool = False,
        job: bool = False,
    ) -> None:
        self.plan = load("config", config)
        _check_writable(self.plan.root)
        left = self.plan.write_specs(changed=not (job or _at_work(self.plan.root)))
        self.left_specs = [] if job else left
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

    def says_left(self) -> str:
        """Which specs are left as they are, and what to do."""
        return (
            f"{len(self.left_specs)} specs would be others than a Snakemake at work on {self.plan.root} "
            f"has ({self.left_specs[0]}), and are left as they are: wait for it, or edit in a second "
            "checkout; if it was killed, unlock first (snakemake --unlock)"
        )

    def _has_data(self, run_name: str) -> bool:
        return self.readiness[self.plan.runs[run_name].dataset.name] != "absent"

    def _split(self) -> dict[str, fits.Choice | str]:
        """How each run's batches are split over `gpus` of config.yaml, or why they do not fit."""
        gpus = self.plan.config.settings.gpus
        if gpus is None:
            return {}
        if absent := fits.missing(self.plan):
            command = f"vidtune plan{as_arguments(self.plan.config)} --gpus {gpus}"
            raise UserError(
                f"gpus: {len(absent)} predictions of memory are missing or of other code; run `{command}`"
            )
        return fits.split_of(self.plan, self.runs)

    def gpus_of(self, run_name: str) -> int:
        """The GPUs that train and test a run."""
        return self.asks.choice(run_name).ranks

    def parts_of(self, run_name: str) -> int:
        """The parts in which each of them computes its clips of a batch."""
        return self.asks.choice(run_name).parts

    def recompute_of(self, run_name: str) -> str:
        """The option that says whether backward computes blocks again."""
        return "--recompute" if self.asks.choice(run_name).recompute else "--no-recompute"

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

    def done_file(self, dataset: str, stage: str, shard: str = "") -> str:
        """The file that says that a stage is done, or its shard, such as "2of8". What it makes lies in the
        data folder as no rule's output, because Snakemake would delete it before the stage runs again."""
        return f"{self.plan.shared}/{dataset}.{stage}" + (f".{shard}" if shard else "")

    def stage_inputs(self, dataset: str, stage: str) -> list[str]:
        """The files that a stage of a dataset waits for: of its shards, where there are several."""
        count = shards_of(self.plan.config.datasets[dataset], stage)
        if count == 1:
            return self.before_stage(dataset, stage)
        return [self.done_file(dataset, stage, f"{k + 1}of{count}") for k in range(count)]

    def before_stage(self, dataset: str, stage: str) -> list[str]:
        """The file of the stage that a stage, whole or cut into shards, waits for, if any."""
        before = readiness.stage_before(self.plan, dataset, stage)
        if stage == "split" and before is None:
            return self._own_lists(dataset)
        return [self.done_file(*before)] if before else []

    def _own_lists(self, dataset: str) -> list[str]:
        """The lists beside a user's own videos, by their declared names."""
        declared = self.plan.config.datasets[dataset]
        root = Path(self.plan.config.settings.data) / dataset
        return list(map(str, split.own_lists(declared, root)))

    def described(self) -> list[str]:
        """The done files of the real datasets whose files are placed or may be fetched."""
        names = (name for name, at in self.readiness.items() if at in ("placed", "open"))
        return [self.done_file(name, "describe") for name in names]

    def shown(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The files of tables, plots and the page, by the end of the name of the rule that writes them:
        those that are there, or all where none is, and those that alone are missing. Each with what it is
        called in Snakemake's own report, which takes no picture twice."""
        files = {path: self._called(path) for path in outputs.files(self.plan)}
        missing = {path for path in files if not path.exists()}
        if len(missing) == len(files):
            missing = set()
        parts = {
            "": [p for p in files if p not in missing],
            "_missing": [p for p in files if p in missing],
        }
        return {part: {str(p): files[p] for p in paths} for part, paths in parts.items() if paths}

    def _called(self, path: Path) -> dict[str, Any]:
        kind, (name, form) = path.parent.name, outputs.parts_of(path)
        if kind == "tables":
            table = self.plan.config.tables[name]
            labels = {"table": table.title, "form": form}
            group = {"category": "Tables", "subcategory": table.paper or "overviews"}
            return {"caption": "../report/table.rst", **group, "labels": labels}
        if kind == "plots":
            shown = {
                "caption": "../report/plot.rst",
                "category": "Plots",
                "labels": {"plot": name},
            }
            return shown if form == "svg" else {}
        if name != "report":
            return {"category": "Claims and references", "labels": {"file": path.name}}
        return {
            "caption": "../report/page.rst",
            "category": "Page",
            "labels": {"page": "all of it"},
        }

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
    config: dict[str, Any],
    announce: bool,
    defaults: Mapping[str, Any],
    dry: bool = False,
    deployed: Collection[str] = (),
) -> Workflow:
    """The workflow of Snakemake's `config`; bad input ends the process with one line and code 2.

    With `announce`, what a user has to provide is listed on stderr. `deployed` are the methods by which
    Snakemake deploys software: with APPTAINER there must be an image.
    """
    try:
        with system_errors_explained():
            made = Workflow(config, defaults, dry, job=not announce)
        if "APPTAINER" in deployed and not dry:
            _check_image(made.plan.config.settings.container)
        if made.left_specs and not (dry or UNLOCK in sys.argv):
            # Not later: Snakemake would lock, and as it ends remove the other one's locks, too.
            raise UserError(made.says_left())
        if made.left_specs and dry:
            print(f"vidtune: {made.says_left()}", file=sys.stderr)
        for name, why in made.too_large.items() if announce else ():
            print(f"vidtune: {name} is left out: {why}", file=sys.stderr)
        if announce and not made.plan.scale.together and not made.plan.config.settings.gpus:
            print(
                "vidtune: gpus is not set: every training takes one GPU, and its batches whole; "
                f"vidtune plan{as_arguments(made.plan.config)} --gpus 8x80GiB says what fits how many",
                file=sys.stderr,
            )
        if made.waiting and announce:
            print(format_estimate(made.plan), file=sys.stderr)
            if not made.runs:
                raise UserError(
                    "no run has its data: provide what is listed above, at least of one"
                )
            left = "are planned as if it were there" if made.supposed else "are left out"
            print(f"vidtune: {made.waiting} runs wait for data and {left}", file=sys.stderr)
    except UserError as e:
        print(f"vidtune: {printable(str(e))}", file=sys.stderr)
        sys.exit(2)
    return made


def ask_slurm(defaults: Mapping[str, Any], settings: Any) -> None:
    """Check a profile's values against SLURM before the first job; `settings` are those of Snakemake's
    executor, of SLURM or not. What SLURM does not know ends the process with one line and code 2."""
    if not hasattr(settings, "status_command"):  # another executor's, or none
        return
    try:
        slurm.check(defaults, settings.status_command)
    except UserError as e:
        print(f"vidtune: {printable(str(e))}", file=sys.stderr)
        sys.exit(2)


def _at_work(root: Path) -> bool:
    """Whether a Snakemake of this folder has locked results of a scale."""
    locks = Path(".snakemake/locks").glob("*.output.lock")
    with suppress(OSError):
        lines = (line for path in locks for line in path.read_text(errors="replace").splitlines())
        return any(line.startswith(f"{root}/") for line in lines)
    return False


def _check_writable(root: Path) -> None:
    """Raise `UserError` where this machine, which may be a job's node, cannot write results."""
    there = next((p for p in (root, *root.parents) if os.path.exists(p)), root)
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise UserError(
            f"config.yaml: results: {there} cannot be written on {host()}; make it writable there, or "
            "name another folder (--config results=...)"
        )


def _check_image(image: str) -> None:
    """Raises `UserError` where the image is a file that does not exist."""
    if "://" not in image and not Path(image).exists():
        raise UserError(
            f"container: {image}: no such image; build it from the Dockerfile (docs/cluster.md, "
            '"Container"), or name another: --config container=docker://...'
        )


def job_environment(plan: Plan, deployed: Collection[str] = (), submitted: bool = False) -> str:
    """What every job's shell command begins with, the same on all nodes: this interpreter is the first on
    PATH, unless Snakemake has deployed another one; a checkout's package is the one that the Snakefile has
    imported, and `stage` of config.yaml is passed on as it is written there. A job that was `submitted` to
    SLURM may queue itself again. Braces are doubled, as Snakemake formats it."""
    own = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; "
    path = "" if deployed else own
    checkout = PACKAGE.absolute().parent
    if (checkout / "pyproject.toml").is_file():
        path += f"export PYTHONPATH={shlex.quote(str(checkout))}${{PYTHONPATH:+:$PYTHONPATH}}; "
    if stage := plan.config.settings.stage:
        path += f"export {STAGE}={shlex.quote(stage)}; "
    if submitted and "SLURM_JOB_ID" in os.environ:  # a node's own Snakemake
        path += f"export {REQUEUE}=1; "
    return path.replace("{", "{{").replace("}", "}}")


def code_digest(package: Path = PACKAGE) -> str:
    """A hash over the package's files, so that cheap rules follow every edit of it. It is that of the
    package which the Snakefile has imported, wherever the workflow is used from."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.*")):
        name = path.relative_to(package)
        if path.is_file() and path.suffix != ".pyc" and not name.name.startswith("."):
            found.update(f"{name}\n".encode() + path.read_bytes())
    return found.hexdigest()
