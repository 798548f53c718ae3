{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'session_id', 'date']},
) }}

{%- set key = ['date', 'hour'] + game_daily_dimensions() + ['locale', 'tenant_id', 'session_id'] %}

{%- call touched_partitions() %}
{{ session_days_of_new_turns() }}
{%- endcall %}

with

turns as (
    {{ turns_of_touched_session_days() }}
),

shown as (
    select
        date,
        {{ dbt.date_trunc('hour', 'occurred_at') }} as hour,
        world,
        adventure,
        model,
        coalesce(experiment, 'none') as experiment,
        coalesce(variation, 'none') as variation,
        content_version,
        locale,
        tenant_id,
        session_id,
        latency_ms,
        tokens_in,
        tokens_out,
        retries,
        fell_back,
        validator_retries,
        over_token_budget,
        ticks,
        sim_ticks,
        tool_calls,
        acts,
        choices,
        softlock_hint,
        gold_delta,
        items_acquired,
        load_id,
    from turns
)

-- Sums as DOUBLE: exact below 2^53, and no count is too large for them.
select
    {{ key | join(',\n    ') }},
    count(*) as turns,
    {{ collected('latency_ms') }} as latencies_ms,
    sum(cast(tokens_in as double)) as tokens_in,
    sum(cast(tokens_out as double)) as tokens_out,
    {{ count_where('retries > 0') }} as retried,
    {{ count_where('fell_back') }} as fallbacks,
    {{ count_where('validator_retries > 0') }} as validator_retried,
    {{ count_where('over_token_budget') }} as overruns,
    sum(cast(ticks as double)) as ticks,
    sum(cast(sim_ticks as double)) as sim_ticks,
    sum(cast(tool_calls as double)) as tool_calls,
    sum(cast(acts as double)) as acts,
    sum(cast(choices as double)) as choices,
    {{ count_where('softlock_hint') }} as softlock_hints,
    sum(gold_delta) as gold_delta,
    sum(cast(items_acquired as double)) as items_acquired,
    max(load_id) as loaded_through,
from shown
group by {{ key | join(', ') }}
