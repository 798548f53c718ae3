"""Faults of the customer_health marts of adoption and time to value."""

from __future__ import annotations

from planted import CLOCK_MOVES, keys, one_row, volume_drops

DAILY = "customer_health.feature_adoption_daily"
ADOPTION = "customer_health.feature_adoption"
VALUE = "customer_health.time_to_value"
STEPS = ("first_agent", "first_deploy", "first_conversation", "first_resolved")

FAULTS: dict[str, str] = {
    **keys(DAILY, "feature"),
    f"{DAILY}.counts": one_row(DAILY, "users = null"),
    f"{DAILY}.users_have_uses": one_row(DAILY, "users = uses + 1"),
    f"{DAILY}.all_uses": one_row(DAILY, "uses = uses + 1"),
    f"{DAILY}.all_user_days": one_row(DAILY, "users = users - 1", "users > 0"),
    f"{DAILY}.date_fresh": CLOCK_MOVES,
    f"{DAILY}.uses_usual_volume": volume_drops(DAILY, "date", "uses", days_ago=2),
    **keys(ADOPTION, "feature"),
    f"{ADOPTION}.counts": one_row(ADOPTION, "users_28d = -1"),
    f"{ADOPTION}.rates": one_row(ADOPTION, "adoption_rate_28d = 1.1"),
    f"{ADOPTION}.all_features": f"delete from {ADOPTION} where rowid = 0",
    f"{ADOPTION}.same_tenants_as_daily": one_row(ADOPTION, "tenants_28d = tenants_28d + 1"),
    f"{ADOPTION}.rate_of_the_active": one_row(ADOPTION, "adoption_rate_28d = adoption_rate_28d / 2"),
    f"{ADOPTION}.first_used_on_the_first_day": one_row(ADOPTION, "first_used_on = first_used_on + 1"),
    **keys(VALUE, "tenant_id"),
    f"{VALUE}.tenants_with_steps": one_row(
        VALUE, f"signed_up_at = null, {', '.join(f'{step}_at = null, hours_to_{step} = null' for step in STEPS)}"
    ),
    **{
        f"{VALUE}.hours_to_{step}_between_the_times": one_row(
            VALUE, f"hours_to_{step} = hours_to_{step} + 1", f"hours_to_{step} is not null"
        )
        for step in STEPS
    },
    f"{VALUE}.value_is_resolved": one_row(VALUE, "hours_to_value = 0.123"),
    f"{VALUE}.signed_up_at_is_the_first": one_row(VALUE, "signed_up_at = null", "signed_up_at is not null"),
    **{
        f"{VALUE}.{step}_at_is_the_first": one_row(VALUE, f"{step}_at = null", f"{step}_at is not null")
        for step in STEPS
    },
}
