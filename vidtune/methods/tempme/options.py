from typing import Literal

from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("retrieval",)

    tune: Literal["lora", "full"] = "lora"  # full: every parameter; no rate for it is released
    lora_rank: int = 8  # main.py:70
    # r, tokens merged in each block that merges inside frames (ImgMe); main.py:72
    img_merge: spec.Tokens = 2
    # "all" is what the released code does without clip merging, because every block then stands
    # before the first joining layer; "before_join" keeps to the blocks that merge in full TempMe.
    img_merge_layers: Literal["before_join", "all"] = "before_join"
    merge_layers: spec.Layers = (8, 9, 10)  # 0-based blocks that join clips (ClipMe); main.py:77
    merge_frames: spec.Joins = (2, 2, 3)  # how many neighbours become one; main.py:78
    # Percent of tokens REMOVED across and within clips, as in the code. The paper's R_C and R_I
    # are what is kept: 70 and 90 %. main.py:81
    cross: int = Field(default=30, ge=0, le=100)
    intra: int = Field(default=10, ge=0, le=100)
    # Which merging ClipMe does. "cross" and "intra" still join clips; "none" keeps frames separate.
    clip_merge: Literal["both", "cross", "intra", "none"] = "both"
    # Joining with img_merge, cross and intra 0 is the paper's "temporal modelling only". False is a
    # best reading of its undefined "token reduction only": the same shares, inside frames, never
    # joined.
    join: bool = True
    # Learned embedding of the clip that a token comes from, where clips merge; main.py:82
    frame_pos: bool = True
    prop_attn: bool = True  # a token that stands for k counts k times as a key; main.py:74
