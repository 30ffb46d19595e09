"""The training loop, readable top to bottom: batches -> loss -> step -> validate -> keep the best."""

import csv
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, default_collate

from geoae import checkpoint, nets, weights_file
from geoae.devices import memory_kept
from geoae.errors import InputError
from geoae.model import AnyContract, Model, load, make_model
from geoae.recipe import AnyRecipe
from geoae.scaling import FieldScaler, Scaler
from geoae.transforms import Transform

Report = Callable[[dict[str, Any]], None]
Example = tuple[NDArray[Any], ...]
"""Arrays of one window: first what the net is shown, then what the loss wants to know."""
Answer = Callable[[NDArray[Any]], NDArray[Any]]
"""A net in evaluation mode, on arrays."""
AVERAGED_EVERY = 4
"""Steps between those at which the average of the weights moves, as far as after all of them: it reads and writes every
weight, which is a twentieth of a step where layers are wide."""


class Windows(Protocol):
    """Training windows: each follows from its number alone, so that a resumed training sees the same.

    Where many are faster made at once than one by one, they may have a method `many` as well, from their numbers to the
    arrays of all, window first.
    """

    def __getitem__(self, index: int) -> Example: ...


@dataclass(frozen=True)
class Lesson:
    """What the loop does not know: windows, loss, score, and what the model that comes out takes."""

    windows: Windows
    loss: Callable[[Tensor, tuple[Tensor, ...]], Tensor]
    """Answer of the net and the arrays of a batch -> loss."""
    score: Callable[[Answer], float]
    contract: Callable[[dict[str, Any]], AnyContract]
    """Provenance -> contract."""
    scaler: Scaler | FieldScaler | Transform
    metric: str
    """Name of the score, which is in dB and better if larger."""
    prepare: Callable[[nn.Module], None] = lambda net: None
    """What is to be done to a net before its first step."""
    finish: Callable[[Model], None] = lambda made: None
    """What is to be done to a model after the last one."""


@dataclass
class Job:
    """Where and how to run; nothing in it changes what is learnt, but that a stop adds a validation of its own."""

    out: Path
    device: str = "cpu"
    threads: int = 0
    """Of torch; 0 leaves torch's own choice."""
    workers: int = 0
    """Processes that make batches."""
    stop_after_steps: int | None = None
    """Stop early, with a checkpoint, as a time limit would."""
    report: Report = field(default=lambda row: None)
    """Called with each row of the history."""
    tick: Callable[[int, int], None] = field(default=lambda step, steps: None)
    """Called after each step with its number and that of the last."""


def train(recipe: AnyRecipe, lesson: Lesson, job: Job) -> Model:
    """Train the net of `recipe` on the windows of `lesson`; resumes from a checkpoint in `job.out`.

    Returns
    -------
    Model
        The averaged weights that `optimize.keep` names, on every rank.

    Raises
    ------
    InputError
        The folder holds the checkpoint of another recipe, or the processes cannot share a batch.
    ModelFileError
        The checkpoint is damaged.
    """
    o = recipe.optimize
    if job.threads:
        torch.set_num_threads(job.threads)
    with memory_kept(), _processes(job.device) as (rank, world):
        if o.batch % world:
            raise InputError(f"optimize.batch is {o.batch}; it must be a multiple of the {world} processes.")
        torch.manual_seed(o.seed)
        net = nets.build(recipe.net.name, recipe.net.config)
        lesson.prepare(net)
        net = net.to(job.device)
        ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(o.ema_decay**AVERAGED_EVERY), use_buffers=True)
        best = AveragedModel(net)
        optimizers = _optimizers(net, recipe)
        modules = {"net": net, "ema": ema, "best": best}
        facts = _resume(job.out, modules, optimizers, recipe)
        parallel = DistributedDataParallel(net) if world > 1 else net
        last = min(o.steps, job.stop_after_steps or o.steps)
        if _out_of_patience(facts, recipe):  # it had ended before it was started again
            last = facts["step"]
        losses: list[Tensor] = []
        for step, parts in _batches(lesson.windows, facts["step"], last, o.batch, rank, world, job):
            for group in (g for each in optimizers.values() for g in each.param_groups):
                group["lr"] = learning_rate(step, recipe)
            with _autocast(job.device, o.precision):
                estimate = parallel(parts[0])
            loss = lesson.loss(estimate.float(), parts)
            net.zero_grad(set_to_none=True)
            loss.backward()
            _clip(net, o.clip_norm)
            for each in optimizers.values():
                each.step()
            if step % AVERAGED_EVERY == 0:
                ema.update_parameters(net)
            losses.append(loss.detach())
            job.tick(step + 1, o.steps)
            if (step + 1) % o.validate_every and step + 1 != last:
                continue
            facts["step"] = step + 1
            score = _agreed(_score(ema.module, lesson, job.device, o.precision), world, job.device)
            row = {"step": step + 1, "loss": float(torch.stack(losses).mean()), "val_db": score,
                   "lr": learning_rate(step, recipe)}  # fmt: skip
            facts["history"].append(row)
            losses.clear()
            if score > facts["best_db"]:
                facts["best_db"], facts["best_step"] = score, step + 1
                best.load_state_dict(ema.state_dict())
            if rank == 0:
                checkpoint.save(job.out / "checkpoint", modules, optimizers, facts)
                _write_history(job.out / "history.csv", facts["history"])
                job.report(row)
            if _out_of_patience(facts, recipe):
                break
    chosen = ((ema if o.keep == "last" else best).module if facts["history"] else net).cpu().eval()
    contract = lesson.contract(_provenance(recipe, facts, lesson.metric))
    made = make_model(contract, recipe.net.name, recipe.net.config, chosen, lesson.scaler)
    lesson.finish(made)
    if o.weights == "float16":
        weights_file.halve(chosen)
    made.digest = weights_file.content(chosen)[1][:12]
    return made


@torch.no_grad()
def _score(net: nn.Module, lesson: Lesson, device: str, precision: str) -> float:
    net.eval()

    def answer(x: NDArray[Any]) -> NDArray[Any]:
        with _autocast(device, precision):
            out: NDArray[Any] = net(torch.from_numpy(x).to(device)).float().cpu().numpy()
        return out

    score = lesson.score(answer)
    net.train()
    return score


def _optimizers(net: nn.Module, recipe: AnyRecipe) -> checkpoint.Optimizers:
    """AdamW and, if the recipe says so, Muon for the matrices of the blocks: each weight belongs to one of them."""
    o, named = recipe.optimize, dict(net.named_parameters())
    if not named:
        raise InputError(f"Net {recipe.net.name!r} has no weights, and nothing to train. Choose another in the recipe.")
    matrices = {k: p for k, p in named.items() if o.optimizer == "muon" and k.startswith("blocks.") and p.ndim == 2}
    rest = [p for k, p in named.items() if k not in matrices]
    # one kernel for all weights: on processors, torch's choice costs more than the rest of a step where layers are wide
    adamw = torch.optim.AdamW(rest, lr=o.learning_rate, weight_decay=o.weight_decay, fused=True)
    made: checkpoint.Optimizers = {"adamw": adamw}
    if matrices:  # steps of the size of AdamW's, so that one learning rate does for both
        made["muon"] = torch.optim.Muon(
            matrices.values(), lr=o.learning_rate, weight_decay=o.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
    return made


def _clip(net: nn.Module, most: float) -> None:
    """As `clip_grad_norm_`; on a processor gradients that are small enough are not written anew."""
    slopes = [p.grad for p in net.parameters() if p.grad is not None]
    norm = nn.utils.get_total_norm(slopes)
    if norm.device.type != "cpu" or not norm <= most:  # elsewhere to ask would be to wait for it
        nn.utils.clip_grads_with_norm_(net.parameters(), most, norm)


def beginning(start: str) -> Callable[[nn.Module], None]:
    """What fills a net with the weights of model `start` (a name or a folder) before its first step; "": nothing.

    Raises
    ------
    InputError
        When it is called: that model has another net.
    """

    def fill(net: nn.Module) -> None:
        if not start:
            return
        model = load(start)
        have, want = ({k: tuple(v.shape) for k, v in x.state_dict().items()} for x in (model.net, net))
        if have != want:
            raise InputError(
                f"start: model {start!r} is a {model.net_name} of {model.net_config}, which is not the net of the "
                "recipe. Write its name and config into the recipe's section net."
            )
        net.load_state_dict(model.net.state_dict())

    return fill


def learning_rate(step: int, recipe: AnyRecipe) -> float:
    """Linear warm-up, then half a cosine down to the final rate (Loshchilov & Hutter, 2017, arXiv:1608.03983)."""
    o = recipe.optimize
    if step < o.warmup_steps:
        return o.learning_rate * (step + 1) / o.warmup_steps
    done = (step - o.warmup_steps) / max(o.steps - o.warmup_steps, 1)
    return o.final_learning_rate + (o.learning_rate - o.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * done))


class _Windows(Dataset[Example]):
    """Window number i of the rank: step by step, the ranks share the indices of one batch."""

    def __init__(self, mixer: Windows, first: int, last: int, batch: int, rank: int, world: int):
        self.mixer, self.first, self.last = mixer, first * batch, last * batch
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return max(self.last - self.first, 0) // self.world  # a stop may lie before the step of the checkpoint

    def __getitem__(self, i: int) -> Example:
        return self.mixer[self._number(i)]

    def __getitems__(self, items: list[int]) -> list[Example] | Example:
        numbers = [self._number(i) for i in items]
        many = getattr(self.mixer, "many", None)
        at_once: Example | None = many(numbers) if many else None
        return [self.mixer[n] for n in numbers] if at_once is None else at_once

    def _number(self, i: int) -> int:
        return self.first + i * self.world + self.rank


def _stacked(found: list[Example] | Example) -> list[Tensor]:
    """Arrays of a batch: those of windows one by one, or of all at once."""
    return default_collate(found) if isinstance(found, list) else [torch.from_numpy(part) for part in found]


def _batches(
    mixer: Windows, first: int, last: int, batch: int, rank: int, world: int, job: Job
) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    windows = _Windows(mixer, first, last, batch, rank, world)
    prefetch = 4 if job.workers else None
    loader = DataLoader(windows, batch // world, num_workers=job.workers, prefetch_factor=prefetch, collate_fn=_stacked,
                        pin_memory=job.device.startswith("cuda"))  # fmt: skip
    for step, parts in enumerate(loader, start=first):
        yield step, tuple(p.to(job.device, non_blocking=True) for p in parts)


@contextmanager
def _processes(device: str) -> Iterator[tuple[int, int]]:
    """(rank, world size) as torchrun set them; one process otherwise."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, 1
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield dist.get_rank(), world
    finally:
        dist.destroy_process_group()


def _agreed(score: float, world: int, device: str) -> float:
    """The score of rank 0: a last digit that differs must not end the training of one process alone."""
    if world == 1:
        return score
    shared = torch.tensor(score, dtype=torch.float64, device=device)
    dist.broadcast(shared, src=0)
    return float(shared)


def _autocast(device: str, precision: str) -> Any:
    kind = device.split(":")[0]
    fast = kind == "cuda" or (kind == "cpu" and torch.cpu._is_avx512_bf16_supported())
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16" or (precision == "auto" and fast))


def _resume(
    out: Path, modules: checkpoint.Modules, optimizers: checkpoint.Optimizers, recipe: AnyRecipe
) -> dict[str, Any]:
    """Fill modules and optimizers from the checkpoint in `out`, if there is one; returns the facts so far."""
    folder, wanted = out / "checkpoint", recipe.model_dump(mode="json")
    facts = checkpoint.read_facts(folder)
    if facts is None:
        return {"step": 0, "history": [], "best_db": -math.inf, "best_step": 0, "recipe": wanted}
    if differ := sorted(k for k in wanted if facts["recipe"].get(k) != wanted[k]):
        raise InputError(
            f"{out} holds the checkpoint of another recipe (they differ in: {', '.join(differ)}). Give another -o "
            f"folder, or remove {folder} to start anew."
        )
    checkpoint.load(folder, facts, modules, optimizers)
    return facts


def _out_of_patience(facts: dict[str, Any], recipe: AnyRecipe) -> bool:
    o = recipe.optimize
    return bool(facts["step"] - facts["best_step"] >= o.patience * o.validate_every)


def _write_history(path: Path, history: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def _provenance(recipe: AnyRecipe, facts: dict[str, Any], metric: str) -> dict[str, Any]:
    rows = facts["history"]
    kept = rows[-1] if rows and recipe.optimize.keep == "last" else max(rows, key=lambda r: r["val_db"], default={})
    return {
        "recipe": recipe.model_dump(mode="json"),
        f"validation_{metric}": round(kept["val_db"], 3) if kept else None,
        "step": kept.get("step", 0),
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
    }
