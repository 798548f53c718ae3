"""The same work as bare DuckDB SQL, a module a family."""

from benchmarks.bare.work import MARTS, SOURCES, differences, full, ingest, main, publish, tick

__all__ = ["MARTS", "SOURCES", "differences", "full", "ingest", "main", "publish", "tick"]
