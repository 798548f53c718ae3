{#-
    The state of the model that is being built, decided once per run from its watermark (docs/incremental.md has the table):

    whole    build everything: no table, no watermark of this very table, another definition, a ledger that is behind the
             watermark, or a full refresh was asked for
    current  nothing new to read
    behind   recompute the partitions touched by loads newer than loaded_through

    It is found once and kept with the model, so that it stays what it was before the model's rows changed. Returned:
    {state, why, loaded_through, load_id, as_of_before, as_of, token}.
-#}
{% macro model_state() %}
    {%- if not execute -%} {{ return(find_model_state()) }} {%- endif -%}
    {%- if 'state' not in model -%}
        {%- do model.update({'state': find_model_state()}) -%}
    {%- endif -%}
    {{ return(model.state) }}
{% endmacro %}


{% macro find_model_state() %}
    {%- set found = {
        'state': 'whole', 'why': 'not in a run', 'loaded_through': 0, 'load_id': 0, 'as_of': none, 'as_of_before': none,
    } -%}
    {%- if execute and model.resource_type == 'model' and flags.WHICH in ('run', 'build') and target.name != 'published' -%}
        {%- set row = run_query(watermark_query()).rows[0] -%}
        {%- do found.update({
            'loaded_through': row['loaded_through'] or 0, 'load_id': row['load_id'], 'as_of': row['as_of'],
            'as_of_before': row['as_of_before'], 'token': row['token'],
        }) -%}
        {%- if flags.FULL_REFRESH or config.get('full_refresh') -%}
            {%- do found.update({'why': 'full refresh'}) -%}
        {%- elif row['token'] is none -%}
            {%- do found.update({'why': 'no watermark of this table'}) -%}
        {%- elif row['is_redefined'] -%}
            {%- do found.update({'why': 'definition changed'}) -%}
        {%- elif row['loaded_through'] > row['load_id'] -%}
            {%- do found.update({'why': 'the ledger is behind the watermark'}) -%}
        {%- elif row['loaded_through'] < row['load_id'] -%}
            {%- do found.update({'state': 'behind', 'why': 'new loads'}) -%}
        {%- else -%}
            {%- do found.update({'state': 'current', 'why': 'nothing new'}) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(found) }}
{% endmacro %}


{#- The run's target beside the watermark of this table; the watermark's columns are NULL unless the token is the table's own. -#}
{% macro watermark_query() %}
    select
        r.load_id,
        cast(r.as_of as varchar) as as_of,
        w.loaded_through,
        cast(w.as_of as varchar) as as_of_before,
        w.fingerprint is distinct from d.fingerprint as is_redefined,
        w.token,
    from ops.run as r
    inner join ops.model_fingerprints as d on d.model = '{{ model.name }}'
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
