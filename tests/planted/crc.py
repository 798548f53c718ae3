"""Faults of crc."""

from planted import CLOCK_MOVES, keys, one_row, volume_drops

CYCLES = "crc.crc_cycles"
THROUGHPUT = "crc.crc_throughput_daily"

FAULTS = {
    **keys(CYCLES, "cycle_id"),
    f"{CYCLES}.counts": one_row(CYCLES, "failures = null"),
    f"{CYCLES}.cycles_have_tasks": one_row(CYCLES, "completions = 0, failures = 0"),
    f"{CYCLES}.completed_within_the_cycle": one_row(CYCLES, "started_on = date '2100-01-01'", "completions > 0"),
    f"{CYCLES}.measures": one_row(CYCLES, "p99_cycle_time_ms = cast('infinity' as double)"),
    f"{CYCLES}.percentiles": one_row(CYCLES, "p50_cycle_time_ms = p90_cycle_time_ms + 1"),
    f"{CYCLES}.all_tasks": one_row(CYCLES, "failures = failures + 1"),
    f"{CYCLES}.all_tasks/completions": one_row(CYCLES, "completions = completions + 1, failures = failures - 1"),
    **keys(THROUGHPUT, "workspace_id"),
    f"{THROUGHPUT}.counts": one_row(THROUGHPUT, "completions = -1"),
    f"{THROUGHPUT}.days_with_cycles": one_row(THROUGHPUT, "cycles = 0"),
    f"{THROUGHPUT}.mean_completions_per_cycle_is_a_ratio": one_row(THROUGHPUT, "mean_completions_per_cycle = null"),
    f"{THROUGHPUT}.measures": one_row(THROUGHPUT, "p50_cycle_time_ms = -1"),
    f"{THROUGHPUT}.completion_percentiles": one_row(
        THROUGHPUT, "p90_completions_per_cycle = p99_completions_per_cycle + 1"
    ),
    f"{THROUGHPUT}.cycle_time_percentiles": one_row(THROUGHPUT, "p50_cycle_time_ms = p99_cycle_time_ms + 1"),
    f"{THROUGHPUT}.deviation_pct_is_a_ratio": one_row(THROUGHPUT, "deviation_pct = 123456", "baseline_7d > 0"),
    f"{THROUGHPUT}.anomaly_by_deviation": one_row(THROUGHPUT, "is_anomaly = not is_anomaly"),
    f"{THROUGHPUT}.same_cycles": one_row(THROUGHPUT, "cycles = cycles + 1"),
    f"{THROUGHPUT}.same_cycles/completions": one_row(THROUGHPUT, "completions = completions + 1"),
    f"{THROUGHPUT}.baseline_of_the_week_before": one_row(
        THROUGHPUT, "baseline_7d = baseline_7d + 0.5", "baseline_7d is not null"
    ),
    f"{THROUGHPUT}.date_fresh": CLOCK_MOVES,
    f"{THROUGHPUT}.completions_usual_volume": volume_drops(THROUGHPUT, "date", "completions"),
}
