"""Train one run with its recipe's optimiser and schedule. One loop for every method."""

import os
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from vidtune import provenance
from vidtune.data import records
from vidtune.data.batches import Batch, Batches, MakeBatches, Split
from vidtune.engine import optim, ranks
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import save, tuned_state
from vidtune.engine.device import device_name, out_of_memory, pick_device, precision
from vidtune.engine.features import remember
from vidtune.engine.made import (
    MARK,
    Told,
    alone,
    inputs_digest,
    is_current,
    queue_again,
    told_to_stop,
    wait_in_job,
)
from vidtune.engine.scores import Judged, score
from vidtune.engine.selection import Best, best_of
from vidtune.engine.snapshot import LossCurve, Snapshot, damaged, older
from vidtune.engine.step import Step
from vidtune.nn.rows import RowModule, give_rows, statistics, undivided
from vidtune.progress import progress, say
from vidtune.spec import Run, Stopped, UserError, write_json
from vidtune.spec.read import check_target, settle, unfinished

LONGEST = 200  # bytes of the checkpoint's name, to which a temporary file's adds some


def train(
    run: Run,
    out: Path,
    make_batches: MakeBatches = Batches,
    parts: int = 1,
    recompute: bool = False,
) -> None:
    """Write the tuned parameters to `out` and the course of training to `train.json` beside it; where
    the recipe selects, the best weights to `best.pt` too.

    All ranks that torchrun has started train together, each its clips of every batch in `parts` one
    after another; that changes no result but for rounding. `recompute` keeps less for backward, as a
    recipe's `checkpoint` does: that changes none. What today's code has made of this very run
    stays. A training that diverges is a result: `status` says so and nothing is tuned. One that was
    stopped resumes from `resume.pt`; told to stop it writes that file and raises `Stopped`. Raises
    `UserError` where memory is full, the batch cannot be split so, or another process trains the run;
    a scheduler's job waits for that one.
    """
    _check_places(out)
    device = pick_device(ranks.local_rank())
    wait_in_job(run, out.parent)
    ranks.start(device)
    files = [out, *([best_of(out)] if run.recipe.select else [])]
    made = is_current(run, out.parent / "train.json") and all(path.is_file() for path in files)
    if ranks.tell(made):  # as the first sees it: another machine may see files later
        if ranks.rank() == 0 and (_left(out) or (out.parent / MARK).exists()):
            with suppress(UserError), alone(run, out.parent):  # killed after the last file
                _tidy(out)
        return
    only = nullcontext() if ranks.rank() else alone(run, out.parent)
    work = Split(ranks.rank(), ranks.count(), parts)
    with told_to_stop() as told, ranks.losses_explained(run.name), only:
        _train(run, out, device, make_batches, work, recompute, told)


def _check_places(out: Path) -> None:
    """Raise `UserError`, before anything is computed, where a file of a training cannot be written."""
    if not out.name or len(os.fsencode(out.name)) > LONGEST:
        raise UserError(f"{out}: expected the name of a file, of {LONGEST} bytes at most")
    snapshot = out.with_name("resume.pt")
    written = [best_of(out), snapshot, older(snapshot), *map(out.with_name, ("train.json", MARK))]
    if out in written:
        raise UserError(
            f"{out}: a file of this name is written beside the checkpoint; choose another, such as model.pt"
        )
    for path in (out, *written, damaged(snapshot), damaged(older(snapshot))):
        check_target(path)


def _train(
    run: Run,
    out: Path,
    device: torch.device,
    make_batches: MakeBatches,
    work: Split,
    recompute: bool,
    told: Told,
) -> None:
    training = None
    try:
        with told.at_once(run.name):  # it may decode and compute features for an hour
            training = Training(
                run, out.parent / "resume.pt", device, make_batches, work, recompute
            )
        training.run_on(told)
    except (RuntimeError, MemoryError) as e:
        if not out_of_memory(e):
            raise
        full = f"{run.name}: {device_name(device)} is full"
        if training is None:
            raise UserError(
                f"{full} with the model and the clips that are kept, before the first step; check the "
                "sizes in its spec, or give it more memory"
            ) from None
        clips = training.recipe.at_once(work.ranks, work.parts)
        divisible = clips > (run.recipe.group or 1) and not _why_whole(training.model, run)
        levers = ["more --ranks or --parts"] if divisible else []
        if training.model.recompute() and not (recompute or run.recipe.checkpoint):
            levers.append("--recompute")
        raise UserError(
            f"{full} with {clips} of the {run.recipe.batch} clips of a step at once; "
            f"train with {', or '.join(levers) or 'more memory'}"
        ) from None
    if ranks.rank() == 0:  # to whoever tells it to stop from here on, it is done
        training.write(out)
        _tidy(out)
    ranks.wait()


def _left(out: Path) -> list[Path]:
    """What nobody needs once a training is written: its snapshots, and pieces of files in whose writing
    it was killed."""
    snapshot = out.with_name("resume.pt")
    written = (out, best_of(out), snapshot, *(out.with_name(n) for n in ("train.json", MARK)))
    pieces = [piece for path in written for piece in unfinished(path)]
    return [p for p in (snapshot, older(snapshot)) if p.exists()] + pieces


def _tidy(out: Path) -> None:
    for path in _left(out):
        path.unlink(missing_ok=True)


class Training:
    """A run's model and data at some step of its training."""

    def __init__(
        self,
        run: Run,
        snapshot: Path,
        device: torch.device,
        make_batches: MakeBatches,
        work: Split,
        recompute: bool = False,
    ) -> None:
        torch.manual_seed(run.seed)
        self.run, self.work, self.device = run, work, device
        self.inputs = inputs_digest(run)
        self.clips = records.count_coverage(run.dataset, Path(run.data)).get("train")
        self.model, pretrained = build_run(run, device)
        _check_split(self.model, run, work)
        self.recipe = run.recipe
        if statistics(self.model):  # they move once a step
            self.recipe = run.recipe.model_copy(update={"group": None})
        if run.recipe.weights == "fp16":
            self.model.to_half()
        if (run.recipe.checkpoint or recompute) and not self.model.recompute():
            asked = (
                f"recipe {run.recipe.name}: checkpoint" if run.recipe.checkpoint else "--recompute"
            )
            raise UserError(
                f"{run.name}: {asked}: {run.model.method} has no blocks that backward could compute again; "
                "drop it"
            )
        taken = run.model_copy(update={"recipe": self.recipe})
        self.data = make_batches(taken, "train", train=True, device=device, work=work)
        with precision(run.recipe, device):
            self.forward = self.model if remember(self.model, self.data) else self.model.at_once
        per_epoch = len(self.data)
        self.steps = optim.total_steps(run.recipe, per_epoch)
        self.step = Step(self.model, pretrained, run.recipe, device)
        self.schedule = LambdaLR(
            self.step.optimizer, lambda i: optim.rate(run.recipe, i, per_epoch)
        )
        self.best: Best | None = None
        self.curve = LossCurve(self.steps)
        parts = {"step": self.step, "schedule": self.schedule, "losses": self.curve}
        if select := run.recipe.select:
            self.best = parts["best"] = Best(select)
            self.test = self._test_batches(make_batches)
        self.snapshot = Snapshot(snapshot, self.model, self.data, parts, self.inputs)

    def _test_batches(self, make_batches: MakeBatches) -> Batches:
        """The test set in a single view, for all tests of this training."""
        single = self.run.model.model_copy(update={"views": "1x1"})
        run = self.run.model_copy(update={"model": single})
        work, split = Split(self.work.rank, self.work.ranks), run.dataset.evaluate_on
        data = make_batches(run, split, train=False, device=self.device, work=work)
        data.reread = True
        return data

    def run_on(self, told: Told) -> None:
        """Train to the end, or until the loss has been no number for some steps. Raises `Stopped`
        where some rank was told to stop."""
        done = self.snapshot.restore()
        if self.work.rank:  # what a method draws from the generator differs between ranks
            torch.manual_seed(hash((self.run.seed, done, self.work.rank)))
        if done:
            self._test(done, told)
        self.model.train()
        with closing(self.data.from_step(done)) as batches:  # no worker outlives the training
            self._steps(done, batches, told)

    def _steps(self, done: int, batches: Iterator[Batch], told: Told) -> None:
        label, show = f"{self.run.name}: train", self.work.rank == 0
        steps = range(done + 1, self.steps + 1)
        for number in progress(steps, len(steps), label, show, note=self.curve.describe):
            loss = self.step.gradients(batches, self.data.work, self.forward)
            self.step.update()
            self.schedule.step()
            self.curve.add(number, loss)
            if self.curve.diverged:
                break
            with suppress(Stopped):  # the test is made up for when the training goes on
                self._test(number, told)
            first = self.work.rank == 0  # who writes, by its own clock
            stop, due = ranks.any_of(told.is_set(), first and self.snapshot.due)
            if stop or due:
                self._add_up()
                if first:
                    self.snapshot.save(number)
            if stop:
                if first and self.snapshot.saved_step > done:
                    queue_again(told, self.run.name)
                ranks.wait()  # one that ends earlier would have the first one ended as it writes or asks
                kept = ranks.tell(self.snapshot.saved_step)
                lost = "" if kept == number else f"; what is kept ends with step {kept}"
                raise Stopped(f"{self.run.name}: stopped after step {number} of {self.steps}{lost}")
        self._add_up()

    def _add_up(self) -> None:
        """Give what all ranks have counted to rank 0."""
        replaced = torch.tensor([self.data.replaced], device=self.device)
        ranks.sum_up([replaced])
        self.data.replaced = 0 if self.work.rank else int(replaced)

    def _test(self, number: int, told: Told) -> None:
        """Test the model where that is due after `number` steps and not done; the training then goes on
        as without. Raises `Stopped` where some rank was told to stop."""
        if self.best is None or not self.best.is_due(number, len(self.data), self.steps):
            return
        devices = [self.device] if self.device.type == "cuda" else []
        ranks.spread(self.model.buffers())
        give_rows(self.model, None)
        self.model.eval()
        with torch.random.fork_rng(devices):
            label = f"{self.run.name}: test after step {number}"
            (found,) = score([Judged(self.model)], self.test, label, told)
            if "metrics" in found:
                self.best.add(number, found["metrics"], self.model)
                say(f"{self.run.name}: {self.best.describe()}")
        self.model.train()

    def write(self, out: Path) -> None:
        """Write what was learned, and last how: `train.json` says that the others are whole."""
        facts = out.parent / "train.json"
        facts.unlink(missing_ok=True)
        lost = self.curve.diverged or not all(p.isfinite().all() for p in self.step.tuned)
        status = "diverged" if lost else "ok"
        if lost:
            kept = "nothing is tuned"
            if self.best and self.best.step:
                kept = f"the best weights, after step {self.best.step}, are kept"
            say(f"{self.run.name}: diverged: the loss or the weights are no numbers; {kept}")
        report: dict[str, Any] = {
            "status": status,
            "losses": self.curve.points,
            "steps": self.curve.steps,
            "replaced": self.data.replaced,
            "ranks": self.work.ranks,
            "parts": self.work.parts,
            "seconds": self.snapshot.seconds,
            "provenance": provenance.stamp(
                provenance.run_digest(self.run), device_name(self.device), self.run
            )
            | {"inputs": self.inputs},
        }
        content: dict[str, Any] = {
            "status": status,
            "code": self.snapshot.code,
            "training": self.run.training,
            "step": self.curve.number,
            "state": tuned_state(self.model) if status == "ok" else {},
            "replaced": self.data.replaced,
            "clips": self.clips,
            "split": {"ranks": self.work.ranks, "parts": self.work.parts},
        }
        best_of(out).unlink(missing_ok=True)
        if best := self.best:
            content["best"] = {"step": best.step, "tests": len(best.tested)}
            report |= {"tested": best.tested, "best": best.step}
            save(
                best_of(out),
                {**content, "step": best.step, "state": best.state},
            )
        save(out, content)
        write_json(facts, report)
        settle(out, facts, *([best_of(out)] if best else []))  # before snapshots are deleted


def _check_split(model: nn.Module, run: Run, work: Split) -> None:
    """Raise `UserError` where splitting a batch would change what is learned."""
    if work.ranks * work.parts > 1 and (why := _why_whole(model, run)):
        raise UserError(f"{run.name}: {why}")
    mixing = _mixing(model) | (
        {"mixup"} if run.recipe.augment and run.recipe.augment.mixes else set()
    )
    if run.recipe.group and mixing and (plain := statistics(model)):
        raise UserError(
            f"{run.name}: {min(plain)} of torch takes a whole batch, {min(mixing)} groups of "
            f"{run.recipe.group} clips; build the method of layers that heed both (vidtune/nn/rows.py)"
        )


def _mixing(model: nn.Module) -> set[str]:
    return {type(m).__name__ for m in model.modules() if isinstance(m, RowModule) and m.mixes}


def _why_whole(model: nn.Module, run: Run) -> str | None:
    """Why a batch may not be split, and what to do."""
    if plain := undivided(model):
        return (
            f"{min(plain)} of torch follows from how a batch is split; train it whole on one GPU, or build "
            "the method of layers that heed their clips (vidtune/nn/rows.py)"
        )
    if (mixing := _mixing(model)) and not run.recipe.group:
        return (
            f"{min(mixing)} computes all clips of a batch together; to split it, recipe "
            f"{run.recipe.name} must say of how many clips (group)"
        )
    return None
