from typing import Literal

from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("retrieval",)

    # What makes the local prompts: "transformer", with prompts for each frame, or "linear", 0.83 M
    # parameters, with the same ones for all frames.
    latent: Literal["transformer", "linear"] = "transformer"
    # p, of a video, of each frame, at the start and at the end of a text. The text is causal: its
    # last p change nothing. They count as tuned, as in the official code.
    prompts: int = Field(default=4, ge=1)
    # What stands for a video: its first global prompt, the mean of all, of the frames' [CLS], or of
    # both.
    output: Literal["first", "global", "frames", "both"] = "first"
