{#-
    What a model's rows depend on besides the events: its SQL and that of all models above it, the macros that they use, the
    reference tables, the contract's columns, the variables named in `meta.vars`, and the loads taken back. A table whose
    watermark holds another fingerprint is built whole.
-#}
{% macro fingerprint() %}
    {%- set parts = [] -%}
    {%- set macros = [] -%}
    {%- for node_id in ancestors() -%}
        {%- set node = graph.nodes[node_id] -%}
        {%- do parts.append(node_id ~ '=' ~ node.checksum.checksum ~ '/' ~ node.config.materialized) -%}
        {%- for name in node.config.get('meta', {}).get('vars', []) -%}
            {%- do parts.append('var ' ~ name ~ '=' ~ var(name)) -%}
        {%- endfor -%}
        {%- if node.config.get('meta', {}).get('event_types') -%}
            {%- set source_name = node.depends_on.nodes[0].split('.')[-1] -%}
            {%- do parts.append(node_id ~ ':' ~ contract_columns(source_name, node.config.meta.event_types)) -%}
        {%- endif -%}
        {%- do macros.extend(node.depends_on.macros) if node.resource_type == 'model' -%}
    {%- endfor -%}
    {%- do parts.extend(macro_texts(macros)) -%}
    {%- do parts.append('retracted ' ~ retracted_loads()) -%}
    {{ return(local_md5(parts | sort | join('\n'))) }}
{% endmacro %}


{#- The models and seeds that this one is built from, itself included. -#}
{% macro ancestors() %}
    {%- set found = [model.unique_id] -%}
    {%- for node_id in found -%}
        {%- for parent in graph.nodes[node_id].depends_on.nodes -%}
            {%- if parent not in found and parent in graph.nodes -%} {%- do found.append(parent) -%} {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{#- The texts of this project's macros among `macro_ids` and of those that they call. -#}
{% macro macro_texts(macro_ids) %}
    {%- set found = [] -%}
    {%- set pending = macro_ids | unique | list -%}
    {%- set texts = [] -%}
    {%- for macro_id in pending -%}
        {%- if macro_id.startswith('macro.' ~ project_name ~ '.') and macro_id not in found -%}
            {%- do found.append(macro_id) -%}
            {%- set definition = context[macro_id.split('.')[-1]].macro -%}
            {%- do texts.append(macro_id ~ '=' ~ definition.macro_sql) -%}
            {%- do pending.extend(definition.depends_on.macros) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(texts) }}
{% endmacro %}


{#- The taken-back loads that held events of this model's sources. -#}
{% macro retracted_loads() %}
    {%- set query -%}
        select distinct l.retracts
        from ops.loads as l
        inner join ops.lake_files as f on l.retracts = f.load_id
        where list_contains({{ model_sources() }}, f.source)
        order by l.retracts
    {%- endset -%}
    {{ return(run_query(query).columns[0].values() | list) }}
{% endmacro %}


{#- The sources of the contract that this model is computed from, as an SQL list. -#}
{% macro model_sources() -%}
    {%- set found = [] -%}
    {%- for node_id in ancestors() -%}
        {%- for parent in graph.nodes[node_id].depends_on.nodes -%}
            {%- if parent.startswith('source.') and parent not in found -%} {%- do found.append(parent) -%} {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set names = [] -%}
    {%- for source_id in found | sort -%} {%- do names.append("'" ~ source_id.split('.')[-1] ~ "'") -%} {%- endfor -%}
    cast([{{ names | join(', ') }}] as varchar[])
{%- endmacro %}
