"""The one exception that a user is meant to see."""

from __future__ import annotations


class AnalyticsError(Exception):
    """Something that the user can mend.

    The message is one line: what failed (file, line, field or model) and the next step. The command line prints it
    on standard error and exits with status 1; it never shows a stack trace for it.
    """
