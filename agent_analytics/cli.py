"""The command line. Each command calls one plain function; the functions are imported when their command runs.

Exit status: 0 only when all that was asked happened; 1 with one clear line on standard error when not; 2 for wrong
usage.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.exceptions import TyperException

from agent_analytics import console
from agent_analytics.errors import AnalyticsError, refusal
from agent_analytics.storage import PROJECT_ROOT, Storage

if TYPE_CHECKING:
    from agent_analytics.gate import GateResult
    from agent_analytics.ingest import IngestReport
    from agent_analytics.operations.runs import Run
    from agent_analytics.patterns import Report
    from agent_analytics.publish import Publication
    from agent_analytics.status import Status
    from agent_analytics.transform import BuildReport

app = typer.Typer(
    name="agent-analytics",
    help="From landed event files to published marts. The storage root is ANALYTICS_STORAGE, by default storage/.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
loads_app = typer.Typer(help="The ledger of loads.", no_args_is_help=True, rich_markup_mode=None)
contract_app = typer.Typer(help="The event contract.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(loads_app, name="loads")
app.add_typer(contract_app, name="contract")
metrics_app = typer.Typer(help="The dictionary of metrics.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(metrics_app, name="metrics")
incidents_app = typer.Typer(help="What is wrong, and who looks after it.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(incidents_app, name="incidents")
alerts_app = typer.Typer(help="From breaches to incidents.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(alerts_app, name="alerts")
export_app = typer.Typer(
    help="Write out an experiment's readout, or all that is held on a tenant or a user.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(export_app, name="export")


class Format(StrEnum):
    """How `query` gives its answer."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"
    excel = "excel"


class Destination(StrEnum):
    """Where `publish` can bring what is published."""

    postgres = "postgres"


class Export(StrEnum):
    """How `export` writes."""

    csv = "csv"
    json = "json"


class Detail(StrEnum):
    """How much `pattern` shows."""

    summary = "summary"
    detailed = "detailed"
    comprehensive = "comprehensive"


AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
IncidentId = Annotated[int, typer.Argument(min=1, metavar="ID", help="The incident's number.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]


# The steps


@app.command()
def ingest() -> None:
    """Load the landed files that are new."""
    from agent_analytics.ingest import ingest as step

    storage = Storage.from_env()
    with _recording(storage, "ingest") as record, console.progress("ingest") as progress:
        report = step(storage, progress=lambda what, share: progress(f"{what} {share:.0%}"))
        record.ingested(report)
    _print_ingest(report, "nothing new in landing")


@app.command()
def build(
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Build every model from all loads.")] = False,
    select: Annotated[str | None, typer.Option(help="Only these models (dbt's selection syntax).")] = None,
    start: Annotated[str | None, typer.Option(help="Backfill: the first date, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option(help="Backfill: the last date, YYYY-MM-DD.")] = None,
) -> None:
    """Build the candidate marts with dbt, from what is new."""
    from agent_analytics.transform import build as step
    from agent_analytics.transform import read_last_build

    storage = Storage.from_env()
    _check_dates(start, end)
    with _recording(storage, "build") as record, console.progress("build") as progress:
        before = read_last_build(storage)
        report = step(
            storage,
            full_refresh=full_refresh,
            select=select,
            start=start,
            end=end,
            progress=lambda node, outcome: progress(f"{node} {outcome}"),
            meanwhile=record.begin,
        )
        is_new = before is None or before.build_id != report.build_id
        record.built(report, is_new=is_new)
    _print_build(report, is_new)
    if report.failures:
        raise AnalyticsError(f"{len(report.failures)} models or tests failed: {'; '.join(report.failures)}")


@app.command()
def gate(
    accept: Annotated[str | None, typer.Option(metavar="FAMILY", help="Accept this family's failed result.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is accepted; kept in the audit trail.")] = None,
) -> None:
    """Check the candidate marts against their expectations; or accept a failed result."""
    from agent_analytics import gate as gates

    storage = Storage.from_env()
    if (accept is None) != (reason is None):
        raise typer.BadParameter("--accept and --reason go together")
    if accept is None or reason is None:
        with _recording(storage, "gate") as record, console.progress("gate") as progress:
            results = gates.gate(storage, progress=progress)
            record.gated(results)
        _print_gates(results)
        return
    _require_reason(reason)
    with _writing(storage, f"gate --accept {accept}"), _audited(storage, "accept", accept, reason) as actor:
        gates.accept(storage, accept, reason, actor)
    print(f"{accept}: accepted; run agent-analytics publish")


@app.command()
def publish(
    to: Annotated[
        Destination | None, typer.Option(help="Copy what is published to the server of ANALYTICS_POSTGRES_URL.")
    ] = None,
) -> None:
    """Publish the families that passed; or copy what is published to PostgreSQL."""
    from agent_analytics.publish import publish as step

    storage = Storage.from_env()
    if to is Destination.postgres:
        _publish_to_postgres(storage)
        return
    with _recording(storage, "publish") as record, console.progress("publish") as progress:
        publication = step(storage, run_id=record.run_id, progress=progress)
        record.published(publication)
    _print_publication(publication)


@app.command()
def run(
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Build every model from all loads.")] = False,
    start: Annotated[str | None, typer.Option(help="Backfill: the first date, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option(help="Backfill: the last date, YYYY-MM-DD.")] = None,
) -> None:
    """Ingest, build, gate and publish: what a schedule calls. With dates, they are recomputed too."""
    from agent_analytics.pipeline import run as step

    storage = Storage.from_env()
    _check_dates(start, end)
    with _writing(storage, "run"), console.progress("run") as progress:
        report = step(storage, full_refresh=full_refresh, progress=progress, start=start, end=end)
    _print_load(report.ingest, "nothing new in landing")
    _print_build(report.build, report.built_anew)
    _print_version(report.publication)
    print(", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.seconds.items()))
    if report.problems:
        raise AnalyticsError(f"the run left {len(report.problems)} problems: {'; '.join(report.problems)}")


@app.command()
def demo() -> None:
    """Run the main job on the real events of samples/ and show the headline numbers."""
    from agent_analytics.demo import demo as step

    storage = Storage.from_env()
    print(f"samples/landing -> {storage.root}: ingest, build, gate, publish", flush=True)
    with _writing(storage, "demo"), console.steps("demo") as progress:
        shown = step(storage, progress=progress)
    _print_load(shown.report.ingest, "nothing new has landed")
    console.table(("headline", "value"), shown.headlines)
    console.table(("family", "mart", "rows", "gate"), shown.published)
    print(f"and {shown.empty} marts without rows: the samples have no events for them, or none in their time windows;")
    print("agent-analytics simulate makes events for all of them")
    print(f"published: {storage.published}/ (analytics.duckdb, one Parquet file a mart, manifest.json)")
    print("next: make dagster                  the same steps as assets, in Dagster's UI")
    print('      .venv/bin/agent-analytics query "select * from spend_monthly"')
    if shown.report.problems:
        raise AnalyticsError("; ".join(shown.report.problems))


@app.command()
def replay() -> None:
    """Validate the quarantined lines again; those that pass now enter as a new load."""
    from agent_analytics.ingest import replay as step

    storage = Storage.from_env()
    with _correcting(storage, "replay", "replay", "quarantine") as record, console.progress("replay"):
        report = step(storage)
        record.corrected(report)
    _print_ingest(report, "no quarantined line is good now")


@loads_app.command("list")
def loads_list(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List all loads, oldest first."""
    from agent_analytics.status import list_loads

    rows = [vars(load) for load in list_loads(Storage.from_env())]
    columns = ("load_id", "kind", "started_at", "files", "lines", "accepted", "duplicates", "rejected", "retracted_by")
    if as_json:
        print(console.json_rows(list(rows[0]) if rows else [], [list(row.values()) for row in rows]), end="")
    else:
        console.table(columns, [[row[name] for name in columns] for row in rows])


@loads_app.command("retract")
def loads_retract(
    load_id: Annotated[int, typer.Argument(min=1, metavar="N", help="The load to take back.")],
    reason: Reason,
) -> None:
    """Take a bad load back, by a load of its own. The next run brings the marts up to it."""
    from agent_analytics.ingest import retract as step

    storage = Storage.from_env()
    _require_reason(reason)
    with _correcting(storage, "loads retract", "retract", f"load {load_id}", reason) as record:
        report = step(storage, load_id, reason)
        record.corrected(report)
    for warning in report.warnings:
        console.note(f"warning: {warning}")
    print(f"load {load_id} is retracted: run agent-analytics run")


@app.command()
def simulate(
    events: Annotated[int, typer.Option(min=1, help="How many events.")] = 100_000,
    days: Annotated[float, typer.Option(help="Over how many days.")] = 30,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    late: Annotated[float, typer.Option(min=0, max=1, help="Share of events that arrive late.")] = 0.02,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share of lines sent twice.")] = 0.005,
    broken: Annotated[float, typer.Option(min=0, max=1, help="Share of lines that must be rejected.")] = 0.0,
    tenants: Annotated[int, typer.Option(min=1, help="How many tenants.")] = 50,
    gzip: Annotated[bool, typer.Option("--gzip", help="Write .jsonl.gz.")] = False,
    out: Annotated[Path | None, typer.Option(help="The folder to write to; landing by default.")] = None,
) -> None:
    """Write realistic events into landing."""
    from agent_analytics.simulate import simulate as step

    folder = out or Storage.from_env().landing
    with console.progress("simulate") as progress:
        report = step(
            folder,
            progress=lambda written, total: progress(f"{written} of {total} lines"),
            events=events,
            days=days,
            seed=seed,
            late=late,
            duplicates=duplicates,
            broken=broken,
            tenants=tenants,
            gzip=gzip,
        )
    print(f"{report.events} events, {report.lines} lines in {len(report.files)} files under {folder}")


# Keeping


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder, outside the storage root.")],
    with_landing: Annotated[bool, typer.Option("--landing/--no-landing", help="Landed files too.")] = True,
) -> None:
    """Copy all that can't be rebuilt, as it is now, while others may go on writing."""
    from agent_analytics.backup import backup as step

    with console.progress("backup") as progress:
        made = step(Storage.from_env(), folder, with_landing, progress)
    for warning in made.warnings:
        console.note(f"warning: {warning}")
    print(f"{folder}: {len(made.files)} files, {made.bytes} bytes, through load {made.load_id}")


@app.command()
def erase(
    reason: Annotated[str, typer.Option(help="Why; kept in the audit trail. Don't name the person in it.")],
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="The tenant to erase.")] = None,
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="The user to erase, by the id that producers send.")
    ] = None,
) -> None:
    """Take a tenant, or a user, out of everything under the storage root, and publish anew."""
    from agent_analytics.privacy.erase import erase as step
    from agent_analytics.privacy.subject import Subject

    if (tenant is None) == (user is None) or not (tenant or user or "").strip():
        raise typer.BadParameter("name one of --tenant and --user")
    _require_reason(reason)
    storage = Storage.from_env()
    subject = Subject.of(storage, "tenant", tenant) if tenant else Subject.of(storage, "user", str(user))
    with console.progress("erase") as progress:
        done = step(storage, subject, reason.strip(), progress)
    print(
        f"erased: {done.lines} landed lines in {done.files} files, {done.events} events and {done.copies} copies in the"
        f" lake, {done.rejected} quarantined lines, {done.operations} rows of the operations database"
    )
    if not any((done.lines, done.events, done.copies, done.rejected, done.operations)):
        console.note(f"warning: nothing was held on this {subject.kind}: is the id the one that producers send?")
    print("nothing was published" if done.version is None else f"version {done.version} is published, and no other")
    if done.problems:
        raise AnalyticsError(f"erased, but {len(done.problems)} problems are left: {'; '.join(done.problems)}")


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What backup made.")],
) -> None:
    """Bring a backup back into an empty storage root."""
    from agent_analytics.backup import restore as step

    storage = Storage.from_env()
    with console.progress("restore") as progress:
        made = step(storage, folder, progress)
    print(f"{storage.root} is as it was at {made.made_at}, through load {made.load_id}: run agent-analytics run")


@app.command("retention")
def keep_by_policy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would move, and change nothing.")] = False,
) -> None:
    """Move old events into archive/, and landed files that are loaded, as the policy says."""
    from agent_analytics.retention import retention as step

    with console.progress("retention") as progress:
        done = step(Storage.from_env(), dry_run=dry_run, progress=progress)
    for name in done.kept:
        console.note(f"landing/{name} stays: its content changed after it was loaded")
    if not done.moved:
        print(
            f"nothing {'would move' if dry_run else 'has moved'}: no event is older than {done.before or 'the first'}"
        )
        return
    columns = ("what", "to", "files", "rows", "bytes", "first_day", "last_day")
    title = "would move" if dry_run else "moved"
    rows = [(m.what, m.where, m.files, m.rows, m.bytes, m.first, m.last) for m in done.moved]
    console.table(columns, rows, title)


# Looking


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One reading statement over the published marts.")],
    output: Annotated[
        Format | None, typer.Option("--format", help="What the answer is; else what --out ends in, or a table.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; standard output by default.")] = None,
    max_rows: Annotated[
        int | None,
        typer.Option(
            min=1, help="So many rows at most. EXPORT_MAX_ROWS is never exceeded; a table on a terminal stops at 200."
        ),
    ] = None,
    chart: Annotated[bool, typer.Option("--chart", help="Draw the answer: numbers over time, or bars.")] = False,
) -> None:
    """Ask the published marts."""
    from agent_analytics import export

    storage = Storage.from_env()
    kind = _format(output, out, chart)
    highest = export.max_rows()
    asked = 200 if max_rows is None and kind is Format.table and not chart and sys.stdout.isatty() else max_rows
    limit = highest if asked is None else min(asked, highest)
    if chart or kind is Format.table:
        truncated = _print_answer(storage, sql, limit, chart)
    elif out is not None:
        truncated = export.write(storage, sql, kind.value, out, limit)
        console.note(f"{out} is written")
    else:
        try:
            truncated = _stream_answer(storage, sql, kind, limit)
        except BrokenPipeError:
            _reader_has_gone()
            return
    if truncated:
        more = "set EXPORT_MAX_ROWS higher for more" if limit == highest else "--max-rows shows more"
        console.note(f"only the first {limit} rows are shown: {more}")


def _format(output: Format | None, out: Path | None, chart: bool) -> Format:
    from agent_analytics.export import SUFFIXES

    if chart and (output or out):
        raise typer.BadParameter("--chart is for the terminal, without --format and --out")
    if output is None:
        output = Format(SUFFIXES.get(out.suffix.lower(), "table")) if out else Format.table
    if out is not None and output is Format.table:
        raise typer.BadParameter(f"--out {out}: end its name in {', '.join(SUFFIXES)}, or say --format")
    if out is None and output in (Format.parquet, Format.excel) and sys.stdout.isatty():
        raise typer.BadParameter(f"{output.value} is not for a terminal: name a file with --out")
    return output


def _print_answer(storage: Storage, sql: str, limit: int, chart: bool) -> bool:
    from agent_analytics.query import run_query

    result = run_query(storage, sql, limit)
    if chart:
        from agent_analytics.chart import chart as draw

        size = shutil.get_terminal_size((100, 30))
        print(draw(result.columns, result.rows, size.columns, max(size.lines - 4, 10), sys.stdout.isatty()))
    else:
        console.table(result.columns, result.rows)
    return result.truncated


def _stream_answer(storage: Storage, sql: str, kind: Format, limit: int) -> bool:
    from agent_analytics import export
    from agent_analytics.query import answer

    if kind in (Format.csv, Format.json):
        with answer(storage, sql, limit) as found:
            for text in export.lines(found, kind.value):
                sys.stdout.write(text)
        return found.truncated
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer"
        truncated = export.write(storage, sql, kind.value, path, limit)
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
    return truncated


@app.command("marts")
def list_marts(as_json: AsJson = False) -> None:
    """List the published marts: rows, freshness, description."""
    from agent_analytics import catalogue

    entries = catalogue.marts(Storage.from_env())
    if as_json:
        print(console.to_json(entries))
        return
    columns = ("family", "mart", "rows", "newest event", "freshness", "description")
    rows = [
        (e["family"], e["mart"], e["rows"], catalogue.newest_event(e), catalogue.freshness(e), catalogue.headline(e))
        for e in entries
    ]
    console.table(columns, rows)


@app.command()
def describe(
    mart: Annotated[str, typer.Argument(metavar="MART", help="A mart, with or without its schema.")],
    as_json: AsJson = False,
) -> None:
    """Say what a mart holds: its columns, their types, what they mean."""
    from agent_analytics import catalogue

    found = catalogue.describe(Storage.from_env(), mart)
    if as_json:
        print(console.to_json(found))
        return
    print(f"{found['schema']}.{found['mart']}: {found['rows']:,} rows, {catalogue.freshness(found)}")
    print(console.one_line(found["description"] or ""))
    print()
    rows = [(column["name"], column["type"], column["description"]) for column in found["columns"]]
    console.table(("column", "type", "meaning"), rows)


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    tenant: Annotated[str | None, typer.Option(help="Of one tenant; else of all.")] = None,
    with_pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="Also write it as a PDF beside the page.")] = True,
) -> None:
    """Write headlines, trends, funnels and open incidents as one HTML page, and as a PDF of it."""
    from agent_analytics import durable
    from agent_analytics.export import file_named
    from agent_analytics.report import html, pdf

    if file_named(out).suffix.lower() == ".pdf":
        raise AnalyticsError(f"{out}: end its name in .html; the PDF is written beside the page")
    page = html(Storage.from_env(), tenant)
    try:
        durable.write_bytes(out, page.encode())
        print(f"{out} is written")
        if with_pdf:
            out = out.with_suffix(".pdf")
            durable.write_bytes(out, pdf(page))
            print(f"{out} is written")
    except OSError as error:
        raise AnalyticsError(f"{out} can't be written: {error.strerror}") from None


@app.command()
def pattern(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="One pattern, or several to compare.")],
    begin: Annotated[
        str | None,
        typer.Option("--from", help="A date, taken in whole, or a time, after which the window begins; else all time."),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--to", help="A date, taken in whole, or a time, with which the window ends; else the data clock."
        ),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="The patterns of this tenant only.")] = None,
    detail: Annotated[Detail, typer.Option(help="Headlines, all measures, or the contexts too.")] = Detail.summary,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Analyse patterns in any window: usage, success, performance, trend; several side by side."""
    from agent_analytics import patterns

    try:
        found = patterns.report(Storage.from_env(), ids, begin, end, tenant, detail.value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        print(console.to_json(found.as_json()))
    else:
        _print_patterns(found)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """How the pipeline stands: loads, lag, gates, what is published and what is stale."""
    from agent_analytics.status import status as look

    found = look(Storage.from_env())
    if as_json:
        print(console.to_json(found.as_json()))
    else:
        _print_status(found)


@export_app.command("experiment")
def export_experiment(
    name: Annotated[str, typer.Argument(help="The experiment.")],
    output: Annotated[Export, typer.Option("--format", help="csv: the readouts; json: with the health.")] = Export.csv,
    out: Annotated[Path | None, typer.Option(help="The file to write; standard output by default.")] = None,
) -> None:
    """The published readout of one experiment."""
    from agent_analytics import durable, experiments, export

    storage = Storage.from_env()
    if out is not None:
        export.file_named(out)
    if output is Export.json:
        text = console.to_json(experiments.document(storage, name)) + "\n"
    else:
        found = experiments.readout(storage, name)
        text = console.csv_text(found.columns, found.rows)
    if out is None:
        print(text, end="")
        return
    try:
        durable.write_text(out, text)
    except OSError as error:
        raise AnalyticsError(f"{out} can't be written: {error.strerror}") from None
    print(f"{out} is written")


@export_app.command("tenant")
def export_tenant(
    tenant: Annotated[str, typer.Argument(metavar="ID", help="The tenant.")],
    out: Annotated[Path, typer.Option(help="The folder to write to, new or empty.")],
) -> None:
    """All that is held on a tenant, as JSON and CSV."""
    _export("tenant", tenant, out)


@export_app.command("user")
def export_user(
    user: Annotated[str, typer.Argument(metavar="ID", help="The user, by the id that producers send.")],
    out: Annotated[Path, typer.Option(help="The folder to write to, new or empty.")],
) -> None:
    """All that is held on a user, as JSON and CSV."""
    _export("user", user, out)


def _export(kind: Literal["tenant", "user"], identifier: str, out: Path) -> None:
    from agent_analytics.privacy.holdings import export
    from agent_analytics.privacy.subject import Subject

    storage = Storage.from_env()
    held = export(storage, Subject.of(storage, kind, identifier), out)
    console.table(("held", "rows"), list(held.items()))


# Incidents


@alerts_app.command("evaluate")
def alerts_evaluate() -> None:
    """Turn the breaches of the newest publication into incidents, and deliver what is due."""
    from agent_analytics import alerts

    done = alerts.evaluate(Storage.from_env())
    changes = ", ".join(f"{count} {event.replace('_', ' ')}" for event, count in sorted(done.counts.items()))
    told = f"{done.breaches} breaches: {changes or 'nothing changed'}"
    print(told if done.new else "nothing new is published")
    delivered = done.delivered
    if delivered.sent or delivered.pending:
        print(f"notifications: {delivered.sent} delivered, {delivered.pending} pending")
    if delivered.why:
        console.note(f"warning: {delivered.why}; it is tried again")


@incidents_app.command("list")
def incidents_list(
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the open incidents, the worst first."""
    from agent_analytics.operations import desk

    rows = desk.listed(Storage.from_env(), everything)
    if as_json:
        print(console.to_json(rows))
    else:
        _print_incidents(rows)


@incidents_app.command("show")
def incidents_show(incident_id: IncidentId, as_json: AsJson = False) -> None:
    """Show one incident with its history and what was sent about it."""
    from agent_analytics.operations import desk

    shown = desk.show(Storage.from_env(), incident_id)
    if as_json:
        print(console.to_json(shown))
    else:
        _print_incident(shown)


@incidents_app.command("ack")
def incidents_ack(
    incident_id: IncidentId,
    note: Annotated[str, typer.Option(help="What you know or do about it.")],
) -> None:
    """Say that you look after an incident."""
    from agent_analytics.operations import desk

    if not note.strip():
        raise typer.BadParameter("--note must say something")
    actor = desk.acknowledge(Storage.from_env(), incident_id, note.strip())
    print(f"incident {incident_id} is acknowledged by {actor}")


@incidents_app.command("resolve")
def incidents_resolve(incident_id: IncidentId, reason: Reason) -> None:
    """End an incident by hand. The next publication in which it is still wrong opens another."""
    from agent_analytics.operations import desk

    _require_reason(reason)
    actor = desk.resolve(Storage.from_env(), incident_id, reason.strip())
    print(f"incident {incident_id} is resolved by {actor}")


@app.command("audit")
def audit_list(
    action: Annotated[str | None, typer.Option(help="Of one kind only, such as erase.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many entries.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what people did to the data, who and why; the newest first."""
    from agent_analytics.operations import audit

    rows = [vars(entry) for entry in audit.entries(Storage.from_env(), action, limit)]
    if as_json:
        print(console.to_json(rows))
    else:
        columns = ("at", "actor", "action", "subject", "reason", "detail")
        console.table(columns, [[row[name] for name in columns] for row in rows], "audit trail")


@contract_app.command("docs")
def contract_docs() -> None:
    """Write docs/contract.md from contracts/events.yml."""
    from agent_analytics import durable
    from agent_analytics.contract import contract_markdown, load_contract

    path = PROJECT_ROOT / "docs" / "contract.md"
    durable.write_text(path, contract_markdown(load_contract()))
    print(f"{path} is written")


@contract_app.command("check")
def contract_check() -> None:
    """Check contracts/events.yml, and that docs/contract.md says the same."""
    from agent_analytics.contract import contract_markdown, load_contract

    contract = load_contract()
    path = PROJECT_ROOT / "docs" / "contract.md"
    if not path.is_file() or path.read_text(encoding="utf-8") != contract_markdown(contract):
        raise AnalyticsError(f"{path} is not that of the contract: run agent-analytics contract docs")
    print(f"the contract is sound: fingerprint {contract.fingerprint}")


@metrics_app.command("docs")
def metrics_docs() -> None:
    """Write docs/metrics/ from the models' yml files."""
    from agent_analytics import durable, metrics

    written = _metric_pages()
    for name in _left_over(written):
        (metrics.FOLDER / name).unlink()
    for name, text in written.items():
        durable.write_text(metrics.FOLDER / name, text)
    print(f"{metrics.FOLDER} is written: {len(written)} pages")


@metrics_app.command("check")
def metrics_check() -> None:
    """Check that docs/metrics/ says what the models' yml files say."""
    from agent_analytics import metrics

    written = _metric_pages()
    differing = _left_over(written)
    for name, text in written.items():
        path = metrics.FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            differing.append(name)
    if differing:
        names = ", ".join(sorted(differing))
        raise AnalyticsError(f"not those of the models in {metrics.FOLDER}: {names}: run agent-analytics metrics docs")
    print(f"{metrics.FOLDER} is current")


def _metric_pages() -> dict[str, str]:
    from agent_analytics import metrics
    from agent_analytics.dbt_worker import worker
    from agent_analytics.transform import dbt_environment

    parsed = worker().invoke(["--quiet", "parse", "--target", "prod"], dbt_environment(Storage.from_env()))
    if not parsed.success:
        raise AnalyticsError(f"dbt could not parse the project: {parsed.error}")
    return metrics.pages(metrics.layer())


def _left_over(written: dict[str, str]) -> list[str]:
    """Pages of families that are gone."""
    from agent_analytics import metrics

    return [path.name for path in metrics.FOLDER.glob("*.md") if path.name not in written]


# Printing


def _print_build(report: BuildReport, is_new: bool) -> None:
    counted = Counter(model["status"] for model in report.models.values())
    unchanged, skipped = counted["unchanged"], counted["skipped"]
    failed = len(report.models) - len(report.built) - unchanged - skipped
    if is_new:
        print(
            f"build through load {report.load_id}: {len(report.built)} models built, {unchanged} unchanged,"
            f" {failed} failed{f', {skipped} skipped' if skipped else ''}"
        )
    else:
        print(f"nothing to build: the last build is through load {report.load_id}")
    for test in report.warned_tests:
        console.note(f"warning: {test['test']}: {test['message']}")
    for name in report.unmatched:
        console.note(f"warning: --select {name}: nothing in the project is called that")


def _publish_to_postgres(storage: Storage) -> None:
    from agent_analytics import postgres
    from agent_analytics.operations import runs

    with console.progress("publish") as progress:
        done = postgres.publish(storage, postgres.address(), progress)
    runs.mended(storage, "postgres")
    print(f"version {done.version} is in PostgreSQL: {len(done.copied)} marts copied, {done.unchanged} unchanged")
    if done.withdrawn:
        print(f"withdrawn: {', '.join(done.withdrawn)}")


def _print_version(publication: Publication) -> None:
    if publication.changed:
        print(f"version {publication.version}: {len(publication.replaced)} marts written")
    elif publication.version is None:
        print("nothing to publish, and nothing is published yet")
    else:
        print(f"nothing to publish: version {publication.version} is current")


def _print_publication(publication: Publication) -> None:
    _print_version(publication)
    if publication.failed:
        names: dict[str, list[str]] = {}
        for state in publication.failed:
            names.setdefault(state.why or "", []).append(state.name)
        failed = "; ".join(f"{', '.join(found)} ({why})" for why, found in names.items())
        total = len(publication.families)
        raise AnalyticsError(f"{len(publication.failed)} of {total} families are not published: {failed}")


def _print_load(report: IngestReport, otherwise: str) -> None:
    for warning in report.warnings:
        console.note(f"warning: {warning}")
    if report.load_id is None:
        print(otherwise)
    else:
        print(
            f"load {report.load_id}: {report.lines} lines in {len(report.files)} files: {report.accepted} accepted,"
            f" {report.duplicates} duplicates, {report.rejected} rejected"
        )
    if report.rejects:
        console.table(("rejected because", "lines"), sorted(report.rejects.items()))


def _print_ingest(report: IngestReport, otherwise: str) -> None:
    _print_load(report, otherwise)
    if not report.ok:
        wrong = [f"{name} changed after it was loaded" for name in report.refused]
        wrong += [f"{name}: {why}" for name, why in report.failed.items()]
        raise AnalyticsError(f"{len(wrong)} landed files are not loaded: {'; '.join(wrong)}")


def _print_gates(results: dict[str, GateResult]) -> None:
    rows = [
        (name, result.status, f"{result.evaluated}/{result.expected}", result.why) for name, result in results.items()
    ]
    console.table(("family", "gate", "evaluated", "why"), rows)
    failed = [f"{name} ({result.why})" for name, result in results.items() if not result.ok]
    if failed:
        raise AnalyticsError(f"{len(failed)} of {len(results)} gates failed: {'; '.join(failed)}")


def _print_status(found: Status) -> None:
    newest = found.newest_load
    build = found.build or {}
    console.table(
        ("storage", found.storage),
        [
            (
                "writing now",
                f"{found.writer.get('command')} (pid {found.writer.get('pid')})" if found.writer else "nobody",
            ),
            ("loads", f"{found.loads}, the newest at {newest.started_at}" if newest else "none"),
            ("waiting in landing", f"{len(found.waiting)} files"),
            ("changed after loading", ", ".join(found.changed) or "none"),
            ("unreadable in landing", "; ".join(f"{name}: {why}" for name, why in found.unreadable.items()) or "none"),
            ("data clock", found.data_clock),
            ("last build", f"{build.get('status')} at {build.get('finished_at')}" if build else "none"),
            ("failed models", ", ".join(build.get("failed") or ()) or "none"),
            ("published", f"version {found.version} at {found.published_at}" if found.version else "nothing yet"),
            ("open incidents", "unknown" if found.incidents is None else len(found.incidents)),
        ],
    )
    if found.incidents_why:
        console.note(f"warning: {found.incidents_why}")
    if found.incidents:
        print()
        _print_incidents(list(found.incidents))
    if found.families:
        print()
        rows = [(f.family, f.status, f.gate, f.since, f.why, len(f.marts)) for f in found.families]
        console.table(("family", "status", "gate", "since", "why", "marts"), rows, "families")
    if found.watermarks:
        print()
        columns = ("model", "loaded_through", "newest_event_at", "lag_loads", "lag_hours")
        console.table(columns, [[getattr(mark, name) for name in columns] for mark in found.watermarks], "watermarks")


def _print_incidents(rows: list[dict[str, Any]]) -> None:
    columns = ("id", "severity", "status", "title", "value", "family", "opened_at", "resolved_at")
    console.table(columns, [[row[name] for name in columns] for row in rows], "incidents")


def _print_incident(shown: dict[str, Any]) -> None:
    aside = ("history", "notifications", "details", "suggested_actions")
    facts = [(name, value) for name, value in shown.items() if name not in aside and value not in (None, "")]
    console.table(("incident", str(shown["id"])), facts[1:])
    for title, rows in (
        ("what to do", [{"action": action} for action in shown["suggested_actions"]]),
        ("evidence", shown["details"]),
        ("history", shown["history"]),
        ("notifications", shown["notifications"]),
    ):
        if rows:
            print()
            names = list(dict.fromkeys(name for row in rows for name in row))
            print(title)
            console.table(names, [[row.get(name) for name in names] for row in rows])


def _print_patterns(found: Report) -> None:
    begin = "each pattern's first execution" if found.window.begin is None else found.window.begin
    rows = [
        (section if name == names[0] else "", name, *(console.short(p.measures[name]) for p in found.patterns))
        for section, names in found.sections.items()
        for name in names
    ]
    print(f"from {begin} to {found.window.end} UTC")
    console.table(("", "measure", *(p.name for p in found.patterns)), rows)
    for dimension, values in found.contexts.items():
        print()
        shares = [
            (value, *(console.short(counts and f"{counts['executions']} ({counts['share']:.1%})") for counts in row))
            for value, row in values.items()
        ]
        console.table((dimension, *(p.name for p in found.patterns)), shares)


# Helpers


def _writing(storage: Storage, what: str) -> AbstractContextManager[int]:
    from agent_analytics.locking import writer_lock

    return writer_lock(storage, f"agent-analytics {what}")


@contextmanager
def _recording(storage: Storage, step: str) -> Iterator[Run]:
    from agent_analytics.operations.runs import recording

    with _writing(storage, step), recording(storage, step, step) as record:
        yield record
    if record.problem:
        raise AnalyticsError(record.problem)


@contextmanager
def _correcting(storage: Storage, command: str, action: str, subject: str, reason: str | None = None) -> Iterator[Run]:
    """The record of what a person does to loads, which is audited."""
    from agent_analytics.operations.runs import recording

    with (
        _writing(storage, command),
        _audited(storage, action, subject, reason),
        recording(storage, command, command, by_hand=True) as record,
    ):
        yield record
    if record.problem:
        raise AnalyticsError(record.problem)


def _audited(storage: Storage, action: str, subject: str, reason: str | None = None) -> AbstractContextManager[str]:
    from agent_analytics.operations import audit

    return audit.audited(storage, action, subject, reason)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise typer.BadParameter("--reason must say why")


def _check_dates(start: str | None, end: str | None) -> None:
    for name, text in (("--start", start), ("--end", end)):
        try:
            datetime.strptime(text or "2000-01-01", "%Y-%m-%d")
        except ValueError:
            raise typer.BadParameter(f"{name}: {text} is not a date such as 2026-01-31") from None
    if (start is None) != (end is None):
        raise typer.BadParameter("--start and --end go together")
    if start and end and start > end:
        raise typer.BadParameter(f"--start {start} is after --end {end}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point `agent-analytics`: runs a command and exits with its status."""
    status = execute(arguments)
    # The interpreter would look once more through all that was imported, for half a second after a run.
    gc.freeze()
    sys.exit(status)


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; errors become one line on standard error."""
    try:
        result = typer.main.get_command(app).main(
            args=None if arguments is None else list(arguments), prog_name="agent-analytics", standalone_mode=False
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except TyperException as error:
        # Wrong usage. Its own way to show itself adds the command's usage; the exit code is 2.
        show = getattr(error, "show", None)
        if show is None:
            return _fail(str(error), error.exit_code)
        show()
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except AnalyticsError as error:
        return _fail(str(error))
    except BrokenPipeError:
        _reader_has_gone()
        return 0
    except Exception as error:
        return _fail(str(refusal(error) or _unexpected(error)))


def _reader_has_gone() -> None:
    """The reader of our output has seen enough; the interpreter must not complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int = 1) -> int:
    sys.stdout.flush()
    print(f"agent-analytics: {console.one_line(message.strip())}", file=sys.stderr)
    return code


def _unexpected(error: Exception) -> str:
    """One line for an error that nobody foresaw, whose trace goes to a file of its own."""
    summary = f"unexpected {type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
    trace = "".join(traceback.format_exception(error))
    try:
        path = Storage.from_env().root / "logs" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    except AnalyticsError as refused:
        return f"{summary} (its trace can't be written: {refused})"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(trace, encoding="utf-8")
    except OSError:
        return f"{summary} (its trace can't be written to {path})"
    return f"{summary} (its trace is in {path})"


if __name__ == "__main__":
    main()
