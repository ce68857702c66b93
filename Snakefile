"""vidtune's DAG: generate -> pretrain -> train -> evaluate, cost beside it, then collect -> report.

    snakemake --cores all                          # the embedded default (scale mini)
    snakemake --cores all --config scale=smoke     # the same rules in a minute
    snakemake -n                                   # what would run

Every rule calls `python -m vidtune <rule>`, so that every step runs by hand from its spec file too.
"""

import hashlib
import os
import shlex
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, str(workflow.basedir))

from vidtune.cli import estimate
from vidtune.cli.eta import Eta
from vidtune.remote import cache
from vidtune.datasets import stages, standing
from vidtune.gpu import nvml
from vidtune.plan import load
from vidtune.report.numbers.measurements import folders
from vidtune.spec import UserError

try:
    PLAN = load("config", dict(config))
    PLAN.write_specs()
    STANDING = standing.standings(PLAN)
    RUNS = [r.name for r in PLAN.runs.values() if STANDING[r.dataset.name] != "absent"]
    if len(RUNS) < len(PLAN.runs) and workflow.is_main_process:
        print("\n".join(estimate.lines(PLAN)), file=sys.stderr)
        if not RUNS:
            raise UserError(
                "no run has its data: provide what is listed above, at least of one"
            )
        waiting = len(PLAN.runs) - len(RUNS)
        print(
            f"vidtune: {waiting} runs wait for data and are left out", file=sys.stderr
        )
except UserError as e:
    print(f"vidtune: {e}", file=sys.stderr)
    sys.exit(2)

ROOT = str(PLAN.root)
DATA = PLAN.config.settings.data
SPECS = f"{ROOT}/specs"
SOURCES = sorted(
    p for p in Path(workflow.basedir, "vidtune").rglob("*.*") if p.is_file()
)
CODE = hashlib.sha256(
    b"".join(p.read_bytes() for p in SOURCES if p.suffix in (".py", ".css", ".js"))
).hexdigest()  # cheap rules follow every edit of the package
CONFIG = sorted(map(str, Path("config").rglob("*.yaml")))
MINI = list(PLAN.pretrainings)
MEASURED = [
    str(p)
    for folder in folders(PLAN).values()
    for p in sorted(folder.glob("*/*/*.json"))
]

logger.addHandler(Eta(PLAN.scale.seconds, workflow.cores or os.cpu_count()))
shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


wildcard_constraints:
    run=r"[^/]+/[^/]+@\d+",
    paper=r"[^/]+",
    backbone=r"[^/]+",
    generated=r"[^/]+",
    dataset=r"[^/.]+",
    released=r"[^/]+",
    variant=r"[^/]+",


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/run.smk"
include: "workflow/rules/profile.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        f"{ROOT}/rows.csv",
        f"{ROOT}/report.html",
        [
            staged(d, "describe")
            for d, at in STANDING.items()
            if at in ("placed", "open")
        ],
