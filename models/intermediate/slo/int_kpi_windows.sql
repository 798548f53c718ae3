{{ config(materialized='table', meta={'boundary': 'instant'}) }}

{%- set grain = ['window_type', 'periods_back'] %}

with

turns as (
    {{ in_kpi_windows(ref('stg_game__turns'), [
        'tenant_id', 'session_id', 'occurred_at', 'world', 'adventure', 'experiment', 'variation', 'latency_ms', 'fell_back',
        'retries', 'validator_retries', 'over_token_budget',
    ]) }}
),

messages as (
    {{ in_kpi_windows(ref('stg_platform__messages'), ['event_type', 'tenant_id', 'response_time_ms', 'errored']) }}
),

messages_sent as (
    select * from messages
    where event_type = 'message.sent'
),

executions as (
    {{ in_kpi_windows(ref('stg_provider__executions'), ['event_type', 'tenant_id', 'duration_ms']) }}
),

pattern_executions as (
    {{ in_kpi_windows(ref('stg_patterns__executions'), ['pattern_id', 'succeeded']) }}
),

-- Who was ever seen, from marts by day.
turns_seen as (
    select
        world,
        adventure,
        experiment,
        variation,
        max(loaded_through) as loaded_through,
    from {{ ref('game_rollup_daily') }}
    group by world, adventure, experiment, variation
),

messages_seen as (
    select
        tenant_id,
        max(loaded_through) as loaded_through,
    from {{ ref('platform_metrics_daily') }}
    where messages_sent > 0
    group by tenant_id
),

executions_seen as (
    select
        tenant_id,
        max(loaded_through) as loaded_through,
    from {{ ref('execution_rollup_daily') }}
    group by tenant_id
),

patterns_seen as (
    select
        pattern_id,
        max(loaded_through) as loaded_through,
    from {{ ref('pattern_metrics_daily') }}
    group by pattern_id
),

turn_members as (
    {{ by_scope('turns_seen', turn_scopes(), [], ['max(loaded_through) as loaded_through']) }}
),

message_members as (
    {{ by_scope('messages_seen', tenant_scopes(), [], ['max(loaded_through) as loaded_through']) }}
),

execution_members as (
    {{ by_scope('executions_seen', tenant_scopes(), [], ['max(loaded_through) as loaded_through']) }}
),

pattern_members as (
    {{ by_scope('patterns_seen', {'pattern': 'pattern_id'}, [], ['max(loaded_through) as loaded_through']) }}
),

turn_measures as (
    {{ by_scope('turns', turn_scopes(), grain, [
        'count(*) as turns',
        percentiles('latency_ms', [0.95]) ~ ' as latency_percentiles',
        count_where('fell_back') ~ ' as fallbacks',
        count_where('retries > 0') ~ ' as retried',
        count_where('validator_retries > 0') ~ ' as validator_retried',
        count_where('over_token_budget') ~ ' as overruns',
    ]) }}
),

-- A turn is stuck on a day on which its session is; a session of a window is if one of its turns there is.
played as (
    select
        turns.window_type,
        turns.periods_back,
        turns.world,
        turns.adventure,
        turns.experiment,
        turns.variation,
        turns.tenant_id,
        turns.session_id,
        max(case when session_days.is_stuck then 1 else 0 end) as stuck,
    from turns
    inner join {{ ref('int_game_session_days') }} as session_days
        on turns.tenant_id = session_days.tenant_id
        and turns.session_id = session_days.session_id
        and cast(turns.occurred_at as date) = session_days.date
    group by
        turns.window_type,
        turns.periods_back,
        turns.world,
        turns.adventure,
        turns.experiment,
        turns.variation,
        turns.tenant_id,
        turns.session_id
),

sessions as (
    {{ by_scope('played', turn_scopes(), grain + ['tenant_id', 'session_id'], ['max(stuck) as stuck']) }}
),

session_measures as (
    select
        scope,
        scope_ref,
        window_type,
        periods_back,
        count(*) as sessions,
        sum(stuck) as stuck_sessions,
    from sessions
    group by scope, scope_ref, window_type, periods_back
),

message_measures as (
    {{ by_scope('messages_sent', tenant_scopes(), grain, [
        'count(*) as messages',
        percentiles('response_time_ms', [0.95]) ~ ' as response_time_percentiles',
        count_where('errored') ~ ' as errors',
    ]) }}
),

execution_measures as (
    {{ by_scope('executions', tenant_scopes(), grain, [
        'count(*) as executions',
        percentiles('duration_ms', [0.95]) ~ ' as duration_percentiles',
        count_where("event_type = 'agent.completed'") ~ ' as successes',
    ]) }}
),

pattern_measures as (
    {{ by_scope('pattern_executions', {'pattern': 'pattern_id'}, grain, [
        'count(*) as executions',
        count_where('not succeeded') ~ ' as failures',
    ]) }}
),

turn_windows as (
    {{ member_windows('turn_members', 'turn_measures', [
        'turns', 'latency_percentiles', 'fallbacks', 'retried', 'validator_retried', 'overruns',
    ]) }}
),

session_windows as (
    {{ member_windows('turn_members', 'session_measures', ['sessions', 'stuck_sessions']) }}
),

message_windows as (
    {{ member_windows('message_members', 'message_measures', ['messages', 'response_time_percentiles', 'errors']) }}
),

execution_windows as (
    {{ member_windows('execution_members', 'execution_measures', ['executions', 'duration_percentiles', 'successes']) }}
),

pattern_windows as (
    {{ member_windows('pattern_members', 'pattern_measures', ['executions', 'failures']) }}
),

kpis as (
    {{ kpi_rows('p95_latency_ms', 'turn_windows', 'turns', measure=percentile('latency_percentiles', 1)) }}
    union all
    {{ kpi_rows('fallback_rate', 'turn_windows', 'turns', 'fallbacks', 'turns') }}
    union all
    {{ kpi_rows('retry_rate', 'turn_windows', 'turns', 'retried', 'turns') }}
    union all
    {{ kpi_rows('validator_retry_rate', 'turn_windows', 'turns', 'validator_retried', 'turns') }}
    union all
    {{ kpi_rows('token_overrun_rate', 'turn_windows', 'turns', 'overruns', 'turns') }}
    union all
    {{ kpi_rows('stuck_rate', 'session_windows', 'sessions', 'stuck_sessions', 'sessions') }}
    union all
    {{ kpi_rows('p95_response_time_ms', 'message_windows', 'messages', measure=percentile('response_time_percentiles', 1)) }}
    union all
    {{ kpi_rows('error_rate', 'message_windows', 'messages', 'errors', 'messages') }}
    union all
    {{ kpi_rows('success_rate', 'execution_windows', 'executions', 'successes', 'executions') }}
    union all
    {{ kpi_rows('p95_duration_ms', 'execution_windows', 'executions', measure=percentile('duration_percentiles', 1)) }}
    union all
    {{ kpi_rows('pattern_error_rate', 'pattern_windows', 'executions', 'failures', 'executions') }}
)

select
    kpi,
    scope,
    scope_ref,
    window_type,
    periods_back,
    numerator,
    denominator,
    measure,
    sample_size,
    loaded_through,
from kpis
