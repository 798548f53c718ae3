"""The reference tables shipped in seeds/: what the simulated world and the sample events need.

The tables that hang on the simulated entities (tenants, workspaces) are made here, so that they can't drift from the
simulator; a test sees that the files name them all. The files are what counts: analysts edit them.
"""

from __future__ import annotations

import json

from agent_analytics.simulate.universe import (
    BLUEPRINTS,
    EXPERIMENTS,
    GAME_EXPERIMENTS,
    MODELS,
    PLAN_PRICE_USD,
    PLANS,
    REGIONS,
    SCOPES,
    SERVICES,
    UNREGISTERED_TENANT,
    Universe,
    plan_of,
)  # fmt: skip

Rows = list[dict[str, object]]

#: How many tenants the seeds know.
TENANTS = 50
OWNERS = ("Avery Lind", "Noor Haddad", "Mika Sato", "Ines Duarte", "Tomasz Wrona", "Priya Nair")
COMPANIES = (
    "Aldgate",
    "Birch",
    "Corvid",
    "Dunmore",
    "Estuary",
    "Fenwick",
    "Glasshouse",
    "Harrow",
    "Inkwell",
    "Juniper",
)
KINDS = ("Labs", "Freight", "Health", "Books", "Energy")
TEAMS = ("runtime", "platform", "revenue", "experience", "search", "data")
BLUEPRINT_TEAMS = ("operations", "finance", "finance", "risk", "data", "data", "platform", "support")


def tenants() -> Rows:
    """Simulated tenants but for the one that is deliberately missing, and those of the samples."""
    universe = Universe(TENANTS)
    rows: Rows = [
        {
            "tenant_id": f"tenant-{i + 1}",
            "tenant_name": f"{COMPANIES[i % 10]} {KINDS[i // 10 % 5]}",
            "timezone": universe.zone(i),
            "plan": PLANS[plan_of(i)],
            "region": REGIONS[i % len(REGIONS)],
        }
        for i in range(TENANTS)
        if i != UNREGISTERED_TENANT
    ]
    for tenant_id, name in (("swe-bench-verified", "SWE-bench Verified"), ("open-source", "Open source projects")):
        rows.append(
            {"tenant_id": tenant_id, "tenant_name": name, "timezone": "UTC", "plan": "team", "region": "us-east"}
        )
    return rows


def provider_prices() -> Rows:
    """List prices with changes over time. gpt-5-nano-preview has its provider's default price, local has none."""
    columns = (
        "usd_per_1k_tokens_in", "usd_per_1k_tokens_cached", "usd_per_1k_tokens_out", "usd_per_completion",
    )  # fmt: skip
    listed: list[tuple[str, str, str, float, float, float, float]] = [
        ("openai", "*", "2024-01-01", 0.01, 0.005, 0.03, 0),
        ("anthropic", "*", "2024-01-01", 0.015, 0.0015, 0.075, 0),
        ("google", "*", "2024-01-01", 0.00125, 0.0003, 0.01, 0),
        ("google", "*", "2026-04-01", 0.002, 0.0005, 0.012, 0),
        ("google-ai-studio", "gemini-3-pro-preview", "2025-10-01", 0.002, 0.0002, 0.012, 0),
        # Earlier and later prices of models that the simulator calls.
        ("openai", "gpt-5", "2026-04-20", 0.001, 0.0001, 0.008, 0),
        ("anthropic", "claude-haiku-4-5", "2026-04-15", 0.0008, 0.00008, 0.004, 0),
        ("mistral", "mistral-large", "2026-03-01", 0.0018, 0.0018, 0.0054, 0),
    ]
    unlisted = {"gpt-5-nano-preview", "llama-3.3-70b"}
    for model in MODELS:
        if model.name not in unlisted:
            listed.append((model.provider, model.name, "2025-10-01", *model.prices))
    return [
        {
            "provider": provider,
            "model": model,
            "valid_from": since,
            **{column: f"{price:.10f}".rstrip("0").rstrip(".") for column, price in zip(columns, prices, strict=True)},
        }
        for provider, model, since, *prices in sorted(listed, key=lambda row: row[:3])
    ]


def plan_tiers() -> Rows:
    """What each plan includes and what exceeding it costs."""
    included = (
        (200, 500_000),
        (2_000, 6_000_000),
        (10_000, 40_000_000),
        (60_000, 250_000_000),
        (400_000, 2_000_000_000),
    )
    overage = ((0.02, 0.004), (0.015, 0.003), (0.01, 0.002), (0.006, 0.0015), (0.004, 0.001))
    return [
        {
            "plan": plan,
            "tier_rank": rank,
            "monthly_price_usd": PLAN_PRICE_USD[rank],
            "included_executions": included[rank][0],
            "included_tokens": included[rank][1],
            "overage_usd_per_execution": overage[rank][0],
            "overage_usd_per_1k_tokens": overage[rank][1],
        }
        for rank, plan in enumerate(PLANS)
    ]


def services() -> Rows:
    """The simulated services and those of the sample deployments."""
    rows: Rows = [{"service": name, "team": team} for name, team in zip(SERVICES, TEAMS, strict=True)]
    return [*rows, {"service": "aider", "team": "open-source"}, {"service": "incubator-devlake", "team": "open-source"}]


def blueprints() -> Rows:
    """The simulated blueprints; 'archive' is registered and never used."""
    rows: Rows = [
        {"blueprint_id": name, "blueprint_name": name.capitalize(), "team": team}
        for name, team in zip(BLUEPRINTS, BLUEPRINT_TEAMS, strict=True)
    ]
    return [*rows, {"blueprint_id": "archive", "blueprint_name": "Archive", "team": "operations"}]


def workspaces() -> Rows:
    """The registered workspaces. Every fourth tenant also has one that is never used; the last workspace of every fifth
    tenant with several is used but not registered."""
    universe = Universe(TENANTS)
    rows: Rows = []
    for tenant in range(TENANTS):
        used = int(universe.workspaces[tenant])
        registered = list(range(used - 1 if tenant % 5 == 4 and used > 1 else used))
        if tenant % 4 == 0:
            registered.append(used)
        for position in registered:
            blueprint = BLUEPRINTS[(tenant + position) % len(BLUEPRINTS)]
            rows.append(
                {
                    "tenant_id": f"tenant-{tenant + 1}",
                    "workspace_id": f"ws-{(tenant + 1) * 100 + position}",
                    "blueprint_id": blueprint,
                    "workspace_name": f"{blueprint.capitalize()} {position + 1}",
                    "owner": OWNERS[(tenant + position) % len(OWNERS)],
                }
            )
    return rows


def notebook_policies() -> Rows:
    """Least runs per hour by scope; 'operations' has none, so that the default holds."""
    return [
        {"scope": scope, "min_runs_per_hour": minimum}
        for scope, minimum in zip(SCOPES, (0.5, 0.1, 0.04, 0.25), strict=False)
    ]


def resource_prices() -> Rows:
    """Storage and bandwidth."""
    return [{"resource": "storage_gb_month", "usd": 0.023}, {"resource": "bandwidth_gb", "usd": 0.09}]


FALLBACK_ACTIONS = "Check provider status; reduce input token cap by 10%"


def kpi_thresholds() -> Rows:
    """Thresholds over every kpi and scope; one is switched off, some name a member of their scope."""
    listed = (
        ("global", "", "p95_latency_ms", "1h", ">", 9000, "warning", True, "Look at the slowest model"),
        ("global", "", "p95_latency_ms", "24h", ">", 12000, "critical", True, "Route turns to a faster model"),
        ("global", "", "fallback_rate", "", ">", 0.05, "critical", True, FALLBACK_ACTIONS),
        ("world", "", "stuck_rate", "24h", ">", 0.12, "warning", True, "Read the quest drop-offs of that world"),
        ("world", "emberfall", "retry_rate", "24h", ">", 0.1, "warning", True, "Look at provider errors"),
        ("adventure", "", "validator_retry_rate", "24h", ">", 0.08, "warning", True, "Review its schema"),
        ("variation", "", "token_overrun_rate", "24h", ">", 0.1, "warning", True, "Shorten its prompt"),
        ("tenant", "", "p95_response_time_ms", "24h", ">", 6000, "warning", True, "Check the tenant's slowest agents"),
        ("tenant", "", "error_rate", "24h", ">", 0.08, "critical", True, "Open an incident with the tenant"),
        ("global", "", "error_rate", "1h", ">", 0.05, "critical", True, "Page the platform team"),
        ("global", "", "success_rate", "24h", "<", 0.9, "critical", True, "Check failing task types"),
        ("tenant", "", "success_rate", "24h", "<", 0.8, "warning", True, "Check the tenant's agents"),
        ("global", "", "p95_duration_ms", "24h", ">", 60000, "warning", True, "Look for long tool calls"),
        ("tenant", "", "spend_vs_budget_pct", "month", ">=", 80, "warning", True, "Tell the tenant's owner"),
        ("tenant", "", "spend_vs_budget_pct", "month", ">", 100, "critical", True, "Agree on a new budget"),
        ("blueprint", "", "crc_p90_drop_pct", "day", ">", 15, "warning", True, "Compare with last week's cycles"),
        ("scope", "", "cadence_per_hour", "day", "<", 0.05, "warning", True, "Check the scope's automation"),
        ("scope", "pricing", "cadence_per_hour", "day", "<", 0.5, "critical", True, "Run these notebooks by hand"),
        ("pattern", "", "pattern_error_rate", "24h", ">", 0.2, "warning", True, "Retire or mend the pattern"),
        ("tenant", "", "plan_executions_used_pct", "month", ">=", 80, "warning", True, "Offer the next plan"),
        ("tenant", "", "plan_tokens_used_pct", "month", ">", 100, "critical", True, "Offer the next plan"),
        ("swarm", "", "efficiency_ratio", "7d", "<", 0.5, "warning", True, "Review the swarm's escalations"),
        ("swarm", "", "governance_score", "7d", "<", 0.9, "critical", True, "Review failed policy checks"),
        ("service", "", "deployments_7d", "7d", "=", 0, "warning", False, "Ask the team what blocks deployment"),
        ("global", "", "freshness_hours", "24h", ">", 24, "critical", True, "Find the silent producer"),
        ("tenant", "", "plan_executions_used_pct", "month", ">", 100, "critical", True, "Offer the next plan"),
        ("tenant", "", "plan_tokens_used_pct", "month", ">=", 80, "warning", True, "Offer the next plan"),
    )  # fmt: skip
    names = (
        "scope",
        "scope_ref",
        "kpi",
        "window_type",
        "operator",
        "value",
        "severity",
        "enabled",
        "suggested_actions",
    )
    rows: Rows = []
    for i, values in enumerate(listed, start=1):
        row: dict[str, object] = {"threshold_id": f"t{i:02d}", **dict(zip(names, values, strict=True))}
        rows.append({**row, "enabled": "true" if row["enabled"] else "false"})
    return rows


def slos() -> Rows:
    """One objective per indicator."""
    listed: tuple[tuple[str, str, object, float, int], ...] = (
        ("game-turns-on-model", "turns_without_fallback", "", 0.97, 100),
        ("game-turns-fast", "turns_within_latency", 6000, 0.95, 100),
        ("messages-without-error", "messages_without_error", "", 0.98, 200),
        ("provider-calls", "calls_succeeded", "", 0.975, 200),
        ("executions", "executions_succeeded", "", 0.95, 100),
    )
    names = ("slo", "indicator", "threshold_ms", "target", "minimum_events")
    return [dict(zip(names, values, strict=True)) for values in listed]


def experiment_parameters() -> Rows:
    """What each variation sets: budgets, tool quotas, party caps."""
    treated: dict[str, dict[str, object]] = {
        "onboarding-tour": {"tour": True, "steps": 5},
        "reply-style": {"style": "warm", "max_tokens": 400},
        "agent-picker": {"suggestions": 3},
        "quest-hints": {"hints_per_node": 1, "party_cap": 4},
        "token-budget": {"token_budget": 3200, "tool_quota": 2},
    }
    control: dict[str, dict[str, object]] = {
        "onboarding-tour": {"tour": False},
        "reply-style": {"style": "plain", "max_tokens": 400},
        "agent-picker": {"suggestions": 0},
        "quest-hints": {"hints_per_node": 0, "party_cap": 4},
        "token-budget": {"token_budget": 4000, "tool_quota": 4},
    }
    return [
        {"experiment": name, "variation": variation, "parameters": json.dumps(sets[name], sort_keys=True)}
        for name in (*EXPERIMENTS, *GAME_EXPERIMENTS)
        for variation, sets in (("control", control), ("treatment", treated))
    ]


TABLES = {
    "tenants": tenants, "provider_prices": provider_prices, "plan_tiers": plan_tiers, "services": services,
    "blueprints": blueprints, "workspaces": workspaces, "notebook_policies": notebook_policies,
    "resource_prices": resource_prices, "kpi_thresholds": kpi_thresholds, "slos": slos,
    "experiment_parameters": experiment_parameters,
}  # fmt: skip
