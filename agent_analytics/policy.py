"""How long what is kept where: the retention policy, as the environment says it (docs/retention.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, cast, get_args

from agent_analytics.errors import AnalyticsError

LandedFiles = Literal["keep", "archive", "remove"]

# The goals compare 30 days with the 30 days before them (macros/metrics/goals.sql).
LEAST_HOURLY_DAYS = 60
# A thousand years: dates stay dates.
MOST_DAYS = 365_000


@dataclass(frozen=True)
class Policy:
    """Days before the UTC day of the data clock: of events in the lake, of rows in the hourly marts; and what is done
    with landed files once they are loaded."""

    hot_days: int = 30
    hourly_days: int = 90
    landed_files: LandedFiles = "keep"

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the ANALYTICS_ variables. Raises AnalyticsError naming the variable that can't be understood."""
        return cls(
            hot_days=_days(environment, "ANALYTICS_HOT_DAYS", cls.hot_days, 1),
            hourly_days=_days(environment, "ANALYTICS_HOURLY_DAYS", cls.hourly_days, LEAST_HOURLY_DAYS),
            landed_files=_landed_files(environment),
        )


def _days(environment: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not least <= int(text) <= MOST_DAYS:
        raise AnalyticsError(f"{name}: {text!r} is not a number of days from {least} to {MOST_DAYS}")
    return int(text)


def _landed_files(environment: Mapping[str, str]) -> LandedFiles:
    text = environment.get("ANALYTICS_LANDED_FILES") or "keep"
    if text not in get_args(LandedFiles):
        raise AnalyticsError(f"ANALYTICS_LANDED_FILES: {text!r} is none of {', '.join(get_args(LandedFiles))}")
    return cast(LandedFiles, text)
