"""What the report shows of which mart, what it is called, and whether more of it is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["up", "down", ""]


@dataclass(frozen=True)
class Measure:
    """A number of each day, week or month of a mart: an aggregate of its rows, right over any of them together.

    `local`: the mart's days are the tenant's, not UTC's. `wait`: how many days after a week its members still count.
    """

    mart: str
    sql: str
    unit: str
    day: str = "date"
    step: Literal["day", "week", "month"] = "day"
    local: bool = False
    wait: int = 0

    @property
    def is_sum(self) -> bool:
        """Whether nothing is 0 rather than unknown."""
        return self.unit in ("count", "usd")


@dataclass(frozen=True)
class Headline:
    """A number at the top: its title, the side on which it is better, its trend, the period if it isn't 30 days."""

    title: str
    better: Better
    measure: str | None = None
    period: str = ""


def _ratio(part: str, whole: str) -> str:
    return f"sum({part}) / nullif(sum({whole}), 0)::double"


MEASURES = {
    "messages": Measure("platform_metrics_daily", "sum(messages)", "count", local=True),
    "conversations": Measure("platform_metrics_daily", "sum(conversations)", "count", local=True),
    "usage_cost": Measure("usage_cost_daily", "sum(total_cost_usd)", "usd", local=True),
    "executions": Measure("execution_rollup_daily", "sum(total_executions)", "count", local=True),
    "execution_cost": Measure("execution_rollup_daily", "sum(total_cost_usd)", "usd", local=True),
    "execution_success": Measure(
        "execution_rollup_daily", _ratio("successful_executions", "total_executions"), "rate", local=True
    ),
    "spend": Measure("provider_calls_daily", "sum(cost_usd)", "usd", local=True),
    "savings": Measure("routing_savings_daily", "sum(savings_usd)", "usd", local=True),
    "at_high_risk": Measure(
        "customer_health_daily", "count(*) filter (where churn_risk = 'high')", "count", local=True
    ),
    "engagement": Measure("customer_health_daily", "avg(engagement_score)", "score", local=True),
    "mrr": Measure("revenue_monthly", "sum(closing_mrr_usd)", "usd", "month", "month"),
    "tenant_mrr": Measure("mrr_movements_monthly", "sum(closing_mrr_usd)", "usd", "month", "month"),
    "retention": Measure("revenue_monthly", "max(net_revenue_retention)", "rate", "month", "month"),
    "activation": Measure("activation_funnel_weekly", "max(overall_completion_rate)", "rate", "week", "week", wait=30),
    "completions": Measure("crc_throughput_daily", "sum(completions)", "count"),
    "deployments": Measure("deployment_frequency_daily", "sum(deployments)", "count"),
    "change_failures": Measure(
        "delivery_performance_monthly",
        _ratio("change_failure_rate * deployments", "deployments"),
        "rate",
        "month",
        "month",
    ),
    "efficiency": Measure("agent_efficiency_daily", _ratio("successful_resolutions", "assignments"), "rate"),
    "time_to_resolve": Measure(
        "agent_efficiency_daily",
        "sum(mttr_minutes * resolutions) / nullif(sum(resolutions) filter (where mttr_minutes is not null), 0)",
        "minutes",
    ),
    "notebook_runs": Measure("notebook_update_cadence_daily", "sum(runs)", "count"),
    "pattern_success": Measure("pattern_metrics_daily", _ratio("successes", "executions"), "rate"),
    "game_sessions": Measure("game_kpis_daily", "sum(sessions)", "count"),
    "game_completion": Measure("game_kpis_daily", _ratio("completions", "sessions"), "rate"),
    "game_fallback": Measure("game_rollup_daily", _ratio("fallback_rate * turns", "turns"), "rate"),
}

# The goals, by the names of goal_kpis. Money that is spent grows with use: neither side of it is the better one.
GOALS = {
    "messages": Headline("Messages", "up", "messages"),
    "unique_users": Headline("Users", "up"),
    "spend_usd": Headline("Provider spend", "", "spend"),
    "execution_success_rate": Headline("Executions that succeed", "up", "execution_success"),
    "routing_savings_usd": Headline("Saved by routing", "up", "savings"),
    "mrr_usd": Headline("MRR", "up", "mrr", "newest complete month"),
    "net_revenue_retention": Headline("Net revenue retention", "up", "retention", "newest complete month"),
    "customers_at_high_risk": Headline("Customers at high risk", "down", "at_high_risk", "newest complete day"),
    "activation_rate": Headline("Activation", "up", "activation", "newest week that had its 30 days"),
    "crc_completions": Headline("Completions of cycles", "up", "completions"),
    "deployments": Headline("Deployments", "up", "deployments"),
    "change_failure_rate": Headline("Changes that fail", "down", "change_failures"),
    "efficiency_ratio": Headline("Tasks resolved by swarms", "up", "efficiency"),
    "mttr_minutes": Headline("Time to resolve", "down", "time_to_resolve"),
    "notebook_cadence_per_hour": Headline("Notebook runs per hour", "up", "notebook_runs"),
    "notebook_coverage": Headline("Workspaces in use", "up"),
    "pattern_success_rate": Headline("Patterns that succeed", "up", "pattern_success"),
    "game_completion_rate": Headline("Games completed", "up", "game_completion"),
    "game_fallback_rate": Headline("Turns on a fallback", "down", "game_fallback"),
    "game_stuck_rate": Headline("Sessions stuck", "down"),
    "significant_experiments": Headline("Significant experiments", "", None, "now"),
}

# The themes of the page, each with its families.
THEMES = {
    "Use and cost": ("platform_usage", "provider_costs"),
    "Customers and revenue": ("revenue", "customer_health", "funnels", "billing"),
    "Delivery and agents": ("crc", "delivery", "swarm"),
    "Knowledge": ("notebooks", "patterns"),
    "Games and experiments": ("game", "experiments"),
}

# A tenant's headlines of 30 days: theme, title, side, measure. Sums and ratios of sums, which are right over days.
TENANT_WINDOWS = (
    ("Use and cost", Headline("Messages", "up", "messages")),
    ("Use and cost", Headline("Conversations", "up", "conversations")),
    ("Use and cost", Headline("Cost of use", "", "usage_cost")),
    ("Use and cost", Headline("Executions", "up", "executions")),
    ("Use and cost", Headline("Executions that succeed", "up", "execution_success")),
    ("Use and cost", Headline("Provider spend", "", "spend")),
    ("Use and cost", Headline("Saved by routing", "up", "savings")),
    ("Delivery and agents", Headline("Completions of cycles", "up", "completions")),
    ("Delivery and agents", Headline("Deployments", "up", "deployments")),
    ("Delivery and agents", Headline("Tasks resolved by swarms", "up", "efficiency")),
    ("Delivery and agents", Headline("Time to resolve", "down", "time_to_resolve")),
    ("Knowledge", Headline("Notebook runs", "up", "notebook_runs")),
    ("Knowledge", Headline("Patterns that succeed", "up", "pattern_success")),
)

# What stands at the end of a tenant's newest complete day or month.
TENANT_STANDS = (
    ("Customers and revenue", Headline("MRR", "up", "tenant_mrr", "newest complete month")),
    ("Customers and revenue", Headline("Engagement score", "up", "engagement", "newest complete day")),
    ("Delivery and agents", Headline("Changes that fail", "down", "change_failures", "newest complete month")),
)

# What can't be put together from days, from platform_overview: column, unit.
TENANT_OVERVIEW = (
    (Headline("Users", "up"), "unique_users", "count"),
    (Headline("Response time", "down"), "avg_response_time_ms", "ms"),
    (Headline("Messages with an error", "down"), "error_rate", "rate"),
)

TRENDS = (
    ("Messages", "messages"),
    ("Executions", "executions"),
    ("Cost of executions", "execution_cost"),
    ("Executions that succeed", "execution_success"),
    ("Deployments", "deployments"),
    ("Completions of cycles", "completions"),
    ("Tasks resolved by swarms", "efficiency"),
    ("Game sessions", "game_sessions"),
)

# Mart, its columns of steps in order, the column of time, how many days of it; what one of those who get through is.
FUNNELS = (
    (
        "Activation",
        "activation_funnel_weekly",
        "week",
        ("signup", "agent", "deploy", "conversation", "workflow", "subscription"),
        "tenants",
    ),
    (
        "Game",
        "game_funnel_daily",
        "date",
        ("start", "choice", "npc", "craft", "vendor", "boss", "completion"),
        "sessions",
    ),
)

# The steps of time_to_value: the column of the time, that of the hours since the sign-up.
MILESTONES = (
    ("Signed up", "signed_up_at", None),
    ("First agent", "first_agent_at", "hours_to_first_agent"),
    ("First deployment of one", "first_deploy_at", "hours_to_first_deploy"),
    ("First conversation", "first_conversation_at", "hours_to_first_conversation"),
    ("First conversation resolved", "first_resolved_at", "hours_to_first_resolved"),
)
