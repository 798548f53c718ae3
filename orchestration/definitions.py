"""What Dagster loads: everything under defs/."""

from __future__ import annotations

from pathlib import Path

from dagster import Definitions, definitions, in_process_executor, load_from_defs_folder

# Steps run in one process, since each new one costs many seconds of imports. A step that fails for a part (one
# model, one gate) hands on the rest of what it did: the other families go on, and the run still ends red.
EXECUTOR = in_process_executor.configured({"step_dependency_config": {"require_upstream_step_success": False}})


@definitions
def defs() -> Definitions:
    """All definitions of the project."""
    return Definitions.merge(
        load_from_defs_folder(path_within_project=Path(__file__).parent), Definitions(executor=EXECUTOR)
    )
