"""What was published of one experiment, for those who take it elsewhere."""

from __future__ import annotations

from typing import Any

from agent_analytics.errors import AnalyticsError
from agent_analytics.query import QueryResult, run_query
from agent_analytics.storage import Storage


def readout(storage: Storage, experiment: str) -> QueryResult:
    """The rows of experiment_readouts of one experiment, by metric, the control first.

    Raises AnalyticsError if nothing is published, or not that experiment: with the names that are.
    """
    name = experiment.replace("'", "''")
    order = "order by metric, variation <> control, variation"
    found = run_query(storage, f"from experiments.experiment_readouts where experiment = '{name}' {order}")
    if not found.rows:
        known = [row[0] for row in run_query(storage, "select experiment from experiment_health order by all").rows]
        names = f"published are {', '.join(known)}" if known else "none is published"
        raise AnalyticsError(f"experiment {experiment!r} has no readout: {names}")
    return found


def document(storage: Storage, experiment: str) -> dict[str, Any]:
    """Readouts and health of one experiment: {experiment, health: {...}, readouts: [...]}. Raises as `readout`."""
    readouts = readout(storage, experiment)
    name = experiment.replace("'", "''")
    health = run_query(storage, f"select * exclude experiment from experiment_health where experiment = '{name}'")
    return {
        "experiment": experiment,
        "health": dict(zip(health.columns, health.rows[0], strict=True)),
        "readouts": [dict(zip(readouts.columns, row, strict=True)) for row in readouts.rows],
    }
