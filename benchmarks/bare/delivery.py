"""delivery as bare SQL."""

from benchmarks.bare.parts import Mart, Step

EVENTS = {
    "deployments": """
select
    load_id, tenant_id, service, deployment_id, occurred_at::date as date,
    epoch_us(occurred_at) - epoch_us(committed_at) as lead_time
from {delivery}
where event_type = 'deployment.finished' and environment = 'production' and succeeded""",
    "incidents": """
select load_id, tenant_id, service, deployment_id, occurred_at, event_type = 'deployment.failed_in_use' as is_failure
from {delivery}
where event_type in ('deployment.failed_in_use', 'service.restored')""",
}

STEPS: tuple[Step, ...] = ()

MARTS = (
    Mart(
        "delivery",
        "deployment_frequency_daily",
        ("tenant_id", "service", "date"),
        """
with daily as (
    select tenant_id, service, date, count(*) as n, max(load_id) as loaded from deployments group by all
),

dense as (
    select
        tenant_id, service, unnest(range(first_day, last_day + interval 1 day, interval 1 day))::date as date,
        first_loaded
    from (
        select
            tenant_id, service, min(date)::timestamp as first_day,
            greatest(max(date), {as_of}::date)::timestamp as last_day, arg_min(loaded, date) as first_loaded
        from daily group by tenant_id, service
    )
),

windowed as (
    select
        tenant_id, service, date, coalesce(n, 0) as deployments,
        coalesce(sum(n) over seven, 0)::bigint as deployments_7d,
        coalesce(sum(n) over thirty, 0)::bigint as deployments_30d,
        coalesce(sum(n) over seven, 0)::bigint - coalesce(sum(n) over before, 0)::bigint as delta_7d,
        coalesce(max(loaded) over thirty, first_loaded) as loaded_through
    from dense left join daily using (tenant_id, service, date)
    window
        seven as (partition by tenant_id, service order by date rows 6 preceding),
        before as (partition by tenant_id, service order by date rows between 13 preceding and 7 preceding),
        thirty as (partition by tenant_id, service order by date rows 29 preceding)
)

select
    tenant_id, service, date, deployments, deployments_7d, deployments_30d, deployments_7d / 7 as moving_average_7d,
    delta_7d, case when delta_7d > 0 then 'accelerating' when delta_7d < 0 then 'slowing' else 'steady' end as trend,
    loaded_through
from windowed where deployments > 0 or date <= {as_of}::date""",
    ),
    Mart(
        "delivery",
        "delivery_performance_monthly",
        ("tenant_id", "service", "month"),
        """
with failed as (
    select
        tenant_id, service, deployment_id, min(occurred_at) filter (where is_failure) as failed_at,
        max(load_id) as loaded
    from incidents group by tenant_id, service, deployment_id having count(*) filter (where is_failure) > 0
),

restored as (
    select f.*, min(i.occurred_at) as restored_at
    from failed as f left join incidents as i
        on f.tenant_id = i.tenant_id and f.service = i.service and f.deployment_id = i.deployment_id
        and not i.is_failure and i.occurred_at >= f.failed_at
    group by all
),

measured as (
    select
        d.tenant_id, d.service, date_trunc('month', d.date)::date as month, count(*) as deployments,
        quantile_cont(d.lead_time::double, 0.5) / 3600e6 as median_lead_time_hours, count(r.failed_at) as failures,
        quantile_cont((epoch_us(r.restored_at) - epoch_us(r.failed_at))::double, 0.5) / 3600e6
            as median_hours_to_restore,
        greatest(max(d.load_id), max(r.loaded)) as loaded_through
    from deployments as d left join restored as r using (tenant_id, service, deployment_id)
    group by d.tenant_id, d.service, month
)

select
    tenant_id, service, month, deployments, median_lead_time_hours, failures / deployments as change_failure_rate,
    median_hours_to_restore,
    ['elite', 'high', 'medium', 'low'][greatest(
        case when deployments > day(last_day(month)) then 1 when 7 * deployments >= day(last_day(month)) then 2
            else 3 end,
        case when coalesce(median_lead_time_hours, 0) < 24 then 1 when median_lead_time_hours <= 168 then 2
            when median_lead_time_hours <= 720 then 3 else 4 end,
        case when 100 * failures <= 5 * deployments then 1 when 100 * failures <= 10 * deployments then 2
            when 100 * failures <= 15 * deployments then 3 else 4 end,
        case when coalesce(median_hours_to_restore, 0) < 1 then 1 when median_hours_to_restore < 24 then 2
            when median_hours_to_restore <= 168 then 3 else 4 end
    )] as dora_band,
    loaded_through
from measured""",
    ),
)
