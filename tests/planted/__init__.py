"""Planted faults: for every expectation of every suite, SQL that spoils a good warehouse so that this one fails.

Each family has a module with its FAULTS, from "<schema>.<mart>.<expectation>" to SQL; an expectation of several totals
has a fault for each of them, "<expectation>/<what>". They are planted in the warehouse
of simulated events (`realistic` in tests/conftest.py), so that dates are relative to the data clock, and a change of
one row says which row it needs. tests/test_expectations.py plants them.
"""

from __future__ import annotations

CLOCK_MOVES = "update ops.run set as_of = as_of + interval 100 day"
CLOCK_DAY = "(select cast(as_of as date) from ops.run)"


def keys(mart: str, key: str) -> dict[str, str]:
    """Faults of the expectations that every mart has."""
    return {
        f"{mart}.unique_key": f"insert into {mart} from {mart} limit 1",
        f"{mart}.key_not_null": one_row(mart, f"{key} = null"),
        f"{mart}.not_empty": f"delete from {mart}",
    }


def one_row(mart: str, change: str, where: str = "true") -> str:
    """A change of one row, of those of which `where` is true."""
    return f"update {mart} set {change} where rowid = (select min(rowid) from {mart} where {where})"


def volume_drops(mart: str, date: str, measure: str, days_ago: int = 1) -> str:
    """A plenty on every day but the newest complete one: 1 day before the clock's, 2 where dates are tenant-local."""
    newest = f"{date} = {CLOCK_DAY} - {days_ago}"
    return f"update {mart} set {measure} = case when {newest} then 0 else 1000 end"
