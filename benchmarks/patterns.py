"""One pattern among thousands: a published version with a year of executions, and commands that ask it."""

from __future__ import annotations

from pathlib import Path

import duckdb

from agent_analytics import versions
from agent_analytics.storage import Storage
from benchmarks import measure
from benchmarks.histories import short
from benchmarks.measure import Cost

PATTERNS = 5_000
EXECUTIONS = 5_000_000

#: Popularity falls with the number of the pattern, over 50 tenants: the first has some 70,000 executions of 5M.
DRAW = """
select
    'tenant-' || pattern % 50 as tenant_id,
    'pattern-' || pattern as pattern_id,
    timestamp '2025-01-01' + to_microseconds(cast(400 * 86400e6 * i / {executions} as bigint)) as occurred_at,
    case when a < 0.9 then sha256(pattern % 50 || '/' || cast(b * b * 400 as integer)) end as user_id,
    'agent-' || cast(c * 12 as integer) as agent_id,
    'context-' || cast(a * 5 as integer) as context_type,
    case when b < 0.85 then 'project-' || cast(c * 9 as integer) end as project,
    case when c < 0.75 then 'type-' || cast(b * 6 as integer) end as file_type,
    a > 0.1 as succeeded,
    a < 0.02 as timed_out,
    a between 0.02 and 0.04 as quality_gate_failed,
    100 * exp(2 * b) as execution_time_ms,
    case when c < 0.8 then b end as quality_score,
    1::bigint as loaded_through
from (
    select
        i, random() as a, random() as b, random() as c,
        cast(floor({patterns} * random() ** 2) as integer) as pattern
    from range({executions}) as r(i)
)"""


def published(folder: Path, executions: int = EXECUTIONS) -> Storage:
    """A storage root under `folder` whose published version has these executions; kept for the next benchmark."""
    storage = Storage(folder / f"patterns-{short(executions)}")
    version = storage.versions / "1"
    if not storage.published.is_symlink():
        version.mkdir(parents=True, exist_ok=True)
        (version / versions.SNAPSHOT).unlink(missing_ok=True)
        with duckdb.connect(str(version / versions.SNAPSHOT)) as snapshot:
            snapshot.execute("select setseed(0.5)")
            draw = DRAW.format(executions=executions, patterns=PATTERNS)
            snapshot.execute(
                f"""
                create schema intermediate; create schema patterns; create schema ops;
                create table intermediate.int_pattern_executions as
                from ({draw}) order by tenant_id, pattern_id, occurred_at;
                create table patterns.pattern_analytics as
                select distinct tenant_id, pattern_id, 'all_time' as window_type
                from intermediate.int_pattern_executions;
                create table ops.publications as
                select 'pattern_analytics' as mart, max(occurred_at) as as_of from intermediate.int_pattern_executions;
                """
            )
        (version / versions.MANIFEST).write_text("{}")
        storage.published.symlink_to(version.relative_to(storage.root))
    return storage


def ask(storage: Storage, *arguments: str) -> Cost:
    """`agent-analytics` with these arguments, in a process of its own."""
    return measure.python("-m", "agent_analytics.cli", *arguments, environment={"ANALYTICS_STORAGE": str(storage.root)})


def steps(executions: int = EXECUTIONS) -> dict[str, tuple[str, ...]]:
    """What is asked, by the name of its figure. A start without a question comes first: it is part of the others."""
    among = f"of {PATTERNS:,} patterns, {short(executions)} executions"
    whole = ("--detail", "comprehensive", "--json")
    return {
        "command line's start-up": ("query", "select 1"),
        f"pattern: an average one {among}": ("pattern", "pattern-2500", *whole),
        f"pattern: the busiest one {among}": ("pattern", "pattern-0", *whole),
        f"five patterns side by side {among}": ("pattern", *(f"pattern-{n}" for n in (0, 1, 10, 100, 1000)), *whole),
        f"pattern: an average one, 30 days {among}": (
            *("pattern", "pattern-2500", "--from", "2025-06-01", "--to", "2025-06-30"),
            *whole,
        ),
    }
