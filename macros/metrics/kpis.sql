{#-
    Every KPI: the family that its values come from, the scopes that it has, and its windows, the shortest first. The table
    kpi_thresholds is checked against it.
-#}
{% macro kpis() %}
    {%- set recent = ['1h', '24h'] -%}
    {%- set turns = {'family': 'game', 'scopes': ['global', 'world', 'adventure', 'variation'], 'windows': recent} -%}
    {%- set messages = {'family': 'platform_usage', 'scopes': ['global', 'tenant'], 'windows': recent} -%}
    {%- set executions = {'family': 'provider_costs', 'scopes': ['global', 'tenant'], 'windows': recent} -%}
    {%- set plan = {'family': 'billing', 'scopes': ['tenant'], 'windows': ['month']} -%}
    {%- set swarm = {'family': 'swarm', 'scopes': ['swarm'], 'windows': ['7d']} -%}
    {{ return({
        'p95_latency_ms': turns,
        'fallback_rate': turns,
        'retry_rate': turns,
        'validator_retry_rate': turns,
        'stuck_rate': turns,
        'token_overrun_rate': turns,
        'p95_response_time_ms': messages,
        'error_rate': messages,
        'success_rate': executions,
        'p95_duration_ms': executions,
        'spend_vs_budget_pct': {'family': 'provider_costs', 'scopes': ['tenant'], 'windows': ['month']},
        'crc_p90_drop_pct': {'family': 'crc', 'scopes': ['blueprint'], 'windows': ['day']},
        'cadence_per_hour': {'family': 'notebooks', 'scopes': ['scope'], 'windows': ['day']},
        'pattern_error_rate': {'family': 'patterns', 'scopes': ['pattern'], 'windows': recent},
        'plan_executions_used_pct': plan,
        'plan_tokens_used_pct': plan,
        'efficiency_ratio': swarm,
        'governance_score': swarm,
        'deployments_7d': {'family': 'delivery', 'scopes': ['service'], 'windows': ['7d']},
        'freshness_hours': {'family': 'slo', 'scopes': ['global'], 'windows': ['24h']},
    }) }}
{% endmacro %}


{#- The KPIs as rows (kpi, family, shortest_window). -#}
{% macro kpi_catalogue() -%}
    {%- for kpi, known in kpis().items() %}
    select '{{ kpi }}' as kpi, '{{ known.family }}' as family, '{{ known.windows[0] }}' as shortest_window
    {{- ' union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#- The windows that end at the data clock, in hours. -#}
{% macro kpi_window_hours() -%}
    {{ return({'1h': 1, '24h': 24}) }}
{%- endmacro %}


{#- The data clock, so many hours before. -#}
{% macro hours_ago(hours) -%}
    {{ add_microseconds(as_of(), -hours * 3600 * 1000000) }}
{%- endmacro %}


{#-
    The rows of `relation` (occurred_at) with the named columns that lie in a window that ends at the data clock (window_type;
    periods_back 0) or in the one before it (1): begin < t <= end. Only the last two days are read.
-#}
{% macro in_kpi_windows(relation, columns) -%}
    {%- for window_type, hours in kpi_window_hours().items() %}
    select
        '{{ window_type }}' as window_type,
        case when occurred_at > {{ hours_ago(hours) }} then 0 else 1 end as periods_back,
        {{ columns | join(',\n        ') }},
    from {{ relation }}
    where occurred_at > {{ hours_ago(2 * hours) }} and occurred_at <= {{ as_of() }}
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#-
    `measures` of the rows of `relation` by scope and member (scope_ref), and by the columns of `grain`. `scopes`: what names
    the member, by scope; rows where that is NULL belong to no member of the scope.
-#}
{% macro by_scope(relation, scopes, grain, measures) -%}
    {%- for scope, member in scopes.items() %}
    select
        '{{ scope }}' as scope,
        {{ member }} as scope_ref,
        {%- for column in grain + measures %}
        {{ column }},
        {%- endfor %}
    from {{ relation }}
    where {{ member }} is not null
    group by {{ ([member] + grain) | join(', ') }}
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#- Who a turn's KPIs are about: everyone, its world, its adventure, its variation of an experiment. -#}
{% macro turn_scopes() -%}
    {{ return({
        'global': "cast('' as varchar)",
        'world': 'world',
        'adventure': 'adventure',
        'variation': "case when experiment <> 'none' then experiment || '/' || coalesce(variation, 'none') end",
    }) }}
{%- endmacro %}


{#- Who the KPIs of messages and executions are about. -#}
{% macro tenant_scopes() -%}
    {{ return({'global': "cast('' as varchar)", 'tenant': 'tenant_id'}) }}
{%- endmacro %}


{#-
    Each member that was ever seen, with each window that ends at the data clock and the one before it, and the measures of
    what lies in it: NULL where nothing does. `members` and `measures` have scope and scope_ref.
-#}
{% macro member_windows(members, measures, columns) -%}
    select
        members.scope,
        members.scope_ref,
        windows.window_type,
        windows.periods_back,
        {%- for column in columns %}
        measures.{{ column }},
        {%- endfor %}
        members.loaded_through,
    from {{ members }} as members
    cross join (
        {%- for window_type in kpi_window_hours() %}
        {%- set last = loop.last %}
        {%- for back in [0, 1] %}
        select '{{ window_type }}' as window_type, {{ back }} as periods_back
        {{- ' union all' if not (last and loop.last) }}
        {%- endfor %}
        {%- endfor %}
    ) as windows
    left join {{ measures }} as measures
        on members.scope = measures.scope
        and members.scope_ref = measures.scope_ref
        and windows.window_type = measures.window_type
        and windows.periods_back = measures.periods_back
{%- endmacro %}


{#-
    One KPI of rows with scope, scope_ref, window_type, periods_back and loaded_through, in the form that all KPIs share. A rate is
    two whole numbers, so that a threshold is compared without rounding; a percentile is a DOUBLE, the `measure`.
-#}
{% macro kpi_rows(kpi, relation, sample_size, numerator=none, denominator=none, measure=none) -%}
    select
        '{{ kpi }}' as kpi,
        scope,
        scope_ref,
        window_type,
        periods_back,
        {{ exact(numerator) }} as numerator,
        {{ exact(denominator) }} as denominator,
        cast({{ measure or 'null' }} as double) as measure,
        cast(coalesce({{ sample_size }}, 0) as bigint) as sample_size,
        loaded_through,
    from {{ relation }}
{%- endmacro %}


{#- A whole number as the numerator or denominator of a KPI. -#}
{% macro exact(expression) -%}
    cast({{ expression or 'null' }} as decimal(38, 0))
{%- endmacro %}


{#-
    Whether `value operator threshold` is true, for a row of kpi_values. Thresholds over counts and money compare whole numbers, since
    a DOUBLE would decide at the limit: numerator / denominator > threshold is numerator x 10^6 > denominator x the threshold in
    millionths, so that 3 of 25 is not above 0.12. Percentiles are compared as they are. NULL, which breaks nothing, where the value
    is.
-#}
{% macro breaks_threshold(kpi, operator, threshold) -%}
    case
        when {{ kpi }}.value is null then null
        when {{ kpi }}.exact_numerator is null
            then {{ compares(kpi ~ '.value', operator, 'cast(' ~ threshold ~ ' as double)') }}
        else {{ compares(
            to_wide(kpi ~ '.exact_numerator') ~ ' * 1000000',
            operator,
            to_wide(kpi ~ '.exact_denominator') ~ ' * ' ~ to_micros(threshold),
        ) }}
    end
{%- endmacro %}


{#- Compares two expressions by an operator that is a value, NULL for an operator that is none of the six. -#}
{% macro compares(left, operator, right) -%}
    case {{ operator }}
        {%- for each in ['>', '<', '>=', '<=', '=', '<>'] %}
        when '{{ each | replace("<>", "!=") }}' then {{ left }} {{ each }} {{ right }}
        {%- endfor %}
    end
{%- endmacro %}


{#- The UTC day on which the window of 24 hours before the last one begins. -#}
{% macro recent_day() -%}
    cast({{ hours_ago(48) }} as date)
{%- endmacro %}


{#- 0 for the month of a date, 1 for the month before it, NULL for any other. -#}
{% macro months_back(month, date) -%}
    case
        when {{ month }} = {{ month_of(date) }} then 0
        when {{ month }} = cast({{ dbt.dateadd('month', -1, month_of(date)) }} as date) then 1
    end
{%- endmacro %}
