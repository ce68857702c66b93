"""CLIP4Clip's own checkpoints: github.com/ArrowLuo/CLIP4Clip at 508ffa3 (plain state dicts)."""

from vidtune.official.arguments import Arguments
from vidtune.official.places import Rule
from vidtune.spec import Model


def model(method: str, config: Arguments) -> Model:
    return Model(
        name="official/clip4clip",
        method="clip4clip",
        options=config.header(),
        backbone=config.backbone(),
        task="retrieval",
        frames=config.int("num_frames"),
        max_words=config.int("max_words"),
    )


RULES = {
    "clip4clip": [
        Rule(r"clip\.(.*)", r"clip.\1"),
        Rule(r"frame_position_embeddings\.weight", "header.position"),
        Rule(r"transformerClip\.(.*)", r"header.transformer.\1"),
    ]
}
