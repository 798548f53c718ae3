"""Who exists in a simulated world: tenants, their zones and sizes, agents, users, models and their prices.

Everything follows from the number of tenants and from constants, never from a seed or the span simulated, so that a
later tick speaks of the same entities as the history before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
EPOCH_2024 = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * SECOND

ZONES = (
    "America/New_York", "Europe/Berlin", "Asia/Kolkata", "UTC", "Australia/Lord_Howe", "America/Los_Angeles",
    "Asia/Tokyo", "Europe/London", "America/Sao_Paulo", "Pacific/Auckland", "Asia/Kathmandu", "America/St_Johns",
)  # fmt: skip
REGIONS = ("us-east", "eu-central", "ap-south", "eu-west", "ap-southeast", "us-west")
PLANS = ("free", "starter", "team", "business", "enterprise")
PLAN_PRICE_USD = (0, 49, 199, 799, 2999)

#: Index of the tenant that sends events but is deliberately absent from the tenants seed.
UNREGISTERED_TENANT = 6
#: Tenants whose producer writes its times with a fixed offset instead of Z: index modulo 9.
OFFSET_TENANTS = 4


@dataclass(frozen=True)
class Model:
    """A provider's model. Prices are USD per 1k tokens: input, cached input, output; then USD per completion."""

    provider: str
    name: str
    share: float
    median_ms: float
    prices: tuple[float, float, float, float]
    logs_cost: float
    error_rate: float


MODELS = (
    Model("openai", "gpt-5", 0.20, 2600, (0.00125, 0.000125, 0.01, 0), 0.9, 0.02),
    Model("openai", "gpt-4.1-mini", 0.16, 900, (0.0004, 0.0001, 0.0016, 0), 0.9, 0.015),
    Model("openai", "gpt-5-nano-preview", 0.05, 600, (0.01, 0.005, 0.03, 0), 0.0, 0.03),
    Model("anthropic", "claude-sonnet-4-5", 0.20, 3100, (0.003, 0.0003, 0.015, 0), 0.0, 0.018),
    Model("anthropic", "claude-haiku-4-5", 0.10, 1100, (0.001, 0.0001, 0.005, 0), 0.0, 0.012),
    Model("google", "gemini-3-pro-preview", 0.10, 3400, (0.002, 0.0002, 0.012, 0), 0.5, 0.03),
    Model("google", "gemini-2.5-flash", 0.08, 700, (0.0003, 0.00003, 0.0025, 0), 0.5, 0.01),
    Model("mistral", "mistral-large", 0.06, 1500, (0.002, 0.002, 0.006, 0), 0.1, 0.025),
    Model("mistral", "mistral-render", 0.02, 5200, (0.0001, 0.0001, 0.0002, 0.02), 0.1, 0.05),
    Model("local", "llama-3.3-70b", 0.03, 4200, (0, 0, 0, 0), 0.0, 0.06),
)

TASK_TYPES = ("triage", "code-review", "summarize", "research", "extract", "migrate")
TOPICS = ("billing", "onboarding", "bug", "how-to", "integration", "security", "other")
FEATURES = (
    "chat", "search", "workflows", "dashboards", "exports", "agents", "connectors", "alerts", "templates", "api-keys",
    "audit-log", "voice",
)  # fmt: skip
CHANNELS = ("organic", "paid-search", "partner", "event", "referral")
SERVICES = ("gateway", "agent-runtime", "billing-api", "web-app", "search-index", "notebook-runner")
BLUEPRINTS = ("intake", "reconcile", "forecast", "compliance", "enrichment", "reporting", "migration", "support")
SCOPES = ("pricing", "forecast", "reporting", "quality", "operations")
POLICIES = ("data-access", "spend-limit", "human-review", "tool-allow-list")
PATTERNS = 24
EXPERIMENTS = ("onboarding-tour", "reply-style", "agent-picker")
GAME_EXPERIMENTS = ("quest-hints", "token-budget")


def mix(values: npt.ArrayLike, salt: int) -> Ints:
    """A well mixed non-negative 63-bit hash of whole numbers (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        x = np.asarray(values, dtype=np.int64).astype(np.uint64)
        x = x + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((x ^ (x >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def trait(values: npt.ArrayLike, salt: int) -> Floats:
    """A lasting property of an entity: the same number in [0, 1) whenever the same entity is asked for."""
    return np.asarray(mix(values, salt) / float(2**63), dtype=np.float64)


@lru_cache(maxsize=64)
def zone_offsets(zone: str, first_hour: int, hours: int) -> Ints:
    """The zone's offset from UTC in microseconds at each of `hours` UTC hours from hour number `first_hour`."""
    info = ZoneInfo(zone)
    offsets = np.empty(hours, dtype=np.int64)
    for i in range(hours):
        moment = datetime.fromtimestamp((first_hour + i) * 3600, tz=UTC).astimezone(info)
        offset = moment.utcoffset()
        offsets[i] = 0 if offset is None else round(offset.total_seconds()) * SECOND
    return offsets


#: How busy each local hour of day and each weekday (Monday first) is, relative to the others.
WORK_HOURS = np.array(
    [2, 1.5, 1, 1, 1, 2, 4, 8, 16, 24, 27, 25, 19, 23, 26, 25, 22, 17, 11, 8, 6, 5, 4, 3], dtype=np.float64
)
WORK_DAYS = np.array([1.0, 1.08, 1.1, 1.05, 0.9, 0.3, 0.25])
PLAY_HOURS = np.array(
    [9, 6, 3, 2, 1.5, 1.5, 2, 3, 4, 5, 6, 7, 9, 9, 9, 10, 12, 15, 19, 23, 26, 26, 21, 14], dtype=np.float64
)
PLAY_DAYS = np.array([0.8, 0.8, 0.82, 0.9, 1.15, 1.5, 1.4])
RHYTHMS = {"work": (WORK_HOURS, WORK_DAYS), "play": (PLAY_HOURS, PLAY_DAYS)}


class Universe:
    """The entities of `tenants` tenants; tenant i is written 'tenant-<i + 1>'."""

    def __init__(self, tenants: int) -> None:
        if tenants < 1:
            raise ValueError("tenants must be at least 1")
        self.tenants = tenants
        rank = np.arange(1, tenants + 1, dtype=np.float64)
        self.weight: Floats = rank**-0.95
        self.agents: Ints = np.maximum(2, np.round(40 * rank**-0.6)).astype(np.int64)
        self.users: Ints = np.maximum(6, np.round(3000 * rank**-0.9)).astype(np.int64)
        self.workspaces: Ints = np.maximum(1, np.round(8 * rank**-0.4)).astype(np.int64)
        self.swarms: Ints = np.maximum(1, np.round(5 * rank**-0.4)).astype(np.int64)

    def zone(self, tenant: int) -> str:
        """The IANA zone in which this tenant lives."""
        return ZONES[tenant % len(ZONES)]

    def activity(self, rhythm: str, first_hour: int, hours: int) -> Floats:
        """Relative number of starts per tenant (rows) and UTC hour (columns): size, season of day and week, and trend.

        A fifth of the tenants comes and goes over some months, down to weeks of silence.
        """
        by_hour, by_day = RHYTHMS[rhythm]
        index = np.arange(first_hour, first_hour + hours, dtype=np.int64)
        table = np.empty((self.tenants, hours), dtype=np.float64)
        per_zone: dict[str, Floats] = {}
        for tenant in range(self.tenants):
            zone = self.zone(tenant)
            if zone not in per_zone:
                local = (index * HOUR + zone_offsets(zone, first_hour, hours)) // HOUR
                per_zone[zone] = by_hour[local % 24] * by_day[(local // 24 + 3) % 7]
            period = 24 * (45 + 75 * float(trait(tenant, 11)))
            wave = np.sin(2 * np.pi * (index / period + float(trait(tenant, 12))))
            trend = np.maximum(0.0, 0.35 + wave) if tenant % 5 == 4 else 1 + 0.25 * wave
            table[tenant] = per_zone[zone] * self.weight[tenant] * trend
        return table


def plan_of(tenant: int) -> int:
    """Index in PLANS of the plan on which a tenant is registered: larger tenants tend to pay more."""
    return int(min(4, max(0, 4 - tenant // 6 + int(mix(tenant, 5)) % 3 - 1)))


def cost(model: Any, tokens_in: Any, cached: Any, tokens_out: Any, completions: Any) -> Floats:
    """What a producer logs for calls, in USD rounded to 6 decimals, by today's list prices of `MODELS`."""
    prices = np.array([m.prices for m in MODELS])[model]
    value = (
        (tokens_in - cached) / 1000 * prices[:, 0]
        + cached / 1000 * prices[:, 1]
        + tokens_out / 1000 * prices[:, 2]
        + completions * prices[:, 3]
    )
    return np.asarray(np.round(value, 6), dtype=np.float64)
