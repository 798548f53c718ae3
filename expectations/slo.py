"""slo: KPIs, the thresholds that they break, and error budgets.

These marts are published even while a family that they read is stale, so nothing here fails merely because another
family's candidate is broken: totals are compared with staging, ranges are those of values that come from staging alone.
"""

from expectations import accepted, counts, holds, mart, nothing, suite

FAMILIES = (
    "billing", "crc", "delivery", "game", "notebooks", "patterns", "platform_usage", "provider_costs", "slo", "swarm",
)  # fmt: skip

# Those of the newest day's events: what is counted, and in which of the KPIs.
SAMPLES = {
    "turns": ("game__turns", "true", "fallback_rate"),
    "messages": ("platform__messages", "event_type = 'message.sent'", "error_rate"),
    "executions": ("provider__executions", "true", "success_rate"),
}

INDICATORS = {
    "turns_without_fallback": ("game__turns", "true", "fell_back"),
    "turns_within_latency": ("game__turns", "true", "latency_ms > threshold_ms"),
    "messages_without_error": ("platform__messages", "event_type = 'message.sent'", "errored"),
    "calls_succeeded": ("provider__calls", "true", "not succeeded"),
    "executions_succeeded": ("provider__executions", "true", "event_type <> 'agent.completed'"),
}


def in_staging(days: int) -> str:
    """The events and bad events of each objective in the days that end at the data clock."""
    return " union all ".join(
        f"""
            select slo, count(events.load_id) as events, count(case when {is_bad} then events.load_id end) as bad_events
            from reference.slos
            cross join ops.run
            left join staging.stg_{model} as events
                on {is_counted} and occurred_at > run.as_of - interval {days} day and occurred_at <= run.as_of
            where indicator = '{indicator}'
            group by slo
        """
        for indicator, (model, is_counted, is_bad) in INDICATORS.items()
    )


# Values that break an enabled threshold, as DOUBLE: `near` of them are too close to tell.
JUDGED = """(
    select
        t.threshold_id, v.kpi, v.scope, v.scope_ref, v.window_type, v.value,
        abs(v.value - t.value) <= 1e-9 * greatest(1, abs(t.value)) as near,
        case t.operator
            when '>' then v.value > t.value
            when '<' then v.value < t.value
            when '>=' then v.value >= t.value
            when '<=' then v.value <= t.value
            when '=' then v.value = t.value
            when '!=' then v.value <> t.value
        end as breaks
    from reference.kpi_thresholds as t
    inner join slo.kpi_values as v
        on t.enabled and t.kpi = v.kpi and t.scope = v.scope and coalesce(t.scope_ref, v.scope_ref) = v.scope_ref
        and coalesce(t.window_type, v.window_type) = v.window_type
        and (t.window_type is not null or v.window_type <> '24h' or t.kpi = 'freshness_hours')
)"""


def alert(column: str, *pairs: tuple[str, str, str]) -> str:
    """Rows whose alert is on although no pair of windows burns, or off although one does; DOUBLEs near it aside."""

    def burning(sign: str) -> str:
        return " or ".join(
            f"""(
                max(burn_rate) filter (where window_type = '{long}') > {rate} * (1 {sign} 1e-9)
                and max(burn_rate) filter (where window_type = '{short}') > {rate} * (1 {sign} 1e-9)
                and max(events) filter (where window_type = '{long}') >= max(minimum_events)
            )"""
            for long, short, rate in pairs
        )

    return f"""
        select mart.slo, mart.{column}
        from mart
        inner join (
            select slo, coalesce({burning("-")}, false) as may, coalesce({burning("+")}, false) as must
            from slo.slo_burn_rates inner join reference.slos using (slo)
            group by slo
        ) as judged on mart.slo = judged.slo
        where (mart.{column} and not may) or (not mart.{column} and must) or mart.{column} is null
    """


AT_THE_CLOCK = nothing(
    "at_the_data_clock",
    "select mart.* from mart cross join ops.run where mart.as_of is distinct from run.as_of",
    "Every row stands at the data clock.",
    "as_of",
)
NOT_STALE = holds("candidates_are_not_stale", "not is_stale", "is_stale")

SUITE = suite(
    "slo",
    mart(
        "kpi_values",
        key=["kpi", "scope", "scope_ref", "window_type"],
        fed_by="staging.stg_game__turns cross join ops.run where occurred_at <= run.as_of",
        rebuilt=True,
        expect=[
            counts("sample_size"),
            accepted(
                "scope",
                *("global", "tenant", "world", "adventure", "variation"),
                *("blueprint", "swarm", "service", "scope", "pattern"),
            ),
            accepted("window_type", "1h", "24h", "day", "7d", "month"),
            accepted("family", *FAMILIES),
            AT_THE_CLOCK,
            NOT_STALE,
            holds("global_has_one_member", "scope <> 'global' or scope_ref = '' or family = 'slo'", "scope_ref"),
            holds(
                "rates_of_events",
                """kpi not like '%_rate' or (value is null and sample_size = 0)
                    or coalesce(value between 0 and 1 and sample_size > 0, false)""",
                "value",
                "sample_size",
            ),
            holds(
                "percentiles_of_events",
                """kpi not like 'p95_%' or (value is null and sample_size = 0)
                    or coalesce(value >= 0 and value < cast('infinity' as double) and sample_size > 0, false)""",
                "value",
                "sample_size",
            ),
            holds(
                "value_is_the_exact_ratio",
                """case
                    when kpi like 'p95_%' or value is null then exact_numerator is null and exact_denominator is null
                    else abs(value - cast(exact_numerator as double) / exact_denominator)
                        <= 1e-9 * greatest(1, abs(value))
                end""",
                "value",
                "exact_numerator",
                "exact_denominator",
            ),
            nothing(
                "an_hour_lies_in_its_day",
                """
                    select day.* from mart as day
                    left join mart as hour
                        on hour.kpi = day.kpi and hour.scope = day.scope and hour.scope_ref = day.scope_ref
                        and hour.window_type = '1h'
                    where day.window_type = '24h' and day.kpi <> 'freshness_hours'
                        and (hour.sample_size <= day.sample_size) is not true
                """,
                "Who has a window of 24 hours has one of 1 hour, with no more in it.",
                "sample_size",
            ),
            *(
                nothing(
                    f"all_{what}",
                    f"""
                        select mart.*, counted.events
                        from mart
                        cross join (
                            select count(*) as events
                            from staging.stg_{model} cross join ops.run
                            where {is_counted} and occurred_at > run.as_of - interval 1 day and occurred_at <= run.as_of
                        ) as counted
                        where kpi = '{kpi}' and scope = 'global' and window_type = '24h' and sample_size <> events
                    """,
                    f"The {what} of the last 24 hours are all there.",
                    "sample_size",
                )
                for what, (model, is_counted, kpi) in SAMPLES.items()
            ),
            nothing(
                "silence_by_the_ledger",
                """
                    with newest as (
                        select source, max(newest_occurred_at) as newest_at
                        from ops.lake_files
                        where load_id not in (select retracts from ops.loads where retracts is not null)
                            and load_id <= (select load_id from ops.run)
                        group by source
                    )

                    select newest.*, silence.value
                    from newest
                    cross join ops.run
                    left join (select * from mart where kpi = 'freshness_hours') as silence
                        on newest.source = silence.scope_ref
                    where newest.newest_at <= run.as_of
                        and coalesce(
                            abs(silence.value - (epoch_us(run.as_of) - epoch_us(newest.newest_at)) / 3600e6) > 1e-6,
                            true
                        )
                """,
                "Every source that the ledger knows is there, as old as its newest event by the ledger.",
                "value",
            ),
        ],
    ),
    mart(
        "kpi_breaches",
        key=["threshold_id", "scope", "scope_ref", "window_type"],
        fed_by=f"{JUDGED} where breaks and not near",
        rebuilt=True,
        expect=[
            accepted("operator", ">", "<", ">=", "<=", "=", "!="),
            accepted("severity", "warning", "critical"),
            accepted("family", *FAMILIES),
            AT_THE_CLOCK,
            NOT_STALE,
            holds("actions_suggested", "suggested_actions <> ''", "suggested_actions"),
            nothing(
                "no_breach_is_missing",
                f"""
                    select judged.* from {JUDGED} as judged
                    anti join mart using (threshold_id, scope, scope_ref, window_type)
                    where judged.breaks and not judged.near
                """,
                "Every value that breaks an enabled threshold is there.",
            ),
            nothing(
                "no_breach_is_made_up",
                f"""
                    select mart.* from mart
                    left join {JUDGED} as judged using (threshold_id, scope, scope_ref, window_type, kpi, value)
                    where (judged.breaks or judged.near) is not true
                """,
                "Every breach is a value of kpi_values that breaks an enabled threshold.",
                "value",
                "kpi",
            ),
            nothing(
                "as_the_threshold_says",
                """
                    select mart.* from mart
                    left join reference.kpi_thresholds as t using (threshold_id)
                    where mart.operator is distinct from t.operator or mart.severity is distinct from t.severity
                        or mart.threshold_value is distinct from cast(t.value as double)
                        or mart.suggested_actions is distinct from t.suggested_actions
                """,
                "Operator, limit, severity and actions are those of the threshold.",
                "threshold_value",
                "operator",
                "severity",
                "suggested_actions",
            ),
        ],
    ),
    mart(
        "slo_burn_rates",
        key=["slo", "window_type"],
        fed_by="reference.slos",
        rebuilt=True,
        expect=[
            counts("events", "bad_events"),
            holds("bad_events_are_events", "bad_events <= events", "bad_events", "events"),
            accepted("window_type", "5m", "30m", "1h", "2h", "6h", "1d", "3d"),
            accepted("family", *FAMILIES),
            AT_THE_CLOCK,
            NOT_STALE,
            nothing(
                "burns_by_its_target",
                """
                    select mart.* from mart
                    left join reference.slos using (slo)
                    where case
                        when events = 0 then burn_rate is not null
                        else coalesce(
                            abs(burn_rate - bad_events / events / (1 - cast(target as double)))
                                > 1e-6 * greatest(1, burn_rate),
                            true
                        )
                    end
                """,
                "burn_rate is the share of bad events / (1 - target); NULL without events.",
                "burn_rate",
            ),
            nothing(
                "all_windows",
                """
                    select slos.slo, count(mart.slo) as windows
                    from reference.slos left join mart using (slo)
                    group by slos.slo having count(mart.slo) <> 7
                """,
                "Every objective has its seven windows.",
            ),
            nothing(
                "windows_lie_in_each_other",
                """
                    select * from (
                        select *, lag(events) over longer as fewer, lag(bad_events) over longer as fewer_bad
                        from mart
                        window longer as (
                            partition by slo
                            order by list_position(['5m', '30m', '1h', '2h', '6h', '1d', '3d'], window_type)
                        )
                    )
                    where events < fewer or bad_events < fewer_bad
                """,
                "A longer window has no fewer events than a shorter one.",
                "events",
                "bad_events",
            ),
            nothing(
                "all_events_of_3_days",
                f"""
                    select mart.*, staged.events as events_staged, staged.bad_events as bad_events_staged
                    from mart inner join ({in_staging(3)}) as staged using (slo)
                    where window_type = '3d' and (mart.events, mart.bad_events) <> (staged.events, staged.bad_events)
                """,
                "The events of the last 3 days are all there.",
                "events",
                "bad_events",
            ),
        ],
    ),
    mart(
        "slo_status",
        key=["slo"],
        fed_by="reference.slos",
        rebuilt=True,
        expect=[
            counts("events_30d", "bad_events_30d"),
            accepted("family", *FAMILIES),
            AT_THE_CLOCK,
            NOT_STALE,
            nothing(
                "pages_by_burn_rates",
                alert("page", ("1h", "5m", "14.4"), ("6h", "30m", "6")),
                "page is on where 1h and 5m burn above 14.4, or 6h and 30m above 6, with enough events.",
                "page",
            ),
            nothing(
                "tickets_by_burn_rates",
                alert("ticket", ("1d", "2h", "3"), ("3d", "6h", "1")),
                "ticket is on where 1d and 2h burn above 3, or 3d and 6h above 1, with enough events.",
                "ticket",
            ),
            nothing(
                "budget_by_its_target",
                """
                    select mart.* from mart
                    left join reference.slos using (slo)
                    where case
                        when events_30d = 0 then budget_remaining is not null
                        else coalesce(
                            abs(1 - budget_remaining - bad_events_30d / events_30d / (1 - cast(target as double)))
                                > 1e-6 * greatest(1, abs(budget_remaining)),
                            true
                        )
                    end
                """,
                "budget_remaining is 1 - the share of bad events / (1 - target); NULL without events.",
                "budget_remaining",
            ),
            nothing(
                "all_objectives",
                "select slo from reference.slos anti join mart using (slo)",
                "Every objective is there.",
            ),
            nothing(
                "all_events_of_30_days",
                f"""
                    select mart.*, staged.events, staged.bad_events
                    from mart inner join ({in_staging(30)}) as staged using (slo)
                    where (events_30d, bad_events_30d) <> (staged.events, staged.bad_events)
                """,
                "The events of the last 30 days are all there.",
                "events_30d",
                "bad_events_30d",
            ),
        ],
    ),
)
