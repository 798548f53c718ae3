"""What both funnels have in common. Steps are a name and an event type each, in order."""

from collections.abc import Sequence
from itertools import pairwise


def times(steps: dict[str, str]) -> str:
    """All times at which each step was taken."""
    return ", ".join(
        f"list(occurred_at) filter (where event_type = '{event_type}') as {step}_times"
        for step, event_type in steps.items()
    )


def chosen(steps: Sequence[str], relation: str) -> str:
    """The relation with the first time of each step that isn't before the step before."""
    for before, step in pairwise(steps):
        relation = (
            f"(select *, list_min(list_filter({step}_times, lambda t: t >= {before}_at)) as {step}_at from {relation})"
        )
    return relation


def counted(relation: str, group: str, steps: Sequence[str], unit: str, micros: str, more: str = "") -> str:
    """The mart over a relation with the time of each step: counts, rates, and medians in a unit of so many micros."""
    pairs = list(pairwise(steps))
    counts = ", ".join(f"count({step}_at) as {step}_count" for step in steps)
    rates = ", ".join(f"count({b}_at) / nullif(count({a}_at), 0) as {a}_to_{b}_rate" for a, b in pairs)
    medians = ", ".join(
        f"median(epoch_us({b}_at) - epoch_us({a}_at)) / {micros} as median_{unit}_{a}_to_{b}" for a, b in pairs
    )
    overall = f"count({steps[-1]}_at) / nullif(count({steps[0]}_at), 0) as overall_completion_rate"
    return f"""
select {group}, {counts}, {more}{rates}, {overall}, {medians}, max(loaded_through) as loaded_through
from {relation} as e {{only}} group by {group}"""
