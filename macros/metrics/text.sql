{#- The names of the columns that are true, in order, comma-separated; '' if none is. -#}
{% macro comma_separated(flags) -%}
    substring(
        {% for name in flags -%}
        case when {{ name }} then ',{{ name }}' else '' end{{ ' ||\n        ' if not loop.last }}
        {%- endfor %},
        2
    )
{%- endmacro %}
