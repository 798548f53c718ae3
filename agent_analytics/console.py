"""What the command line prints: Rich on a terminal, plain text on pipes."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

Row = Sequence[Any]


def table(columns: Sequence[str], rows: Sequence[Row], title: str | None = None) -> None:
    """Print a table; on a pipe, columns aligned by blanks, without frames or colours."""
    if sys.stdout.isatty():
        _rich_table(columns, rows, title)
    else:
        print(plain_table(columns, rows))


def _rich_table(columns: Sequence[str], rows: Sequence[Row], title: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", header_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        shown.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell(value)) for value in row))
    Console().print(shown)


def plain_table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Aligned columns; numbers to the right."""
    cells = [[one_line(cell(value)) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if flag else text.ljust(width)
            for text, width, flag in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(columns), *cells]
    )


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def cell(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list | tuple | dict):
        return to_json(value)
    return str(value)


def short(value: Any) -> str:
    """A value to be read beside others: numbers with three decimals at most and thousands apart, a dash for nothing."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else cell(value)


def one_line(text: str) -> str:
    return " ".join(text.split("\n")) if "\n" in text else text


def csv_text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """RFC 4180 with a header; NULL is an empty field."""
    return "".join(csv_lines(columns, rows))


def csv_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """The lines of `csv_text`, each with its end, one by one."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in itertools.chain([columns], rows):
        writer.writerow([cell(value) for value in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def json_rows(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """An array of objects, one per line. Decimals are exact numbers; NaN and infinities are null."""
    return "".join(json_lines(columns, rows))


def json_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """The text of `json_rows`, row by row."""
    before, names = "[", distinct(columns)
    for row in rows:
        yield before + to_json(dict(zip(names, row, strict=True)))
        before = ",\n "
    yield "[]\n" if before == "[" else "]\n"


def distinct(columns: Sequence[str]) -> list[str]:
    """The names with a number behind those that came before, as DuckDB names the columns of a table: a, a_1, a_2."""
    names: list[str] = []
    for column in columns:
        tries = itertools.chain([column], (f"{column}_{number}" for number in itertools.count(1)))
        taken = {name.lower() for name in names}
        names.append(next(name for name in tries if name.lower() not in taken))
    return names


def to_json(value: Any) -> str:
    """JSON text of a DuckDB value. json.dumps would turn a decimal into a float, and lose digits of money."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(str(k), ensure_ascii=False)}: {to_json(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_json(item) for item in value) + "]"
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    if isinstance(value, datetime):
        return json.dumps(value.isoformat())
    if value is None or isinstance(value, bool | int | float | str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(str(value), ensure_ascii=False)


def note(text: str) -> None:
    """A remark for the person at the terminal; standard output stays clean for pipes."""
    print(one_line(text), file=sys.stderr)


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """A spinner that names the present item while a step runs, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda item: status.update(f"{what}: {item}")


@contextmanager
def steps(what: str) -> Iterator[Callable[[str], None]]:
    """As `progress`; where there is no terminal, a line whenever a new step (the text before a colon) begins."""
    if sys.stderr.isatty():
        with progress(what) as tell:
            yield tell
        return
    begun: list[str] = []

    def tell_once(message: str) -> None:
        step = message.split(":")[0]
        if step not in begun:
            begun.append(step)
            note(message)

    yield tell_once
