{#-
    Windows of N calendar days that end with the tenant's last complete day, and the `periods - 1` windows of N days before
    each, for the tenants of `relation` (only the touched ones when the partition is the tenant and the model isn't built
    whole). Rows: tenant_id, window_days, periods_back (0 for the window itself), first_date, end_date (not included).
-#}
{% macro tenant_windows(relation, lengths, periods=1) -%}
    select
        seen.tenant_id,
        lengths.window_days,
        lengths.periods_back,
        {{ add_days(clock_date('tenants.timezone'), '-lengths.window_days * (lengths.periods_back + 1)') }} as first_date,
        {{ add_days(clock_date('tenants.timezone'), '-lengths.window_days * lengths.periods_back') }} as end_date,
    from (
        select distinct days.tenant_id
        from {{ relation }} as days
        {{ in_touched_partitions('days') }}
    ) as seen
    left join {{ ref('tenants') }} as tenants on seen.tenant_id = tenants.tenant_id
    cross join (
        {%- for days in lengths %}
        {%- set last = loop.last %}
        {%- for back in range(periods) %}
        select cast({{ days }} as bigint) as window_days, {{ back }} as periods_back
        {{- ' union all' if not (last and loop.last) }}
        {%- endfor %}
        {%- endfor %}
    ) as lengths
{%- endmacro %}


{#-
    The tenants whose windows of complete days newer events, or the data clock, have changed: `relation` has a row for each
    tenant_id and date (or more), with loaded_through (or another `load_column`). Events of days that aren't complete change
    no window; they come into it when the day has passed where the tenant is. `days_back`: how many days before the clock's
    the windows reach; without it any earlier day counts.
-#}
{% macro tenants_of_changed_windows(relation, days_back=none, load_column='loaded_through') -%}
    select changed.tenant_id
    from (
        select distinct tenant_id, date from {{ relation }}
        where {{ is_new(load_column) }}
    ) as changed
    left join {{ ref('tenants') }} as tenants on changed.tenant_id = tenants.tenant_id
    where changed.date < {{ clock_date('tenants.timezone') }}
        {%- if days_back %}
        and changed.date >= {{ add_days(clock_date('tenants.timezone'), -days_back) }}
        {%- endif %}
    union all
    select seen.tenant_id
    from (
        select distinct tenant_id from {{ relation }}
    ) as seen
    left join {{ ref('tenants') }} as tenants on seen.tenant_id = tenants.tenant_id
    where {{ clock_date('tenants.timezone') }} is distinct from {{ clock_date('tenants.timezone', as_of_before()) }}
{%- endmacro %}
