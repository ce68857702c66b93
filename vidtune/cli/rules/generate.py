"""Write the generated videos."""

from vidtune.cli.inputs import job
from vidtune.spec import GeneratedSet

arguments, run = job(GeneratedSet, "vidtune.motion.generate:generate", "folder of the videos")
