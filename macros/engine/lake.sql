{#-
    Staging: the accepted events of some event types of one source, typed and named as in the contract, in load order. The
    model's meta names the `event_types`, of the `envelope` the ids that models read, and as `left_out` properties that
    nobody reads: an id that nobody reads costs as much to write as all the measures. An incremental run reads only the files of
    newer loads.
-#}
{% macro stage(relation) %}
    {%- set event_types = config.meta_get('event_types') or [] -%}
    {%- set left_out = config.meta_get('left_out') or [] -%}
    select
        load_id,
        event_type,
        occurred_at,
        tenant_id,
        {%- for name in config.meta_get('envelope') or [] %}
        {{ name }},
        {%- endfor %}
        {%- for name, data_type in contract_columns(relation.identifier, event_types) if name not in left_out %}
        cast({{ name }} as {{ data_type }}) as {{ name }},
        {%- endfor %}
    from {{ lake_files(relation) }}
    where event_type in ('{{ event_types | join("', '") }}')
        and {{ is_unread() }}
{% endmacro %}


{#- The properties of the event types in the contract's order, each with its type in the lake: [[name, type], ...]. -#}
{% macro contract_columns(source_name, event_types) %}
    {%- if not execute -%} {{ return([]) }} {%- endif -%}
    {{ return(typed_columns(read_contract()['sources'][source_name], event_types)) }}
{% endmacro %}


{#- Parsed once a run: it takes longer than most models. -#}
{% macro read_contract() %}
    {%- set known = known_in_this_run() -%}
    {%- if 'contract' not in known -%}
        {%- set text = run_query("select content from read_text('contracts/events.yml')").rows[0][0] -%}
        {%- do known.update({'contract': fromyaml(text)}) -%}
    {%- endif -%}
    {{ return(known.contract) }}
{% endmacro %}


{% macro typed_columns(events, event_types) %}
    {%- set types = {
        'string': 'varchar', 'count': 'bigint', 'rating': 'integer', 'number': 'double', 'signed': 'double',
        'fraction': 'double', 'money': 'decimal(18,6)', 'bool': 'boolean', 'timestamp': 'timestamp',
    } -%}
    {%- set columns = {} -%}
    {%- for event_type, properties in events.items() if event_type in event_types -%}
        {%- for name, declared in (properties or {}).items() if name not in columns -%}
            {#- The values of an enumeration come as a list, or as `optional [one, other]`. -#}
            {%- set kind = declared.removeprefix('optional ') | trim if declared is string else '[' -%}
            {%- do columns.update({name: 'varchar' if kind.startswith('[') else types[kind]}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns.items() | list) }}
{% endmacro %}


{#-
    The source's files of standing loads that the model has not read, with schema.parquet first: it has the contract's
    present columns and no rows, so files written under an older contract, or no file at all, make no difference.
-#}
{% macro lake_files(relation) %}
    {%- if not execute or flags.WHICH not in ('run', 'build') or model.resource_type != 'model' -%}
        {{ return(relation) }}
    {%- endif -%}
    {%- set source_name = relation.identifier -%}
    {%- set lake = storage_root() ~ '/lake/' -%}
    {%- set schema = lake ~ source_name ~ '/schema.parquet' -%}
    {%- if not run_query("select 1 from glob('" ~ schema ~ "')").rows -%}
        {%- do exceptions.raise_compiler_error("there is no lake at " ~ lake ~ ": run `agent-analytics ingest` first") -%}
    {%- endif -%}
    {%- set query -%}
        select '{{ lake }}' || path from ops.lake_files
        where source = '{{ source_name }}' and path != '' and {{ is_unread() }}
        group by path
        order by min(load_id)
    {%- endset -%}
    {%- set hot = read_events([schema] + run_query(query).columns[0].values() | list) -%}
    {%- if model_state().archived_through <= read_through() -%}
        {{ return(hot) }}
    {%- endif -%}
    {{ return(with_archived(hot, source_name, schema)) }}
{% endmacro %}


{% macro read_events(paths) -%}
    read_parquet({{ ledger_paths(paths) }}, union_by_name = true, hive_partitioning = false)
{%- endmacro %}


{#-
    The unread events of the lake's files `hot` and of the archive. Its files are read together with what they hold, and
    after the ledger: whatever a retention moves meanwhile, each event is there once.
-#}
{% macro with_archived(hot, source_name, schema) %}
    {%- set query -%}
        select before, through, '{{ storage_root() }}/archive/' || f.path
        from (
            select before, through, unnest(files) as f
            from read_json(
                '{{ archive_list() }}', hive_partitioning = false, maximum_object_size = 268435456, columns = {
                    before: 'varchar', through: 'bigint',
                    files: 'struct(source varchar, date varchar, path varchar, last_load bigint)[]'
                }
            )
        )
        where f.source = '{{ source_name }}' and f.last_load > {{ read_through() }}
        order by f.date, f.path
    {%- endset -%}
    {%- set files = run_query(query) -%}
    {%- if not files.rows -%} {{ return(hot) }} {%- endif -%}
    {%- set before, through = files.rows[0][0], files.rows[0][1] -%}
    {%- set both %}
    (
        select * from {{ hot }} where load_id > {{ through }} or occurred_at >= timestamp '{{ before }}'
        union all by name
        select * from {{ read_events([schema] + files.columns[2].values() | list) }}
    )
    {%- endset -%}
    {{ return(both) }}
{% endmacro %}


{#- The load through which this model has read the lake. -#}
{% macro read_through() %}
    {%- set state = model_state() -%}
    {{ return(state.loaded_through if state.state != 'whole' else 0) }}
{% endmacro %}


{#- Of the lake's rows those that this run has to read: a file may hold loads that were read already, or taken back. -#}
{% macro is_unread() -%}
    {%- if not execute or flags.WHICH not in ('run', 'build') or model.resource_type != 'model' -%}
        {{ return('true') }}
    {%- endif -%}
    load_id > {{ read_through() }} and load_id <= {{ model_state().load_id }}
        {%- if loads_taken_back() %} and load_id not in ({{ loads_taken_back() | join(', ') }}) {%- endif -%}
{%- endmacro %}


{#- Asked once a run: which they are doesn't change while it goes on. -#}
{% macro loads_taken_back() %}
    {%- set known = known_in_this_run() -%}
    {%- if 'loads_taken_back' not in known -%}
        {%- set query = 'select retracts from ops.loads where retracts is not null order by retracts' -%}
        {%- do known.update({'loads_taken_back': run_query(query).columns[0].values()}) -%}
    {%- endif -%}
    {{ return(known.loads_taken_back) }}
{% endmacro %}
