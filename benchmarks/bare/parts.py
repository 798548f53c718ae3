"""What a family's bare SQL is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A table between events and marts; as `Mart` if it is recomputed by partition."""

    name: str
    sql: str
    partition: tuple[str, ...] = ()
    touched: str = ""


@dataclass(frozen=True)
class Mart:
    """A mart: its family, key and SQL; if it is recomputed by partition, the partition and what touches it.

    With `held_days` it has a column `hour`, and keeps so many days; older ones go to a Parquet file a day.
    """

    family: str
    name: str
    key: tuple[str, ...]
    sql: str
    partition: tuple[str, ...] = ()
    touched: str = ""
    held_days: int | None = None


@dataclass(frozen=True)
class Family:
    """What marts are made of: the events they read, the tables between, and the marts themselves, in order."""

    events: dict[str, str]
    steps: tuple[Step, ...]
    marts: tuple[Mart, ...]
