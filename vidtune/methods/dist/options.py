from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    """Defaults are the released configuration for Something-Something V2,
    configs/projects/dist/ssv2/vit-b16-8+16f.yaml."""

    tasks = ("recognition",)
    reads_text = True

    # The model is given all F frames: what the paper calls 8 frames are 16 in `frames`.
    # vit-b16-8+16f.yaml:18
    alpha: int = Field(default=2, ge=1)
    width: spec.Width = Field(default=384, gt=0)  # of the integration branch; vit-b16-8+16f.yaml:44
    # Of the temporal encoder; vit-b16-8+16f.yaml:45
    temporal_width: spec.Width = Field(default=96, gt=0)
    layers: spec.Layers = ()  # 0-based trunk layers that are read; (): all; vit-b16-8+16f.yaml:47
    # The Kinetics configurations have 4; vit-b16-8+16f.yaml:42
    pooling_layers: int = Field(default=2, ge=0)
    # Frames that a token of the temporal encoder covers; vit-b16-8+16f.yaml:32
    stem_frames: int = Field(default=5, ge=1)
    # Frames, of every convolution over time; vit-b16-8+16f.yaml:35
    kernel: int = Field(default=3, ge=1)
    # Hidden width by width: temporal encoder; vit-b16-8+16f.yaml:36
    temporal_ratio: float = Field(default=1.0, gt=0)
    mlp_ratio: float = Field(default=1.0, gt=0)  # integration; vit-b16-8+16f.yaml:39
    # The integration's mixing of frames; vit-b16-8+16f.yaml:40
    mixing_ratio: float = Field(default=0.25, gt=0)
