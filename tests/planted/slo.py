"""Faults of slo."""

from planted import keys, one_row

VALUES = "slo.kpi_values"
BREACHES = "slo.kpi_breaches"
BURN_RATES = "slo.slo_burn_rates"
STATUS = "slo.slo_status"


def everywhere(mart: str) -> dict[str, str]:
    """Faults of the expectations that all marts of slo have."""
    return {
        f"{mart}.family_accepted": one_row(mart, "family = 'nobody'"),
        f"{mart}.at_the_data_clock": one_row(mart, "as_of = as_of - interval 1 hour"),
        f"{mart}.candidates_are_not_stale": one_row(mart, "is_stale = true"),
    }


def sample(kpi: str) -> str:
    where = f"kpi = '{kpi}' and scope = 'global' and window_type = '24h'"
    return one_row(VALUES, "sample_size = sample_size + 1", where)


FAULTS = {
    **keys(VALUES, "scope_ref"),
    **everywhere(VALUES),
    f"{VALUES}.counts": one_row(VALUES, "sample_size = -1"),
    f"{VALUES}.scope_accepted": one_row(VALUES, "scope = 'planet'"),
    f"{VALUES}.window_type_accepted": one_row(VALUES, "window_type = '2h'"),
    f"{VALUES}.global_has_one_member": one_row(VALUES, "scope_ref = 'us'", "kpi = 'error_rate' and scope = 'global'"),
    f"{VALUES}.rates_of_events": one_row(VALUES, "value = 1.5", "kpi = 'fallback_rate'"),
    f"{VALUES}.percentiles_of_events": one_row(VALUES, "value = -1", "kpi = 'p95_latency_ms'"),
    f"{VALUES}.value_is_the_exact_ratio": one_row(VALUES, "value = 0.123", "exact_denominator > 0"),
    f"{VALUES}.an_hour_lies_in_its_day": one_row(
        VALUES, "sample_size = 1000000000", "kpi = 'success_rate' and window_type = '1h'"
    ),
    f"{VALUES}.all_turns": sample("fallback_rate"),
    f"{VALUES}.all_messages": sample("error_rate"),
    f"{VALUES}.all_executions": sample("success_rate"),
    f"{VALUES}.silence_by_the_ledger": f"delete from {VALUES} where kpi = 'freshness_hours' and scope_ref = 'crm'",
    **keys(BREACHES, "scope_ref"),
    **everywhere(BREACHES),
    f"{BREACHES}.operator_accepted": one_row(BREACHES, "operator = '~'"),
    f"{BREACHES}.severity_accepted": one_row(BREACHES, "severity = 'mild'"),
    f"{BREACHES}.actions_suggested": one_row(BREACHES, "suggested_actions = ''"),
    f"{BREACHES}.no_breach_is_missing": f"delete from {BREACHES} where rowid = (select max(rowid) from {BREACHES})",
    f"{BREACHES}.no_breach_is_made_up": one_row(BREACHES, "value = 0.123456"),
    f"{BREACHES}.as_the_threshold_says": one_row(BREACHES, "threshold_value = 0.123456"),
    **keys(BURN_RATES, "window_type"),
    **everywhere(BURN_RATES),
    f"{BURN_RATES}.counts": one_row(BURN_RATES, "bad_events = -1"),
    f"{BURN_RATES}.bad_events_are_events": one_row(BURN_RATES, "bad_events = events + 1"),
    f"{BURN_RATES}.window_type_accepted": one_row(BURN_RATES, "window_type = '7d'"),
    f"{BURN_RATES}.burns_by_its_target": one_row(BURN_RATES, "burn_rate = burn_rate + 1", "events > 0"),
    f"{BURN_RATES}.all_windows": f"delete from {BURN_RATES} where rowid = (select max(rowid) from {BURN_RATES})",
    f"{BURN_RATES}.windows_lie_in_each_other": one_row(BURN_RATES, "events = 1000000000", "window_type = '1d'"),
    f"{BURN_RATES}.all_events_of_3_days": one_row(BURN_RATES, "events = events + 1", "window_type = '3d'"),
    **keys(STATUS, "slo"),
    **everywhere(STATUS),
    f"{STATUS}.counts": one_row(STATUS, "events_30d = null"),
    f"{STATUS}.pages_by_burn_rates": one_row(STATUS, "page = not page"),
    f"{STATUS}.tickets_by_burn_rates": one_row(STATUS, "ticket = not ticket"),
    f"{STATUS}.budget_by_its_target": one_row(STATUS, "budget_remaining = budget_remaining + 1", "events_30d > 0"),
    f"{STATUS}.all_objectives": f"delete from {STATUS} where rowid = (select max(rowid) from {STATUS})",
    f"{STATUS}.all_events_of_30_days": one_row(STATUS, "events_30d = events_30d + 1"),
}
