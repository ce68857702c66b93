"""Check what the pre-trained backbone can and cannot see.

The weights, clip.pt, are read from the folder of --out.
"""

from vidtune.cli.inputs import job
from vidtune.spec import Premise

arguments, run = job(Premise, "vidtune.engine.premise:premise", "JSON file", sibling="clip.pt")
