{#-
    The state of the model that is being built, decided once per run from its watermark (docs/incremental.md has the table):

    whole    build everything: no table, no watermark of this very table, another definition, a ledger that is behind the
             watermark, or a full refresh was asked for
    current  nothing new to read
    behind   recompute the partitions touched by loads newer than loaded_through

    Returned: {state, why, loaded_through, load_id, as_of_before, as_of, token}.
-#}
{% macro model_state() %}
    {%- if not execute or model.resource_type != 'model' or target.name == 'published' -%}
        {{ return({'state': 'whole', 'why': 'parsing', 'loaded_through': 0, 'load_id': 0, 'as_of': none, 'as_of_before': none}) }}
    {%- endif -%}
    {%- set row = run_query(watermark_query()).rows -%}
    {%- if not row -%}
        {{ return({'state': 'whole', 'why': 'not settled', 'loaded_through': 0, 'load_id': 0, 'as_of': none, 'as_of_before': none}) }}
    {%- endif -%}
    {%- set row = row[0] -%}
    {%- set found = {
        'loaded_through': row['loaded_through'] or 0, 'load_id': row['load_id'], 'as_of': row['as_of'],
        'as_of_before': row['as_of_before'], 'token': row['token'],
    } -%}
    {%- if flags.FULL_REFRESH or config.get('full_refresh') -%}
        {%- set state, why = 'whole', 'full refresh' -%}
    {%- elif row['token'] is none -%}
        {%- set state, why = 'whole', 'no watermark of this table' -%}
    {%- elif row['fingerprint'] != fingerprint() -%}
        {%- set state, why = 'whole', 'definition changed' -%}
    {%- elif row['loaded_through'] > row['load_id'] -%}
        {%- set state, why = 'whole', 'the ledger is behind the watermark' -%}
    {%- elif row['loaded_through'] < row['load_id'] -%}
        {%- set state, why = 'behind', 'new loads' -%}
    {%- else -%}
        {%- set state, why = 'current', 'nothing new' -%}
    {%- endif -%}
    {%- do found.update({'state': state, 'why': why}) -%}
    {{ return(found) }}
{% endmacro %}


{#- The run's target beside the watermark of this table; the watermark's columns are NULL unless the token is the table's own. -#}
{% macro watermark_query() %}
    select
        r.load_id,
        cast(r.as_of as varchar) as as_of,
        w.loaded_through,
        cast(w.as_of as varchar) as as_of_before,
        w.fingerprint,
        w.token,
    from ops.run as r
    left join (
        select m.*
        from ops.model_watermarks as m
        inner join duckdb_tables() as t on t.comment = m.token
        where m.model = '{{ model.name }}'
            and t.database_name = '{{ this.database }}'
            and t.schema_name = '{{ this.schema }}'
            and t.table_name = '{{ this.identifier }}'
    ) as w on true
{% endmacro %}


{#- dbt asks this of every incremental model (also through is_incremental()): the state above answers. -#}
{% macro should_full_refresh() %}
    {%- if model.resource_type == 'model' and model.config.materialized == 'incremental' -%}
        {{ return(model_state().state == 'whole') }}
    {%- endif -%}
    {{ return(config.get('full_refresh') if config.get('full_refresh') is not none else flags.FULL_REFRESH) }}
{% endmacro %}
