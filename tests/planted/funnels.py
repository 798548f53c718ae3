"""Faults of funnels."""

from expectations.funnels import GAME_PAIRS, PAIRS
from planted import CLOCK_MOVES, keys, one_row

ACTIVATION = "funnels.activation_funnel_weekly"
GAME = "funnels.game_funnel_daily"

FAULTS = {
    **keys(ACTIVATION, "week"),
    f"{ACTIVATION}.counts": one_row(ACTIVATION, "agent_count = -1"),
    f"{ACTIVATION}.weeks_with_signups": one_row(ACTIVATION, "signup_count = 0"),
    f"{ACTIVATION}.week_begins": one_row(ACTIVATION, "week = week + 1"),
    f"{ACTIVATION}.steps_narrow": one_row(ACTIVATION, "deploy_count = agent_count + 1"),
    **{
        f"{ACTIVATION}.{begin}_to_{end}_rate_is_a_ratio": one_row(ACTIVATION, f"{begin}_to_{end}_rate = 1.5")
        for begin, end in PAIRS
    },
    f"{ACTIVATION}.overall_completion_rate_is_a_ratio": one_row(ACTIVATION, "overall_completion_rate = null"),
    f"{ACTIVATION}.measures": one_row(ACTIVATION, "median_hours_signup_to_agent = -1", "agent_count > 0"),
    f"{ACTIVATION}.known_where_reached": one_row(ACTIVATION, "median_hours_signup_to_agent = null", "agent_count > 0"),
    f"{ACTIVATION}.within_the_window": one_row(ACTIVATION, "median_hours_signup_to_agent = 721", "agent_count > 0"),
    f"{ACTIVATION}.all_tenants_that_signed_up": one_row(ACTIVATION, "signup_count = signup_count + 1"),
    f"{ACTIVATION}.subscriptions_exist": one_row(ACTIVATION, "subscription_count = 1000"),
    f"{ACTIVATION}.week_fresh": CLOCK_MOVES,
    **keys(GAME, "world"),
    f"{GAME}.counts": one_row(GAME, "npc_count = -1"),
    f"{GAME}.days_with_starts": one_row(GAME, "start_count = 0"),
    f"{GAME}.steps_narrow": one_row(GAME, "npc_count = choice_count + 1"),
    f"{GAME}.any_order_is_wider": one_row(GAME, "choice_any_count = choice_count - 1"),
    **{
        f"{GAME}.{begin}_to_{end}_rate_is_a_ratio": one_row(GAME, f"{begin}_to_{end}_rate = 1.5")
        for begin, end in GAME_PAIRS
    },
    f"{GAME}.overall_completion_rate_is_a_ratio": one_row(GAME, "overall_completion_rate = null"),
    f"{GAME}.measures": one_row(GAME, "median_seconds_start_to_choice = -1"),
    f"{GAME}.all_sessions": one_row(GAME, "start_count = start_count + 1"),
    f"{GAME}.date_fresh": CLOCK_MOVES,
}
