from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("recognition",)

    # Defaults are "12x384", the released K400 script; its counts are also those that
    # Side4Video's Table 2 prints for SSv2, where the released script has "24x384": both places.
    width: spec.Width = Field(default=384, gt=0)  # A; models_adapter.py:260
    # The last blocks have adapters; 0: the head alone. models_adapter.py:261
    layers: spec.Depth = Field(default=12, ge=0)
    kernel: tuple[int, int, int] = (3, 1, 1)  # time, height, width; models_adapter.py:262
    # An adapter before a block's attention; models_adapter.py:263, of 24x384 line 243
    pre_attn: bool = False
    # And before its MLP; in the last block that one reaches no output. models_adapter.py:264
    pre_mlp: bool = True
    dropout: float = Field(default=0.5, ge=0, lt=1)  # before the classifier (models_adapter.py:201)
