"""game as bare SQL."""

from benchmarks.bare.parts import Mart, Step

DIMENSIONS = "world, adventure, model, experiment, variation"
DAILY = f"{DIMENSIONS}, content_version"
SHOWN = "coalesce(experiment, 'none') as experiment, coalesce(variation, 'none') as variation"

EVENTS = {
    "turns": f"""
select
    load_id, event_id, occurred_at, occurred_at::date as date, tenant_id, session_id, world, adventure, locale, model,
    content_version, {SHOWN}, latency_ms, tokens_in, tokens_out, retries, fell_back, validator_retries, ticks, acts,
    choices, tool_calls, sim_ticks, progressed, softlock_hint, over_token_budget, gold_delta, items_acquired
from {{game}} where event_type = 'turn.completed'""",
    "game_starts": f"""
select
    load_id, event_id, occurred_at, tenant_id, session_id, world, adventure, content_version, {SHOWN}
from {{game}} where event_type = 'session.started'""",
    "choices": """
select load_id, occurred_at, tenant_id, session_id, node_id, choice_id from {game} where event_type = 'choice.made'""",
    "quest_nodes": """
select
    load_id, event_id, occurred_at, occurred_at::date as date, tenant_id, session_id, adventure, quest_id, node_id,
    event_type = 'quest.node_entered' as is_entry
from {game} where event_type in ('quest.node_entered', 'quest.node_completed')""",
    # What else happens in a session; a yes or no of any kind is `done`.
    "beside": f"""
select
    load_id, event_type, occurred_at, occurred_at::date as date, tenant_id, session_id, world, adventure, locale, model,
    content_version, {SHOWN}, coalesce(succeeded, traded, consented, won, triggered) as done, arc_id, progress,
    dialogue_id, node_id, candidates, margin, npc_id, boss_id, duration_ms, region, weather, drift
from {{game}}
where event_type not in (
    'turn.completed', 'session.started', 'choice.made', 'quest.node_entered', 'quest.node_completed'
)""",
}

BESIDE_TURNS = """(
    'loot.dropped', 'vendor.visited', 'craft.attempted', 'npc.joined', 'npc.dismissed', 'check.delegated',
    'dialogue.selected', 'dialogue.blocked', 'romance.prompted', 'world.event_checked'
)"""

STEPS = (
    Step(
        "session_days",
        """
select
    date, tenant_id, session_id, max(idle) >= 5 as is_stuck, sum(greatest(gold_delta, 0)) as gold_in,
    sum(greatest(-gold_delta, 0)) as gold_out, sum(items_acquired)::bigint as items, max(load_id) as loaded_through
from (
    select
        date, tenant_id, session_id, gold_delta, items_acquired, load_id,
        count(*) filter (where not progressed) over (
            partition by tenant_id, session_id, date order by occurred_at, event_id rows 4 preceding
        ) as idle
    from turns as e {only}
)
group by date, tenant_id, session_id""",
        ("date",),
        "select date from new_turns",
    ),
    Step(
        "plays",
        f"""
select
    date, date_trunc('hour', occurred_at) as hour, {DAILY}, locale, tenant_id, session_id,
    max(load_id) as loaded_through
from turns as e {{only}}
group by all""",
        ("date",),
        "select date from new_turns",
    ),
    # Which locales a day's groups show, by day and by hour.
    Step(
        "locales",
        f"""
with sessions as (
    select distinct date, {DAILY}, locale, tenant_id, session_id from plays as e {{only}}
),

placed as (
    select *, row_number() over (partition by date, {DAILY} order by n, locale) as place
    from (select date, {DAILY}, locale, count(*) as n from sessions group by all)
),

-- A session counts with its first locale.
gained as (
    select date, {DAILY}, place, count(*) as n
    from (
        select date, {DAILY}, min(place) as place
        from sessions inner join placed using (date, {DAILY}, locale)
        group by date, {DAILY}, tenant_id, session_id
    )
    group by all
),

judged as (
    select
        p.*, p.n < 10 or coalesce(sum(g.n) over (
            partition by date, {DAILY} order by place rows between unbounded preceding and 1 preceding
        ), 0) between 1 and 9 as is_merged
    from placed as p left join gained as g using (date, {DAILY}, place)
),

hours as (
    select date, {DIMENSIONS}, min(n) as fewest
    from (
        select date, {DIMENSIONS}, hour, locale, count(distinct (tenant_id, session_id)) as n
        from plays as e {{only}} group by all
    )
    group by all
)

select
    date, {DAILY}, locale, is_merged,
    case
        when bool_and(is_merged) over (partition by date, {DAILY}) then '(all)'
        when is_merged then '(other)'
        else locale
    end as shown,
    if(fewest >= 10 and not bool_or(is_merged) over (partition by date, {DIMENSIONS}), locale, '(all)') as hourly
from judged inner join hours using (date, {DIMENSIONS})""",
        ("date",),
        "select date from new_turns",
    ),
    Step(
        "sessions",
        """
select
    tenant_id, session_id, min(occurred_at) as started_at, started_at::date as date, max(load_id) as loaded_through,
    unnest(arg_min(
        {
            'world': world, 'adventure': adventure, 'content_version': content_version, 'experiment': experiment,
            'variation': variation
        },
        {'a': occurred_at, 'b': event_id}
    ))
from game_starts as e {only}
group by tenant_id, session_id""",
        ("tenant_id", "session_id"),
        "select tenant_id, session_id from new_game_starts",
    ),
    Step(
        "quest_ends",
        """
select
    l.tenant_id, l.session_id, l.entered_at::date as date, l.adventure, l.quest_id, l.node_id,
    l.load_id as loaded_through
from (
    select
        tenant_id, session_id, max(occurred_at) as entered_at,
        unnest(max_by(
            {'adventure': adventure, 'quest_id': quest_id, 'node_id': node_id, 'load_id': load_id},
            {'a': occurred_at, 'b': event_id}
        ))
    from quest_nodes as e {only} where is_entry
    group by tenant_id, session_id
) as l
anti join (select * from quest_nodes as e {only} where not is_entry) as c
    using (tenant_id, session_id, quest_id, node_id)""",
        ("tenant_id", "session_id"),
        "select tenant_id, session_id from new_quest_nodes",
    ),
    Step(
        "extras",
        f"""
select
    date, {DAILY}, locale, count(*) filter (where event_type = 'loot.dropped') as loot,
    count(*) filter (where event_type = 'vendor.visited') as visits,
    count(*) filter (where event_type = 'vendor.visited' and done) as trades,
    count(*) filter (where event_type = 'craft.attempted') as crafts,
    count(*) filter (where event_type = 'craft.attempted' and done) as crafted,
    count(*) filter (where event_type = 'npc.joined') as recruits,
    count(*) filter (where event_type = 'dialogue.selected') as dialogues,
    sum(candidates) filter (where event_type = 'dialogue.selected') as candidates,
    count(*) filter (where event_type = 'romance.prompted') as prompts,
    count(*) filter (where event_type = 'romance.prompted' and done) as consents,
    count(*) filter (where event_type = 'world.event_checked') as checks,
    count(*) filter (where event_type = 'world.event_checked' and done) as triggers, max(load_id) as loaded_through
from beside as e {{only}}
where event_type in {BESIDE_TURNS}
group by date, {DAILY}, locale""",
        ("date",),
        f"select date from new_beside where event_type in {BESIDE_TURNS}",
    ),
)


def _turns(more: str = "") -> str:
    """The measures that the rollups share."""
    return f"""
        count(*) as turns, quantile_cont(latency_ms, [0.5, 0.95]) as q, avg(tokens_in) as avg_tokens_in,
        avg(tokens_out) as avg_tokens_out, count(*) filter (where retries > 0) / count(*) as retry_rate,
        count(*) filter (where fell_back) / count(*) as fallback_rate,
        count(*) filter (where validator_retries > 0) / count(*) as validator_retry_rate,
        count(*) filter (where over_token_budget) / count(*) as token_overrun_rate,{more}
        max(load_id) as loaded_through"""


def _sessions(group: str) -> str:
    """Sessions, and those that are stuck, of a relation with a row for what each of them played."""
    return f"""
    select {group}, count(*) as sessions, count(*) filter (where is_stuck) / count(*) as stuck_rate
    from (
        select {group}, tenant_id, session_id, bool_or(is_stuck) as is_stuck
        from played group by {group}, tenant_id, session_id
    )
    group by {group}"""


MARTS = (
    Mart(
        "game",
        "game_rollup_hourly",
        ("hour", "world", "adventure", "locale", "model", "experiment", "variation"),
        f"""
with played as (
    select hour, {DIMENSIONS}, hourly as shown, tenant_id, session_id, is_stuck
    from plays as e {{only}}
    inner join locales using (date, {DAILY}, locale)
    inner join session_days using (date, tenant_id, session_id)
),

counted as ({_sessions(f"hour, {DIMENSIONS}, shown")}
),

measured as (
    select date_trunc('hour', occurred_at) as hour, {DIMENSIONS}, hourly as shown,{_turns()}
    from turns as e {{only}} inner join locales using (date, {DAILY}, locale)
    group by all
)

select m.* exclude (q, shown, loaded_through), shown as locale, q[1] as p50_latency_ms, q[2] as p95_latency_ms,
    sessions, stuck_rate, m.loaded_through, hour::date as date
from measured as m inner join counted using (hour, {DIMENSIONS}, shown)""",
        ("date",),
        "select date from new_turns",
        held_days=90,
    ),
    Mart(
        "game",
        "game_rollup_daily",
        ("date", "world", "adventure", "locale", "model", "experiment", "variation", "content_version"),
        f"""
with played as (
    select date, {DAILY}, shown, tenant_id, session_id, is_stuck
    from (select distinct date, {DAILY}, locale, tenant_id, session_id from plays as e {{only}})
    inner join locales using (date, {DAILY}, locale)
    inner join session_days using (date, tenant_id, session_id)
),

counted as ({_sessions(f"date, {DAILY}, shown")}
),

measured as (
    select date, {DAILY}, shown,{
            _turns('''
        avg(ticks) as avg_ticks, avg(sim_ticks) as avg_sim_ticks, avg(tool_calls) as tool_calls_per_turn,
        avg(acts) as acts_per_turn, avg(choices) as choices_per_turn,
        count(*) filter (where softlock_hint) / count(*) as softlock_hint_rate,
        sum(gold_delta) / count(*) as econ_velocity, avg(items_acquired) as items_per_turn,''')
        }
    from turns as e {{only}} inner join locales using (date, {DAILY}, locale)
    group by all
),

-- Events of a locale without a turn that day belong to what is merged.
added as (
    select
        date, {DAILY}, coalesce(l.shown, merged.shown) as shown,
        sum(columns(x.* exclude (date, {DAILY}, locale, loaded_through))),
        max(x.loaded_through) as loaded_through
    from (from extras as e {{only}}) as x
    left join locales as l using (date, {DAILY}, locale)
    left join (
        select date, {DAILY}, max(shown) as shown from locales where is_merged group by all
    ) as merged using (date, {DAILY})
    group by all
)

select
    m.* exclude (q, shown, loaded_through), shown as locale, q[1] as p50_latency_ms, q[2] as p95_latency_ms,
    sessions, stuck_rate, coalesce(loot, 0) / turns as loot_rate, coalesce(visits, 0) / turns as vendor_visit_rate,
    coalesce(crafts, 0) / turns as craft_attempt_rate, crafted / nullif(crafts, 0) as craft_success_rate,
    trades / nullif(visits, 0) as vendor_trade_rate, coalesce(recruits, 0) / sessions as party_recruit_rate,
    candidates / nullif(dialogues, 0) as dialogue_candidate_avg, consents / nullif(prompts, 0) as romance_consent_rate,
    triggers / nullif(checks, 0) as event_trigger_rate, greatest(m.loaded_through, a.loaded_through) as loaded_through
from measured as m
inner join counted using (date, {DAILY}, shown)
left join added as a using (date, {DAILY}, shown)""",
        ("date",),
        f"select date from new_turns union all select date from new_beside where event_type in {BESIDE_TURNS}",
    ),
    Mart(
        "game",
        "game_turns_by_age_daily",
        ("date", "session_age_bucket", "world", "adventure"),
        """
with aged as (
    select
        e.date, e.world, e.adventure, tenant_id, session_id, latency_ms, softlock_hint,
        case
            when occurred_at < started_at then 'unknown'
            when occurred_at < started_at + interval 5 minutes then '0-5'
            when occurred_at < started_at + interval 15 minutes then '5-15'
            when occurred_at < started_at + interval 30 minutes then '15-30'
            when occurred_at < started_at + interval 60 minutes then '30-60'
            when started_at is not null then '60+'
            else 'unknown'
        end as session_age_bucket,
        greatest(load_id, loaded_through) as loaded
    from (from turns as e {only}) as e left join sessions using (tenant_id, session_id)
)

select
    date, session_age_bucket, world, adventure, count(*) as turns,
    count(distinct (tenant_id, session_id)) as sessions, quantile_cont(latency_ms, 0.95) as p95_latency_ms,
    count(*) filter (where softlock_hint) as softlock_hints, max(loaded) as loaded_through
from aged group by all""",
        ("date",),
        """
select date from new_turns
union all
select date from session_days semi join new_game_starts using (tenant_id, session_id)""",
    ),
    Mart(
        "game",
        "game_kpis_daily",
        ("date", "world", "adventure", "content_version"),
        """
with s as (
    select date, world, adventure, content_version, tenant_id, session_id, loaded_through from sessions as e {only}
),

measured as (
    select
        date, world, adventure, content_version, count(*) as sessions, count(c.loaded) as completions,
        avg(a.progress) as arc_progress_rate, coalesce(sum(p.came), 0) as gold_in, coalesce(sum(p.went), 0) as gold_out,
        coalesce(sum(p.items), 0) as items,
        greatest(max(s.loaded_through), max(p.loaded), max(c.loaded), max(a.loaded)) as loaded_through
    from s
    left join (
        select
            tenant_id, session_id, sum(gold_in) as came, sum(gold_out) as went, sum(items) as items,
            max(loaded_through) as loaded
        from session_days semi join s using (tenant_id, session_id) group by all
    ) as p using (tenant_id, session_id)
    left join (
        select tenant_id, session_id, max(load_id) as loaded
        from beside semi join s using (tenant_id, session_id) where event_type = 'adventure.completed' group by all
    ) as c using (tenant_id, session_id)
    left join (
        select tenant_id, session_id, avg(progress) as progress, max(loaded) as loaded
        from (
            select tenant_id, session_id, arc_id, max(progress) as progress, max(load_id) as loaded
            from beside semi join s using (tenant_id, session_id) where event_type = 'arc.progressed' group by all
        )
        group by all
    ) as a using (tenant_id, session_id)
    group by all
),

chosen as (
    select
        date, world, adventure, content_version, sum(bits) / sum(n) as choice_entropy_bits, max(loaded) as loaded
    from (
        select
            date, world, adventure, content_version, node_id, sum(n) as n, max(loaded) as loaded,
            greatest(0, sum(n) * log2(sum(n)) - sum(n * log2(n))) as bits
        from (
            select
                date, world, adventure, content_version, node_id, choice_id, count(*) as n, max(load_id) as loaded
            from choices inner join s using (tenant_id, session_id) group by all
        )
        group by all
    )
    group by all
),

spoken as (
    select
        date, world, adventure, content_version, max(loaded) as loaded,
        greatest(0, log2(sum(n)) - sum(n * log2(n)) / sum(n)) as dialogue_entropy_bits
    from (
        select
            s.date, s.world, s.adventure, s.content_version, dialogue_id, count(*) as n, max(load_id) as loaded
        from beside inner join s using (tenant_id, session_id) where event_type = 'dialogue.selected' group by all
    )
    group by all
)

select
    m.* exclude (items, loaded_through), completions / sessions as completion_rate,
    (gold_in - gold_out) / sessions as gold_delta_per_session, items / sessions as items_per_session,
    choice_entropy_bits, dialogue_entropy_bits,
    greatest(m.loaded_through, c.loaded, d.loaded) as loaded_through
from measured as m
left join chosen as c using (date, world, adventure, content_version)
left join spoken as d using (date, world, adventure, content_version)""",
        ("date",),
        """
select date from sessions semi join (
    select tenant_id, session_id from new_turns
    union all select tenant_id, session_id from new_game_starts
    union all select tenant_id, session_id from new_choices
    union all select tenant_id, session_id from new_beside
) using (tenant_id, session_id)""",
    ),
    Mart(
        "game",
        "boss_ttk_daily",
        ("date", "world", "boss_id"),
        """
select date, world, boss_id, fights, wins, q[1] as p50_ttk_ms, q[2] as p90_ttk_ms, q[3] as p95_ttk_ms, loaded_through
from (
    select
        date, world, boss_id, count(*) as fights, count(*) filter (where done) as wins,
        quantile_cont(duration_ms, [0.5, 0.9, 0.95]) filter (where done) as q, max(load_id) as loaded_through
    from beside as e {only} where event_type = 'boss.fought' group by all
)""",
        ("date",),
        "select date from new_beside where event_type = 'boss.fought'",
    ),
    Mart(
        "game",
        "quest_node_dropoffs_daily",
        ("date", "adventure", "quest_id", "node_id"),
        """
with visited as (
    select
        date, adventure, quest_id, node_id, count(*) filter (where entered) as entered,
        count(*) filter (where completed) as completed, count(*) filter (where entered and is_stuck) as stuck,
        greatest(max(v.loaded), max(d.loaded_through)) as loaded
    from (
        select
            date, adventure, quest_id, node_id, tenant_id, session_id, bool_or(is_entry) as entered,
            bool_or(not is_entry) as completed, max(load_id) as loaded
        from quest_nodes as e {only} group by all
    ) as v
    left join session_days as d using (date, tenant_id, session_id)
    group by date, adventure, quest_id, node_id
),

ended as (
    select date, adventure, quest_id, node_id, count(*) as dropped, max(loaded_through) as loaded
    from quest_ends as e {only} group by all
),

blocked as (
    select date, adventure, node_id, count(*) as dialogue_blocks, max(load_id) as loaded
    from beside as e {only} where event_type = 'dialogue.blocked' group by all
)

select
    date, adventure, quest_id, node_id, entered, completed, coalesce(dropped, 0) as dropped,
    coalesce(dropped, 0) / nullif(entered, 0) as dropoff_rate, coalesce(dialogue_blocks, 0) as dialogue_blocks,
    stuck / nullif(entered, 0) as stuck_rate, greatest(v.loaded, e.loaded, b.loaded) as loaded_through
from visited as v
left join ended as e using (date, adventure, quest_id, node_id)
left join blocked as b using (date, adventure, node_id)""",
        ("date",),
        """
select date from new_quest_nodes
union all select date from new_turns
union all select date from new_beside where event_type = 'dialogue.blocked'
union all select date from quest_ends semi join new_quest_nodes using (tenant_id, session_id)""",
    ),
    Mart(
        "game",
        "economy_daily",
        ("date", "world"),
        """
with turned as (
    select
        date, world, sum(greatest(gold_delta, 0)) as currency_in, sum(greatest(-gold_delta, 0)) as currency_out,
        max(load_id) as loaded
    from turns as e {only} group by all
),

traded as (
    select
        date, world, count(*) filter (where event_type = 'vendor.visited') as vendor_visits,
        count(*) filter (where event_type = 'vendor.visited' and done) as trades, avg(margin) as avg_margin,
        count(*) filter (where event_type = 'craft.attempted') as craft_attempts,
        count(*) filter (where event_type = 'craft.attempted' and done) as craft_successes,
        count(*) filter (where event_type = 'loot.dropped') as loot_drops, max(load_id) as loaded
    from beside as e {only} where event_type in ('vendor.visited', 'craft.attempted', 'loot.dropped') group by all
)

select
    date, world, coalesce(currency_in, 0) as currency_in, coalesce(currency_out, 0) as currency_out,
    coalesce(vendor_visits, 0) as vendor_visits, coalesce(trades, 0) as trades, avg_margin,
    coalesce(craft_attempts, 0) as craft_attempts, coalesce(craft_successes, 0) as craft_successes,
    coalesce(loot_drops, 0) as loot_drops, greatest(t.loaded, b.loaded) as loaded_through
from turned as t full join traded as b using (date, world)""",
        ("date",),
        "select date from new_turns union all select date from new_beside",
    ),
    Mart(
        "game",
        "party_daily",
        ("date", "world", "npc_id"),
        """
select
    date, world, npc_id, count(*) filter (where event_type = 'npc.joined') as joins,
    count(*) filter (where event_type = 'npc.dismissed') as dismissals,
    count(*) filter (where event_type = 'check.delegated') as delegated_checks,
    count(*) filter (where event_type = 'check.delegated' and done) as delegated_successes,
    max(load_id) as loaded_through
from beside as e {only} where event_type in ('npc.joined', 'npc.dismissed', 'check.delegated') group by all""",
        ("date",),
        "select date from new_beside where npc_id is not null",
    ),
    Mart(
        "game",
        "world_sim_daily",
        ("date", "world", "region"),
        """
select
    date, world, region, count(*) filter (where event_type = 'world.event_checked') as event_checks,
    count(*) filter (where event_type = 'world.event_checked' and done) as events_triggered,
    coalesce(sum(drift), 0) as net_drift, max(load_id) as loaded_through
from beside as e {only} where event_type in ('world.event_checked', 'world.ticked') group by all""",
        ("date",),
        "select date from new_beside where region is not null",
    ),
    Mart(
        "game",
        "weather_daily",
        ("date", "world", "region", "weather"),
        """
select
    date, world, region, weather, count(*) as ticks,
    count(*) / sum(count(*)) over (partition by date, world, region) as share,
    max(max(load_id)) over (partition by date, world, region) as loaded_through
from beside as e {only} where event_type = 'world.ticked' group by date, world, region, weather""",
        ("date",),
        "select date from new_beside where event_type = 'world.ticked'",
    ),
)
