from typing import Literal

from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("retrieval",)

    prompts: int = Field(default=8, ge=1)  # p, beside the tokens of each frame
    text_before: int = Field(default=4, ge=0)  # prompts after the start of the text
    text_after: int = Field(default=4, ge=0)  # prompts before its last, mostly padded, token
    # "context" (VoP^C) adds to the learned prompts what two recurrent passes over the frames'
    # [CLS] tokens make of each frame.
    frame_prompts: Literal["learned", "context"] = "learned"
    joint: bool = False  # VoP^F: in the last `joint_layers` blocks all frames attend together
    joint_layers: spec.Depth = Field(default=4, ge=1)
