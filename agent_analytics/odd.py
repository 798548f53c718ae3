"""The lines of a batch that didn't prove plain: found one by one, judged exactly, put back into `stage` as plain ones.

What is put back is what the contract declares of a good line, with the same values; so one piece of SQL types and
writes all lines. A rejected line is marked in `stage` and written for the quarantine.
"""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agent_analytics import landing, validate
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import keyed_hash_sql
from agent_analytics.lines import judge
from agent_analytics.validate import MALFORMED

if TYPE_CHECKING:
    from agent_analytics.load import Load
    from agent_analytics.stage import File, Stage

MOST_NAMES = 1000
REJECTED = "rejected"


@dataclass
class _Odd:
    """Where each odd line came from, and whether Python has to judge it; `row` is its place in the batch."""

    path: Path
    row: array[int] = field(default_factory=lambda: array("q"))
    file_no: array[int] = field(default_factory=lambda: array("q"))
    number: array[int] = field(default_factory=lambda: array("q"))
    suspect: bytearray = field(default_factory=bytearray)


def settle(load: Load, stage: Stage) -> None:
    """Judge a staged batch's odd lines, and change `stage` so that all its lines are plain or rejected."""
    odd = _find(load, stage)
    _read(load, stage, odd)
    for source in load.contract.sources:
        _judge_properties(load, stage, source)
    _write_rejects(load, stage, odd)
    _put_back(load, stage)
    stage.hash_events()
    _count_dropped(load, stage)
    odd.path.unlink()


def _find(load: Load, stage: Stage) -> _Odd:
    """Compare line by line what was read with what is there."""
    expected = np.full((3, sum(file.lines for file in stage.files)), -1, np.int16)
    for source in stage.sources():
        counts = validate.counts(load.contract, source)
        beyond = validate.is_beyond(load.contract, source, load.latest)
        found = stage.connection.execute(f"""
            select _row, {", ".join(f"({count})::smallint as _count_{at}" for at, count in enumerate(counts))}
            from {load.rows(source)}
            where load_id is not null and ({beyond}) is not true""").fetchnumpy()
        for at in range(3):
            expected[at, found["_row"]] = found[f"_count_{at}"]
    odd = _Odd(load.work / "odd.jsonl")
    row = 0
    with odd.path.open("wb") as out:
        for file_no, file in enumerate(stage.files):
            is_odd = file.scan.odd
            for (number, line), members, strings, commas in zip(
                landing.lines(file.readable),
                *(part.tolist() for part in expected[:, row : row + file.lines]),
                strict=True,
            ):
                if (
                    line.count(b'":') != members
                    or line.count(b'":"') + line.count(b'": "') != strings
                    or (line.count(b",") != commas and landing.is_suspect(line))
                    or (is_odd and landing.has_odd_space(line))
                ):
                    out.write(line + b"\n")
                    odd.row.append(row)
                    odd.file_no.append(file_no)
                    odd.number.append(file.lines_before + number)
                    odd.suspect.append(landing.is_suspect(line))
                row += 1
    return odd


def _read(load: Load, stage: Stage, odd: _Odd) -> None:
    """The table `odd`, a row per odd line in order, with the reason that its envelope gives.

    `read_json` would save a pass, but loses the line after a bad one (after `[`, say), and fails on repeated names.
    """
    contract = load.contract
    stage.connection.register(
        "found", {"_row": np.frombuffer(odd.row, np.int64), "_file_no": np.frombuffer(odd.file_no, np.int64)}
    )
    stage.connection.execute("create or replace temp table places as from found")
    stage.connection.unregister("found")
    columns = contract.envelope
    parts = ", ".join(f"_parts.{validate.column(field)}::varchar as {validate.json_of(field)}" for field in columns)
    present = " + ".join(f"({validate.json_of(field)} is not null)::integer" for field in columns)
    unquoted = ", ".join(f"{validate.unquote(field)} as {validate.raw(field)}" for field in columns)
    names = validate.texts(field.name for field in columns)
    rows = f"""(
        select *, {unquoted}
        from (
            select
                *,
                case when len(_keys) > {present} then list_filter(_keys, lambda k: k not in ({names})) end
                    as _undeclared,
                case when len(_keys) > {present} then len(list_distinct(_keys)) < len(_keys) else false end as _repeats
            from (
                select *, _parts is not null as _is_object, {parts}
                from (
                    select
                        json, json_keys(json) as _keys,
                        json_transform(json, {validate.structure(columns, exact=True)}) as _parts
                    from {stage.json_lines([odd.path])}
                )
            )
        )
    )"""
    lax = validate.text(validate.LAX_LITERAL)
    kept = ", ".join(f"{validate.raw(field)}, {validate.column(field)}" for field in columns)
    stage.connection.execute(f"""
        create or replace temp table odd as
        select
            {validate.envelope_reason(contract, load.latest)} as _reason, nullif(_undeclared, []) as _undeclared,
            case when len(_undeclared) > 0 then regexp_matches(json, {lax}) else false end as _lax, {kept}
        from {validate.typed(columns, rows)}""")
    stage.connection.execute("""
        create or replace temp table judged as
        select rowid as _odd_row, _reason, null::varchar as _properties, _undeclared, _lax
        from odd where _reason is not null""")
    read = stage.connection.execute("select count(*) from odd").fetchall()[0][0]
    if read != len(odd.row):
        raise AnalyticsError(f"{len(odd.row)} odd lines, but {read} were read; nothing was committed; report this")


def _judge_properties(load: Load, stage: Stage, source: str) -> None:
    """Judge the properties of one source's odd lines whose envelope is good; keep of them what is declared."""
    contract = load.contract
    fields = contract.source_properties(source)
    parts = "".join(f", _parts.{validate.column(field)}::varchar as {validate.json_of(field)}" for field in fields)
    unquoted = "".join(f", {validate.unquote(field)} as {validate.raw(field)}" for field in fields)
    transform = f"json_transform(properties, {validate.structure(fields, exact=True)})" if fields else "null"
    undeclared = validate.properties_undeclared(contract, source)
    lax = validate.text(validate.LAX_LITERAL)
    rows = f"""(
        select *{unquoted}
        from (
            select
                *,
                case when len(_keys) > _present then len(list_distinct(_keys)) < len(_keys) else false end as _repeats,
                case when len(_keys) > _present then {undeclared} end as _undeclared_properties
            from (
                select *, {validate.properties_present(contract, source)} as _present
                from (
                    select *{parts}
                    from (
                        select *, rowid as _odd_row, {transform} as _parts, json_keys(properties) as _keys
                        from odd where _reason is null and source = {validate.text(source)}
                    )
                )
            )
        )
    )"""
    stage.connection.execute(f"""
        insert into judged
        select
            _odd_row, {validate.property_reason(contract, source)},
            {validate.properties_declared(contract, source)},
            nullif(list_concat(_undeclared, _undeclared_properties), []),
            _lax or (len(_undeclared_properties) > 0 and regexp_matches(properties, {lax})) is true
        from {validate.typed(fields, rows)}""")


def _write_rejects(load: Load, stage: Stage, odd: _Odd) -> None:
    """Look at each rejected or suspected line: settle its reason and write it for the quarantine."""
    overruled: list[int] = []
    path = load.work / f"rejects-{len(load.reject_files)}.jsonl"
    rejected = 0
    doubtful = _doubtful(stage)
    doubt = next(doubtful, None)
    with path.open("w", encoding="utf-8") as out:
        for row, (_, line) in enumerate(landing.lines(odd.path)):
            reason, suspect = None, odd.suspect[row]
            if doubt and doubt[0] == row:
                reason, suspect = doubt[1], True
                doubt = next(doubtful, None)
            verdict = judge(line) if suspect else None
            if verdict and reason is None:
                overruled.append(row)
            reason = verdict or reason
            if reason:
                file = stage.files[odd.file_no[row]]
                file.rejects[reason] += 1
                rejected += 1
                record = _record(load, file, load.next_line + odd.row[row], odd.number[row], reason, line)
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
    if rejected:
        load.reject_files.append(path)
    if overruled:
        stage.connection.execute(
            f"update judged set _reason = '{MALFORMED}' where _odd_row in (select unnest({overruled}::bigint[]))"
        )


def _doubtful(stage: Stage) -> Iterator[tuple[int, str | None]]:
    """(place, reason) of the rejected lines; (place, None) of accepted ones that may hide a lax literal."""
    result = stage.connection.execute(
        "select _odd_row, _reason from judged where _reason is not null or _lax order by _odd_row"
    )
    while rows := result.fetchmany(10_000):
        yield from rows


def _record(load: Load, file: File, n: int, number: int, reason: str, line: bytes) -> dict[str, Any]:
    kept = load.kept(line, file.input.user_id_hashed)
    return {
        "n": n,
        "file": file.input.label,
        "replays": file.input.replays,
        "line_number": number,
        "reason": reason,
        "field": reason.partition(":")[2] or None,
        "line": kept.text,
        "raw": base64.b64encode(kept.raw).decode() if kept.raw is not None else None,
        "user_id_hashed": kept.user_id_hashed,
    }


def _put_back(load: Load, stage: Stage) -> None:
    """Make the odd lines of `stage` what they were found to be."""
    hashed = [file.input.user_id_hashed for file in stage.files]
    kept = [validate.raw(field) for field in load.contract.envelope if field.name not in ("user_id", "properties")]
    changes = ", ".join(f"{column} = settled.{column}" for column in kept)
    stage.connection.execute(f"""
        update stage
        set
            _reason = settled._rejected, _r_user_id = settled._user_id, _r_properties = settled._properties, {changes}
        from (
            select
                places._row, odd.*, judged._properties,
                case when judged._reason is not null then '{REJECTED}' end as _rejected,
                case
                    when judged._reason is not null then null
                    when {hashed}[places._file_no + 1] then odd.user_id
                    else {keyed_hash_sql("odd.user_id")}
                end as _user_id
            from judged
            join odd on odd.rowid = judged._odd_row
            join places on places.rowid = judged._odd_row
            cross join pads
        ) as settled
        where stage.rowid = settled._row""")


def _count_dropped(load: Load, stage: Stage) -> None:
    """Count what good lines had and the contract doesn't declare, the names that are most frequent."""
    for file_no, name, count in stage.connection.execute(f"""
        select _file_no, event_type || '.' || name, count(*) as events
        from (
            select places._file_no, odd.event_type, unnest(judged._undeclared) as name
            from judged
            join odd on odd.rowid = judged._odd_row
            join places on places.rowid = judged._odd_row
            where judged._reason is null
        )
        group by _file_no, event_type, name
        qualify row_number() over (partition by _file_no order by events desc, name) <= {MOST_NAMES}
        order by 1, 2""").fetchall():
        stage.files[file_no].dropped[name] += count
