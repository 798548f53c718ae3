"""The activation funnel as bare SQL; platform_events are those of platform_usage, subscriptions those of billing."""

from benchmarks.bare import funnels
from benchmarks.bare.parts import Mart, Step

EVENTS: dict[str, str] = {}

STEPS_TAKEN = {
    "signup": "user.signed_up",
    "agent": "agent.created",
    "deploy": "agent.deployed",
    "conversation": "conversation.started",
    "workflow": "workflow.executed",
    "subscription": "subscription.created",
}

STEPS = (
    Step(
        "activations",
        f"""
with signed_up as (
    select tenant_id, min(occurred_at) as signup_at
    from platform_events where event_type = 'user.signed_up' group by tenant_id
),

taken as (
    select tenant_id, signup_at, max(load_id) as loaded_through, {funnels.times(STEPS_TAKEN)}
    from (
        select tenant_id, event_type, occurred_at, load_id from platform_events
        where event_type in ({", ".join(f"'{event_type}'" for event_type in STEPS_TAKEN.values())})
        union all
        select tenant_id, event_type, occurred_at, load_id from subscriptions where event_type = 'subscription.created'
    )
    inner join signed_up using (tenant_id)
    where occurred_at >= signup_at and occurred_at <= signup_at + interval 30 days
    group by tenant_id, signup_at
)

select
    date_trunc('week', signup_at)::date as week, {", ".join(f"{step}_at" for step in STEPS_TAKEN)}, loaded_through
from {funnels.chosen(list(STEPS_TAKEN), "taken")}""",
    ),
)

MARTS = (
    Mart(
        "funnels",
        "activation_funnel_weekly",
        ("week",),
        funnels.counted("activations", "week", list(STEPS_TAKEN), "hours", "3600e6"),
    ),
)
