"""Realistic events in the contract's form, for demonstrations, benchmarks and tests."""

from __future__ import annotations

from agent_analytics.simulate.engine import DEFAULT_END, SimulationReport, simulate, tick

__all__ = ["DEFAULT_END", "SimulationReport", "simulate", "tick"]
