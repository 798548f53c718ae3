-- By source and load: the events in staging, and those that the ledger says were accepted; of loads that all staging models of the
-- source have read. A warning: an event type that was taken out of the contract has events that no staging model reads any more.
{{ config(severity='warn') }}

with

staged_events as (
    {{ source_events('true') }}
),

read_through as (
    select
        sources[1] as source,
        min(loaded_through) as load_id,
    from ops.model_watermarks
    where starts_with(model, 'stg_')
    group by sources[1]
),

taken_back as (
    select
        retracts as load_id,
        load_id as by_load_id,
    from ops.loads
    where retracts is not null
),

staged as (
    select
        source,
        load_id,
        count(*) as events,
    from staged_events
    group by source, load_id
),

accepted as (
    select
        lake_files.source,
        lake_files.load_id,
        sum(lake_files.row_count) as events,
    from ops.lake_files as lake_files
    left join taken_back on lake_files.load_id = taken_back.load_id
    where taken_back.load_id is null
    group by lake_files.source, lake_files.load_id
)

select
    read_through.source,
    coalesce(staged.load_id, accepted.load_id) as load_id,
    coalesce(staged.events, 0) as staged_events,
    coalesce(accepted.events, 0) as accepted_events,
from staged
full outer join accepted
    on staged.source = accepted.source
    and staged.load_id = accepted.load_id
inner join read_through
    on coalesce(staged.source, accepted.source) = read_through.source
    and coalesce(staged.load_id, accepted.load_id) <= read_through.load_id
left join taken_back on staged.load_id = taken_back.load_id
where
    coalesce(staged.events, 0) <> coalesce(accepted.events, 0)
    and coalesce(taken_back.by_load_id, 0) <= read_through.load_id
