"""The one list of the stages that prepare a real dataset.

Each stage is a module of this folder with a function `run(dataset, root, ...)`, a rule of
workflow/rules/data.smk and a command, `vidtune data <stage>`, which prints the lines of the
module's `summary(root, result)` where `run` returns a result. Those that read every video also have
`run_shard(dataset, root, shard, ...)`, which does a share of it for `run` to take over. `lock` is a
command alone.
"""

from vidtune.spec import Dataset

# stage -> what it does, in the order in which they run
STAGES = {
    "fetch": "download a dataset's files; print what to do for gated ones",
    "extract": "extract the archives that lie in downloads/",
    "split": "read the official lists: which clips each split has",
    "index": "find and probe every listed video; write the lists that training reads",
    "check": "decode every clip; quarantine the ones that cannot be decoded, with the reason",
    "resize": "make smaller copies of the videos, to be read in their place (optional)",
    "describe": "write a page and a table of the dataset's clips, with a contact sheet",
}
LOCK = {"lock": "note the hashes of the files that were fetched and extracted"}
SHARED = ("fetch", "extract", "lock")  # done once for all datasets that share the same files
SCATTERED = ("index", "check", "resize")  # cut into shards where a dataset is large
# Clips of a shard: an hour or two on eight cores, at two seconds a clip for the slowest stage, which
# decodes and encodes. Assumed.
SHARD = 20_000


def stages_of(dataset: Dataset) -> list[str]:
    """The stages of one dataset: `resize` only where it declares smaller copies."""
    return [stage for stage in STAGES if stage != "resize" or dataset.resized]


def training_waits_for(dataset: Dataset) -> str:
    """The last stage before training."""
    return "resize" if dataset.resized else "check"


def shards_of(dataset: Dataset, stage: str) -> int:
    """In how many shards a rule does a stage of a dataset, by its declared size; 1: the whole at once."""
    if stage not in SCATTERED:
        return 1
    clips = sum(dataset.expected.values())
    if "train" not in dataset.expected:
        clips += dataset.training_items or 0
    return max(1, -(-clips // SHARD))
