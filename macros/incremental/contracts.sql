{#-
    What dbt asks of a mart's contract on each build, asked only when the table is built whole: types are part of a model's
    definition, so a table that is changed in place, or made again by the same definition, has the columns that were checked.
-#}
{% macro get_assert_columns_equivalent(sql) %}
    {%- if model.resource_type != 'model' or model_state().state == 'whole' -%}
        {{ return(adapter.dispatch('get_assert_columns_equivalent', 'dbt')(sql)) }}
    {%- endif -%}
{% endmacro %}


{#- The columns to insert: those of the contract, or, where there is none, [], for which dbt asks the table. -#}
{% macro process_schema_changes(on_schema_change, source_relation, target_relation) %}
    {%- set columns = [] -%}
    {%- if config.get('contract').enforced -%}
        {%- for column in model.columns.values() -%}
            {%- do columns.append(api.Column.create(column.name, column.data_type)) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(columns) }}
{% endmacro %}
