"""crc: cycles of tasks, and what the cycles that began on a day came to."""

from expectations import (
    ascending,
    counts,
    each_reconciles,
    fresh,
    holds,
    mart,
    measures,
    nothing,
    ratio,
    suite,
    usual_volume,
)

TASKS = "staging.stg_crc__tasks"
CYCLE = ["tenant_id", "blueprint_id", "workspace_id", "cycle_id"]
DAY = ["tenant_id", "blueprint_id", "workspace_id", "date"]
CYCLES_BY_DAY = "(select *, started_on as date from crc.crc_cycles)"

BASELINES = """
    select *
    from (
        select
            tenant_id, blueprint_id, workspace_id, date, baseline_7d,
            min(date) over (partition by tenant_id, blueprint_id, workspace_id) as first_day,
            coalesce(sum(completions) over week_before, 0) as completions_before
        from mart
        window week_before as (
            partition by tenant_id, blueprint_id, workspace_id order by date
            range between interval 7 days preceding and interval 1 day preceding
        )
    )
    where case
        when date >= first_day + 7 then abs(7 * baseline_7d - completions_before) < 1e-6
        else baseline_7d is null
    end is not true
"""

SUITE = suite(
    "crc",
    mart(
        "crc_cycles",
        key=CYCLE,
        fed_by=TASKS,
        expect=[
            counts("completions", "failures"),
            holds("cycles_have_tasks", "completions + failures > 0", "completions", "failures"),
            holds(
                "completed_within_the_cycle",
                """case
                    when completions = 0 then first_completed_at is null and last_completed_at is null
                    else started_on <= cast(first_completed_at as date) and first_completed_at <= last_completed_at
                end""",
                "started_on",
                "first_completed_at",
                "last_completed_at",
            ),
            measures("p50_cycle_time_ms", "p90_cycle_time_ms", "p99_cycle_time_ms"),
            ascending("p50_cycle_time_ms", "p90_cycle_time_ms", "p99_cycle_time_ms", name="percentiles"),
            each_reconciles(
                "all_tasks",
                {
                    "sum(completions + failures)": "count(*)",
                    "sum(completions)": "count(*) filter (where succeeded)",
                },
                TASKS,
                by=CYCLE,
            ),
        ],
    ),
    mart(
        "crc_throughput_daily",
        key=DAY,
        fed_by=TASKS,
        rebuilt=True,
        expect=[
            counts("cycles", "completions"),
            holds("days_with_cycles", "cycles > 0", "cycles"),
            ratio("mean_completions_per_cycle", "completions", "cycles"),
            measures(
                "p50_completions_per_cycle",
                "p90_completions_per_cycle",
                "p99_completions_per_cycle",
                "p50_cycle_time_ms",
                "p90_cycle_time_ms",
                "p99_cycle_time_ms",
            ),
            ascending(
                "p50_completions_per_cycle",
                "p90_completions_per_cycle",
                "p99_completions_per_cycle",
                name="completion_percentiles",
            ),
            ascending("p50_cycle_time_ms", "p90_cycle_time_ms", "p99_cycle_time_ms", name="cycle_time_percentiles"),
            ratio("deviation_pct", "(completions - baseline_7d)", "baseline_7d", factor=100),
            holds(
                "anomaly_by_deviation",
                "is_anomaly = coalesce(abs(deviation_pct) > 50 and baseline_7d >= 10, false)",
                "is_anomaly",
                "deviation_pct",
                "baseline_7d",
            ),
            each_reconciles(
                "same_cycles",
                {"sum(cycles)": "count(*)", "sum(completions)": "sum(completions)"},
                CYCLES_BY_DAY,
                by=DAY,
            ),
            nothing(
                "baseline_of_the_week_before",
                BASELINES,
                "baseline_7d is the mean completions of the 7 days before, NULL in the group's first 7 days.",
                "baseline_7d",
                "completions",
            ),
            fresh("date", hours=72),
            usual_volume("date", "completions"),
        ],
    ),
)
