"""The same work as bare DuckDB SQL, a module a family."""

from benchmarks.bare.work import FAMILIES, differences, family, full, ingest, main, publish, tick

__all__ = ["FAMILIES", "differences", "family", "full", "ingest", "main", "publish", "tick"]
