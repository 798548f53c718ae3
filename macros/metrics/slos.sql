{#- The period that an error budget is for, in minutes: 30 days. -#}
{% macro slo_period_minutes() -%}
    {{ return(30 * 24 * 60) }}
{%- endmacro %}


{#- The windows whose burn rates are published, in minutes, and the period itself. All end at the data clock. -#}
{% macro slo_windows() -%}
    {{ return({
        '5m': 5, '30m': 30, '1h': 60, '2h': 120, '6h': 6 * 60, '1d': 24 * 60, '3d': 3 * 24 * 60, '30d': slo_period_minutes(),
    }) }}
{%- endmacro %}


{#-
    When to alert, after the workbook of Google's site reliability engineers: at the rate that burns a share of the period's
    budget within the long window, if the short window shows that it still burns at that rate.
-#}
{% macro slo_alerts() -%}
    {{ return({
        'page': [
            {'long': '1h', 'short': '5m', 'budget_pct': 2},
            {'long': '6h', 'short': '30m', 'budget_pct': 5},
        ],
        'ticket': [
            {'long': '1d', 'short': '2h', 'budget_pct': 10},
            {'long': '3d', 'short': '6h', 'budget_pct': 10},
        ],
    }) }}
{%- endmacro %}


{#-
    Whether an alert goes off, for a group of the windows of one objective: in one of its pairs both windows burn above the rate, and
    the long one has the fewest events that an alert needs.
-#}
{% macro slo_alert(name) -%}
    {%- for pair in slo_alerts()[name] %}
    (
        max(case when window_type = '{{ pair.long }}' and events >= minimum_events and {{ burns_above(pair) }} then 1 else 0 end) = 1
        and max(case when window_type = '{{ pair.short }}' and {{ burns_above(pair) }} then 1 else 0 end) = 1
    )
    {{- ' or ' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#-
    burn rate > budget_pct / 100 x period / long window, in whole numbers: 2% in 1 hour of 30 days is a rate of 14.4, 5% in 6
    hours 6, 10% in a day 3, 10% in 3 days 1.
-#}
{% macro burns_above(pair) -%}
    {{ to_wide('bad_events') }} * {{ 1000000000 * 100 * slo_windows()[pair.long] }}
    > {{ to_wide('events') }} * error_budget_billionths * {{ pair.budget_pct * slo_period_minutes() }}
{%- endmacro %}


{#- The share of events that may be bad, 1 - target, as whole billionths. -#}
{% macro error_budget_billionths(target) -%}
    {{ to_wide('(1 - ' ~ target ~ ') * 1000000000') }}
{%- endmacro %}


{#- How many times faster than its budget an objective burns: the share of bad events / (1 - target). NULL without events. -#}
{% macro burn_rate(bad_events, events, budget) -%}
    {{ rate(to_wide(bad_events) ~ ' * 1000000000', to_wide(events) ~ ' * ' ~ budget) }}
{%- endmacro %}


{#-
    The events that objectives are about, by objective: occurred_at, whether the event is bad, load_id. `condition` says which
    events to read.
-#}
{% macro slo_events(condition) -%}
    {%- set indicators = {
        'turns_without_fallback': ['stg_game__turns', 'events.fell_back', 'true'],
        'turns_within_latency': ['stg_game__turns', 'events.latency_ms > slos.threshold_ms', 'true'],
        'messages_without_error': ['stg_platform__messages', 'events.errored', "events.event_type = 'message.sent'"],
        'calls_succeeded': ['stg_provider__calls', 'not events.succeeded', 'true'],
        'executions_succeeded': ['stg_provider__executions', "events.event_type <> 'agent.completed'", 'true'],
    } -%}
    {%- for indicator, (model_name, is_bad, is_counted) in indicators.items() %}
    select
        slos.slo,
        events.occurred_at,
        {{ is_bad }} as is_bad,
        events.load_id,
    from {{ ref(model_name) }} as events
    inner join {{ ref('slos') }} as slos on slos.indicator = '{{ indicator }}'
    where {{ is_counted }} and {{ condition }}
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#- The family that an indicator's events belong to. -#}
{% macro slo_family(indicator) -%}
    case {{ indicator }}
        when 'turns_without_fallback' then 'game'
        when 'turns_within_latency' then 'game'
        when 'messages_without_error' then 'platform_usage'
        else 'provider_costs'
    end
{%- endmacro %}


{#- Whether an hour lies wholly in a window, whose beginning is not part of it: begins_at < t <= ends_at. -#}
{% macro is_whole_hour(hour, window) -%}
    ({{ hour }} > {{ window }}.begins_at and {{ dbt.dateadd('hour', 1, hour) }} <= {{ window }}.ends_at)
{%- endmacro %}


{#- Whether a moment lies in an hour in which some window begins or ends. -#}
{% macro in_hours_of_edges(moment) -%}
    (
        ({{ moment }} >= {{ dbt.date_trunc('hour', as_of()) }} and {{ moment }} <= {{ as_of() }})
        {%- for minutes in slo_windows().values() %}
        {%- set hour = dbt.date_trunc('hour', minutes_ago(minutes)) %}
        or ({{ moment }} >= {{ hour }} and {{ moment }} < {{ dbt.dateadd('hour', 1, hour) }})
        {%- endfor %}
    )
{%- endmacro %}


{#- The data clock, so many minutes before. -#}
{% macro minutes_ago(minutes) -%}
    {{ add_microseconds(as_of(), -minutes * 60 * 1000000) }}
{%- endmacro %}
