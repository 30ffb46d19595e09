"""Dask graphs whose tasks are made when they are needed. The only module that uses dask's private `_task_spec`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from operator import getitem
from typing import Any

import numpy as np
from dask._task_spec import DataNode, List, Task, TaskRef
from dask.array import Array
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer

Index = tuple[int, ...]


@dataclass(frozen=True)
class BlockFunction:
    """A function that computes the blocks of several arrays at once, from blocks of one array.

    Attributes
    ----------
    name
        Begins the names of its tasks, as dask's dashboard shows them.
    function
        (shared, index of a block, list of input blocks) -> tuple with the block of each output array.
    shared
        First argument of all calls; one node of the graph.
    inputs
        (axis, block number along it) -> numbers of the input blocks along that axis.
    """

    name: str
    function: Callable[[Any, Index, list[Any]], tuple[Any, ...]]
    shared: Any
    inputs: Callable[[int, int], Sequence[int]]


def map_blocks(source: Any, work: BlockFunction, names: Sequence[str], token: str, dtype: np.dtype[Any]) -> list[Any]:
    """Make lazy arrays in the chunks of `source`, one for each of `names`, from shared tasks.

    Parameters
    ----------
    source
        A dask array whose chunks have known sizes.
    work
        Computes the blocks of all arrays.
    names
        Begin the names of the arrays, in the order in which `work` returns their blocks.
    token
        Identifies the work: equal tokens mean equal results.
    dtype
        Dtype of all arrays.
    """
    arrays = []
    for position, name in enumerate(f"{name}-{token}" for name in names):
        layer = _BlockLayer(source.name, source.numblocks, work, name, token, position)
        graph = HighLevelGraph.from_collections(name, layer, dependencies=[source])
        arrays.append(Array(graph, name, source.chunks, dtype=dtype))  # type: ignore[no-untyped-call]
    return arrays


class _BlockLayer(Layer):
    """The tasks of one array. Even a graph of 100,000 blocks takes no time until its tasks are needed.

    It is pickled without its tasks, for schedulers in other processes.
    """

    has_legacy_tasks = False

    def __init__(
        self, source: str, numblocks: Index, work: BlockFunction, name: str, token: str, position: int
    ) -> None:
        super().__init__()
        self.source, self.numblocks, self.work = source, numblocks, work
        self.name, self.token, self.position = name, token, position
        self._made: dict[Any, Any] | None = None

    def __reduce__(self) -> Any:
        return _BlockLayer, (self.source, self.numblocks, self.work, self.name, self.token, self.position)

    def is_materialized(self) -> bool:
        return False

    def get_output_keys(self) -> Any:
        return {(self.name, *index) for index in product(*map(range, self.numblocks))}

    def __getitem__(self, key: Any) -> Any:
        return self._all[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def cull(self, keys: Any, all_hlg_keys: Any) -> Any:
        kept = self._make_tasks(key for key in keys if isinstance(key, tuple) and key[0] == self.name)
        return MaterializedLayer(kept), {key: set(task.dependencies) for key, task in kept.items()}

    @property
    def _all(self) -> dict[Any, Any]:
        if self._made is None:
            self._made = self._make_tasks(self.get_output_keys())
        return self._made

    def _make_tasks(self, keys: Iterable[Any]) -> dict[Any, Any]:
        shared, joint = f"{self.work.name}-shared-{self.token}", f"{self.work.name}-{self.token}"
        found: dict[Any, Any] = {shared: DataNode(shared, self.work.shared)}
        for _, *index in keys:
            near = product(*(self.work.inputs(axis, number) for axis, number in enumerate(index)))
            blocks = (TaskRef((self.source, *key)) for key in near)
            task = Task((joint, *index), self.work.function, TaskRef(shared), tuple(index), List(*blocks))
            found[task.key] = task
            found[self.name, *index] = Task((self.name, *index), getitem, TaskRef(task.key), self.position)
        return found
