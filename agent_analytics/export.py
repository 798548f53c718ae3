"""An answer as a file: CSV, JSON, Parquet or Excel."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent_analytics import console, durable
from agent_analytics.errors import AnalyticsError
from agent_analytics.query import Answer, answer, write_parquet
from agent_analytics.storage import Storage

SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".xlsx": "excel"}

DEFAULT_MAX_ROWS = 1_000_000

EXCEL_ROWS = 1_048_575
EXCEL_TEXT = 32_767
# Excel counts in 64-bit floats, and shows 15 digits of them.
EXCEL_DIGITS = 15


def max_rows() -> int:
    """How many rows an answer may have at most: EXPORT_MAX_ROWS, a million by default."""
    text = os.environ.get("EXPORT_MAX_ROWS", "")
    if not text.strip():
        return DEFAULT_MAX_ROWS
    try:
        if (limit := int(text)) > 0:
            return limit
    except ValueError:
        pass
    raise AnalyticsError(f"EXPORT_MAX_ROWS is {text!r}: set it to a whole number of rows")


def file_named(path: Path) -> Path:
    """The file that is to be written, if it isn't a folder."""
    if os.path.isdir(path):
        raise AnalyticsError(f"{path} can't be written: it is a folder, so name a file in it")
    return path


def write(storage: Storage, sql: str, kind: str, path: Path, limit: int | None = None) -> bool:
    """Write the answer to a file, whole or not at all; says whether `limit` cut it short.

    `kind` is one of SUFFIXES' values. Raises AnalyticsError as `query.run_query` does, and when the file can't be
    written or its format can't hold the answer.
    """
    path = file_named(path).absolute()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        truncated = _write(storage, sql, kind, part, limit)
        durable.rename(part, path)
    except OSError as error:
        raise AnalyticsError(f"{path} can't be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return truncated


def _write(storage: Storage, sql: str, kind: str, path: Path, limit: int | None) -> bool:
    if not path.parent.is_dir():
        raise AnalyticsError(f"{path.parent} is not a folder: make it first")
    if kind == "parquet":
        return write_parquet(storage, sql, path, limit)
    with answer(storage, sql, limit) as found:
        if kind == "excel":
            _write_excel(found, path)
        else:
            with path.open("w", encoding="utf-8", newline="") as file:
                file.writelines(lines(found, kind))
        return found.truncated


def lines(found: Answer, kind: str) -> Iterable[str]:
    """An answer as pieces of CSV or JSON text."""
    return (console.csv_lines if kind == "csv" else console.json_lines)(found.columns, found)


# Excel


def _write_excel(found: Answer, path: Path) -> None:
    import xlsxwriter

    # Rows are written as they come: a sheet of a million rows is not held.
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"})
    sheet = book.add_worksheet("answer")
    bold = book.add_format({"bold": True})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(found.columns):
        sheet.set_column(column, column, min(max(len(name) + 2, 12), 40))
        sheet.write_string(0, column, name, bold)
    for number, row in enumerate(found, 1):
        if number > EXCEL_ROWS:
            raise AnalyticsError(f"a sheet holds {EXCEL_ROWS:,} rows at most: --max-rows, or another format")
        for column, value in enumerate(row):
            put, content, *style = _excel_cell(sheet, value, day)
            put(number, column, content, *style)
    try:
        book.close()
    except xlsxwriter.exceptions.FileCreateError as error:
        raise OSError(*getattr(error.args[0], "args", error.args)) from None


def _excel_cell(sheet: Any, value: Any, day: Any) -> tuple[Any, ...]:
    """How a value is written: the sheet's method, the content, and perhaps its format. Text is never a formula."""
    if value is None or value != value:
        return sheet.write_blank, None
    if isinstance(value, bool):
        return sheet.write_boolean, value
    if isinstance(value, int | Decimal) and _digits(value) > EXCEL_DIGITS:
        return sheet.write_string, console.cell(value)
    if isinstance(value, int | Decimal | float):
        return (sheet.write_number, value) if abs(value) != float("inf") else (sheet.write_blank, None)
    if isinstance(value, datetime):
        return sheet.write_datetime, value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return sheet.write_datetime, value, day
    text = console.to_json(value) if isinstance(value, list | tuple | dict) else str(value)
    if len(text) > EXCEL_TEXT:
        raise AnalyticsError(f"a cell of Excel holds {EXCEL_TEXT:,} characters at most: take another format")
    return sheet.write_string, text


def _digits(value: int | Decimal) -> int:
    return len(Decimal(value).normalize().as_tuple().digits)
