"""vidtune's DAG: generate -> pretrain -> learn, cost beside it, then collect -> report.

    snakemake --cores all                          # the embedded default (scale mini)
    snakemake --cores all --config scale=smoke     # the same rules in a minute
    snakemake -n                                   # what would run

Every rule calls `python -m vidtune <rule>`, so that every step runs by hand from its spec file too.
"""

import os
import shlex
import signal
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, str(workflow.basedir))

from vidtune.cluster import CORES
from vidtune.events import Eta
from vidtune.workflow import STAGES, code_digest, start

# What a scheduler sends ahead of a time limit goes to all processes of a job: it is the training's alone.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# Without cores where a profile sends the jobs to a cluster.
GIVEN = workflow.resource_settings
DEPLOYED = {method.name for method in workflow.deployment_settings.deployment_method}
JOBS = start(
    dict(config),
    announce=workflow.is_main_process,
    defaults=GIVEN.default_resources or {},
    # --dag, --summary, --unlock and their like run nothing either: they have neither cores nor nodes
    dry=workflow.output_settings.dryrun or not (GIVEN.cores or GIVEN.nodes),
    deployed=DEPLOYED,
)
ASKS = JOBS.asks
ROOT, DATA, PLAN = JOBS.root, JOBS.data, JOBS.plan
SPECS = f"{ROOT}/specs"
CODE = code_digest(Path(workflow.basedir, "vidtune"))
CONFIG = sorted(map(str, Path("config").rglob("*.yaml")))
SETTINGS = PLAN.config.settings
SELECTED = (
    f"--scale {PLAN.scale.name} --results {shlex.quote(SETTINGS.results)} "
    f"--papers {' '.join(SETTINGS.papers)}"
)

if workflow.is_main_process:  # not in jobs, each a Snakemake of its own
    logger.addHandler(Eta(PLAN.scale.job_seconds, GIVEN.cores or GIVEN.nodes))
# Under a deployment method the interpreter is that of the image or of the conda environment.
if not DEPLOYED:
    shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


report: "workflow/report/workflow.rst"


container: SETTINGS.container


wildcard_constraints:
    run=r"[^/]+/[^/]+@\d+",
    learned=r"[^/]+/[^/@]+",
    paper=r"[^/]+",
    backbone=r"[^/]+",
    generated=r"[^/]+",
    dataset=r"[^/.]+",
    released=r"[^/]+",
    variant=r"[^/]+",


include: "workflow/rules/data.smk"
include: "workflow/rules/run.smk"
include: "workflow/rules/profile.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        f"{ROOT}/rows.csv",
        *(file for files in JOBS.shown().values() for file in files),
        JOBS.described(),
    message:
        f"all: {ROOT}/report.html and the files that it shows are made"


onsuccess:
    if found := JOBS.found():
        print(found)
