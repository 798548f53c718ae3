"""The pipeline as Dagster sees it: assets, checks, schedules. Steps call the functions that the command line calls."""
