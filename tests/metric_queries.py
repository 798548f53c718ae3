"""Many `mf query` in one process, since the start of one takes seconds: requests as JSON on standard input, answers on
standard output. To be run from the project's root, as `mf` is."""

from __future__ import annotations

import json
import sys
from typing import Any


def main() -> None:
    from dbt_metricflow.cli.cli_configuration import CLIConfiguration
    from metricflow.engine.metricflow_engine import MetricFlowQueryRequest

    configuration = CLIConfiguration()
    configuration.setup(configure_file_logging=False)
    answers: list[list[dict[str, Any]]] = []
    for request in json.load(sys.stdin):
        asked = MetricFlowQueryRequest.create(
            saved_query_name=request.get("saved_query"),
            metric_names=request.get("metrics"),
            group_by_names=request.get("group_by"),
            where_constraints=request.get("where"),
        )
        table = configuration.mf.query(asked).result_df
        answers.append([dict(zip(table.column_names, row, strict=True)) for row in table.rows])
    json.dump(answers, sys.stdout, default=str)


if __name__ == "__main__":
    main()
