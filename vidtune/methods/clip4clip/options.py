from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("retrieval",)

    # Side4Video's baseline of a locked ViT: the whole vision tower, projection included.
    frozen_vision: bool = False
    # 0: meanP, the mean of the frames. Else seqTransf: before it they pass a transformer of so many
    # blocks (4 in the paper; main_task_retrieval.py:86), which starts from the first text blocks.
    header_layers: spec.Depth = Field(default=0, ge=0)
