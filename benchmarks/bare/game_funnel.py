"""The game funnel as bare SQL; sessions, choices and what is beside them are those of game."""

from benchmarks.bare import funnels
from benchmarks.bare.parts import Mart, Step

EVENTS: dict[str, str] = {}

STEPS_TAKEN = {
    "start": "session.started",
    "choice": "choice.made",
    "npc": "npc.joined",
    "craft": "craft.attempted",
    "vendor": "vendor.visited",
    "boss": "boss.fought",
    "completion": "adventure.completed",
}

STEPS = (
    Step(
        "adventures",
        f"""
with taken as (
    select tenant_id, session_id, max(load_id) as loaded, {funnels.times(STEPS_TAKEN)}
    from (
        select tenant_id, session_id, 'choice.made' as event_type, occurred_at, load_id from choices
        union all
        select tenant_id, session_id, event_type, occurred_at, load_id from beside
        where event_type in ({", ".join(f"'{event_type}'" for event_type in STEPS_TAKEN.values())})
    ) as e {{only}}
    group by tenant_id, session_id
)

select
    tenant_id, session_id, date, world, adventure, experiment, variation, true as start_any,
    {", ".join(f"{step}_at" for step in STEPS_TAKEN)},
    {", ".join(f"{step}_times is not null as {step}_any" for step in STEPS_TAKEN if step != "start")},
    greatest(loaded_through, loaded) as loaded_through
from {
            funnels.chosen(
                list(STEPS_TAKEN),
                "(select *, started_at as start_at from sessions as e {only}"
                " left join taken using (tenant_id, session_id))",
            )
        }""",
        ("tenant_id", "session_id"),
        """
select tenant_id, session_id from new_game_starts
union all select tenant_id, session_id from new_choices
union all select tenant_id, session_id from new_beside""",
    ),
)

MARTS = (
    Mart(
        "funnels",
        "game_funnel_daily",
        ("date", "world", "adventure", "experiment", "variation"),
        funnels.counted(
            "adventures",
            "date, world, adventure, experiment, variation",
            list(STEPS_TAKEN),
            "seconds",
            "1e6",
            "".join(f"count(*) filter (where {step}_any) as {step}_any_count, " for step in STEPS_TAKEN),
        ),
        ("date",),
        "select date from adventures semi join touched_adventures using (tenant_id, session_id)",
    ),
)
