"""Faults of delivery."""

from planted import CLOCK_DAY, CLOCK_MOVES, keys, one_row, volume_drops

FREQUENCY = "delivery.deployment_frequency_daily"
PERFORMANCE = "delivery.delivery_performance_monthly"

FAULTS = {
    **keys(FREQUENCY, "service"),
    f"{FREQUENCY}.counts": one_row(FREQUENCY, "deployments_30d = null"),
    f"{FREQUENCY}.windows_nest": one_row(FREQUENCY, "deployments_7d = deployments_30d + 1"),
    f"{FREQUENCY}.moving_average": one_row(FREQUENCY, "moving_average_7d = null"),
    f"{FREQUENCY}.trend_accepted": one_row(FREQUENCY, "trend = 'sideways'"),
    f"{FREQUENCY}.trend_follows_delta": one_row(FREQUENCY, "delta_7d = -5", "trend <> 'slowing'"),
    f"{FREQUENCY}.all_deployments": one_row(FREQUENCY, "deployments = deployments + 1"),
    f"{FREQUENCY}.dense": f"delete from {FREQUENCY} where date = {CLOCK_DAY} - 1",
    f"{FREQUENCY}.deployments_usual_volume": volume_drops(FREQUENCY, "date", "deployments"),
    **keys(PERFORMANCE, "month"),
    f"{PERFORMANCE}.counts": one_row(PERFORMANCE, "deployments = null"),
    f"{PERFORMANCE}.months_with_deployments": one_row(PERFORMANCE, "deployments = 0"),
    f"{PERFORMANCE}.lead_time": one_row(PERFORMANCE, "median_lead_time_hours = -1"),
    f"{PERFORMANCE}.time_to_restore": one_row(PERFORMANCE, "median_hours_to_restore = -1"),
    f"{PERFORMANCE}.rates": one_row(PERFORMANCE, "change_failure_rate = 2"),
    f"{PERFORMANCE}.dora_band_accepted": one_row(PERFORMANCE, "dora_band = 'superb'"),
    f"{PERFORMANCE}.month_begins": one_row(PERFORMANCE, "month = month + 1"),
    f"{PERFORMANCE}.same_deployments_as_daily": one_row(PERFORMANCE, "deployments = deployments + 1"),
    f"{PERFORMANCE}.month_fresh": CLOCK_MOVES,
}
