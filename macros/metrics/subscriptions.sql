{#-
    The plan of each customer by the months [valid_from, valid_to) in which it is the newest, of subscription.created or
    subscription.changed, by the month's end. `month` is how months are counted: `month` (UTC) or `local_month` of
    int_customer_plans.
-#}
{% macro plan_periods(month) -%}
    select
        tenant_id,
        plan_month as valid_from,
        coalesce(lead(plan_month) over (partition by tenant_id order by plan_month), cast('9999-12-31' as date)) as valid_to,
        plan,
        loaded_through,
    from (
        select
            *,
            {{ month }} as plan_month,
            row_number() over (
                partition by tenant_id, {{ month }} order by occurred_at desc, event_id desc
            ) as month_recency,
        from {{ ref('int_customer_plans') }}
    ) as ranked
    where month_recency = 1
{%- endmacro %}
