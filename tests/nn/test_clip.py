"""CLIP's towers against an independent implementation, other precisions, explicit attention."""

import pytest
import torch
from torch import Tensor

from vidtune.nn.attention import attend, use_backend
from vidtune.nn.clip import CLIP
from vidtune.plan.config import read_config
from vidtune.spec import Backbone, TextTower

SMALL = Backbone(
    name="small",
    image=48,
    patch=16,
    width=192,
    layers=3,
    embed=40,
    text=TextTower(width=128, layers=2, context=12, vocabulary="clip-bpe", vocab_size=99),
)


@pytest.fixture(scope="module")
def full() -> Backbone:
    from helpers.common import REPO

    return read_config(REPO / "config").backbones["vit-b32"]


def oracle(b: Backbone):
    """transformers' CLIPModel of the same size, at random."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    text = CLIPTextConfig(
        vocab_size=b.text.vocab_size,
        hidden_size=b.text.width,
        intermediate_size=4 * b.text.width,
        num_hidden_layers=b.text.layers,
        num_attention_heads=b.text.width // 64,
        max_position_embeddings=b.text.context,
        eos_token_id=b.text.vocab_size - 1,
        pad_token_id=0,
        bos_token_id=1,
    )
    vision = CLIPVisionConfig(
        hidden_size=b.width,
        intermediate_size=4 * b.width,
        num_hidden_layers=b.layers,
        num_attention_heads=b.width // 64,
        image_size=b.image,
        patch_size=b.patch,
    )
    both = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=b.embed
    )
    return CLIPModel(both).eval()


def blocks(theirs: dict[str, Tensor], source: str, target: str, layers: int) -> dict[str, Tensor]:
    """transformers' encoder layers under OpenAI's names."""
    out = {}
    renamed = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }
    for i in range(layers):
        for kind in ("weight", "bias"):
            old = f"{source}.encoder.layers.{i}"
            new = f"{target}transformer.resblocks.{i}"
            packed = [theirs[f"{old}.self_attn.{x}_proj.{kind}"] for x in "qkv"]
            out[f"{new}.attn.in_proj_{kind}"] = torch.cat(packed)
            for a, b in renamed.items():
                out[f"{new}.{b}.{kind}"] = theirs[f"{old}.{a}.{kind}"]
    return out


def openai_names(theirs: dict[str, Tensor], b: Backbone) -> dict[str, Tensor]:
    vision, text = "vision_model", "text_model"
    out = blocks(theirs, vision, "visual.", b.layers) | blocks(theirs, text, "", b.text.layers)
    for kind in ("weight", "bias"):
        out[f"visual.ln_pre.{kind}"] = theirs[f"{vision}.pre_layrnorm.{kind}"]
        out[f"visual.ln_post.{kind}"] = theirs[f"{vision}.post_layernorm.{kind}"]
        out[f"ln_final.{kind}"] = theirs[f"{text}.final_layer_norm.{kind}"]
    embeddings = f"{vision}.embeddings"
    return out | {
        "visual.class_embedding": theirs[f"{embeddings}.class_embedding"],
        "visual.conv1.weight": theirs[f"{embeddings}.patch_embedding.weight"],
        "visual.positional_embedding": theirs[f"{embeddings}.position_embedding.weight"],
        "visual.proj": theirs["visual_projection.weight"].T,
        "token_embedding.weight": theirs[f"{text}.embeddings.token_embedding.weight"],
        "positional_embedding": theirs[f"{text}.embeddings.position_embedding.weight"],
        "text_projection": theirs["text_projection.weight"].T,
        "logit_scale": theirs["logit_scale"],
    }


def texts(b: Backbone, n: int = 3) -> Tensor:
    tokens = torch.zeros(n, b.text.context, dtype=torch.long)
    for row, length in zip(tokens, (3, 7, b.text.context), strict=True):
        row[:length] = torch.randint(2, b.text.vocab_size - 1, (length,))
        row[0], row[length - 1] = 1, b.text.vocab_size - 1
    return tokens


@pytest.mark.parametrize("size", ["small", "vit-b32"])
@torch.no_grad()
def test_against_transformers(size: str, full: Backbone):
    b = SMALL if size == "small" else full
    torch.manual_seed(0)
    theirs = oracle(b)
    ours = CLIP(b).eval()
    ours.load_state_dict(openai_names(theirs.state_dict(), b))
    frames, tokens = torch.randn(2, 3, b.image, b.image), texts(b)
    out = theirs(input_ids=tokens, pixel_values=frames)
    image, text = ours.encode_image(frames), ours.encode_text(tokens)
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(unit(image, dim=-1), out.image_embeds, atol=1e-5, rtol=0)
    torch.testing.assert_close(unit(text, dim=-1), out.text_embeds, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("causal", "biased"), [(False, False), (True, False), (False, True)])
def test_explicit_attention_equals_fused(causal: bool, biased: bool):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 7, 16, requires_grad=True) for _ in range(3))
    bias = torch.randn(2, 1, 1, 7) if biased else None
    fused = attend(q, k, v, bias, causal=causal)
    with use_backend("explicit"):
        explicit = attend(q, k, v, bias, causal=causal)
    torch.testing.assert_close(explicit, fused, atol=1e-6, rtol=1e-5)
    cotangent = torch.randn_like(fused)
    a = torch.autograd.grad(fused, (q, k, v), cotangent)
    b = torch.autograd.grad(explicit, (q, k, v), cotangent)
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_attention_is_fused_again_after_an_error():
    with pytest.raises(RuntimeError), use_backend("explicit"):
        attend(torch.ones(1, 1, 2, 4), torch.ones(1, 1, 2, 5), torch.ones(1, 1, 2, 5))
    q = torch.randn(1, 1, 2, 4)
    calls = []

    class Seen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            calls.append(func)
            return func(*args, **(kwargs or {}))

    with Seen():
        attend(q, q, q)
    assert torch.nn.functional.scaled_dot_product_attention in calls


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
@torch.no_grad()
def test_half_precision_is_near_single(dtype: torch.dtype, atol: float):
    """Weights and activations in half precision; directions in the joint embedding."""
    torch.manual_seed(0)
    clip = CLIP(SMALL).eval()
    frames, tokens = torch.randn(4, 3, 48, 48), texts(SMALL)
    image, text = clip.encode_image(frames), clip.encode_text(tokens)
    half = clip.to(dtype)
    unit = torch.nn.functional.normalize
    for exact, rough in (
        (image, half.encode_image(frames.to(dtype))),
        (text, half.encode_text(tokens)),
    ):
        assert rough.dtype == dtype
        torch.testing.assert_close(
            unit(rough.float(), dim=-1), unit(exact, dim=-1), atol=atol, rtol=0
        )
