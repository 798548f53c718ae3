{#-
    dbt's own four generic tests, with rows that say what is wrong and what to do: a build shows the first failing rows, and
    they are all that the person who edited a reference table gets to see.
-#}
{% macro default__test_not_null(model, column_name) %}
select *, '{{ column_name }} is empty: fill it in' as problem
from {{ model }}
where {{ column_name }} is null
{% endmacro %}


{% macro default__test_unique(model, column_name) %}
select
    {{ column_name }},
    count(*) as row_count,
    'more than one row with this {{ column_name }}: keep one of them' as problem
from {{ model }}
where {{ column_name }} is not null
group by {{ column_name }}
having count(*) > 1
{% endmacro %}


{% macro default__test_accepted_values(model, column_name, values, quote=True) %}
{%- set quotes = "'" if quote else '' -%}
{%- set problem = 'not a known ' ~ column_name ~ ': one of ' ~ values | join(', ') -%}
select *, {{ dbt.string_literal(dbt.escape_single_quotes(problem)) }} as problem
from {{ model }}
where {{ column_name }} not in ({{ quotes }}{{ values | join(quotes ~ ', ' ~ quotes) }}{{ quotes }})
{% endmacro %}


{% macro default__test_relationships(model, column_name, to, field) %}
select *, '{{ column_name }} is not in {{ to.identifier }}.{{ field }}: add it there, or correct it here' as problem
from {{ model }}
where {{ column_name }} is not null
    and {{ column_name }} not in (select {{ field }} from {{ to }} where {{ field }} is not null)
{% endmacro %}
