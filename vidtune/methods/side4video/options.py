from typing import Literal

from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("recognition", "retrieval")
    archs = ("clip", "eva")

    # Files without a folder are in Recognition/ of the released code.

    layers: spec.Depth = 12  # side blocks, of Table 1; fixed in the code: clip/model.py:389-394
    width: spec.Width = 320  # d, of Table 1; side_dim of configs/*/*.yaml:34
    fusion: Literal["interval", "top"] = "interval"  # trunk layers that feed them; model.py:392
    temporal: Literal["conv", "attention", "none"] = "conv"  # clip/model.py:303
    cls_shift: bool = True  # clip/model.py:284-293
    # What the keys hold instead where the shift is off: the paper can be read either way.
    unshifted_cls: Literal["own", "absent"] = "own"
    # Mean over patches; or the trunk's reduced [CLS], or a learned token, prepended (best readings
    # of Table 9 (d): neither is in the released code). clip/model.py:504
    pool: Literal["gap", "vit_cls", "extra_cls"] = "gap"
    # Equation 2 adds side and trunk; the code, and so the released weights, halve both:
    # clip/model.py:423, eva_clip/eva_vit_model.py:737, Retrieval/modules/module_clip.py:460.
    fuse: Literal["half", "sum"] = "half"
    # Retrieval: how texts meet videos; Retrieval/script_train/run_train_msrvtt.sh:19
    interaction: Literal["wti", "mean"] = "wti"
    # Retrieval: blocks of CLIP4Clip's seqTransf before wti; in the released code, but not in its
    # scripts.
    header_layers: spec.Depth = Field(default=0, ge=0)
