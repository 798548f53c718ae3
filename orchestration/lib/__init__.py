"""Plain Python that the definitions are made of, tested without a running Dagster."""
