"""game: turns and sessions of games across tenants, with k-anonymous locales."""

import yaml

from agent_analytics.storage import PROJECT_ROOT
from expectations import (
    Expectation,
    accepted,
    ascending,
    counts,
    fresh,
    holds,
    mart,
    measures,
    nothing,
    rates,
    ratio,
    reconciles,
    suite,
    usual_volume,
)

STAGING = "staging.stg_game__"
DAY = "cast(occurred_at as date) as date"
# Hourly rollups hold the days that the retention policy names.
HOURLY = "occurred_at >= (select hourly_from from ops.run)"

#: Fewer sessions than that are not shown by locale.
K = int(yaml.safe_load((PROJECT_ROOT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]["k_anonymity_min"])

SHARES = ("retry_rate", "fallback_rate", "validator_retry_rate", "token_overrun_rate", "stuck_rate")


def _rollup(time: str) -> list[Expectation]:
    group = f"{time}, world, adventure, model, experiment, variation"
    group += ", content_version" if time == "date" else ""
    return [
        counts("turns", "sessions"),
        holds("sessions_have_turns", "sessions between 1 and turns", "sessions", "turns"),
        rates(*SHARES),
        measures("p50_latency_ms", "p95_latency_ms", "avg_tokens_in", "avg_tokens_out"),
        ascending("p50_latency_ms", "p95_latency_ms", name="percentiles"),
        holds("k_anonymous", f"locale = '(all)' or sessions >= {K}", "locale", "sessions"),
        nothing(
            "all_stands_alone",
            f"select {group} from mart group by {group} having count(*) > 1 and max(locale = '(all)')",
            "Where locales are hidden, a group has one row: nothing can be subtracted from it.",
            "locale",
        ),
    ]


SUITE = suite(
    "game",
    mart(
        "game_rollup_hourly",
        key=["hour", "world", "adventure", "locale", "model", "experiment", "variation"],
        fed_by=f"{STAGING}turns where {HOURLY}",
        # An event shows or hides locales, and makes a session stuck, in rows of older events too.
        rebuilt=True,
        expect=[
            *_rollup("hour"),
            holds("hour_begins", "hour = date_trunc('hour', hour)", "hour"),
            reconciles(
                "all_turns",
                "sum(turns)",
                "count(*)",
                f"(select date_trunc('hour', occurred_at) as hour, world from {STAGING}turns where {HOURLY})",
                by=["hour", "world"],
            ),
            fresh("hour", hours=24),
        ],
    ),
    mart(
        "game_rollup_daily",
        key=["date", "world", "adventure", "locale", "model", "experiment", "variation", "content_version"],
        fed_by=f"{STAGING}turns",
        # As above.
        rebuilt=True,
        expect=[
            *_rollup("date"),
            measures(
                "avg_ticks",
                "avg_sim_ticks",
                "tool_calls_per_turn",
                "acts_per_turn",
                "choices_per_turn",
                "items_per_turn",
                "loot_rate",
                "vendor_visit_rate",
                "craft_attempt_rate",
                "party_recruit_rate",
                "dialogue_candidate_avg",
                name="per_turn",
            ),
            rates(
                "softlock_hint_rate",
                "craft_success_rate",
                "vendor_trade_rate",
                "romance_consent_rate",
                "event_trigger_rate",
                name="shares",
            ),
            reconciles(
                "same_turns_as_hourly",
                "sum(turns)",
                "sum(turns)",
                f"""
                (
                    select cast(hour as date) as date, world, adventure, model, experiment, variation, turns
                    from game.game_rollup_hourly
                    union all
                    select
                        {DAY}, world, adventure, model, coalesce(experiment, 'none') as experiment,
                        coalesce(variation, 'none') as variation, 1 as turns
                    from {STAGING}turns where not ({HOURLY})
                )
                """,
                by=["date", "world", "adventure", "model", "experiment", "variation"],
            ),
            usual_volume("date", "turns"),
        ],
    ),
    mart(
        "game_turns_by_age_daily",
        key=["date", "session_age_bucket", "world", "adventure"],
        fed_by=f"{STAGING}turns",
        # A new start moves turns from one age to another.
        rebuilt=True,
        expect=[
            counts("turns", "sessions", "softlock_hints"),
            holds(
                "parts_of_turns",
                "sessions between 1 and turns and softlock_hints <= turns",
                "sessions",
                "softlock_hints",
                "turns",
            ),
            measures("p95_latency_ms"),
            accepted("session_age_bucket", "0-5", "5-15", "15-30", "30-60", "60+", "unknown"),
            reconciles(
                "same_turns_as_rollup",
                "sum(turns)",
                "sum(turns)",
                "game.game_rollup_daily",
                by=["date", "world", "adventure"],
            ),
        ],
    ),
    mart(
        "game_kpis_daily",
        key=["date", "world", "adventure", "content_version"],
        fed_by=f"{STAGING}sessions",
        expect=[
            counts("sessions", "completions"),
            ratio("completion_rate", "completions", "sessions"),
            rates("completion_rate", "arc_progress_rate"),
            measures("choice_entropy_bits", "dialogue_entropy_bits", "gold_in", "gold_out", "items_per_session"),
            ratio("gold_delta_per_session", "(gold_in - gold_out)", "sessions"),
            reconciles(
                "all_sessions",
                "sum(sessions)",
                "count(*)",
                f"""(
                    select cast(min(occurred_at) as date) as date
                    from {STAGING}sessions group by tenant_id, session_id
                )""",
                by=["date"],
            ),
            fresh("date", hours=72),
        ],
    ),
    mart(
        "boss_ttk_daily",
        key=["date", "world", "boss_id"],
        fed_by=f"{STAGING}boss_fights",
        expect=[
            counts("fights", "wins"),
            holds("wins_are_fights", "wins <= fights and (wins = 0) = (p50_ttk_ms is null)", "wins", "fights"),
            measures("p50_ttk_ms", "p90_ttk_ms", "p95_ttk_ms"),
            ascending("p50_ttk_ms", "p90_ttk_ms", "p95_ttk_ms", name="percentiles"),
            reconciles(
                "all_fights",
                "sum(fights)",
                "count(*)",
                f"(select *, {DAY} from {STAGING}boss_fights)",
                by=["date", "world", "boss_id"],
            ),
        ],
    ),
    mart(
        "quest_node_dropoffs_daily",
        key=["date", "adventure", "quest_id", "node_id"],
        fed_by=f"{STAGING}quest_nodes",
        expect=[
            counts("entered", "completed", "dropped", "dialogue_blocks"),
            holds("dropped_were_entered", "dropped <= entered", "dropped", "entered"),
            ratio("dropoff_rate", "dropped", "entered"),
            rates("dropoff_rate", "stuck_rate"),
            reconciles(
                "all_entries",
                "sum(entered)",
                "count(distinct (tenant_id, session_id))",
                f"(select *, {DAY} from {STAGING}quest_nodes where event_type = 'quest.node_entered')",
                by=["date", "adventure", "quest_id", "node_id"],
            ),
        ],
    ),
    mart(
        "economy_daily",
        key=["date", "world"],
        fed_by=f"{STAGING}turns",
        expect=[
            counts("vendor_visits", "trades", "craft_attempts", "craft_successes", "loot_drops"),
            holds(
                "parts", "trades <= vendor_visits and craft_successes <= craft_attempts", "trades", "craft_successes"
            ),
            measures("currency_in", "currency_out"),
            holds("margin_of_visits", "(vendor_visits = 0) = (avg_margin is null)", "avg_margin", "vendor_visits"),
            reconciles(
                "all_visits",
                "sum(vendor_visits)",
                "count(*)",
                f"(select *, {DAY} from {STAGING}vendor_visits)",
                by=["date", "world"],
            ),
        ],
    ),
    mart(
        "party_daily",
        key=["date", "world", "npc_id"],
        fed_by=f"{STAGING}party",
        expect=[
            counts("joins", "dismissals", "delegated_checks", "delegated_successes"),
            holds("successes_are_checks", "delegated_successes <= delegated_checks", "delegated_successes"),
            reconciles(
                "all_party_events",
                "sum(joins + dismissals + delegated_checks)",
                "count(*)",
                f"(select *, {DAY} from {STAGING}party)",
                by=["date", "world", "npc_id"],
            ),
        ],
    ),
    mart(
        "world_sim_daily",
        key=["date", "world", "region"],
        fed_by=f"{STAGING}world_ticks",
        expect=[
            counts("event_checks", "events_triggered"),
            holds("triggered_were_checked", "events_triggered <= event_checks", "events_triggered", "event_checks"),
            holds("drift_is_finite", "isfinite(net_drift)", "net_drift"),
            reconciles(
                "all_checks",
                "sum(event_checks)",
                "count(*)",
                f"(select *, {DAY} from {STAGING}world_events)",
                by=["date", "world", "region"],
            ),
        ],
    ),
    mart(
        "weather_daily",
        key=["date", "world", "region", "weather"],
        fed_by=f"{STAGING}world_ticks",
        expect=[
            counts("ticks"),
            rates("share"),
            nothing(
                "shares_add_up",
                "select date, world, region from mart group by all having abs(sum(share) - 1) > 1e-9",
                "The shares of a day and region add up to 1.",
                "share",
            ),
            reconciles(
                "all_ticks",
                "sum(ticks)",
                "count(*)",
                f"(select *, {DAY} from {STAGING}world_ticks)",
                by=["date", "world", "region", "weather"],
            ),
        ],
    ),
)
