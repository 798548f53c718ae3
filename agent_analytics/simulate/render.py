"""From columns to JSON lines: one SQL projection per part, so that DuckDB builds the strings on all its threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from agent_analytics.simulate.draw import ENVELOPE, Part
from agent_analytics.simulate.universe import HOUR, MINUTE, OFFSET_TENANTS, Ints

#: The fixed offset that some producers write instead of Z.
OFFSET, OFFSET_TEXT = 5 * HOUR + 30 * MINUTE, "+05:30"


def _join(pieces: list[str]) -> list[str]:
    """Neighbouring literals made one."""
    out: list[str] = []
    for piece in pieces:
        if out and piece.startswith("'") and out[-1].startswith("'"):
            out[-1] = out[-1][:-1] + piece[1:]
        else:
            out.append(piece)
    return out


def render(
    part: Part, source: str, run: str, view: str, sequence: Ints, bucket: Ints, arrival: Ints, tie: Ints, rows: Ints
) -> tuple[dict[str, npt.NDArray[Any]], str]:
    """The columns to register under the name `view`, and the query that turns them into (bucket, arrival, tie, line).

    `sequence` numbers the part's events; `rows` lists which of them become lines (a duplicate is listed twice), and
    `bucket`, `arrival` and `tie` belong to those lines.
    """
    shifted = np.where(part.tenant % 9 == OFFSET_TENANTS, part.t + OFFSET, part.t)
    columns: dict[str, npt.NDArray[Any]] = {
        "sequence": sequence[rows], "shifted": shifted[rows], "tenant": part.tenant[rows] + 1,
        "bucket": bucket, "arrival": arrival, "tie": tie,
    }  # fmt: skip

    def value(name: str) -> list[str]:
        column = part.fields[name]
        names = []
        for array in column.arrays():
            names.append(f"c{len(columns)}")
            columns[names[-1]] = array[rows]
        pieces = column.sql(names, run)
        if column.absent is None:
            return [f"""',"{name}":'""", *pieces]
        flag = f"c{len(columns)}"
        columns[flag] = column.absent[rows]
        return [
            f"""CASE WHEN NOT {flag} THEN concat({", ".join(_join([f"',{chr(34)}{name}{chr(34)}:'", *pieces]))}) END"""
        ]

    properties = [name for name in part.fields if name not in ENVELOPE]
    # The leading comma of the first property: properties that may be absent never come first.
    properties.sort(key=lambda name: part.fields[name].absent is not None)
    inner = [piece for name in properties for piece in value(name)]
    if inner:
        inner[0] = "'" + inner[0][2:]
    pieces = [
        f"""'{{"event_id":"{run}-{source}-'""", "sequence",
        f"""'","source":"{source}","event_type":"{part.event_type}","occurred_at":"'""",
        "strftime(make_timestamp(shifted), '%Y-%m-%dT%H:%M:%S.%f')",
        f"CASE WHEN (tenant - 1) % 9 = {OFFSET_TENANTS} THEN '{OFFSET_TEXT}' ELSE 'Z' END",
        """'","tenant_id":"tenant-'""", "tenant", """'"'""",
        *(piece for name in ENVELOPE if name in part.fields for piece in value(name)),
        """',"properties":{'""", *inner, "'}}'",
    ]  # fmt: skip
    return columns, f"SELECT bucket, arrival, tie, concat({', '.join(_join(pieces))}) AS line FROM {view}"
