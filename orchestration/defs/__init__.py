"""The definitions, one folder per step."""
