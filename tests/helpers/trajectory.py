"""Short trainings by the authors' own code, done again by the engine's step: python -m helpers.trajectory
NAME OUT, in as many processes as the golden has.

What differs between methods stands in `RECIPES`: which of the authors' arguments is which of ours.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from helpers import golden as goldens
from helpers.golden import Golden
from helpers.golden_models import load, slots_of, without_chance
from vidtune.data.batches import Batch, Split
from vidtune.engine import optim, ranks
from vidtune.engine.step import Step
from vidtune.nn.rows import Rows
from vidtune.spec import Recipe

CPU = torch.device("cpu")


def bert(args: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "retrieval",
        "lr": args["lr"],
        "backbone_lr": args["lr"] * args["coef_lr"],
        "optimizer": "bertadam",
        "weight_decay": 0.2,
        "no_decay": ("bias",),
        "betas": (0.9, 0.98),
        "eps": 1e-6,
        "steps": args["t_total"],
        "schedule": "bert",
        "warmup": args["warmup_proportion"],
        "clip_grad": 1.0,
    }


def tempme(args: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "retrieval",
        "lr": args["clip_lr"],
        "optimizer": "adamw_hf",
        "weight_decay": args["weight_decay"],
        "eps": 1e-6,
        "steps": args["num_train_optimization_steps"],
        "schedule": "huggingface",
        "warmup": args["warmup_proportion"],
        "clip_grad": 1.0,
    }


def side4video(args: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "recognition",
        "lr": args["lr"],
        "weight_decay": args["weight_decay"],
        "betas": tuple(args["betas"]),
        "epochs": args["epochs"],
        "schedule": "side4video",
        "warmup_epochs": args["lr_warmup_step"],
        "label_smoothing": args["smoothing"],
        "sampler": "segments",
    }


def st_adapter(args: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "recognition",
        "lr": args["lr"],
        "weight_decay": args["weight_decay"],
        "no_decay": ("bias",),
        "epochs": args["epochs"],
        "schedule": "huggingface",
        "warmup_epochs": args["warmup_epochs"],
        "sampler": "tsn",
    }


RECIPES = {
    "clip4clip": bert,
    "side4video_retrieval": bert,
    "tempme": tempme,
    "side4video_recognition": side4video,
    "st_adapter": st_adapter,
}


class Followed:
    """A golden's training in this process, as one of its ranks."""

    def __init__(self, golden: Golden) -> None:
        self.golden, self.about = golden, golden.description["trajectory"]
        args, world = self.about["optimizer_args"], self.about["world_size"]
        batch, self.parts = golden.config["batch"], self.about["accumulation"]
        fields = RECIPES[golden.method](args) | {
            "name": golden.description["golden"],
            "batch": batch * self.parts,
            "weights": "fp16" if self.about["half"] else "fp32",
        }
        if fields["task"] == "retrieval":
            fields["gathered_by"] = world
        self.recipe = Recipe.model_validate(fields)
        self.per_epoch = args.get("iterations_per_epoch", 1)
        self.work = Split(ranks.rank(), world, self.parts)
        self.net = load(golden).train()
        without_chance(self.net)
        if self.about["half"]:
            self.net.to_half()
        pretrained = {n for n, _ in self.net.named_parameters() if n.startswith("clip.")}
        self.step = Step(self.net, pretrained, self.recipe, CPU)
        self.bases = self._bases()
        self.slots = {k: s for k, s in slots_of(golden).items() if s}
        self.start = {k: v.clone() for k, v in self.tensors().items()}

    def _bases(self) -> list[tuple[dict[str, Any], float]]:
        """The optimiser's groups and their rates; of gradients that are summed over batches the
        authors divide the rate of the side network's BatchNorms."""
        groups = self.step.optimizer.param_groups
        if self.parts == 1:
            return [(group, group["lr"]) for group in groups]
        norms = [m for m in self.net.side.modules() if isinstance(m, nn.BatchNorm1d)]
        apart = {id(p) for m in norms for p in m.parameters()}
        bases = []
        for group in list(groups):
            inside = [p for p in group["params"] if id(p) in apart]
            group["params"] = [p for p in group["params"] if id(p) not in apart]
            self.step.optimizer.add_param_group({**group, "params": inside})
            bases += [(group, group["lr"]), (groups[-1], group["lr"] / self.parts)]
        return bases

    def tensors(self) -> dict[str, Tensor]:
        """Tuned parameters and buffers in double precision, under the authors' names."""
        state, shapes = self.net.state_dict(), self.golden.description["weights"]
        return {
            key: slot.of(state[slot.name]).reshape(shapes[key]["shape"]).detach().double()
            for key, slot in self.slots.items()
            if slot.name in state
        }

    def deltas(self) -> dict[str, Tensor]:
        now = self.tensors()
        return {key: now[key] - self.start[key] for key in self.golden.description["trainable"]}

    def batches(self) -> Iterator[Batch]:
        inputs, size = self.golden.inputs, self.golden.config["batch"]
        mine = Split(self.work.rank, self.work.ranks).of(size, 0)
        for k in range(self.about["batches"]):
            given = {n: inputs[f"step{k}/{n}"][mine] for n in self._names(k)}
            target = given.get("labels", given.get("text")).long()
            masks = {"mask": given["video_mask"].bool()} if "video_mask" in given else {}
            rows = Rows(torch.arange(len(target)), first=self.work.rank == 0)
            yield Batch((given["video"],), target, masks, rows)

    def _names(self, k: int) -> list[str]:
        prefix = f"step{k}/"
        return [n.removeprefix(prefix) for n in self.golden.inputs if n.startswith(prefix)]

    def run(self) -> dict[str, Any]:
        found: dict[str, Any] = {"loss": [], "gradnorm": [], "lr": []}
        batches = self.batches()
        for number in range(1, self.about["steps"] + 1):
            share = optim.rate(self.recipe, number * self.parts - 1, self.per_epoch)
            for group, base in self.bases:
                group["lr"] = share * base
            found["lr"].append([group["lr"] for group, _ in self.bases])
            found["loss"].append(self.step.gradients(batches, self.work, self.net.at_once))
            grads = [p.grad.double().norm() for p in self.step.tuned if p.grad is not None]
            found["gradnorm"].append(torch.stack(grads).norm().item())
            self.step.update()
            if number == 1:
                found["delta1"] = self.deltas()
            if number == self.about["first_moving_step"]:
                found["deltafirst"] = self.deltas()
        found["delta"] = self.deltas()
        found["buffers"] = self.tensors()
        return found


if __name__ == "__main__":
    name, out = sys.argv[1:]
    torch.set_num_threads(1)
    ranks.start(CPU)
    found = Followed(goldens.read(name)).run()
    if ranks.rank() == 0:
        torch.save(found, Path(out))
    ranks.wait()
    ranks.end()
