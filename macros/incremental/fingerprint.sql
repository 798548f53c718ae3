{#-
    What each model's rows depend on besides the events, as one fingerprint: its SQL and that of all models above it, the
    macros that they use, the reference tables, the contract's columns, the variables named in `meta.vars`, and the loads
    taken back. A table whose watermark holds another fingerprint is built whole. Written once per run.
-#}
{% macro settle_definitions() %}
    {%- set seeds = loaded_seeds() -%}
    {%- set retracted = retracted_loads() -%}
    {%- set contract = read_contract() -%}
    {%- set macro_texts = {} -%}
    {%- set own = {} -%}
    {%- for node_id, node in graph.nodes.items() if node.resource_type in ('model', 'seed') -%}
        {%- do own.update({node_id: own_definition(node, contract, macro_texts, seeds)}) -%}
    {%- endfor -%}
    create or replace temp table definitions as
    select * from (
        values
        {%- for node_id, node in graph.nodes.items() if node.resource_type == 'model' %}
            {%- set above = ancestors(node_id) %}
            {%- set parts = [] -%}
            {%- for ancestor in above.nodes | sort -%} {%- do parts.append(own[ancestor]) -%} {%- endfor -%}
            {%- for source in above.sources | sort -%} {%- do parts.append(retracted.get(source, '')) -%} {%- endfor %}
            ('{{ node.name }}', '{{ local_md5(parts | join('\n')) }}', [{{ quoted(above.sources | sort) }}]::varchar[])
            {{- ',' if not loop.last }}
        {%- endfor %}
    ) as found (model, fingerprint, sources);
    delete from ops.model_definitions where model not in (select model from definitions);
    insert into ops.model_definitions by name select * from definitions
    on conflict (model) do update set fingerprint = excluded.fingerprint, sources = excluded.sources;
{% endmacro %}


{#-
    post-hook of every seed: note what is loaded now. A model depends on the rows in the warehouse, not on the file, which may
    have changed without being loaded; so the definitions are settled again when the rows are others.
-#}
{% macro record_seed() %}
    {%- if execute and target.name != 'published' and loaded_seeds().get(model.name) != model.checksum.checksum -%}
        {%- do run_query(
            "insert into ops.seeds values ('" ~ model.name ~ "', '" ~ model.checksum.checksum ~ "') "
            ~ "on conflict (seed) do update set checksum = excluded.checksum"
        ) -%}
        {{ settle_definitions() }}
    {%- endif -%}
{% endmacro %}


{#- The checksum of each reference table that is loaded. -#}
{% macro loaded_seeds() %}
    {%- set found = {} -%}
    {%- for row in run_query('select seed, checksum from ops.seeds').rows -%}
        {%- do found.update({row[0]: row[1]}) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{#- A node's own part: its checksum, how it is materialised, its macros, its variables, its columns of the contract. -#}
{% macro own_definition(node, contract, macro_texts, seeds) %}
    {%- set meta = node.config.get('meta') or {} -%}
    {%- if node.resource_type == 'seed' -%} {{ return(node.unique_id ~ '|' ~ seeds.get(node.name, '')) }} {%- endif -%}
    {%- set parts = [node.unique_id, node.checksum.checksum, node.config.materialized] -%}
    {%- for name in meta.get('vars', []) -%} {%- do parts.append(name ~ '=' ~ var(name)) -%} {%- endfor -%}
    {%- if meta.get('event_types') -%}
        {%- set source_name = node.depends_on.nodes[0].split('.')[-1] -%}
        {%- do parts.append(typed_columns(contract['sources'][source_name], meta.event_types) | string) -%}
    {%- endif -%}
    {%- do parts.append(texts_of_macros(macros_named_in(node.raw_code), macro_texts)) -%}
    {{ return(parts | join('|')) }}
{% endmacro %}


{#-
    This project's macros that a text names. Read from the text, because dbt's own list of what a model depends on misses those
    that are called within a block or a branch not taken, and grows when they are: it isn't the same from run to run.
-#}
{% macro macros_named_in(text) %}
    {%- set found = [] -%}
    {%- for name in modules.re.findall('[a-z_][a-z0-9_]*', text) | unique -%}
        {%- set named = context.get(name) -%}
        {%- if named.macro is defined and named.macro.package_name == project_name -%}
            {%- do found.append(named.macro.unique_id) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{#- The models and seeds that a model is built from, itself included, and the sources of the contract above it. -#}
{% macro ancestors(node_id) %}
    {%- set nodes = [node_id] -%}
    {%- set sources = [] -%}
    {%- for found in nodes -%}
        {%- for parent in graph.nodes[found].depends_on.nodes -%}
            {%- if parent in graph.nodes and parent not in nodes -%}
                {%- do nodes.append(parent) -%}
            {%- elif parent.startswith('source.') and parent.split('.')[-1] not in sources -%}
                {%- do sources.append(parent.split('.')[-1]) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return({'nodes': nodes, 'sources': sources}) }}
{% endmacro %}


{#- The digest of this project's macros among `macro_ids` and of those that they call; `texts` remembers those read before. -#}
{% macro texts_of_macros(macro_ids, texts) %}
    {%- set pending = macro_ids | sort -%}
    {%- set found = [] -%}
    {%- for macro_id in pending -%}
        {%- if macro_id.startswith('macro.' ~ project_name ~ '.') and macro_id not in found -%}
            {%- do found.append(macro_id) -%}
            {%- set definition = context[macro_id.split('.')[-1]].macro -%}
            {%- if macro_id not in texts -%} {%- do texts.update({macro_id: local_md5(definition.macro_sql)}) -%} {%- endif -%}
            {%- do pending.extend(definition.depends_on.macros) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set digests = [] -%}
    {%- for macro_id in found | sort -%} {%- do digests.append(texts[macro_id]) -%} {%- endfor -%}
    {{ return(digests | join(',')) }}
{% endmacro %}


{#- Per source: the taken-back loads that held events of it. -#}
{% macro retracted_loads() %}
    {%- set query -%}
        select f.source, string_agg(l.retracts, ',' order by l.retracts) as load_ids
        from ops.loads as l
        inner join ops.lake_files as f on l.retracts = f.load_id
        group by f.source
    {%- endset -%}
    {%- set found = {} -%}
    {%- for row in run_query(query).rows -%} {%- do found.update({row[0]: row[1]}) -%} {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{% macro quoted(names) -%}
    {%- for name in names -%} '{{ name }}'{{ ', ' if not loop.last }} {%- endfor -%}
{%- endmacro %}
