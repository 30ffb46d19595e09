"""Dask graphs whose tasks are made when they are needed. The only module that uses dask's private `_task_spec`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from operator import getitem
from typing import Any

import numpy as np

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
    from dask.array import Array
    from dask.highlevelgraph import HighLevelGraph

    arrays = []
    for position, name in enumerate(f"{name}-{token}" for name in names):
        layer = _layer(source, work, name, token, position)
        graph = HighLevelGraph.from_collections(name, layer, dependencies=[source])
        arrays.append(Array(graph, name, source.chunks, dtype=dtype))  # type: ignore[no-untyped-call]
    return arrays


def _layer(source: Any, work: BlockFunction, name: str, token: str, position: int) -> Any:
    """The tasks of one array. Even a graph of 100,000 blocks takes no time until its tasks are needed."""
    from dask._task_spec import DataNode, List, Task, TaskRef
    from dask.highlevelgraph import Layer, MaterializedLayer

    shared, joint = f"{work.name}-shared-{token}", f"{work.name}-{token}"

    def make_tasks(index: Index) -> dict[Any, Any]:
        keys = product(*(work.inputs(axis, number) for axis, number in enumerate(index)))
        blocks = (TaskRef((source.name, *key)) for key in keys)
        joint_task = Task((joint, *index), work.function, TaskRef(shared), index, List(*blocks))
        item = Task((name, *index), getitem, TaskRef(joint_task.key), position)
        return {joint_task.key: joint_task, (name, *index): item}

    def make_all_tasks(keys: Iterable[Any]) -> dict[Any, Any]:
        found = {shared: DataNode(shared, work.shared)}
        for key in keys:
            found |= make_tasks(key[1:])
        return found

    class Tasks(Layer):
        has_legacy_tasks = False

        def is_materialized(self) -> bool:
            return False

        def get_output_keys(self) -> Any:
            return {(name, *index) for index in product(*map(range, source.numblocks))}

        @cached_property
        def _all(self) -> dict[Any, Any]:
            return make_all_tasks(self.get_output_keys())

        def __getitem__(self, key: Any) -> Any:
            return self._all[key]

        def __iter__(self) -> Iterator[Any]:
            return iter(self._all)

        def __len__(self) -> int:
            return len(self._all)

        def cull(self, keys: Any, all_hlg_keys: Any) -> Any:
            kept = make_all_tasks(key for key in keys if isinstance(key, tuple) and key[0] == name)
            return MaterializedLayer(kept), {key: set(task.dependencies) for key, task in kept.items()}

    return Tasks()
