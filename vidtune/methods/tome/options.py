from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("retrieval",)

    merged: spec.Tokens = Field(default=2, ge=0)  # r, tokens merged in each block; at most half are
    # -1: twice r in the first block and none in the last; 0: r everywhere; 1: the reverse of -1.
    inflection: float = Field(default=0.0, ge=-1, le=1)
    prop_attn: bool = True  # a token that stands for k counts k times as a key
    # ToMe itself tunes nothing. That TempMe's baseline tunes LoRA, as TempMe does, is our reading.
    lora_rank: int = 8
