"""Train one run.

By hand, from the spec file that Snakemake wrote (`snakemake -n` writes it too):
  python -m vidtune train --spec results/smoke/specs/runs/side4video/b16-ssv1@0.json --out /tmp/x/model.pt
Beside the checkpoint it writes train.json. The run's weights and videos must exist; the spec names
both (`weights`, `data`).
"""

from vidtune.cli.inputs import job
from vidtune.spec import Run

arguments, run = job(Run, "vidtune.engine.train:train", "checkpoint file")
