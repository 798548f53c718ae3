"""Faults of goals."""

from planted import one_row

MART = "goals.goal_kpis"


def another(change: str) -> str:
    """A row more, like the first but for a change."""
    return f"insert into {MART} select * replace ({change}) from {MART} order by goal limit 1"


def wrong(goal: str, by: str = "1") -> str:
    """Another value of the goal, and the change that goes with it."""
    change = f"100 * (value + {by} - previous_value) / nullif(previous_value, 0)"
    return one_row(MART, f"value = value + {by}, change_pct = {change}", f"goal = '{goal}'")


FAULTS = {
    f"{MART}.unique_key": f"insert into {MART} from {MART} limit 1",
    f"{MART}.key_not_null": another("cast(null as varchar) as goal"),
    f"{MART}.not_empty": f"delete from {MART}",
    f"{MART}.goal_accepted": another("'happiness' as goal"),
    f"{MART}.every_goal": f"delete from {MART} where goal = 'mrr_usd'",
    f"{MART}.family_accepted": one_row(MART, "family = 'happiness'"),
    f"{MART}.unit_accepted": one_row(MART, "unit = 'smiles'", "unit = 'minutes'"),
    f"{MART}.status_accepted": one_row(MART, "status = 'well'"),
    f"{MART}.counts_are_whole": wrong("unique_users", "0.5"),
    f"{MART}.rates_are_shares": wrong("game_stuck_rate"),
    f"{MART}.change_is_from_the_previous_value": one_row(MART, "change_pct = change_pct + 1", "change_pct is not null"),
    f"{MART}.an_unknown_has_no_status": one_row(
        MART, "value = null, change_pct = null, status = 'ok'", "goal = 'activation_rate'"
    ),
    f"{MART}.a_candidate_is_not_stale": one_row(MART, "is_stale = true"),
    f"{MART}.stands_at_the_clock": one_row(MART, "as_of = as_of - interval 1 hour"),
    **{
        f"{MART}.{goal}_measured": wrong(goal, by)
        for goal, by in {
            "messages": "1",
            "spend_usd": "0.01",
            "execution_success_rate": "-0.01",
            "crc_completions": "1",
            "deployments": "1",
            "efficiency_ratio": "-0.01",
            "notebook_cadence_per_hour": "0.01",
            "notebook_coverage": "-0.01",
            "pattern_success_rate": "-0.01",
            "game_completion_rate": "0.01",
            "game_fallback_rate": "0.01",
            "significant_experiments": "1",
        }.items()
    },
}
