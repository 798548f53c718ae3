{#-
    The state of the model that is being built, decided once per run from its watermark (docs/incremental.md has the table):

    whole    build everything: no table, no watermark of this very table, another definition, a ledger that is behind the
             watermark, or a full refresh was asked for
    current  nothing new to read
    behind   recompute the partitions touched by loads newer than loaded_through, and those of tenants whose reference data
             changed

    It is found once and kept with the model, so that it stays what it was before the model's rows changed. Returned:
    {state, why, loaded_through, load_id, as_of_before, as_of, archived_through, token, seed_revision, tenants_changed}.
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
        'archived_through': 0,
    } -%}
    {%- if execute and model.resource_type == 'model' and flags.WHICH in ('run', 'build') and target.name != 'published' -%}
        {%- set row = watermarks_before()[model.name] -%}
        {%- do found.update({
            'loaded_through': row['loaded_through'] or 0, 'load_id': row['load_id'], 'as_of': row['as_of'],
            'as_of_before': row['as_of_before'], 'token': row['token'], 'seed_revision': row['seed_revision'],
            'tenants_changed': row['tenants_changed'], 'archived_through': row['archived_through'],
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
        {%- elif row['tenants_changed'] -%}
            {%- do found.update({'state': 'behind', 'why': 'reference data of a tenant changed'}) -%}
        {%- else -%}
            {%- do found.update({'state': 'current', 'why': 'nothing new'}) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(found) }}
{% endmacro %}


{#-
    By model, the run's target beside the watermark as it was before the run; the watermark's columns are NULL unless its token
    is that of the model's table. Asked once for all models, and again after a seed was loaded, which changes fingerprints.
-#}
{% macro watermarks_before() %}
    {%- set known = known_in_this_run() -%}
    {%- if 'watermarks' not in known -%}
        {%- set query -%}
            with newest as (
                select source, max(load_id) as load_id from ops.lake_files group by source
            )

            select
                d.model,
                r.load_id,
                cast(r.as_of as varchar) as as_of,
                r.archived_through,
                w.loaded_through,
                cast(w.as_of as varchar) as as_of_before,
                w.fingerprint is distinct from d.fingerprint as is_redefined,
                w.token,
                w.seed_revision,
                exists (
                    select 1
                    from ops.seed_tenants as s
                    where list_contains(d.tenant_seeds, s.seed) and s.revision > w.seed_revision
                ) as tenants_changed,
                (select max(n.load_id) from newest as n where list_contains(d.sources, n.source)) as newest_load,
                v.fingerprint is distinct from d.fingerprint as is_older_view,
            from ops.run as r
            cross join ops.model_fingerprints as d
            left join duckdb_tables() as t
                on t.database_name = '{{ this.database }}' and d.schema_name = t.schema_name and d.model = t.table_name
            left join ops.model_watermarks as w on d.model = w.model and t.comment = w.token
            left join ops.views as v on d.model = v.model
        {%- endset -%}
        {%- set found = {} -%}
        {%- for row in run_query(query).rows -%} {%- do found.update({row['model']: row}) -%} {%- endfor -%}
        {%- do known.update({'watermarks': found}) -%}
    {%- endif -%}
    {{ return(known.watermarks) }}
{% endmacro %}


{#-
    By id, the models that this run leaves out though they are behind: because others were selected, or because they, or models
    above them, have failed.
-#}
{% macro models_left_behind() %}
    {%- set known = known_in_this_run() -%}
    {%- if 'left_behind' not in known -%}
        {%- set selected = set(selected_resources) -%}
        {%- set found = [] -%}
        {%- for node_id, node in graph.nodes.items() if node_id not in selected -%}
            {%- if node.resource_type == 'model' and is_behind(node) -%}
                {%- do found.append(node_id) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do known.update({'left_behind': found}) -%}
    {%- endif -%}
    {{ return(known.left_behind) }}
{% endmacro %}


{#-
    Whether a model has something to do, as `agent-analytics build` asks before it starts dbt; of a view, whether it has another
    definition. A boundary that has passed makes no difference to one whose rows only spare others work (`meta.spares_work`).
-#}
{% macro is_behind(node) %}
    {%- set row = watermarks_before()[node.name] -%}
    {%- if node.config.materialized == 'view' -%} {{ return(row['is_older_view']) }} {%- endif -%}
    {%- if row['token'] is none or row['is_redefined'] or row['tenants_changed'] -%} {{ return(true) }} {%- endif -%}
    {%- if (row['newest_load'] or 0) > row['loaded_through'] -%} {{ return(true) }} {%- endif -%}
    {%- set meta = node.config.get('meta') or {} -%}
    {%- set boundary = meta.get('boundary') if not meta.get('spares_work') else none -%}
    {{ return(boundary is not none and boundary_passed(boundary, row['as_of_before'], row['as_of'])) }}
{% endmacro %}


{#- Whether the data clock has passed a boundary between two moments, given as texts: for `local_day`, in any tenant's time zone. -#}
{% macro boundary_passed(boundary, before, after) %}
    {%- set length = {'hour': 13, 'day': 10, 'month': 7}.get(boundary) -%}
    {%- if before == after or not before or not after or boundary == 'instant' -%} {{ return(before != after) }} {%- endif -%}
    {%- if length -%} {{ return(before[:length] != after[:length]) }} {%- endif -%}
    {%- if boundary != 'local_day' -%} {%- do exceptions.raise_compiler_error('meta.boundary: unknown boundary ' ~ boundary) -%} {%- endif -%}
    {%- set known = known_in_this_run() -%}
    {%- set name = 'local days from ' ~ before ~ ' to ' ~ after -%}
    {%- if name not in known -%}
        {%- set zones = graph.nodes['seed.' ~ project_name ~ '.tenants'] -%}
        {%- set query -%}
            select 1
            from (select timezone from {{ zones.schema }}.{{ zones.alias }} union all select 'UTC' as timezone) as zones
            where {{ clock_date('timezone', "timestamp '" ~ before ~ "'") }}
                <> {{ clock_date('timezone', "timestamp '" ~ after ~ "'") }}
            limit 1
        {%- endset -%}
        {%- do known.update({name: run_query(query).rows | length == 1}) -%}
    {%- endif -%}
    {{ return(known[name]) }}
{% endmacro %}


{#- The models above this one that are behind, and are not built in this run. -#}
{% macro models_it_lacks() %}
    {%- set found = [] -%}
    {%- if models_left_behind() -%}
        {%- set above = ancestors(model.unique_id).models -%}
        {%- for node_id in models_left_behind() if node_id in above -%} {%- do found.append(graph.nodes[node_id].name) -%} {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{% endmacro %}


{#- dbt asks this of every incremental model (also through is_incremental()): the state above answers. -#}
{% macro should_full_refresh() %}
    {%- if model.resource_type == 'model' and model.config.materialized == 'incremental' -%}
        {{ return(model_state().state == 'whole') }}
    {%- endif -%}
    {{ return(config.get('full_refresh') if config.get('full_refresh') is not none else flags.FULL_REFRESH) }}
{% endmacro %}
