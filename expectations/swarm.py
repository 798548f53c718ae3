"""swarm: tasks given to swarms of agents, and the policies they keep."""

from expectations import counts, fresh, holds, mart, measures, ratio, reconciles, suite, usual_volume

ASSIGNMENTS = "staging.stg_swarm__assignments"
CHECKS = "staging.stg_swarm__policy_checks"

SUITE = suite(
    "swarm",
    mart(
        "agent_efficiency_daily",
        key=["tenant_id", "swarm_id", "date"],
        fed_by=f"(select tenant_id from {ASSIGNMENTS} union all select tenant_id from {CHECKS})",
        rebuilt=True,
        expect=[
            counts("assignments", "resolutions", "successful_resolutions", "escalations", "policy_checks"),
            holds(
                "successes_are_resolutions",
                "successful_resolutions <= resolutions and resolutions <= assignments",
                "successful_resolutions",
                "resolutions",
                "assignments",
            ),
            ratio("efficiency_ratio", "successful_resolutions", "assignments"),
            # A resolution can carry an earlier clock than its assignment: worth a look, no reason to withhold.
            measures("mttr_minutes", "p90_resolution_minutes", severity="warning"),
            holds(
                "known_where_resolved",
                "(resolutions = 0) = (mttr_minutes is null) and (resolutions = 0) = (p90_resolution_minutes is null)",
                "resolutions",
                "mttr_minutes",
                "p90_resolution_minutes",
            ),
            holds(
                "governance_score_from_checks",
                "case when policy_checks = 0 then governance_score is null else governance_score between 0 and 1 end",
                "governance_score",
                "policy_checks",
            ),
            holds("outlier_known", "is_outlier is not null and (assignments > 0 or not is_outlier)", "is_outlier"),
            reconciles(
                "all_assignments",
                "sum(assignments)",
                "count(distinct task_id)",
                ASSIGNMENTS,
                by=["tenant_id", "swarm_id"],
            ),
            reconciles(
                "all_policy_checks",
                "sum(policy_checks)",
                "count(*)",
                f"(select *, cast(occurred_at as date) as date from {CHECKS})",
                by=["tenant_id", "swarm_id", "date"],
            ),
            fresh("date", hours=72),
            usual_volume("date", "assignments"),
        ],
    ),
)
