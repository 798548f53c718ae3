"""The exceptions that a user is meant to see, which failures may be gone when the same is tried again, and the next
step after what the machine refuses."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

BUILD_AGAIN = "remove warehouse.duckdb, then run agent-analytics run: it is built again from the lake"
# What DuckDB says of a file that another program has open, and of one that isn't whole.
LOCKED = "Could not set lock on file"
CUT_OFF = "Could not read enough bytes"
NOT_WHOLE = (
    "not a valid DuckDB database file",
    "Serialization Error",
    "database file is corrupt",
    "Corrupt database file",
)
# What the operating system says, also through DuckDB, dbt and SQLite, and what a person can do about it.
NEXT_STEPS = {
    ("No space left on device", "Disk quota exceeded", "File too large", "database or disk is full"): (
        "free some space, then run agent-analytics run again: nothing is lost"
    ),
    ("Permission denied", "Operation not permitted", "Read-only file system"): (
        "let the user who runs this write there, then run agent-analytics run again"
    ),
    ("Input/output error",): "look after the disk, then run agent-analytics run again",
    (LOCKED,): "close that program, or wait until it ends, then try again",
    NOT_WHOLE: BUILD_AGAIN,
}
# The same, of files that DuckDB can't read.
UNREADABLE = {
    "/lake/": (
        (
            "No magic bytes",
            "too small to be a Parquet file",
            "No files found",
            "Cannot open file",
            "TProtocolException",
        ),
        "restore that file of the lake from a backup, then run agent-analytics run",
    ),
    "warehouse.duckdb": ((CUT_OFF,), BUILD_AGAIN),
}
# A value in a seed that isn't of its column's type, of which DuckDB tells how it read the file.
CSV_FAULT = re.compile(
    r"CSV Error on Line: (?P<line>\d+) .*?"
    r'Error when converting column "(?P<column>[^"]+)"\. (?P<why>Could not convert string ".*?" to \'.+?\')'
)


class AnalyticsError(Exception):
    """Something that the user can mend.

    The message is one line: what failed (file, line, field or model) and the next step. The command line prints it
    on standard error and exits with status 1; it never shows a stack trace for it.
    """


class TransientError(AnalyticsError):
    """Something that may be gone when the same is tried again: another process writes, the disk is full, no network."""


TRANSIENT_ERRNO = frozenset(
    {
        # The disk, which somebody may clear or remount.
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE),
        # A lock.
        *(errno.EAGAIN, errno.EBUSY, errno.EDEADLK, errno.ETXTBSY),
        # The network.
        *(errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    }
)

# What DuckDB, SQLite, PostgreSQL and their drivers say: by type, a lock and a wrong password are the same to them.
TRANSIENT_TEXT = re.compile(
    r"""
      could\ not\ set\ lock\ on\ file | conflicting\ lock\ is\ held | database\ (table\ )?is\ locked
    | lock\ timeout | lock\ not\ available | deadlock\ detected | could\ not\ serialize\ access
    | no\ space\ left\ on\ device | disk\ quota\ exceeded | database\ or\ disk\ is\ full | input/output\ error
    | too\ many\ open\ files | stale\ (nfs\ )?file\ handle | resource\ temporarily\ unavailable
    | connection\ (refused|reset|aborted|timed\ out|timeout\ expired|is\ closed|already\ closed) | broken\ pipe
    | server\ closed\ the\ connection | terminating\ connection | the\ connection\ is\ (closed|lost)
    | timeout\ expired | network\ is\ unreachable | no\ route\ to\ host | name\ resolution
    | the\ database\ system\ is\ (starting\ up|shutting\ down|in\ recovery\ mode)
    | (sorry,\ )?too\ many\ (clients|connections) | remaining\ connection\ slots
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_transient(error: BaseException) -> bool:
    """Whether the same may succeed later although nobody mends anything: a lock, the disk, the network.

    The causes decide, however the error is worded in the end. What is wrong with a contract or a model stays wrong.
    """
    return any(_transient(each) for each in _causes(error))


def says_transient(*texts: str) -> bool:
    """The same for errors of which only the texts are left, such as dbt's of models: whether all of them may pass."""
    return all(TRANSIENT_TEXT.search(text) for text in texts)


def _transient(error: BaseException) -> bool:
    if isinstance(error, AnalyticsError):
        # Its words are ours, and may quote anything.
        return isinstance(error, TransientError)
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in TRANSIENT_ERRNO
    return isinstance(error, ConnectionError | TimeoutError) or says_transient(str(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was made of, what that was made of, ..."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        yield found
        seen.add(id(found))
        found = found.__cause__ or found.__context__


def says_damaged(message: str) -> bool:
    """Whether DuckDB says that a database file isn't whole."""
    return any(words in message for words in (*NOT_WHOLE, CUT_OFF))


def next_step(message: str) -> str | None:
    """What to do about a message of the machine; None for one that isn't known."""
    for said, step in NEXT_STEPS.items():
        if any(words in message for words in said):
            return step
    for place, (said, step) in UNREADABLE.items():
        if place in message and any(words in message for words in said):
            return step
    return None


def advised(message: str) -> str:
    """A message of the machine in one line, with the next step if one is known."""
    line = " ".join(message.split())
    if found := CSV_FAULT.search(line):
        return f"line {found['line']}: {found['column']}: {found['why']}"
    step = next_step(line)
    return f"{line}: {step}" if step and step not in line else line


def refusal(error: Exception) -> AnalyticsError | None:
    """An error of the machine that a person can mend, as one line; None for any other."""
    line = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    return AnalyticsError(advised(line)) if next_step(line) else None
