"""The one runner of blocks into a store: begin or resume, have pending blocks computed, finish.

A verb says in a `BlockJob` what is special to it: the plan of the store, the settings that decide its samples, and the
function that computes one block. Who computes the blocks, and whether a run was interrupted before, changes no byte.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from geoae.cluster import work as cluster
from geoae.errors import ModelFileError
from geoae.jobs.options import Progress, RunOptions, Workers, no_progress
from geoae.model import Model, load_model
from geoae.model.devices import prepare_model
from geoae.stores.plan import StorePlan
from geoae.stores.write import Origin, begin_store

ResultHandler = Callable[[int, Any], None]
"""Called with the number of a block that is done, and what the work on it returned."""


def ignore_result(number: int, result: Any) -> None:
    """A `ResultHandler` that adds up nothing."""


@dataclass(frozen=True)
class BlockJob:
    """A store that is computed block by block."""

    target: Path
    """A folder to be, ending in .zarr."""
    plan: StorePlan
    settings: Mapping[str, Any]
    """What decides the samples, by name. A run that was begun with others is not resumed."""
    origin: Origin
    make_work: Callable[..., cluster.Work]
    """A function at the top of a module: ``make_work(spec)`` returns what computes and writes the block of a number."""
    spec: Mapping[str, Any]
    """All that a worker needs, as JSON can hold it; the run's folder is added as "folder"."""
    in_hand: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of `make_work` that this process has already, and a worker finds by `spec`."""
    append: str | None = None
    """The dimension to append along, where a finished store is there."""
    threads: int | None = None
    """That libraries may take in each worker; None: one."""


@dataclass(frozen=True)
class Outcome:
    """What a run found and did."""

    store: Path
    n_blocks: int
    """Of the plan; where a store is appended to, of what is new."""
    computed: frozenset[int]
    """Numbers of the blocks that this run has computed."""
    was_finished: bool
    """Whether the store was finished, with the same settings, before this run."""

    @property
    def n_kept(self) -> int:
        """Blocks that were there before this run, and were kept."""
        return max(self.n_blocks - len(self.computed), 0)

    def notes(self, of_kept: str = " and were kept") -> list[str]:
        """What a person should know of blocks that were there already; `of_kept` ends the line."""
        if self.was_finished:
            return [f"{self.store.name} is finished already: there was nothing left to do"]
        if not self.n_kept:
            return []
        return [f"{self.store.name}: {self.n_kept} of {self.n_blocks} blocks were there already{of_kept}"]


def run_blocks(
    job: BlockJob, options: RunOptions, count: ResultHandler = ignore_result, progress: Progress = no_progress
) -> Outcome:
    """Compute the blocks of a store that are not there yet, and finish it.

    Parameters
    ----------
    job
        The store, and how a block of it is computed.
    options
        Who computes, and whether a store that is there is replaced.
    count
        Takes the result of each block, in any order.
    progress
        Called with blocks done and blocks in all, before the first block and after each.

    Returns
    -------
    Outcome
        The store, and what of it was there before.

    Raises
    ------
    StoreError, OutputExistsError, OutputError
        As `geoae.stores.write.begin_store`: other settings, a store that is there, a place that cannot be written to.
    ClusterError
        There are no workers, or they are lost.
    GeoAEError
        What the work on a block raised.
    """
    run = begin_store(
        job.target, job.plan, job.settings, job.origin, overwrite=options.overwrite, append=job.append or ()
    )
    n_blocks = sum(part.n_blocks for part in job.plan.parts)
    # the folder of a run is gone when its store is finished: nothing is pending, and no worker is to look for it
    pending = [] if run.finished else [int(number) for number in run.pending()]
    total = run.n_tasks or n_blocks
    progress(total - len(pending), total)
    if pending:
        workers, make = options.workers, job.make_work
        if not workers.are_elsewhere:
            make = partial(make, **job.in_hand)
        results = cluster.run_tasks(
            pending, make, {**job.spec, "folder": str(run.folder)}, cluster=workers.cluster, workers=workers.n,
            threads=job.threads or 1, say=workers.say,
        )  # fmt: skip
        with closing(results):
            for done, (number, result) in enumerate(results, total - len(pending) + 1):
                count(number, result)
                progress(done, total)
    return Outcome(run.finish(), n_blocks, frozenset(pending), run.finished)


def load_for_run(name: str | Path | Model | None, device: str, threads: int | None, workers: Workers) -> Model:
    """The model of a run: ready to compute, or, for workers, known to come from a folder that they can load it from.

    Raises
    ------
    InputError
        Workers compute, and the model comes from no folder; or the device is not there.
    UnknownNameError, ModelFileError
        There is no such model, or it cannot be read.
    """
    model = load_model(name)
    if not workers.are_elsewhere:
        return prepare_model(model, device, threads)
    _ = model.home  # raises where there is none
    return model


def make_model_spec(model: Model, device: str, threads: int | None = 1) -> dict[str, Any]:
    """How a worker finds a model and runs it, in plain data for `load_same_model`."""
    folder = str(model.folder.absolute()) if model.folder else None
    return {"model": folder, "digest": model.digest, "device": device, "threads": threads or 1}


def load_same_model(spec: Mapping[str, Any]) -> Model:
    """The model that `make_model_spec` describes, ready to compute.

    Raises
    ------
    ModelFileError
        The folder holds another model than when the run was begun.
    """
    model = load_model(spec["model"])
    if model.digest != spec["digest"]:
        raise ModelFileError(
            f"{spec['model']} has changed: the run was begun with {spec['digest']}, a worker finds {model.digest}."
        )
    return prepare_model(model, spec["device"], spec["threads"])
