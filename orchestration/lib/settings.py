"""What the environment says about schedules and runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Self

from dagster import DefaultScheduleStatus, DefaultSensorStatus
from dagster._utils.schedules import is_valid_cron_schedule

from agent_analytics.errors import AnalyticsError


@dataclass(frozen=True)
class Settings:
    """Cron strings are in UTC; sensor_seconds is the time between looks at landing/, backfill_start the first day.

    A step that failed for something that may pass is tried again `retries` times, after retry_seconds, then after
    twice as many, and so on. warm_runs: whether a process that has done a run waits for the next one.
    """

    tick_cron: str = "*/15 * * * *"
    daily_cron: str = "0 2 * * *"
    alerts_cron: str = "*/5 * * * *"
    retention_cron: str = "30 3 * * *"
    schedules: bool = True
    sensor: bool = True
    sensor_seconds: int = 30
    backfill_start: str = "2020-01-01"
    retries: int = 4
    retry_seconds: int = 10
    warm_runs: bool = True

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the ANALYTICS_ variables. Raises AnalyticsError naming the variable that can't be understood."""
        return cls(
            tick_cron=_cron(environment, "ANALYTICS_TICK_CRON", cls.tick_cron),
            daily_cron=_cron(environment, "ANALYTICS_DAILY_CRON", cls.daily_cron),
            alerts_cron=_cron(environment, "ANALYTICS_ALERTS_CRON", cls.alerts_cron),
            retention_cron=_cron(environment, "ANALYTICS_RETENTION_CRON", cls.retention_cron),
            schedules=_switch(environment, "ANALYTICS_SCHEDULES", cls.schedules),
            sensor=_switch(environment, "ANALYTICS_SENSOR", cls.sensor),
            sensor_seconds=_number(environment, "ANALYTICS_SENSOR_SECONDS", cls.sensor_seconds, 1),
            backfill_start=_date(environment, "ANALYTICS_BACKFILL_START", cls.backfill_start),
            retries=_number(environment, "ANALYTICS_RETRIES", cls.retries, 0),
            retry_seconds=_number(environment, "ANALYTICS_RETRY_SECONDS", cls.retry_seconds, 0),
            warm_runs=_switch(environment, "ANALYTICS_WARM_RUNS", cls.warm_runs),
        )

    @property
    def schedule_status(self) -> DefaultScheduleStatus:
        return DefaultScheduleStatus.RUNNING if self.schedules else DefaultScheduleStatus.STOPPED

    @property
    def sensor_status(self) -> DefaultSensorStatus:
        return DefaultSensorStatus.RUNNING if self.sensor else DefaultSensorStatus.STOPPED


def _cron(environment: Mapping[str, str], name: str, default: str) -> str:
    text = environment.get(name) or default
    if len(text.split()) != 5 or not is_valid_cron_schedule(text):
        raise AnalyticsError(f"{name}: {text!r} is not a cron string of five fields, such as {default!r}")
    return text


def _switch(environment: Mapping[str, str], name: str, default: bool) -> bool:
    text = environment.get(name) or ("on" if default else "off")
    if text not in ("on", "off"):
        raise AnalyticsError(f"{name}: {text!r} is neither on nor off")
    return text == "on"


def _number(environment: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise AnalyticsError(f"{name}: {text!r} is not a whole number, {least} or more")
    return int(text)


def _date(environment: Mapping[str, str], name: str, default: str) -> str:
    text = environment.get(name) or default
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise AnalyticsError(f"{name}: {text!r} is not a date, such as {default}") from None
