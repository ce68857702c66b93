"""CLIP4Clip's own checkpoints: github.com/ArrowLuo/CLIP4Clip at 508ffa3 (plain state dicts)."""

from vidtune.official.arguments import Arguments
from vidtune.spec import Model


def model(method: str, config: Arguments) -> Model:
    return config.model("clip4clip", config.header(), retrieval=True)


RULES = {
    "clip4clip": {
        r"clip\.(.*)": r"clip.\1",
        r"frame_position_embeddings\.weight": "header.position",
        r"transformerClip\.(.*)": r"header.transformer.\1",
    }
}
