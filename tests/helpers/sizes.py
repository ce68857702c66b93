"""The papers' backbones and models at full size, written out as the counting tests need them."""

from vidtune.spec import Backbone, Model, TextTower


def backbone(name: str, patch: int, width: int, layers: int, embed: int, text: int, **more):
    tower = TextTower(width=text, layers=12, context=77, vocabulary="clip-bpe", vocab_size=49408)
    return Backbone(
        name=name,
        image=224,
        patch=patch,
        width=width,
        layers=layers,
        embed=embed,
        text=tower,
        **more,
    )


B32 = backbone("vit-b32", 32, 768, 12, 512, 512)
B16 = backbone("vit-b16", 16, 768, 12, 512, 512)
L14 = backbone("vit-l14", 14, 1024, 24, 768, 768)
E14 = backbone(
    "vit-e14", 14, 1792, 64, 1024, 1024, arch="eva", head_width=112, mlp_ratio=8.571428571428571
)
E14 = E14.model_copy(update={"text": E14.text.model_copy(update={"layers": 24})})


def recognition(trunk: Backbone, method: str, frames: int = 8, **options) -> Model:
    return Model(
        name=f"tests/{method}",
        method=method,
        options=options,
        backbone=trunk,
        task="recognition",
        frames=frames,
        views="1x3",
        classes=174,
    )


def side4video(trunk: Backbone, layers: int, width: int) -> Model:
    return recognition(trunk, "side4video", layers=layers, width=width)


def retrieval(trunk: Backbone, method: str, frames: int = 12, **options) -> Model:
    return Model(
        name=f"tests/{method}",
        method=method,
        options=options,
        backbone=trunk,
        task="retrieval",
        frames=frames,
    )


def short(m: Model) -> Model:
    """A tiny model with no more words than the tiny text tower has positions."""
    return m.model_copy(update={"max_words": 8})
