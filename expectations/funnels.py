"""funnels: who gets how far from a first step to a last."""

from itertools import pairwise

from expectations import counts, fresh, holds, mart, measures, nothing, ratio, reconciles, suite

STEPS = ("signup", "agent", "deploy", "conversation", "workflow", "subscription")
PAIRS = tuple(pairwise(STEPS))
GAME_STEPS = ("start", "choice", "npc", "craft", "vendor", "boss", "completion")
GAME_PAIRS = tuple(pairwise(GAME_STEPS))
SIGNUPS = "staging.stg_platform__users where event_type = 'user.signed_up'"

SUITE = suite(
    "funnels",
    mart(
        "activation_funnel_weekly",
        key=["week"],
        fed_by=SIGNUPS,
        rebuilt=True,
        expect=[
            counts(*(f"{step}_count" for step in STEPS)),
            holds("weeks_with_signups", "signup_count > 0", "signup_count"),
            holds("week_begins", "week = date_trunc('week', week)", "week"),
            holds(
                "steps_narrow",
                " and ".join(f"{later}_count <= {earlier}_count" for earlier, later in PAIRS),
                *(f"{step}_count" for step in STEPS),
            ),
            *(ratio(f"{begin}_to_{end}_rate", f"{end}_count", f"{begin}_count") for begin, end in PAIRS),
            ratio("overall_completion_rate", "subscription_count", "signup_count"),
            measures(*(f"median_hours_{begin}_to_{end}" for begin, end in PAIRS)),
            holds(
                "known_where_reached",
                " and ".join(f"({end}_count = 0) = (median_hours_{begin}_to_{end} is null)" for begin, end in PAIRS),
                *(f"median_hours_{begin}_to_{end}" for begin, end in PAIRS),
            ),
            holds(
                "within_the_window",
                " and ".join(f"coalesce(median_hours_{begin}_to_{end} <= 30 * 24, true)" for begin, end in PAIRS),
                *(f"median_hours_{begin}_to_{end}" for begin, end in PAIRS),
            ),
            reconciles(
                "all_tenants_that_signed_up",
                "sum(signup_count)",
                "count(*)",
                f"""(
                    select cast(date_trunc('week', min(occurred_at)) as date) as week
                    from {SIGNUPS}
                    group by tenant_id
                )""",
                by=["week"],
            ),
            nothing(
                "subscriptions_exist",
                """
                select sum(subscription_count) as in_mart from mart
                having sum(subscription_count) > (
                    select count(distinct tenant_id) from staging.stg_billing__subscriptions
                    where event_type = 'subscription.created'
                )
                """,
                "No more tenants reach a subscription than have one.",
                "subscription_count",
            ),
            fresh("week", hours=8 * 7 * 24),
        ],
    ),
    mart(
        "game_funnel_daily",
        key=["date", "world", "adventure", "experiment", "variation"],
        fed_by="staging.stg_game__sessions",
        rebuilt=True,
        expect=[
            counts(*(f"{step}_count" for step in GAME_STEPS), *(f"{step}_any_count" for step in GAME_STEPS)),
            holds("days_with_starts", "start_count > 0", "start_count"),
            holds(
                "steps_narrow",
                " and ".join(f"{later}_count <= {earlier}_count" for earlier, later in GAME_PAIRS),
                *(f"{step}_count" for step in GAME_STEPS),
            ),
            holds(
                "any_order_is_wider",
                " and ".join(f"{step}_count <= {step}_any_count" for step in GAME_STEPS),
                *(f"{step}_any_count" for step in GAME_STEPS),
            ),
            *(ratio(f"{begin}_to_{end}_rate", f"{end}_count", f"{begin}_count") for begin, end in GAME_PAIRS),
            ratio("overall_completion_rate", "completion_count", "start_count"),
            measures(*(f"median_seconds_{begin}_to_{end}" for begin, end in GAME_PAIRS)),
            reconciles(
                "all_sessions",
                "sum(start_count)",
                "count(*)",
                """(
                    select cast(min(occurred_at) as date) as date
                    from staging.stg_game__sessions group by tenant_id, session_id
                )""",
                by=["date"],
            ),
            fresh("date", hours=72),
        ],
    ),
)
