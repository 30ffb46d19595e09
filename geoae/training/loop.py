"""The training loop: batches -> loss -> step -> validate -> keep the best."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, default_collate

from geoae import nets
from geoae.errors import InputError
from geoae.model import AnyContract, Model, load_model, make_model, weights_file
from geoae.model.devices import has_fast_bfloat16, keep_freed_memory
from geoae.nets.protocols import Loss
from geoae.stores.provenance import format_now
from geoae.training import checkpoint
from geoae.training.optimizers import clip_gradients, compute_learning_rate, make_optimizers
from geoae.training.recipe import AnyRecipe

Report = Callable[[dict[str, Any]], None]
Example = tuple[NDArray[Any], ...]
"""Arrays of one window: the input of the net, then further arrays for the loss."""
Predict = Callable[[NDArray[Any]], NDArray[Any]]
"""A net in evaluation mode, as a function of arrays."""
AVERAGED_EVERY = 4
"""The average of the weights is updated once in this many steps, with a decay for as many. An update reads and writes
every weight, which takes a twentieth of a step if layers are wide."""


class Windows(Protocol):
    """Training windows: a window depends only on its number, so that a resumed training uses the same windows."""

    def __getitem__(self, index: int) -> Example:
        """The window with this number, without a batch dimension."""
        ...


@runtime_checkable
class BatchedWindows(Windows, Protocol):
    """Training windows that are made faster in batches than one by one."""

    def batch(self, indices: list[int]) -> Example:
        """The windows with these numbers, stacked along a first dimension, equal to those made one by one."""
        ...


@dataclass(frozen=True)
class TrainingTask:
    """The part of a training that depends on the kind of model: windows, loss, score, contract of the trained model."""

    windows: Windows
    loss: Callable[[Tensor, tuple[Tensor, ...]], Loss]
    """Output of the net and the arrays of a batch -> loss."""
    score: Callable[[Predict], float]
    contract: Callable[[dict[str, Any]], AnyContract]
    """Provenance -> contract."""
    scaler: Any
    """Frozen dataclass that scales the input of the net; `geoae.kinds` names its class."""
    metric: str
    """Name of the score, which is in dB; larger is better."""
    prepare: Callable[[nn.Module], None] = lambda net: None
    """Called with a new net before the first step."""
    finish: Callable[[Model], None] = lambda made: None
    """Called with the model after the last step."""


@dataclass
class Job:
    """Where and how a training runs. It does not change what is learnt, but `stop_after_steps` adds a validation."""

    out: Path
    device: str = "cpu"
    threads: int = 0
    """Threads of torch; 0: the default of torch."""
    workers: int = 0
    """Worker processes that make batches."""
    stop_after_steps: int | None = None
    """Stop after this many steps, with a checkpoint."""
    report: Report = field(default=lambda row: None)
    """Called with each row of the history."""
    tick: Callable[[int, int], None] = field(default=lambda step, steps: None)
    """Called after each step with its number and the total number of steps."""


@dataclass
class _State:
    """The state of a training, as a checkpoint stores it."""

    net: nn.Module
    average: AveragedModel
    """Exponential moving average of the weights, which is validated."""
    best: AveragedModel
    """The average with the best score."""
    optimizers: checkpoint.Optimizers
    facts: dict[str, Any]
    """Number of steps done, history, best score and its step, recipe."""

    @property
    def modules(self) -> checkpoint.Modules:
        """The modules by their names in a checkpoint."""
        return {"net": self.net, "ema": self.average, "best": self.best}


def train_net(recipe: AnyRecipe, task: TrainingTask, job: Job) -> Model:
    """Train the net of `recipe` on the windows of `task`, or resume from a checkpoint in `job.out`.

    Returns
    -------
    Model
        The model with the averaged weights that `optimize.keep` selects, on every rank.

    Raises
    ------
    InputError
        The folder has a checkpoint of another recipe, or the batch is no multiple of the number of processes.
    ModelFileError
        The checkpoint is damaged.
    """
    o = recipe.optimize
    if job.threads:
        torch.set_num_threads(job.threads)
    with keep_freed_memory(), _join_processes(job.device) as (rank, world):
        if o.batch % world:
            raise InputError(f"optimize.batch is {o.batch}; it must be a multiple of the {world} processes.")
        state = _begin_or_resume(recipe, task, job)
        facts = state.facts
        parallel = DistributedDataParallel(state.net) if world > 1 else state.net
        last = min(o.steps, job.stop_after_steps or o.steps)
        if _is_out_of_patience(facts, recipe):  # the training had already ended
            last = facts["step"]
        losses: list[Loss] = []
        for step, parts in _make_batches(task.windows, facts["step"], last, o.batch, rank, world, job):
            losses.append(_take_step(step, parts, parallel, state, recipe, task, job.device))
            job.tick(step + 1, o.steps)
            if (step + 1) % o.validate_every and step + 1 != last:
                continue
            score = _share_score(_score(state.average.module, task, job.device, o.precision), world, job.device)
            row = _record_validation(state, step, losses, score, recipe)
            losses.clear()
            if rank == 0:
                checkpoint.save_checkpoint(job.out / "checkpoint", state.modules, state.optimizers, facts)
                checkpoint.write_history(job.out / "history.csv", facts["history"])
                job.report(row)
            if _is_out_of_patience(facts, recipe):
                break
    return _make_model(state, recipe, task)


def _begin_or_resume(recipe: AnyRecipe, task: TrainingTask, job: Job) -> _State:
    """Make the state of a new training, or load it from the checkpoint in `job.out`, if there is one."""
    o, wanted, folder = recipe.optimize, recipe.model_dump(mode="json"), job.out / "checkpoint"
    torch.manual_seed(o.seed)
    net = nets.build(recipe.net.name, recipe.net.config)
    task.prepare(net)
    net = net.to(job.device)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(o.ema_decay**AVERAGED_EVERY), use_buffers=True)
    facts = {"step": 0, "history": [], "best_db": -math.inf, "best_step": 0, "recipe": wanted}
    state = _State(net, average, AveragedModel(net), make_optimizers(net, recipe), facts)
    found = checkpoint.read_facts(folder)
    if found is None:
        return state
    if differ := sorted(k for k in wanted if found["recipe"].get(k) != wanted[k]):
        raise InputError(
            f"{job.out} holds the checkpoint of another recipe (they differ in: {', '.join(differ)}). Give another -o "
            f"folder, or remove {folder} to start anew."
        )
    checkpoint.load_checkpoint(folder, found, state.modules, state.optimizers)
    state.facts = found
    return state


def _take_step(
    step: int,
    parts: tuple[Tensor, ...],
    parallel: nn.Module,
    state: _State,
    recipe: AnyRecipe,
    task: TrainingTask,
    device: str,
) -> Loss:
    """Update the weights once; returns the loss before the update, without gradient."""
    o = recipe.optimize
    for group in (g for optimizer in state.optimizers.values() for g in optimizer.param_groups):
        group["lr"] = compute_learning_rate(step, recipe)
    with _autocast(device, o.precision):
        estimate = parallel(parts[0])
    loss = task.loss(estimate.float(), parts)
    state.net.zero_grad(set_to_none=True)
    loss.total.backward()
    clip_gradients(state.net, o.clip_norm)
    for optimizer in state.optimizers.values():
        optimizer.step()
    if step % AVERAGED_EVERY == 0:
        state.average.update_parameters(state.net)
    return Loss(loss.total.detach(), loss.terms)


def _record_validation(state: _State, step: int, losses: list[Loss], score: float, recipe: AnyRecipe) -> dict[str, Any]:
    """Add a row to the history, and keep the averaged weights if their score is the best."""
    facts = state.facts
    facts["step"] = step + 1
    row = {"step": step + 1, "loss": _mean([loss.total for loss in losses]), "val_db": score,
           "lr": compute_learning_rate(step, recipe)}  # fmt: skip
    names = list(losses[-1].terms)
    if len(names) > 1:  # a single term is the loss itself
        row |= {f"loss_{name}": _mean([loss.terms[name] for loss in losses]) for name in names}
    facts["history"].append(row)
    if score > facts["best_db"]:
        facts["best_db"], facts["best_step"] = score, step + 1
        state.best.load_state_dict(state.average.state_dict())
    return row


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).mean())


def _make_model(state: _State, recipe: AnyRecipe, task: TrainingTask) -> Model:
    """Make the model with the weights that the recipe keeps, on the CPU."""
    o, facts = recipe.optimize, state.facts
    kept = (state.average if o.keep == "last" else state.best).module if facts["history"] else state.net
    chosen = kept.cpu().eval()
    contract = task.contract(_make_provenance(recipe, facts, task.metric))
    made = make_model(contract, recipe.net.name, recipe.net.config, chosen, task.scaler)
    task.finish(made)
    if o.weights == "float16":
        weights_file.halve_weights(chosen)
    made.digest = weights_file.pack_weights(chosen)[1][:12]
    return made


@torch.no_grad()
def _score(net: nn.Module, task: TrainingTask, device: str, precision: str) -> float:
    net.eval()

    def predict(x: NDArray[Any]) -> NDArray[Any]:
        with _autocast(device, precision):
            out: NDArray[Any] = net(torch.from_numpy(x).to(device)).float().cpu().numpy()
        return out

    score = task.score(predict)
    net.train()
    return score


def make_weight_loader(start: str) -> Callable[[nn.Module], None]:
    """Make a function that loads the weights of model `start` (a name or a folder) into a net; it does nothing for "".

    Raises
    ------
    InputError
        When the function is called, if the model has another net.
    """

    def load_weights(net: nn.Module) -> None:
        if not start:
            return
        model = load_model(start)
        found, expected = ({k: tuple(v.shape) for k, v in x.state_dict().items()} for x in (model.net, net))
        if found != expected:
            raise InputError(
                f"start: model {start!r} is a {model.net_name} of {model.net_config}, which is not the net of the "
                "recipe. Write its name and config into the recipe's section net."
            )
        net.load_state_dict(model.net.state_dict())

    return load_weights


class _Share(Dataset[Example]):
    """The windows of one rank, step by step; the ranks share the windows of each batch."""

    def __init__(self, windows: Windows, first: int, last: int, batch: int, rank: int, world: int):
        self.windows, self.first, self.last = windows, first * batch, last * batch
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return max(self.last - self.first, 0) // self.world  # the stop may lie before the step of the checkpoint

    def __getitem__(self, i: int) -> Example:
        return self.windows[self._number(i)]

    def __getitems__(self, items: list[int]) -> list[Example] | Example:
        numbers = [self._number(i) for i in items]
        if isinstance(self.windows, BatchedWindows):
            return self.windows.batch(numbers)
        return [self.windows[n] for n in numbers]

    def _number(self, i: int) -> int:
        return self.first + i * self.world + self.rank


def _to_tensors(examples: list[Example] | Example) -> list[Tensor]:
    """Tensors of a batch, from a list of windows or from stacked windows."""
    return default_collate(examples) if isinstance(examples, list) else [torch.from_numpy(part) for part in examples]


def _make_batches(
    windows: Windows, first: int, last: int, batch: int, rank: int, world: int, job: Job
) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    """Yield each step from `first` to before `last`, with the part of its batch for this rank."""
    share = _Share(windows, first, last, batch, rank, world)
    prefetch = 4 if job.workers else None
    loader = DataLoader(share, batch // world, num_workers=job.workers, prefetch_factor=prefetch,
                        collate_fn=_to_tensors, pin_memory=job.device.startswith("cuda"))  # fmt: skip
    for step, parts in enumerate(loader, start=first):
        yield step, tuple(p.to(job.device, non_blocking=True) for p in parts)


@contextmanager
def _join_processes(device: str) -> Iterator[tuple[int, int]]:
    """Yield (rank, world size) as set by torchrun; (0, 1) without it."""
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


def _share_score(score: float, world: int, device: str) -> float:
    """The score of rank 0 for all ranks, because a different last digit must not end the training of one rank only."""
    if world == 1:
        return score
    shared = torch.tensor(score, dtype=torch.float64, device=device)
    dist.broadcast(shared, src=0)
    return float(shared)


def _autocast(device: str, precision: str) -> torch.autocast:
    use = precision == "bfloat16" or (precision == "auto" and has_fast_bfloat16(device))
    return torch.autocast(device.split(":")[0], torch.bfloat16, enabled=use)


def _is_out_of_patience(facts: dict[str, Any], recipe: AnyRecipe) -> bool:
    o = recipe.optimize
    return bool(facts["step"] - facts["best_step"] >= o.patience * o.validate_every)


def _make_provenance(recipe: AnyRecipe, facts: dict[str, Any], metric: str) -> dict[str, Any]:
    rows = facts["history"]
    kept = rows[-1] if rows and recipe.optimize.keep == "last" else max(rows, key=lambda r: r["val_db"], default={})
    return {
        "recipe": recipe.model_dump(mode="json"),
        f"validation_{metric}": round(kept["val_db"], 3) if kept else None,
        "step": kept.get("step", 0),
        "date": format_now()[:10],
        "torch": torch.__version__,
    }
