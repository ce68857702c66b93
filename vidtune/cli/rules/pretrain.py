"""Pre-train a small backbone."""

from vidtune.cli.inputs import job
from vidtune.spec import Pretraining

arguments, run = job(Pretraining, "vidtune.engine.pretrain:pretrain", "weights file")
