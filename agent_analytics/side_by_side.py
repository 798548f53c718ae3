"""Work on several DuckDB connections at once: a query on little data keeps one core busy, whatever there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import duckdb

Item = TypeVar("Item")
Made = TypeVar("Made")


def side_by_side(
    connections: Sequence[duckdb.DuckDBPyConnection],
    do: Callable[[duckdb.DuckDBPyConnection, Item], Made],
    items: Iterable[Item],
) -> Iterator[Made]:
    """What `do` makes of each item, in their order, with as many at a time as there are connections.

    After an error of one the others under way are waited for.
    """
    free: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
    for connection in connections:
        free.put(connection)

    def work(item: Item) -> Made:
        own = free.get()
        try:
            return do(own, item)
        finally:
            free.put(own)

    with ThreadPoolExecutor(len(connections)) as pool:
        yield from pool.map(work, items)
