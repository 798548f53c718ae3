{#-
    The days (tenant_id, swarm_id, date) whose measures newer events change: those of new policy checks, and, for the tasks
    with a new event, the day of the first assignment as it was known before and as it is known now. From staging, not from
    int_swarm_tasks, whose rows are replaced already when its readers run.
-#}
{% macro swarm_days_of_new_events() -%}
    with new_events as (
        {% for model_name in ['stg_swarm__assignments', 'stg_swarm__resolutions', 'stg_swarm__escalations'] -%}
        select tenant_id, swarm_id, task_id, load_id, cast(occurred_at as date) as date from {{ ref(model_name) }}
        {{ 'union all' if not loop.last }}
        {% endfor %}
    ),

    new_tasks as (
        select distinct tenant_id, swarm_id, task_id from new_events
        where {{ is_new() }}
    ),

    assigned as (
        select
            assignments.tenant_id,
            assignments.swarm_id,
            min(cast(assignments.occurred_at as date)) as date_now,
            min(
                case
                    when assignments.load_id <= {{ model_state().loaded_through }}
                        then cast(assignments.occurred_at as date)
                end
            ) as date_before,
        from {{ ref('stg_swarm__assignments') }} as assignments
        inner join new_tasks
            on assignments.tenant_id = new_tasks.tenant_id
            and assignments.swarm_id = new_tasks.swarm_id
            and assignments.task_id = new_tasks.task_id
        group by assignments.tenant_id, assignments.swarm_id, assignments.task_id
    ),

    checked as (
        select tenant_id, swarm_id, load_id, cast(occurred_at as date) as date from {{ ref('stg_swarm__policy_checks') }}
    )

    select tenant_id, swarm_id, date_now as date from assigned
    union all
    select tenant_id, swarm_id, date_before as date from assigned
    where date_before is not null
    union all
    select tenant_id, swarm_id, date from checked
    where {{ is_new() }}
{%- endmacro %}
