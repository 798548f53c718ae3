"""How fast the pipeline is, beside the same work as bare DuckDB SQL: `python -m benchmarks`."""
