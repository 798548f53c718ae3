"""When the project's files were changed last."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def newest_change(root: Path, names: Iterable[str]) -> int:
    """When one of these files, or of the files in these folders, was changed, added or removed last (ns)."""
    files = (root / name for name in names)
    return max(
        found.stat().st_mtime_ns
        for name in files
        if name.exists()
        for found in (name, *name.rglob("*"))
        if found.name != "__pycache__" and found.suffix != ".pyc"
    )
