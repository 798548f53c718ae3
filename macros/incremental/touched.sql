{#-
    The strategy `touched`: replace exactly the partitions that newer loads touch.

    A model names its partitions in `meta.partition`, says in a `touched_partitions` block which of them the newer events
    touch, before or after, and joins what it reads to them by `in_touched_partitions`:

        {{ config(materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'hour']}) }}

        {% call touched_partitions() %}
            select tenant_id, hour from {{ ref('int_executions') }} where {{ is_new() }}
        {% endcall %}

    The set is settled in a temporary table when the model is compiled for a run: before anything is deleted.
-#}
{% macro touched_partitions() %}
    {%- if not execute -%}
        {#- dbt looks for ref() while it parses. -#}
        {%- do caller() -%}
    {%- elif flags.WHICH in ('run', 'build') and is_incremental() and model.resource_type == 'model' -%}
        {%- set columns = partition_columns() | join(', ') -%}
        {%- set query -%}
            create or replace temp table {{ touched_relation() }} as
            select distinct {{ columns }} from (
                {{ caller() }}
            ) as found
            {%- if is_backfill() %}
            union
            select {{ columns }} from {{ this }} where {{ in_backfill() }}
            {%- endif %}
            {%- if of_changed_tenant() %}
            union
            select {{ columns }} from {{ this }} where {{ of_changed_tenant() }}
            {%- endif %}
        {%- endset -%}
        {%- call statement(auto_begin=false) -%} {{ query }} {%- endcall -%}
    {%- endif -%}
{% endmacro %}


{#- Restricts `relation`, which has the partition columns, to the touched partitions; nothing when the model is built whole. -#}
{% macro in_touched_partitions(relation) -%}
    {%- if is_incremental() -%}
        inner join {{ touched_relation() }} as touched
            on {% for column in partition_columns() -%}
                {{ relation }}.{{ column }} = touched.{{ column }}{{ ' and ' if not loop.last }}
            {%- endfor %}
    {%- endif -%}
{%- endmacro %}


{#-
    A condition on a UTC time that holds on the touched dates in any time zone: from a day (or `days_before`) before the first
    touched date to a day after the last, of the `days` that begin with it. Written with literals, so that the engine skips
    what lies outside without reading it.
-#}
{% macro around_touched_dates(moment, date='date', days=1, days_before=1) -%}
    {%- if is_incremental() -%}
        {%- set dates = run_query('select min(' ~ date ~ '), max(' ~ date ~ ') from ' ~ touched_relation()).rows[0] -%}
        {%- if dates[0] is none -%}
            where false
        {%- else -%}
            where {{ moment }} >= {{ add_days("date '" ~ dates[0] ~ "'", -days_before) }}
                and {{ moment }} < {{ add_days("date '" ~ dates[1] ~ "'", days + 1) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{#-
    Whether a row came with a load that this model has not read, lies in the dates of a backfill, or is of a tenant whose
    reference data changed.
-#}
{% macro is_new(load_column='load_id') -%}
    {%- if is_incremental() -%}
        ({{ load_column }} > {{ model_state().loaded_through }}
        {%- if is_backfill() %} or {{ in_backfill() }}{% endif %}
        {%- set tenant_id = load_column.split('.')[:-1] | join ~ ('.' if '.' in load_column) ~ 'tenant_id' %}
        {%- if of_changed_tenant() %} or {{ of_changed_tenant(tenant_id) }}{% endif %})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{% macro partition_columns() %}
    {{ return(config.meta_get('partition')) }}
{% endmacro %}


{% macro touched_relation() -%}
    touched__{{ model.name }}
{%- endmacro %}


{#-
    Backfill: the variables backfill_from and backfill_to (dates or hours, both included) recompute that range, whatever is
    new. Models that append one row an event have nothing to recompute.
-#}
{% macro is_backfill() %}
    {{ return(var('backfill_from', none) is not none and partition_columns() is not none) }}
{% endmacro %}


{#-
    The partition's date is its last column, or the one that `meta.date_column` names. A mart whose partitions have no date (a
    window that ends at the data clock) is recomputed in all of them. Hours are told apart by partitions of an hour only.
-#}
{% macro in_backfill() -%}
    {%- set last = partition_columns()[-1] -%}
    {%- set date_column = config.meta_get('date_column') or (last if last in ('hour', 'date', 'week', 'month')) -%}
    {%- set grain = (date_column or '').split('_')[-1] -%}
    {%- set begin = var('backfill_from') | string -%}
    {%- set end = var('backfill_to', begin) | string -%}
    {%- if date_column == 'hour' and begin | length > 10 -%}
        {%- set timestamp = dbt.type_timestamp() %}
        hour between cast('{{ begin }}' as {{ timestamp }}) and cast('{{ end }}' as {{ timestamp }})
    {%- elif date_column -%}
        {%- set first = "cast('" ~ begin[:10] ~ "' as date)" %}
        cast({{ date_column }} as date)
        between {{ dbt.date_trunc(grain, first) if grain in ('week', 'month') else first }}
        and cast('{{ end[:10] }}' as date)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{% macro get_incremental_touched_sql(arg_dict) %}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {{ replace_partitions(arg_dict['target_relation'], arg_dict['temp_relation'], columns) }}
{% endmacro %}


{% macro replace_partitions(target_relation, new_rows, columns) %}
    {{ return(adapter.dispatch('replace_partitions')(target_relation, new_rows, columns)) }}
{% endmacro %}


{% macro default__replace_partitions(target_relation, new_rows, columns) %}
    delete from {{ target_relation }} as old
    using {{ touched_relation() }} as touched
    where {% for column in partition_columns() -%}
        old.{{ column }} = touched.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor %};

    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }} from {{ new_rows }};
{% endmacro %}
