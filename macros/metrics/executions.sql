{#- The measures of a group of executions: one definition for the hourly and the daily rollup. -#}
{% macro execution_measures(grain) %}
    select
        {{ grain | join(',\n        ') }},
        count(*) as total_executions,
        {{ count_where('is_successful') }} as successful_executions,
        {{ count_where("event_type = 'agent.failed'") }} as failed_executions,
        {{ count_where("event_type = 'agent.timed_out'") }} as timed_out_executions,
        {{ sum_money('cost_usd') }} as total_cost_usd,
        avg(duration_ms) as avg_duration_ms,
        {{ percentiles('duration_ms', [0.5, 0.95, 0.99]) }} as duration_percentiles,
        avg(queue_ms) as avg_queue_ms,
        {{ percentiles('queue_ms', [0.95]) }} as queue_percentiles,
        {{ sum_count('tokens_in', 'tokens_out') }} as total_tokens,
        max(load_id) as loaded_through,
    from executions
    group by {{ grain | join(', ') }}
{% endmacro %}


{#- The columns that both rollups show of those measures. -#}
{% macro execution_columns() %}
    total_executions,
    successful_executions,
    failed_executions,
    timed_out_executions,
    {{ rate('successful_executions', 'total_executions') }} as success_rate,
    total_cost_usd,
    avg_duration_ms,
    {{ percentile('duration_percentiles', 1) }} as p50_duration_ms,
    {{ percentile('duration_percentiles', 2) }} as p95_duration_ms,
    {{ percentile('duration_percentiles', 3) }} as p99_duration_ms,
    avg_queue_ms,
    {{ percentile('queue_percentiles', 1) }} as p95_queue_ms,
    total_tokens,
    loaded_through,
{%- endmacro %}
