"""What was published of one experiment, for those who take it elsewhere."""

from __future__ import annotations

from typing import Any

from agent_analytics.errors import AnalyticsError
from agent_analytics.query import QueryResult, ask, open_published
from agent_analytics.snapshot import literal
from agent_analytics.storage import Storage


def readout(storage: Storage, experiment: str) -> QueryResult:
    """The rows of experiment_readouts of one experiment, by metric, the control first.

    Raises AnalyticsError if nothing is published, or not that experiment: with the names that are; and if the
    experiment has no readout yet.
    """
    found, _ = _published(storage, experiment)
    if not found.rows:
        raise AnalyticsError(
            f"experiment {experiment!r} has no readout: no unit has completed its days yet;"
            " --format json shows its health"
        )
    return found


def document(storage: Storage, experiment: str) -> dict[str, Any]:
    """Readouts and health of one experiment: {experiment, health: {...}, readouts: [...]}.

    There are no readouts before the first unit has completed its days. Raises AnalyticsError if nothing is published,
    or not that experiment: with the names that are.
    """
    readouts, health = _published(storage, experiment)
    return {
        "experiment": experiment,
        "health": health,
        "readouts": [dict(zip(readouts.columns, row, strict=True)) for row in readouts.rows],
    }


def _published(storage: Storage, experiment: str) -> tuple[QueryResult, dict[str, Any]]:
    """Readouts and health of one experiment, of the same version."""
    where = f"where experiment = {literal(experiment)}"
    with open_published(storage) as connection:
        found = ask(connection, f"select * exclude experiment from experiments.experiment_health {where}")
        if not found.rows:
            known = ask(connection, "select experiment from experiments.experiment_health order by all").rows
            names = f"published are {', '.join(name for (name,) in known)}" if known else "none is published"
            raise AnalyticsError(f"experiment {experiment!r} has no readout: {names}")
        order = "order by metric, variation <> control, variation"
        readouts = ask(connection, f"from experiments.experiment_readouts {where} {order}")
    return readouts, dict(zip(found.columns, found.rows[0], strict=True))
