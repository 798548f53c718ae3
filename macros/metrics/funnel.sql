{#-
    Funnels. One is defined once, as a macro that returns its definition (activation_funnel.sql is one), and takes two models:
    an intermediate, `funnel_entities(definition)`, with one row per entity and the time chosen for each step, and a mart,
    `funnel(definition, ref(<that intermediate>))`, which counts them. A definition has

        entity      columns that identify who goes through the funnel
        steps       [[name, staging model, condition], ...], at least two
        grain       day, week or month (UTC): entities are counted in that of their first step; column date, week or month
        window      [number, unit] from the first step, its end included; without it a step may come at any time later
        breakdown   {column: expression over the first step's staging model}, of the entity's first step event
        order       ordered (the default): a step is its earliest occurrence at or after the one chosen for the step before
                    strict: its earliest occurrence after the one chosen for the step before
                    any: its earliest occurrence within the window, in any order, so that it may lie before the first step
        count_any   true: also <step>_any_count, which is what <step>_count would be in any order
        time_unit   hours (the default) or seconds, of the median times between steps

    Only the first occurrence of the first step counts. A breakdown needs event_id in that staging model, for ties.
-#}
{% macro funnel_entities(definition) -%}
{%- set funnel = checked_funnel(definition) -%}
{%- set first_step = funnel.names[0] ~ '_step' -%}
{%- call touched_partitions() %}
    select {{ funnel.entity | join(', ') }} from (
        {%- for name in funnel.names %}
        select
            {{ funnel.entity | join(', ') }},
            {{ funnel_period(funnel, 'occurred_at') }} as {{ funnel.period }},
            load_id,
        from ({{ funnel_events(funnel, name) }}) as {{ name }}_events
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ) as events
    where {{ is_new() }}
{%- endcall -%}

with

{% for name in funnel.names -%}
{{ name }}_found as (
    {{ funnel_events(funnel, name) }}
),

{{ name }}_events as (
    select {{ name }}_found.*
    from {{ name }}_found
    {{ in_touched_partitions(name ~ '_found') }}
),

{% endfor -%}

{{ first_step }} as (
    {{ funnel_first_step(funnel) }}
)

{%- for name in funnel.names[1:] -%}
,

{{ name }}_step as (
    {{ funnel_later_step(funnel, loop.index) }}
)
{%- endfor %}

select
    {%- for column in funnel.entity %}
    {{ first_step }}.{{ column }},
    {%- endfor %}
    {{ funnel_period(funnel, first_step ~ '.reached_at') }} as {{ funnel.period }},
    {%- for column in funnel.breakdown %}
    {{ first_step }}.{{ column }},
    {%- endfor %}
    {%- for name in funnel.names %}
    {{ name }}_step.reached_at as {{ name }}_at,
    {%- endfor %}
    {%- for name in funnel.names if funnel.count_any %}
    {{ name }}_step.loaded_through is not null as {{ name }}_in_any_order,
    {%- endfor %}
    greatest(
        {%- for name in funnel.names %}
        coalesce({{ name }}_step.loaded_through, 0){{ ',' if not loop.last }}
        {%- endfor %}
    ) as loaded_through,
from {{ first_step }}
{%- for name in funnel.names[1:] %}
left join {{ name }}_step on {{ funnel_same_entity(funnel, first_step, name ~ '_step') }}
{%- endfor %}
{%- endmacro %}


{#-
    The mart over the entities: per period and breakdown <step>_count, <from>_to_<to>_rate (of those that reached <from>, the
    share that reached <to>), overall_completion_rate (all steps) and median_<unit>_<from>_to_<to>.
-#}
{% macro funnel(definition, entities) -%}
{%- set funnel = checked_funnel(definition) -%}
{%- set grain = ([funnel.period] + funnel.breakdown | list) | join(',\n    ') -%}
{%- set reached_all = funnel.names | join('_at is not null and ') ~ '_at is not null' -%}
{#- An earlier first step takes an entity from one period to another, and both change. -#}
{%- call touched_partitions() %}
    select {{ funnel.period }} from {{ entities }} where {{ is_new('loaded_through') }}
    union all
    select {{ funnel_period(funnel, 'min(events.occurred_at)') }} as {{ funnel.period }}
    from ({{ funnel_events(funnel, funnel.names[0]) }}) as events
    inner join {{ entities }} as changed on {{ funnel_same_entity(funnel, 'events', 'changed') }}
    where {{ is_new('changed.loaded_through') }} and events.load_id <= {{ model_state().loaded_through }}
    group by {{ funnel_columns(funnel, 'events') }}
{%- endcall -%}

with

entities as (
    select entities.*
    from {{ entities }} as entities
    {{ in_touched_partitions('entities') }}
),

counted as (
    select
        {{ grain | indent(4) }},
        {%- for name in funnel.names %}
        count({{ name }}_at) as {{ name }}_count,
        {%- endfor %}
        {%- for name in funnel.names if funnel.count_any %}
        {{ count_where(name ~ '_in_any_order') }} as {{ name }}_any_count,
        {%- endfor %}
        {%- for from, to in funnel.pairs %}
        count({{ microseconds_between(from ~ '_at', to ~ '_at') }}) as {{ from }}_to_{{ to }}_count,
        {{ percentiles(microseconds_between(from ~ '_at', to ~ '_at'), [0.5]) }} as {{ from }}_to_{{ to }}_medians,
        {%- endfor %}
        {{ count_where(reached_all) }} as completion_count,
        max(loaded_through) as loaded_through,
    from entities
    group by
        {{ grain | indent(4) }}
)

select
    {{ grain }},
    {%- for name in funnel.names %}
    {{ name }}_count,
    {%- endfor %}
    {%- for name in funnel.names if funnel.count_any %}
    {{ name }}_any_count,
    {%- endfor %}
    {%- for from, to in funnel.pairs %}
    {{ rate(from ~ '_to_' ~ to ~ '_count', from ~ '_count') }} as {{ from }}_to_{{ to }}_rate,
    {%- endfor %}
    {{ rate('completion_count', funnel.names[0] ~ '_count') }} as overall_completion_rate,
    {%- for from, to in funnel.pairs %}
    {{ percentile(from ~ '_to_' ~ to ~ '_medians', 1) }} / {{ {'hours': '3600e6', 'seconds': '1e6'}[funnel.time_unit] }}
        as median_{{ funnel.time_unit }}_{{ from }}_to_{{ to }},
    {%- endfor %}
    loaded_through,
from counted
{%- endmacro %}


{#- Per entity its first occurrence of the first step, with the breakdown columns of that event. -#}
{% macro funnel_first_step(funnel) -%}
    select
        {{ funnel.entity | join(', ') }},
        {%- for column in funnel.breakdown %}
        max(case when place = 1 then {{ column }} end) as {{ column }},
        {%- endfor %}
        min(occurred_at) as reached_at,
        {{ 'max(case when place = 1 then load_id end)' if funnel.breakdown else value_at_min('load_id', 'occurred_at') }}
            as loaded_through,
    {%- if funnel.breakdown %}
    from (
        select
            *,
            row_number() over (partition by {{ funnel.entity | join(', ') }} order by occurred_at, event_id) as place,
        from {{ funnel.names[0] }}_events
    ) as in_order
    {%- else %}
    from {{ funnel.names[0] }}_events
    {%- endif %}
    group by {{ funnel.entity | join(', ') }}
{%- endmacro %}


{#-
    Per entity with an occurrence of a later step, in any order, the one that is chosen, NULL if none is, and the load that
    brought it: events that change nothing leave the row as it is, and the marts above alone.
-#}
{% macro funnel_later_step(funnel, index) -%}
{%- set before = 'first_step' if index == 1 else 'step_before' -%}
{%- set chosen = {
    'ordered': 'case when events.occurred_at >= ' ~ before ~ '.reached_at then events.occurred_at end',
    'strict': 'case when events.occurred_at > ' ~ before ~ '.reached_at then events.occurred_at end',
    'any': 'events.occurred_at',
} -%}
    select
        {{ funnel_columns(funnel, 'events') }},
        min({{ chosen[funnel.order] }}) as reached_at,
        {%- if funnel.count_any %}
        greatest(
            coalesce({{ value_at_min('events.load_id', chosen[funnel.order]) }}, 0), min(events.load_id)
        ) as loaded_through,
        {%- else %}
        {{ value_at_min('events.load_id', chosen[funnel.order]) }} as loaded_through,
        {%- endif %}
    from {{ funnel.names[index] }}_events as events
    inner join {{ funnel.names[0] }}_step as first_step
        on {{ funnel_same_entity(funnel, 'events', 'first_step') }}
        {%- if funnel.window %}
        and events.occurred_at <= {{ dbt.dateadd(funnel.window[1], funnel.window[0], 'first_step.reached_at') }}
        {%- endif %}
    {%- if index > 1 and funnel.order != 'any' %}
    left join {{ funnel.names[index - 1] }}_step as step_before
        on {{ funnel_same_entity(funnel, 'events', 'step_before') }}
    {%- endif %}
    group by {{ funnel_columns(funnel, 'events') }}
{%- endmacro %}


{#- The events of a step. -#}
{% macro funnel_events(funnel, name) -%}
    {%- set _, relation, condition = funnel.steps[funnel.names.index(name)] -%}
    select
        {{ funnel.entity | join(', ') }},
        {%- if funnel.breakdown and name == funnel.names[0] %}
        event_id,
        {%- for column, expression in funnel.breakdown.items() %}
        {{ expression }} as {{ column }},
        {%- endfor %}
        {%- endif %}
        occurred_at,
        load_id,
    from {{ ref(relation) }}
    where {{ condition }}
        {%- for column in funnel.entity %} and {{ column }} is not null {%- endfor %}
{%- endmacro %}


{% macro funnel_period(funnel, moment) -%}
    cast({{ dbt.date_trunc(funnel.grain, moment) }} as date)
{%- endmacro %}


{% macro funnel_columns(funnel, relation) -%}
    {%- for column in funnel.entity -%} {{ relation }}.{{ column }}{{ ', ' if not loop.last }} {%- endfor -%}
{%- endmacro %}


{% macro funnel_same_entity(funnel, one, other) -%}
    {%- for column in funnel.entity -%}
        {{ one }}.{{ column }} = {{ other }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{#- The definition with its defaults, or one clear message of what is wrong with it. -#}
{% macro checked_funnel(definition) -%}
    {%- set funnel = {
        'window': none, 'breakdown': {}, 'order': 'ordered', 'count_any': false, 'time_unit': 'hours',
    } -%}
    {%- do funnel.update(definition) -%}
    {%- set periods = {'day': 'date', 'week': 'week', 'month': 'month'} -%}
    {%- set wrong = [] -%}
    {%- if not funnel.entity -%} {%- do wrong.append('entity: name a column at least') -%} {%- endif -%}
    {%- if not funnel.steps or funnel.steps | length < 2 -%} {%- do wrong.append('steps: name two at least') -%} {%- endif -%}
    {%- if funnel.grain not in periods -%} {%- do wrong.append('grain: one of day, week, month') -%} {%- endif -%}
    {%- if funnel.order not in ('ordered', 'strict', 'any') -%} {%- do wrong.append('order: one of ordered, strict, any') -%} {%- endif -%}
    {%- if funnel.time_unit not in ('hours', 'seconds') -%} {%- do wrong.append('time_unit: one of hours, seconds') -%} {%- endif -%}
    {%- if wrong -%}
        {%- do exceptions.raise_compiler_error('this funnel is not complete; ' ~ wrong | join('; ')) -%}
    {%- endif -%}
    {%- set names = funnel.steps | map('first') | list -%}
    {%- do funnel.update({
        'names': names, 'pairs': zip(names[:-1], names[1:]) | list, 'period': periods[funnel.grain],
    }) -%}
    {{ return(funnel) }}
{%- endmacro %}
