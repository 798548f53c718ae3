{#-
    What each model's rows depend on besides the events: its SQL and that of all models above it, the macros that they use,
    the contract's columns, the variables named in `meta.vars`, the days that one which `ages_out` holds, and the loads taken
    back make its definition, settled once per run; with the reference tables above it, as they are loaded, that is its
    fingerprint. A table whose watermark holds another fingerprint is built whole; a model that is gone from the project has no
    watermark. `key` says what they were settled of, so that a run of the same project leaves them.
-#}
{% macro settle_definitions(key) %}
    {%- set retracted = retracted_loads() -%}
    {%- set contract = read_contract() -%}
    {%- set known = {'macros': {}, 'texts': {}} -%}
    {%- set own = {} -%}
    {%- for node_id, node in graph.nodes.items() if node.resource_type == 'model' -%}
        {%- do own.update({node_id: own_definition(node, contract, known)}) -%}
    {%- endfor -%}
    create or replace table ops.model_definitions as
    select * from (
        values
        {%- for node_id, node in graph.nodes.items() if node.resource_type == 'model' %}
            {%- set above = ancestors(node_id) %}
            {%- set parts = [] -%}
            {%- for ancestor in above.models | sort -%} {%- do parts.append(own[ancestor]) -%} {%- endfor -%}
            {%- for source in above.sources | sort -%} {%- do parts.append(retracted.get(source, '')) -%} {%- endfor -%}
            {%- set counted = seeds_by_how_they_count(node, above.seeds) %}
            (
                '{{ node.name }}', '{{ node.schema }}', '{{ local_md5(parts | join('\n')) }}',
                [{{ quoted(counted.whole) }}]::varchar[], [{{ quoted(counted.by_tenant) }}]::varchar[],
                [{{ quoted(above.sources | sort) }}]::varchar[]
            ) {{- ',' if not loop.last }}
        {%- endfor %}
    ) as found (model, schema_name, definition, seeds, tenant_seeds, sources);
    delete from ops.model_watermarks where model not in (select model from ops.model_definitions);
    create or replace view ops.model_fingerprints as
    select
        d.model,
        d.schema_name,
        md5(d.definition || coalesce(string_agg(s.seed || '=' || s.checksum, ',' order by s.seed), '')) as fingerprint,
        d.tenant_seeds,
        d.sources,
    from ops.model_definitions as d
    left join ops.seeds as s on list_contains(d.seeds, s.seed)
    group by d.model, d.schema_name, d.definition, d.tenant_seeds, d.sources;
    create or replace table ops.definitions_key as select '{{ key }}' as key;
{% endmacro %}


{#-
    The digest of the project that the command line has made, with the variables given and the loads taken back; '' for dbt by
    hand, which has no digest: working the definitions out takes as long as a dozen models.
-#}
{% macro definitions_key() %}
    {%- set project = env_var('DBT_PROJECT_DIGEST', '') -%}
    {{ return(local_md5([project, invocation_args_dict.vars, retracted_loads()] | join('|')) if project else '') }}
{% endmacro %}


{#-
    A model's own part: its checksum, how it is materialised, its macros, its variables, its columns of the contract, and the types
    that it promises itself.
-#}
{% macro own_definition(node, contract, known) %}
    {%- set meta = node.config.get('meta') or {} -%}
    {%- set parts = [node.unique_id, node.checksum.checksum, node.config.materialized] -%}
    {%- for name in meta.get('vars', []) -%} {%- do parts.append(name ~ '=' ~ var(name)) -%} {%- endfor -%}
    {%- if meta.get('ages_out') -%} {%- do parts.append('hourly_days=' ~ hourly_days()) -%} {%- endif -%}
    {%- if meta.get('event_types') -%}
        {%- set source_name = node.depends_on.nodes[0].split('.')[-1] -%}
        {%- do parts.append(typed_columns(contract['sources'][source_name], meta.event_types) | string) -%}
    {%- endif -%}
    {%- if node.config.contract.enforced -%}
        {%- for column in node.columns.values() -%} {%- do parts.append(column.name ~ ' ' ~ column.data_type) -%} {%- endfor -%}
    {%- endif -%}
    {%- do parts.append(texts_of_macros(macros_named_in(node.raw_code, known.macros), known.texts)) -%}
    {{ return(parts | join('|')) }}
{% endmacro %}


{#-
    This project's macros that a text names; `known` remembers which name is which. Read from the text, because dbt's own list
    of what a model depends on misses those that are called within a block or a branch not taken, and grows when they are: it
    isn't the same from run to run.
-#}
{% macro macros_named_in(text, known) %}
    {%- set found = [] -%}
    {%- for name in modules.re.findall('[a-z_][a-z0-9_]*', text) | unique -%}
        {%- if name not in known -%}
            {%- set named = context.get(name) -%}
            {%- set is_ours = named.macro is defined and named.macro.package_name == project_name -%}
            {%- do known.update({name: named.macro.unique_id if is_ours else none}) -%}
        {%- endif -%}
        {%- if known[name] is not none -%} {%- do found.append(known[name]) -%} {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{#- The models that a model is built from, itself included, and the seeds and the sources of the contract above it. -#}
{% macro ancestors(node_id) %}
    {%- set models = [node_id] -%}
    {%- set seeds = [] -%}
    {%- set sources = [] -%}
    {%- for found in models -%}
        {%- for parent in graph.nodes[found].depends_on.nodes -%}
            {%- set name = parent.split('.')[-1] -%}
            {%- if parent.startswith('model.') and parent not in models -%}
                {%- do models.append(parent) -%}
            {%- elif parent.startswith('seed.') and name not in seeds -%}
                {%- do seeds.append(name) -%}
            {%- elif parent.startswith('source.') and name not in sources -%}
                {%- do sources.append(name) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return({'models': models, 'seeds': seeds, 'sources': sources}) }}
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
