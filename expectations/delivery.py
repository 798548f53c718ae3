"""delivery: deployments (production, succeeded) and how they fare."""

from expectations import (
    accepted,
    counts,
    dense,
    fresh,
    holds,
    mart,
    measures,
    rates,
    reconciles,
    suite,
    usual_volume,
)

DEPLOYMENTS = "staging.stg_delivery__deployments where environment = 'production' and succeeded"

SUITE = suite(
    "delivery",
    mart(
        "deployment_frequency_daily",
        key=["tenant_id", "service", "date"],
        fed_by=DEPLOYMENTS,
        rebuilt=True,
        expect=[
            counts("deployments", "deployments_7d", "deployments_30d"),
            holds(
                "windows_nest",
                "deployments <= deployments_7d and deployments_7d <= deployments_30d",
                "deployments",
                "deployments_7d",
                "deployments_30d",
            ),
            holds(
                "moving_average",
                "abs(moving_average_7d - deployments_7d / 7.0) < 1e-9",
                "moving_average_7d",
                "deployments_7d",
            ),
            accepted("trend", "accelerating", "steady", "slowing"),
            holds(
                "trend_follows_delta",
                "trend = case when delta_7d > 0 then 'accelerating' when delta_7d < 0 then 'slowing' else 'steady' end",
                "trend",
                "delta_7d",
            ),
            reconciles(
                "all_deployments",
                "sum(deployments)",
                "count(*)",
                f"(select *, cast(occurred_at as date) as date from {DEPLOYMENTS})",
                by=["tenant_id", "service", "date"],
            ),
            dense("date", by=["tenant_id", "service"]),
            usual_volume("date", "deployments"),
        ],
    ),
    mart(
        "delivery_performance_monthly",
        key=["tenant_id", "service", "month"],
        fed_by=DEPLOYMENTS,
        expect=[
            counts("deployments"),
            holds("months_with_deployments", "deployments > 0", "deployments"),
            # A commit can carry a later clock than its deployment: worth a look, no reason to withhold the family.
            measures("median_lead_time_hours", name="lead_time", severity="warning"),
            measures("median_hours_to_restore", name="time_to_restore"),
            rates("change_failure_rate"),
            accepted("dora_band", "elite", "high", "medium", "low"),
            holds("month_begins", "month = date_trunc('month', month)", "month"),
            reconciles(
                "same_deployments_as_daily",
                "sum(deployments)",
                "sum(deployments)",
                "(select *, cast(date_trunc('month', date) as date) as month from delivery.deployment_frequency_daily)",
                by=["tenant_id", "service", "month"],
            ),
            fresh("month", hours=62 * 24),
        ],
    ),
)
