{#-
    post-hook of every model, in the transaction of a table's rows: both are there, or neither. Of a view its definition is
    noted. A table that was built whole, or in which rows of older loads changed, gets a new token, kept in its comment and in
    its watermark; a table that somebody replaced by hand has lost its comment, so its watermark no longer counts. `changed_by`
    is the invocation that last changed a row. A model that is built while others above it are left behind lacks events, which
    an incremental one would never look for again: it gets the fingerprint of no definition, so that the next run builds it
    whole.
-#}
{% macro record_watermark() %}
    {%- if execute and model.config.materialized in ('incremental', 'table') and target.name != 'published' -%}
        {%- set before = model_state() -%}
        {%- set whole = model.config.materialized == 'table' or before.state == 'whole' or before.tenants_changed or is_backfill() -%}
        {%- set lacked = models_it_lacks() -%}
        {%- set has_all = not lacked and not flags.EMPTY -%}
        {%- set token = model.name ~ ':' ~ invocation_id -%}
        {%- set as_of = "timestamp '" ~ before.as_of ~ "'" if before.as_of else 'null' -%}
        {%- if whole or before.state == 'behind' or before.as_of != before.as_of_before %}
            {%- if whole %}
            comment on table {{ this }} is '{{ token }}';
            insert into ops.model_watermarks by name
            select
                model,
                '{{ token }}' as token,
                {{ 'fingerprint' if has_all else "'held back'" }} as fingerprint,
                {{ read_with(lacked) }} as loaded_through,
                {{ as_of }} as as_of,
                sources,
                '{{ invocation_id }}' as changed_by,
                '{{ invocation_id }}' as built_by,
                {{ seed_revision() }} as seed_revision
            from ops.model_fingerprints
            where model = '{{ model.name }}'
            on conflict (model) do update set
                token = excluded.token,
                fingerprint = excluded.fingerprint,
                loaded_through = excluded.loaded_through,
                as_of = excluded.as_of,
                sources = excluded.sources,
                changed_by = excluded.changed_by,
                built_by = excluded.built_by,
                seed_revision = excluded.seed_revision;
            {%- else %}
            update ops.model_watermarks
            set
                {%- if not has_all %}
                fingerprint = 'held back',
                {%- endif %}
                loaded_through = {{ read_with(lacked) }},
                as_of = {{ as_of }},
                changed_by = case when {{ rows_changed(before) }} then '{{ invocation_id }}' else changed_by end,
                built_by = '{{ invocation_id }}',
                seed_revision = {{ seed_revision() }}
            where model = '{{ model.name }}';
            {%- endif -%}
        {%- endif -%}
    {%- elif execute and model.config.materialized == 'view' and target.name != 'published' %}
        insert into ops.views select model, fingerprint from ops.model_fingerprints where model = '{{ model.name }}'
        on conflict (model) do update set fingerprint = excluded.fingerprint;
    {%- endif -%}
{% endmacro %}


{#- The load through which this model has read everything: that before the first which a model that it lacks has yet to read. -#}
{% macro read_with(lacked) -%}
    {%- if not lacked -%}
        {{ model_state().load_id }}
    {%- else -%}
        (
            select least(coalesce(min(f.load_id) - 1, {{ model_state().load_id }}), {{ model_state().load_id }})
            from ops.lake_files as f
            inner join ops.model_fingerprints as d on list_contains(d.sources, f.source)
            left join ops.model_watermarks as w on d.model = w.model
            where d.model in ({{ quoted(lacked) }}) and f.load_id > coalesce(w.loaded_through, 0)
        )
    {%- endif -%}
{%- endmacro %}


{#- Whether this run wrote a row of the incremental model. -#}
{% macro rows_changed(before) -%}
    {%- if config.get('incremental_strategy') == 'touched' -%}
        exists (select 1 from {{ touched_relation() }})
        {%- if config.meta_get('ages_out') %} or exists (select 1 from {{ this }} where {{ is_aged_out() }}){% endif %}
    {%- else -%}
        exists (select 1 from {{ this }} where load_id > {{ before.loaded_through }})
    {%- endif -%}
{%- endmacro %}
