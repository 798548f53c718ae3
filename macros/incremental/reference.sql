{#-
    Reference tables (seeds): what is loaded of them decides rows besides the events. A model depends on the rows in the
    warehouse, not on the file, which may have changed without being loaded.

    A table counts as a whole, by the checksum of its file and of its columns' types, which is a part of the fingerprint of
    each model below it. One that says `meta.by_tenant` counts by tenant for models that can replace the rows of one tenant:
    when rows of a tenant change, these models recompute that tenant, and no other's history is touched.
-#}


{#- post-hook of every seed: note what is loaded now, by tenant too. A revision is a load of some seed that changed a tenant. -#}
{% macro record_seed() %}
    {%- if execute and target.name != 'published' %}
        {%- do known_in_this_run().pop('watermarks', none) %}
        {%- do known_in_this_run().pop('left_behind', none) %}
        insert into ops.seeds
        values ('{{ model.name }}', '{{ model.checksum.checksum }}{{ local_md5(tojson(config.get('column_types') or {}, sort_keys=true)) }}')
        on conflict (seed) do update set checksum = excluded.checksum;
        {%- if config.meta_get('by_tenant') %}
        insert into ops.seed_tenants by name
        with loaded as (
            select tenant_id, md5(string_agg({{ row_text() }}, chr(10) order by {{ row_text() }})) as digest
            from {{ this }}
            group by tenant_id
        ),

        known as (
            select tenant_id, digest from ops.seed_tenants where seed = '{{ model.name }}'
        )

        select
            '{{ model.name }}' as seed,
            coalesce(loaded.tenant_id, known.tenant_id) as tenant_id,
            loaded.digest,
            {{ seed_revision() }} + 1 as revision,
        from loaded
        full join known on loaded.tenant_id = known.tenant_id
        where loaded.digest is distinct from known.digest
        on conflict (seed, tenant_id) do update set digest = excluded.digest, revision = excluded.revision;
        {%- endif %}
    {%- endif -%}
{% endmacro %}


{#- A row of the seed that is being loaded, as one text. -#}
{% macro row_text() -%}
    {%- for name in model.columns -%}
        coalesce(cast({{ name }} as varchar), '') {{- " || '|' || " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{% macro seed_revision() -%}
    (select coalesce(max(revision), 0) from ops.seed_tenants)
{%- endmacro %}


{#- The seeds above a model: those that count as a whole, and those of which changed tenants count: {whole, by_tenant}. -#}
{% macro seeds_by_how_they_count(node, seeds) %}
    {%- set meta = node.config.get('meta') or {} -%}
    {%- set replaces_tenants = node.config.materialized == 'incremental' and 'tenant_id' in (
        meta.partition if meta.partition else node.columns
    ) -%}
    {%- set found = {'whole': [], 'by_tenant': []} -%}
    {%- for seed in seeds | sort -%}
        {%- set seed_meta = graph.nodes['seed.' ~ project_name ~ '.' ~ seed].config.get('meta') or {} -%}
        {%- do found['by_tenant' if replaces_tenants and seed_meta.by_tenant else 'whole'].append(seed) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{#- Whether a row is of a tenant whose reference data changed since this model was built last; '' where there is none such. -#}
{% macro of_changed_tenant(tenant_id='tenant_id') -%}
    {%- set state = model_state() -%}
    {%- if state.tenants_changed and state.state != 'whole' -%}
        {{ tenant_id }} in (
            select changed.tenant_id
            from ops.seed_tenants as changed
            inner join ops.model_definitions as d on d.model = '{{ model.name }}'
            where list_contains(d.tenant_seeds, changed.seed) and changed.revision > {{ state.seed_revision }}
        )
    {%- endif -%}
{%- endmacro %}


{#- Strategy `append`: new rows are added; those of tenants whose reference data changed are made anew. -#}
{% macro get_incremental_append_sql(arg_dict) %}
    {%- set target_relation = arg_dict['target_relation'] -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- if of_changed_tenant() %}
    delete from {{ target_relation }} where {{ of_changed_tenant() }};
    {%- endif %}
    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }};
{% endmacro %}
