"""Faults of swarm."""

from planted import CLOCK_MOVES, keys, one_row, volume_drops

EFFICIENCY = "swarm.agent_efficiency_daily"

FAULTS = {
    **keys(EFFICIENCY, "swarm_id"),
    f"{EFFICIENCY}.counts": one_row(EFFICIENCY, "escalations = -1"),
    f"{EFFICIENCY}.successes_are_resolutions": one_row(EFFICIENCY, "successful_resolutions = resolutions + 1"),
    f"{EFFICIENCY}.efficiency_ratio_is_a_ratio": one_row(EFFICIENCY, "efficiency_ratio = null", "assignments > 0"),
    f"{EFFICIENCY}.measures": one_row(EFFICIENCY, "mttr_minutes = -1"),
    f"{EFFICIENCY}.known_where_resolved": one_row(EFFICIENCY, "mttr_minutes = null", "resolutions > 0"),
    f"{EFFICIENCY}.governance_score_from_checks": one_row(EFFICIENCY, "governance_score = 1.5, policy_checks = 2"),
    f"{EFFICIENCY}.outlier_known": one_row(EFFICIENCY, "is_outlier = null"),
    f"{EFFICIENCY}.all_assignments": one_row(EFFICIENCY, "assignments = assignments + 1"),
    f"{EFFICIENCY}.all_policy_checks": one_row(EFFICIENCY, "policy_checks = policy_checks + 1"),
    f"{EFFICIENCY}.date_fresh": CLOCK_MOVES,
    f"{EFFICIENCY}.assignments_usual_volume": volume_drops(EFFICIENCY, "date", "assignments"),
}
