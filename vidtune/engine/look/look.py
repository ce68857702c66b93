"""What figures show of a trained model: accuracy by class, attention on frames, merged tokens.

Nothing is picked by its result: the clips are the first test clip of each of the dataset's first
classes, or, where clips have no class, the first test clips. The weights are the training's last.

Shapes: N clips shown, B clips of a batch, T frames, S pixels of a side, G x G patches of a frame,
C classes, E joint embedding.
"""

import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from vidtune import provenance
from vidtune.data import records
from vidtune.data.batches import Batches
from vidtune.data.clips import Clips
from vidtune.data.records import Record
from vidtune.data.text import tokenizer
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint, load_tuned, load_weights
from vidtune.engine.device import device_name, pick_device, precision
from vidtune.engine.look.maps import attention_maps, final_tokens
from vidtune.nn.clip import CLIP
from vidtune.nn.pixels import normalise
from vidtune.nn.task import Recognizer, VideoModel
from vidtune.progress import progress
from vidtune.spec import Run
from vidtune.spec.read import write_bytes

SHOWN = 4  # clips
Arrays = dict[str, NDArray[Any]]


def write_look(run: Run, checkpoint: Path, out: Path) -> None:
    """Write what `look` finds to the npz file `out`; its entry `facts` is JSON."""
    facts, arrays = look(run, checkpoint)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, facts=np.array(json.dumps(facts)), **arrays)
    write_bytes(out, buffer.getvalue())


def look(run: Run, checkpoint: Path) -> tuple[dict[str, Any], Arrays]:
    """`{run, status, generated, provenance}`, and with a model whose training did not fail, as far as
    its method has it:

    clips                 of what is shown: {id, label, caption}
    classes               {names, n, learned, zero_shot}, by class of the test split, of one view: clips
                          and shares that are right
    frames                uint8 (N, T, S, S, 3)
    clip_attention        (N, T, G, G): shares of the trunk's last [CLS], over patches
    side_attention        (N, T, G, G): shares of all patches in the side network's last block
    token                 (N, T, G, G): the number of the token that a patch ends in
    """
    device = pick_device()
    trained = load_checkpoint(checkpoint)
    stamp = provenance.stamp(provenance.look_digest(run), device_name(device), run)
    facts: dict[str, Any] = {"run": run.name, "status": trained["status"], "provenance": stamp}
    facts["generated"] = run.dataset.generated is not None
    if trained["status"] != "ok":
        return facts, {}
    model, _ = build_run(run, device)
    load_tuned(model, trained["state"], checkpoint)
    model.eval()
    shown = first_clips(run)
    named = records.manifest(Path(run.data))["classes"]
    facts["clips"] = [
        {
            "id": clip.id,
            "label": None if clip.label is None else named[clip.label],
            "caption": clip.captions[0] if clip.captions else "",
        }
        for clip in shown
    ]
    side = run.model.backbone.image
    clips = Clips(shown, run.recipe, run.model.frames, side, train=False, seed=run.seed)
    videos = torch.stack([clips[k]["video"] for k in range(len(shown))])  # (N, T, 3, S, S)
    arrays: Arrays = {"frames": videos.permute(0, 1, 3, 4, 2).numpy()}
    with torch.no_grad(), precision(run.recipe, device):
        pixels = normalise(videos.to(device))
        if run.model.method == "side4video" and isinstance(model, Recognizer):
            arrays["clip_attention"], arrays["side_attention"] = attention_maps(model, pixels)
        if run.model.method == "tempme":
            arrays["token"] = final_tokens(model, pixels)
        if isinstance(model, Recognizer) and run.model.backbone.arch == "clip":
            facts["classes"] = class_accuracies(run, model, device)
    return facts, arrays


def first_clips(run: Run) -> list[Record]:
    """The first test clip of each of the first classes; without classes the first test clips."""
    clips = records.read(Path(run.data), run.dataset.evaluate_on)
    first: dict[int | None, Record] = {}
    for clip in clips:
        first.setdefault(clip.label, clip)
    if None in first:
        return clips[:SHOWN]
    return [first[label] for label in sorted(first)][:SHOWN]


def class_accuracies(run: Run, model: VideoModel, device: torch.device) -> dict[str, Any]:
    """The trained model's and zero-shot CLIP's accuracy in each class of the test split.

    CLIP compares the mean of its frames' features with the names of the classes as they stand.
    """
    one_view = run.model_copy(update={"model": run.model.model_copy(update={"views": "1x1"})})
    data = Batches(one_view, run.dataset.evaluate_on, train=False, device=device)
    names = [str(n).replace('"', "") for n in records.manifest(Path(run.data))["classes"]]
    backbone = run.model.backbone
    clip = CLIP(backbone)
    clip.load_state_dict(load_weights(run.weights, backbone))
    clip.to(device).eval()
    words = tokenizer(backbone.text.vocabulary, backbone.text.context)(names).to(device)
    texts = F.normalize(clip.encode_text(words), dim=-1)  # (C, E)
    count = torch.zeros(len(names), dtype=torch.long)
    right = {"learned": count.clone(), "zero_shot": count.clone()}
    with closing(data.numbered(data.numbers)) as batches:
        for batch in progress(batches, len(data), f"{run.name}: look"):
            (video,), label = batch.inputs, batch.target.cpu()
            frames = F.normalize(clip.encode_image(video.flatten(0, 1)), dim=-1)  # (B*T, E)
            mean = frames.unflatten(0, video.shape[:2]).mean(dim=1)  # (B, E)
            logits = {"learned": model.at_once(video), "zero_shot": mean @ texts.T}  # (B, C)
            count += torch.bincount(label, minlength=len(names))
            for which, scores in logits.items():
                hit = label[scores.argmax(dim=-1).cpu() == label]
                right[which] += torch.bincount(hit, minlength=len(names))
    shares = {which: (hits / count.clamp(min=1)).tolist() for which, hits in right.items()}
    return {"names": names, "n": count.tolist(), **shares}
