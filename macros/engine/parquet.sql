{#- Writes what a query gives to one Parquet file. -#}
{% macro write_parquet(query, path) -%} {{ return(adapter.dispatch('write_parquet')(query, path)) }} {%- endmacro %}

{% macro duckdb__write_parquet(query, path) -%}
    copy ({{ query }}) to '{{ path }}' (format parquet, compression zstd, compression_level 1);
{%- endmacro %}


{#- SQL: the paths of the files that a pattern fits, as `file`. -#}
{% macro files_like(pattern) -%} {{ return(adapter.dispatch('files_like')(pattern)) }} {%- endmacro %}

{% macro duckdb__files_like(pattern) -%} (select file from glob('{{ pattern }}')) {%- endmacro %}
