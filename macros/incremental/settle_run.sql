{#-
    on-run-start: settle, once and for all models of the run, what there is to read.

    The ledger (lake/_loads/*.json) is copied into ops.loads and ops.lake_files, only the entries that are not there yet;
    ops.run then holds the load through which this run builds, the data clock, and the load through which old events lie in
    the archive. A load that commits while the run goes on is left to the next run. A ledger that is not a continuation of the one seen before (another storage root, a
    restored backup) forgets all watermarks, so every model is built whole.
-#}
{% macro settle_run() %}
    {%- if execute and target.name != 'published' -%}
        {%- do known_in_this_run().clear() -%}
        {%- do run_query(create_ops_tables()) -%}
        {%- if not ledger_continues() -%}
            {%- do run_query("delete from ops.loads; delete from ops.lake_files; delete from ops.ledger_packs; "
                ~ "delete from ops.model_watermarks") -%}
        {%- endif -%}
        {%- do run_query(read_ledger(unread_ledger_files())) -%}
        {%- do run_query(settle_run_row()) -%}
        {%- set key = definitions_key() -%}
        {%- if not key or not run_query("select 1 from ops.definitions_key where key = '" ~ key ~ "'").rows -%}
            {%- do run_query(settle_definitions(key)) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#- What models of one run would ask again and again, by name; dbt's `graph` is the one thing that they share. -#}
{% macro known_in_this_run() %}
    {%- if 'known_in_this_run' not in graph -%} {%- do graph.update({'known_in_this_run': {}}) -%} {%- endif -%}
    {{ return(graph.known_in_this_run) }}
{% endmacro %}


{% macro create_ops_tables() %}
    create schema if not exists ops;
    create table if not exists ops.loads (
        load_id bigint not null, kind varchar not null, started_at timestamp not null, clock timestamp, retracts bigint
    );
    create table if not exists ops.lake_files (
        load_id bigint not null, source varchar not null, path varchar not null, row_count bigint not null,
        newest_occurred_at timestamp
    );
    create table if not exists ops.ledger_packs (path varchar primary key);
    create table if not exists ops.model_watermarks (
        model varchar primary key, token varchar not null, fingerprint varchar not null, loaded_through bigint not null,
        as_of timestamp, sources varchar[] not null, changed_by varchar not null, built_by varchar not null,
        seed_revision bigint
    );
    alter table ops.model_watermarks add column if not exists seed_revision bigint;
    create table if not exists ops.views (model varchar primary key, fingerprint varchar not null);
    create table if not exists ops.seeds (seed varchar primary key, checksum varchar not null);
    create table if not exists ops.seed_tenants (
        seed varchar, tenant_id varchar, digest varchar, revision bigint not null, primary key (seed, tenant_id)
    );
    create table if not exists ops.definitions_key (key varchar);
    create table if not exists ops.run (
        invocation_id varchar, load_id bigint, as_of timestamp, archived_through bigint, hourly_from date
    );
    create or replace view ops.watermarks as {{ watermarks_view() }};
{% endmacro %}


{#- Per model: what it has read, the newest event in that, and how far behind the standing loads of its sources it is. -#}
{% macro watermarks_view() %}
    with relevant as (
        select
            w.model,
            w.loaded_through,
            f.load_id,
            f.newest_occurred_at,
        from ops.model_watermarks as w
        inner join ops.lake_files as f on list_contains(w.sources, f.source)
        where f.load_id not in (select retracts from ops.loads where retracts is not null)
    ),

    measured as (
        select
            model,
            max(newest_occurred_at) filter (where load_id <= loaded_through) as newest_event_at,
            max(newest_occurred_at) as newest_landed_at,
            count(distinct load_id) filter (where load_id > loaded_through) as lag_loads,
        from relevant
        group by model
    )

    select
        w.model,
        w.loaded_through,
        m.newest_event_at,
        w.as_of,
        array_to_string(w.sources, ', ') as sources,
        coalesce(m.lag_loads, 0) as lag_loads,
        coalesce(date_diff('second', m.newest_event_at, greatest(m.newest_landed_at, m.newest_event_at)) / 3600.0, 0)
            as lag_hours,
    from ops.model_watermarks as w
    left join measured as m on w.model = m.model
{% endmacro %}


{% macro storage_root() %}
    {{- return(env_var('ANALYTICS_STORAGE', 'storage')) -}}
{% endmacro %}


{#-
    The ledger's files: each holds the entries of the loads first_load to last_load, one or, if packed, many. A file whose
    loads were packed into another no longer counts. A pack may be written anew: `version` tells.
-#}
{% macro ledger_files() %}
    {%- set listing = "select file from glob('" ~ storage_root() ~ "/lake/_loads/*.json')" -%}
    {%- set paths = run_query(listing).columns[0].values() %}
    (
        with files as (
            select
                path,
                path || ' ' || modified_at || ' ' || bytes as version,
                cast(coalesce(nullif(packed_from, ''), last_load) as bigint) as first_load,
                cast(last_load as bigint) as last_load,
                packed_from != '' as is_pack,
            from (
                select
                    filename as path,
                    last_modified as modified_at,
                    size as bytes,
                    regexp_extract(filename, '/pack-([0-9]+)-[0-9]+[.]json$', 1) as packed_from,
                    regexp_extract(filename, '(?:/|-)([0-9]+)[.]json$', 1) as last_load,
                from {{ "read_blob(" ~ ledger_paths(paths) ~ ")" if paths else
                    "(select null::varchar as filename, null::bigint as size, null::timestamptz as last_modified where false)" }}
            )
            where last_load != ''
        )

        select path, version, first_load, last_load, is_pack
        from (
            select
                *,
                max(last_load) over (
                    order by first_load, last_load desc, not is_pack rows between unbounded preceding and 1 preceding
                ) as covered,
            from files
        )
        where last_load > coalesce(covered, 0)
    )
{% endmacro %}


{#- Whether the newest entry copied earlier is still the same entry of the ledger on disk. -#}
{% macro ledger_continues() %}
    {%- set newest = run_query("select load_id, started_at from ops.loads order by load_id desc limit 1").rows -%}
    {%- if not newest -%} {{ return(true) }} {%- endif -%}
    {%- set holding -%}
        select path from {{ ledger_files() }} where {{ newest[0][0] }} between first_load and last_load
    {%- endset -%}
    {%- set paths = run_query(holding).columns[0].values() -%}
    {%- if not paths -%} {{ return(false) }} {%- endif -%}
    {%- set same -%}
        select count(*)
        from read_json({{ ledger_paths(paths) }}, hive_partitioning = false, columns = {load_id: 'bigint', started_at: 'timestamptz'})
        where load_id = {{ newest[0][0] }} and started_at = timestamptz '{{ newest[0][1] }}+00'
    {%- endset -%}
    {{ return(run_query(same).rows[0][0] == 1) }}
{% endmacro %}


{#-
    The files with entries that are not in ops.loads yet: {packs, versions, singles}. When loads were packed since, the lake's files are
    others: then all of them, and the packs are never read but for this.
-#}
{% macro unread_ledger_files() %}
    {%- set query -%}
        with files as (
            select path, version, is_pack, last_load from {{ ledger_files() }}
        ),

        repacked as (
            select version from files where is_pack
            except
            select path from ops.ledger_packs
        )

        select path, version, is_pack
        from files
        where exists (select 1 from repacked) or last_load > (select coalesce(max(load_id), 0) from ops.loads)
        order by last_load
    {%- endset -%}
    {%- set found = {'packs': [], 'versions': [], 'singles': []} -%}
    {%- for path, version, is_pack in run_query(query).rows -%}
        {%- do found['packs' if is_pack else 'singles'].append(path) -%}
        {%- if is_pack -%} {%- do found.versions.append(version) -%} {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{% macro ledger_paths(paths) -%}
    ['{{ paths | join("', '") }}']
{%- endmacro %}


{% macro read_ledger(files) %}
    {%- set columns -%}
        {
            load_id: 'bigint', kind: 'varchar', started_at: 'timestamptz', clock: 'timestamptz', retracts: 'bigint',
            lake: 'struct(source varchar, path varchar, "rows" bigint, newest_occurred_at timestamptz)[]'
        }
    {%- endset -%}
    begin transaction;
    {%- if files.packs %}
    delete from ops.loads;
    delete from ops.lake_files;
    delete from ops.ledger_packs;
    insert into ops.ledger_packs select unnest({{ ledger_paths(files.versions) }});
    {%- endif %}
    {%- for paths in (files.packs, files.singles) if paths %}
    create or replace temp table new_entries as
    select load_id, kind, started_at, clock, retracts, lake
    from read_json(
        {{ ledger_paths(paths) }}, columns = {{ columns }}, hive_partitioning = false, maximum_object_size = 268435456
    );
    insert into ops.loads
    select load_id, kind, started_at at time zone 'UTC', clock at time zone 'UTC', retracts from new_entries;
    insert into ops.lake_files
    select load_id, f.source, coalesce(f.path, ''), f.rows, f.newest_occurred_at at time zone 'UTC'
    from (select load_id, unnest(lake) as f from new_entries);
    {%- endfor %}
    commit;
{% endmacro %}


{#- SQL: the load through which old events lie in the archive, 0 without one; after the ledger's, as `Archive` is in Python. -#}
{% macro archive_through() -%}
    {%- if run_query("select 1 from glob('" ~ archive_list() ~ "')").rows -%}
        (select through from read_json(
            '{{ archive_list() }}', columns = {through: 'bigint'}, hive_partitioning = false, maximum_object_size = 268435456
        ))
    {%- else -%}
        0
    {%- endif -%}
{%- endmacro %}


{% macro archive_list() %}
    {{- return(storage_root() ~ '/archive/files.json') -}}
{% endmacro %}


{#-
    The data clock is the variable as_of, else the newest clock of the loads that stand; hourly_from the first day that hourly
    marts hold.
-#}
{% macro settle_run_row() %}
    create or replace table ops.run as
    with

    settled as (
        select
            '{{ invocation_id }}' as invocation_id,
            coalesce(max(load_id), 0) as load_id,
            {% if var('as_of', none) is not none -%}
                timestamp '{{ var("as_of") }}' as as_of,
            {%- else -%}
                max(clock) filter (
                    where load_id not in (select retracts from ops.loads where retracts is not null)
                ) as as_of,
            {%- endif %}
            {{ archive_through() }} as archived_through,
        from ops.loads
    )

    select
        *,
        {{ first_hourly_day('as_of') }} as hourly_from,
    from settled;
{% endmacro %}
