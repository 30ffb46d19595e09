"""The one runner of blocks into a store: begin or resume the store, compute pending blocks, finish.

Each verb describes its work in a `BlockJob`: the plan of the store, the settings that decide its samples, and the
function that computes one block. The result is the same in every byte for any number of workers or interruptions.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from geoae.cluster import work as cluster_work
from geoae.errors import ModelFileError, SamplesError
from geoae.jobs.options import Progress, RunOptions, Workers, no_progress
from geoae.model import Model, load_model
from geoae.model.devices import prepare_model
from geoae.stores.plan import StorePlan
from geoae.stores.write import Origin, begin_store

ResultHandler = Callable[[int, Any], None]
"""Called with the number of a finished block and the result of its work."""


def ignore_result(number: int, result: Any) -> None:
    """A `ResultHandler` that adds up nothing."""


@dataclass(frozen=True)
class BlockJob:
    """A store that is computed block by block."""

    target: Path
    """Folder of the store; ends in .zarr."""
    plan: StorePlan
    settings: Mapping[str, Any]
    """Settings that decide the samples, by name. A run that was begun with other settings is not resumed."""
    origin: Origin
    make_worker: Callable[..., cluster_work.Work]
    """A function at the top of a module: ``make_worker(spec)`` returns the function that computes and writes one block,
    given its number."""
    spec: Mapping[str, Any]
    """Everything that a worker needs, as JSON data; the run's folder is added as "folder"."""
    loaded: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of `make_worker` that this process has in memory. Workers load them as `spec` describes."""
    append: str | None = None
    """Dimension along which a finished store is extended."""
    threads: int | None = None
    """CPU threads of each worker; None: one."""


@dataclass(frozen=True)
class Outcome:
    """Result of a run."""

    store: Path
    n_blocks: int
    """Blocks of the plan. When a store is extended, only the new blocks count."""
    computed: frozenset[int]
    """Numbers of the blocks that this run computed."""
    was_finished: bool
    """Whether the store was already finished, with the same settings, before this run."""

    @property
    def n_kept(self) -> int:
        """Blocks that were computed before this run and kept."""
        return max(self.n_blocks - len(self.computed), 0)

    def notes(self, kept_suffix: str = " and were kept") -> list[str]:
        """Notes on blocks that existed before this run; `kept_suffix` ends the line."""
        if self.was_finished:
            return [f"{self.store.name} is already finished; nothing was computed"]
        if not self.n_kept:
            return []
        return [f"{self.store.name}: {self.n_kept} of {self.n_blocks} blocks existed already{kept_suffix}"]


def run_blocks(
    job: BlockJob, options: RunOptions, on_result: ResultHandler = ignore_result, progress: Progress = no_progress
) -> Outcome:
    """Compute the missing blocks of a store, and finish it.

    Parameters
    ----------
    job
        The store, and how its blocks are computed.
    options
        Workers, and whether an existing store is replaced.
    on_result
        Called with the number and the result of each block, in any order.
    progress
        Called with the number of finished blocks and the total, before the first block and after each.

    Returns
    -------
    Outcome
        The store, and which blocks were computed.

    Raises
    ------
    StoreError, OutputExistsError, OutputError
        See `geoae.stores.write.begin_store`: other settings, an existing store, or a folder that is not writable.
    ClusterError
        Workers cannot be started, or are lost.
    SamplesError
        Raised by the work on a block; nothing of the run is kept.
    GeoAEError
        Raised by the work on a block; the blocks that are done are kept.
    """
    run = begin_store(
        job.target, job.plan, job.settings, job.origin, overwrite=options.overwrite, append=job.append or ()
    )
    n_blocks = sum(part.n_blocks for part in job.plan.parts)
    # a finished store has no folder of its run, so no worker may look for it
    pending = [] if run.finished else [int(number) for number in run.pending()]
    total = run.n_tasks or n_blocks
    progress(total - len(pending), total)
    if pending:
        workers, make = options.workers, job.make_worker
        if not workers.are_other_processes:
            make = partial(make, **job.loaded)
        results = cluster_work.run_tasks(
            pending, make, {**job.spec, "folder": str(run.folder)}, cluster=workers.cluster, workers=workers.n,
            threads=job.threads or 1, say=workers.say,
        )  # fmt: skip
        try:
            with closing(results):
                for done, (number, result) in enumerate(results, total - len(pending) + 1):
                    on_result(number, result)
                    progress(done, total)
        except SamplesError:
            run.discard()  # it would stand in the way of the corrected input
            raise
    return Outcome(run.finish(), n_blocks, frozenset(pending), run.finished)


def load_for_run(name: str | Path | Model | None, device: str, threads: int | None, workers: Workers) -> Model:
    """Load the model of a run. With workers it only checks that they can load the model from a folder.

    Raises
    ------
    InputError
        Workers compute and the model has no folder, or the device does not exist.
    UnknownNameError, ModelFileError
        The model does not exist, or cannot be read.
    """
    model = load_model(name)
    if not workers.are_other_processes:
        return prepare_model(model, device, threads)
    _ = model.home  # raises if there is no folder
    return model


def make_model_spec(model: Model, device: str, threads: int | None) -> dict[str, Any]:
    """Describe in plain data how a worker loads and runs a model; threads None: one. See `load_same_model`."""
    folder = str(model.folder.absolute()) if model.folder else None
    return {"model": folder, "digest": model.digests, "device": device, "threads": threads or 1}


def load_same_model(spec: Mapping[str, Any]) -> Model:
    """Load the model that `make_model_spec` describes, ready to compute.

    Raises
    ------
    ModelFileError
        The model in the folder has changed since the run was begun.
    """
    model = load_model(spec["model"])
    if model.digests != spec["digest"]:
        raise ModelFileError(
            f"{spec['model']} has changed: the run was begun with {spec['digest']}, a worker finds {model.digests}."
        )
    return prepare_model(model, spec["device"], spec["threads"])
